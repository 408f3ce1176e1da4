"""Durable appends through the library, against raw group commit of the same rows and against the peer.

So many tasks append one event at a time, each when its last is stored. Raw writes the rows that the engine
has just written, into a file of its own with the same content, in transactions of as many rows as there
were tasks: what the disk and SQLite allow when nothing is checked, queued or answered.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import perdure
from benchmarks import workload
from benchmarks.measure import Benchmark, Row, Run
from benchmarks.peer import Peer
from benchmarks.raw import Raw
from benchmarks.stores import Stores, store_url
from perdure import App, NewEvent
from perdure.transports.server import new_event_loop

#: Events in a round at so many at once.
EVENTS = {1: 1_500, 8: 6_000, 32: 12_000, 128: 16_000}
PEER_EVENTS = 1_500


async def append_all(app: App, events: Sequence[NewEvent], tasks: int) -> float:
    """Append one by one from so many tasks; give events a second."""

    async def append_each(share: Sequence[NewEvent]) -> None:
        for event in share:
            await app.append(event)

    shares = [events[number::tasks] for number in range(tasks)]
    began = perf_counter()
    if tasks == 1:
        await append_each(shares[0])
    else:
        async with asyncio.TaskGroup() as group:
            for share in shares:
                group.create_task(append_each(share))
    return len(events) / (perf_counter() - began)


class Sides:
    """The three that are compared, and the runs of a round."""

    def __init__(
        self, stores: Stores, runner: asyncio.Runner, app: App, raw: Raw, peer: Peer
    ) -> None:
        self._stores, self._runner, self._app = stores, runner, app
        self._raw, self._peer = raw, peer
        self._seed = 1

    def runs(self) -> Iterator[Run]:
        """Ours, then raw with the rows that ours wrote, then the peer; at each concurrency."""
        for concurrency in EVENTS:
            yield self._library(concurrency)
            yield self._raw_group(concurrency)
            yield self._threads(concurrency)

    def _library(self, tasks: int) -> Run:
        def run() -> dict[str, float]:
            self._seed += 1
            count = self._stores.amount(EVENTS[tasks])
            events = list(workload.scattered(self._stores.entities, count, self._seed))
            return {f"library/{tasks}": self._runner.run(append_all(self._app, events, tasks))}

        return run

    def _raw_group(self, size: int) -> Run:
        return lambda: {f"raw/{size}": self._raw.append(self._raw.missing(), size)}

    def _threads(self, threads: int) -> Run:
        def run() -> dict[str, float]:
            events = self._peer.prepare(self._stores.amount(PEER_EVENTS))
            return {f"peer/{threads}": self._peer.append(events, threads)}

        return run


@contextmanager
def appends(stores: Stores) -> Iterator[Benchmark]:
    """Open the three sides over the same fill."""
    ours = stores.filled("library")
    runner = asyncio.Runner(loop_factory=new_event_loop)
    peer = Peer(stores.new("peer"), stores.fill_events())
    with runner, Raw(ours, stores.filled("raw")) as raw:
        app = runner.run(perdure.open(workload.context(), store=store_url(ours)).__aenter__())
        try:
            runs = tuple(Sides(stores, runner, app, raw, peer).runs())
            title = f"Durable appends through the library, {stores.fill:,} events stored"
            yield Benchmark(title, runs, tuple(_rows()))
        finally:
            runner.run(app.close())
            peer.close()


def _rows() -> Iterator[Row]:
    for n in EVENTS:
        yield Row(label=f"raw group commit, {n} at once", figure=f"raw/{n}")
        yield Row(
            label=f"library, {n} at once", figure=f"library/{n}", against=f"raw/{n}", at_least=0.6
        )
        yield Row(label=f"eventsourcing, {n} at once", figure=f"peer/{n}")
        yield Row(
            label=f"library to eventsourcing, {n} at once",
            figure=f"library/{n}",
            against=f"peer/{n}",
        )
