"""Memory while a large log is imported, and while a service catches up on it.

Flat means: what the process holds in the last quarter of the work is what it held in the first. The resident
set is sampled as the work goes on, in a process of its own, this module.
"""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import psutil

import perdure
from benchmarks import workload
from benchmarks.catchup import SECONDS_MAX, carts_context
from benchmarks.measure import Benchmark, Row
from benchmarks.processes import ask, tell
from benchmarks.stores import BATCH_EVENTS, Stores, store_url
from perdure.transports.server import new_event_loop

SAMPLE_SECONDS = 0.02
FLAT = 1.1


class Watch:
    """Keeps the peak of the resident set, in MB, for each quarter of the work."""

    def __init__(self) -> None:
        self._process = psutil.Process(os.getpid())
        self._peaks = [0.0] * 4

    def sample(self, share: float) -> None:
        """Look, with this share of the work done."""
        quarter = min(int(share * 4), 3)
        held = self._process.memory_info().rss / 1e6
        self._peaks[quarter] = max(self._peaks[quarter], held)

    def told(self, what: str) -> dict[str, float]:
        """Give the first and the last quarter's peak."""
        return {f"{what}/first": self._peaks[0], f"{what}/last": self._peaks[-1]}


async def import_all(directory: Path, count: int) -> dict[str, float]:
    """Record so many events, a batch a commit."""
    watch = Watch()
    async with perdure.open(workload.context(), store=store_url(directory), react=False) as app:
        events = workload.carts(count)
        done = 0
        watch.sample(0.0)
        while batch := list(islice(events, BATCH_EVENTS)):
            await app.append(*batch)
            done += len(batch)
            watch.sample(done / (count + 1))
    return watch.told("import")


async def catch_up(directory: Path, count: int) -> dict[str, float]:
    """Let a new service meet them."""
    watch = Watch()
    bench, _ = carts_context()
    async with perdure.open(bench, store=store_url(directory)) as app, asyncio.timeout(SECONDS_MAX):
        live = app.context(workload.CONTEXT)
        head = await live.head()
        loop = live.loops["carts"]
        watch.sample(0.0)
        while loop.reached < head:
            watch.sample(loop.reached / (head + 1))
            await asyncio.sleep(SAMPLE_SECONDS)
        watch.sample(1.0)
    return watch.told("catch-up")


@contextmanager
def memory(stores: Stores) -> Iterator[Benchmark]:
    """Import and catch up once: what is measured is no race, so it is not run again each round."""
    found: dict[str, float] = {}

    def run() -> dict[str, float]:
        if not found:
            directory = stores.new("memory")
            found.update(ask("memory", "import", directory, stores.fill))
            found.update(ask("memory", "catch-up", directory, stores.fill))
        return found

    yield Benchmark(f"Memory over {stores.fill:,} events", (run,), tuple(_rows()))


def _rows() -> Iterator[Row]:
    for what in ("import", "catch-up"):
        yield Row(label=f"{what}: peak of the first quarter", figure=f"{what}/first", unit="MB")
        yield Row(
            label=f"{what}: peak of the last quarter",
            figure=f"{what}/last",
            unit="MB",
            against=f"{what}/first",
            at_most=FLAT,
        )


def main() -> None:
    """Do one of the two, and tell the peaks."""
    what, directory, count = sys.argv[1:]
    work = import_all if what == "import" else catch_up
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        tell(runner.run(work(Path(directory), int(count))))


if __name__ == "__main__":
    main()
