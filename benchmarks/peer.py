"""The peer: ``eventsourcing`` on SQLite, with the same payloads and the same durability.

Appends go to its recorder with the rows ready made, which leaves out its aggregates and its JSON: the least
that it can do. Loads and commands go through its repository, scans through its notification log and its
mapper: what a user of it does. Each of our events is one of its events, each of our entities one of its
aggregates.

Its recorder takes turns among threads, where ours groups the commits of tasks.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder

from benchmarks.workload import Tally
from perdure import NewEvent

#: An entity, and what to add to its basket.
Command: TypeAlias = tuple[bytes, dict[str, Any]]

BATCH_EVENTS = 1_000
SYNCHRONOUS_FULL = 2


class Basket(Aggregate):
    """The aggregate; it folds as ``workload.added`` does."""

    @event("Opened")
    def __init__(
        self, item_id: str, item: str, quantity: int, cents: int, currency: str, shopper: str,
        channel: str, note: str,
    ) -> None:  # fmt: skip
        self.items = quantity
        self.cents = quantity * cents
        self.last = item

    @event("ItemAdded")
    def add(
        self, item_id: str, item: str, quantity: int, cents: int, currency: str, shopper: str,
        channel: str, note: str,
    ) -> None:  # fmt: skip
        self.items += quantity
        self.cents += quantity * cents
        self.last = item


class Peer:
    """An application of the peer over one SQLite file.

    ``cached``: its repository keeps every aggregate, and does not look whether somebody else has written.
    """

    def __init__(self, directory: Path, fill: Iterable[NewEvent], *, cached: bool = False) -> None:
        environment = {
            "PERSISTENCE_MODULE": "eventsourcing.sqlite",
            "SQLITE_DBNAME": str(directory / "eventsourcing.db"),
            "SQLITE_POOL_TIMEOUT": "60",  # many threads wait for one writer
        }
        if cached:
            environment |= {"AGGREGATE_CACHE_MAXSIZE": "0", "AGGREGATE_CACHE_FASTFORWARD": "n"}
        self._app = Application[UUID](environment)
        recorder = self._app.recorder
        if not isinstance(recorder, SQLiteApplicationRecorder):
            raise TypeError(f"the peer took another recorder: {recorder!r}")
        self._recorder = recorder
        self._check_durability()
        self._baskets: dict[bytes, Basket] = {}
        self._fill(fill)
        self._versions = {basket.id: basket.version for basket in self._baskets.values()}

    def prepare(self, count: int) -> list[StoredEvent]:
        """Make rows for ``append``: the next event of so many aggregates, in turn."""
        sample = self._sample()
        ids = list(self._versions)
        made: list[StoredEvent] = []
        for number in range(count):
            id_ = ids[number % len(ids)]
            self._versions[id_] += 1
            made.append(StoredEvent(id_, self._versions[id_], sample.topic, sample.state))
        return made

    def append(self, events: Sequence[StoredEvent], threads: int) -> float:
        """Append one by one from so many threads; give events a second."""
        shares = [events[number::threads] for number in range(threads)]
        began = perf_counter()
        if threads == 1:
            self._append_each(shares[0])
        else:
            with ThreadPoolExecutor(threads) as pool:
                for _ in pool.map(self._append_each, shares):
                    pass
        return len(events) / (perf_counter() - began)

    def command(self, commands: Sequence[Command], threads: int) -> list[float]:
        """Load, decide and save one by one from so many threads; give the seconds that each took."""
        shares = [commands[number::threads] for number in range(threads)]
        if threads == 1:
            return self._command_each(shares[0])
        with ThreadPoolExecutor(threads) as pool:
            return [seconds for share in pool.map(self._command_each, shares) for seconds in share]

    def load(self, entities: Sequence[bytes]) -> list[Tally]:
        """Load aggregates by replaying their events."""
        ids = [self._baskets[entity].id for entity in entities]
        loaded: Iterator[Any] = map(self._app.repository.get, ids)
        return [Tally(basket.items, basket.cents, basket.last) for basket in loaded]

    def scan(self, upto: int) -> int:
        """Read the log up to an event, decoding all; give how many they were."""
        section = self._app.notification_log
        count = 0
        while items := section.select(start=count + 1, limit=section.section_size, stop=upto):
            for item in items:
                self._app.mapper.to_domain_event(item)
            count += len(items)
        return count

    def close(self) -> None:
        """Let go of the file."""
        self._app.close()

    def _fill(self, events: Iterable[NewEvent]) -> None:
        """Record events as its aggregates would, a batch a commit."""
        rest = iter(events)
        while batch := list(islice(rest, BATCH_EVENTS)):
            self._recorder.insert_events([self._stored(one) for one in batch])

    def _append_each(self, events: Sequence[StoredEvent]) -> None:
        for one in events:
            self._recorder.insert_events([one])

    def _command_each(self, commands: Sequence[Command]) -> list[float]:
        seconds: list[float] = []
        for entity, item in commands:
            began = perf_counter()
            basket: Any = self._app.repository.get(self._baskets[entity].id)
            basket.add(**item)
            self._app.save(basket)
            seconds.append(perf_counter() - began)
        return seconds

    def _stored(self, one: NewEvent) -> StoredEvent:
        data = msgspec.json.decode(one.data)
        basket = self._baskets.get(one.entity)
        if basket is None:
            basket = self._baskets[one.entity] = Basket(**data)
        else:
            basket.add(**data)
        (happened,) = basket.collect_events()
        return self._app.mapper.to_stored_event(happened)

    def _sample(self) -> StoredEvent:
        """A row of the peer's making."""
        basket = next(iter(self._baskets.values()))
        return self._recorder.select_events(basket.id)[-1]

    def _check_durability(self) -> None:
        """Refuse to compare a peer that does not sync each commit."""
        with self._recorder.datastore.transaction(commit=False) as cursor:
            cursor.execute("PRAGMA synchronous")
            level = cursor.fetchone()[0]
        if level != SYNCHRONOUS_FULL:
            raise ValueError(
                f"the peer runs at synchronous={level}, not FULL: not the same promise"
            )
