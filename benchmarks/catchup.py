"""Catching up: a service that is new meets a log of many carts, on one core.

It keeps a durable model a cart and a checkpoint, on SQLite at ``FULL``, and starts from nothing: measured
from opening the store until a model can be read at the head of the log. Once with the events in the order
they happened, once with a tenth of them up to a minute late, which folds their carts again.

Each round has a copy of the log and a process of its own, this module, kept to one core.
"""

import asyncio
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from uuid import UUID

import perdure
from benchmarks import workload
from benchmarks.measure import Benchmark, Row, Run
from benchmarks.processes import ask, pin, tell
from benchmarks.stores import Stores, record, store_url
from perdure import Context, Service
from perdure.transports.server import new_event_loop

LATE = 0.1
SECONDS_MAX = 600.0


def carts_context() -> tuple[Context, Service[workload.Tally]]:
    """The context of the benchmarks, with a service that keeps a model a cart."""
    bench = workload.context()
    carts = bench.service("carts", workload.Tally)
    carts.react(workload.added)
    return bench, carts


async def catch_up(directory: Path) -> tuple[int, float]:
    """Open the store and wait for the service; give how many events, and in how many seconds."""
    bench, carts = carts_context()
    began = perf_counter()
    async with perdure.open(bench, store=store_url(directory), wait_seconds_max=SECONDS_MAX) as app:
        live = app.context(workload.CONTEXT)
        head = await live.head()
        await app.model(carts[UUID(int=0, version=4)], after=head)
        seconds = perf_counter() - began
        return (await live.size()).events, seconds


@contextmanager
def catchup(stores: Stores) -> Iterator[Benchmark]:
    """Record both logs; each round catches up on a copy of each."""
    runs: list[Run] = []
    for name, late in (("in order", 0.0), ("late", LATE)):
        original = stores.new(f"carts {name}")
        events = workload.carts(stores.fill, late=late)
        asyncio.run(record(original, workload.context(), events))
        runs.append(_run(stores, original, name))
    rows = (
        Row(label="in order", figure="catchup/in order", at_least=100_000),
        Row(label="a tenth of the events late", figure="catchup/late"),
    )
    yield Benchmark(f"Catching up on {stores.fill:,} events, on one core", tuple(runs), rows)


def _run(stores: Stores, original: Path, name: str) -> Run:
    def run() -> dict[str, float]:
        copy = stores.directory / "carts copy"
        shutil.copytree(original, copy)
        try:
            found = ask("catchup", copy)
        finally:
            shutil.rmtree(copy)
        return {f"catchup/{name}": found["events"] / found["seconds"]}

    return run


def main() -> None:
    """Catch up on the store in a directory."""
    pin("server")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        events, seconds = runner.run(catch_up(Path(sys.argv[1])))
    tell({"events": events, "seconds": seconds})


if __name__ == "__main__":
    main()
