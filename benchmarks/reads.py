"""Loading an entity of 20 events and scanning the log, against the peer and against raw rows.

A load reads the events of one entity, decodes them into their class and folds them. A scan reads the whole
log and decodes every event. Both one after another, by one caller.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from time import perf_counter

import perdure
from benchmarks import workload
from benchmarks.measure import Benchmark, Row
from benchmarks.peer import Peer
from benchmarks.raw import scan_rows
from benchmarks.stores import Stores, record, store_url
from benchmarks.workload import Tally
from perdure import App, Criteria, NewEvent
from perdure.transports.server import new_event_loop
from perdure.vocabulary.reading import Read

EVENTS_EACH = 20
ENTITIES_MAX = 500
SCANNED_MAX = 100_000


class Sides:
    """The library, the peer and the rows themselves, with the same events."""

    def __init__(
        self, stores: Stores, runner: asyncio.Runner, app: App, peer: Peer, entities: list[bytes]
    ) -> None:
        self._runner, self._app, self._peer, self._entities = runner, app, peer, entities
        self._directory = stores.directory / "reads"
        self._codecs = {name: t.codec for name, t in workload.context().event_types.items()}
        self._upto = min(stores.fill, SCANNED_MAX)

    def load(self) -> dict[str, float]:
        """Load each entity."""
        began = perf_counter()
        loaded = self._runner.run(self._load(self._entities))
        rate = len(loaded) / (perf_counter() - began)
        return {"load": rate}

    def load_peer(self) -> dict[str, float]:
        """Load each aggregate, and see that it is the same."""
        began = perf_counter()
        loaded = self._peer.load(self._entities)
        rate = len(loaded) / (perf_counter() - began)
        ours = self._runner.run(self._load(self._entities[:1]))
        if loaded[:1] != ours:
            raise AssertionError(f"not the same fold: {ours} and {loaded[:1]}")
        return {"load/peer": rate}

    def scan(self) -> dict[str, float]:
        """Read and decode the log."""
        began = perf_counter()
        count = self._runner.run(self._scan())
        return {"scan": count / (perf_counter() - began)}

    def scan_peer(self) -> dict[str, float]:
        """Read and decode the log of the peer."""
        began = perf_counter()
        return {"scan/peer": self._peer.scan(self._upto) / (perf_counter() - began)}

    def scan_raw(self) -> dict[str, float]:
        """Fetch the rows, and no more."""
        began = perf_counter()
        return {"scan/raw": scan_rows(self._directory, self._upto) / (perf_counter() - began)}

    async def _load(self, entities: Sequence[bytes]) -> list[Tally]:
        log = self._app.context(workload.CONTEXT)
        loaded: list[Tally] = []
        for entity in entities:
            state = Tally()
            async for batch in log.read(Read(criteria=Criteria(entities=(entity,)))):
                for event in batch:
                    state = workload.added(state, self._codecs[event.type].decode(event.data))
            loaded.append(state)
        return loaded

    async def _scan(self) -> int:
        count = 0
        async for batch in self._app.context(workload.CONTEXT).read(Read(limit=self._upto)):
            for event in batch:
                self._codecs[event.type].decode(event.data)
            count += len(batch)
        return count


@contextmanager
def reads(stores: Stores) -> Iterator[Benchmark]:
    """Open both sides with the fill, and with some entities of just 20 events."""
    ours = stores.filled("reads")
    had = stores.fill // len(stores.entities)
    entities = stores.entities[: stores.amount(ENTITIES_MAX)]

    def more() -> Iterator[NewEvent]:
        return workload.scattered(entities, len(entities) * (EVENTS_EACH - had), seed=2)

    asyncio.run(record(ours, workload.context(), more()))
    peer = Peer(stores.new("reads-peer"), chain(stores.fill_events(), more()))
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        app = runner.run(
            perdure.open(workload.context(), store=store_url(ours), react=False).__aenter__()
        )
        try:
            sides = Sides(stores, runner, app, peer, entities)
            runs = sides.load, sides.load_peer, sides.scan, sides.scan_peer, sides.scan_raw
            yield Benchmark("Reads", runs, tuple(_rows()))
        finally:
            runner.run(app.close())
            peer.close()


def _rows() -> Iterator[Row]:
    loads, scan = "entities/s", "a decoded scan"
    yield Row(label="eventsourcing: a load of 20 events", figure="load/peer", unit=loads)
    yield Row(
        label="a load of 20 events", figure="load", unit=loads, against="load/peer", at_least=15
    )
    yield Row(label=f"eventsourcing: {scan}", figure="scan/peer")
    yield Row(label=scan, figure="scan", against="scan/peer", at_least=4.5)
    yield Row(label="raw rows, not decoded", figure="scan/raw")
    yield Row(label=f"{scan} to raw rows", figure="scan", against="scan/raw", at_least=0.4)
