"""The engine in memory: the specification of every engine, written to be read.

A log is a few plain lists and dicts. A commit is judged, placed and applied, whole, before the next is
looked at. A read walks along one of two orders, and ``Criteria.matches`` says which events it gives. All
that other engines add is durability, speed and sharing; what they answer is what is answered here.

Positions are dense here, which no reader may rely on. A closed log is gone, with all it held. Calls come
from one thread at a time, from any number of tasks.

``judging`` holds the rules of a commit, ``ports.engine`` the promises; the suite in
``perdure.testing.conformance`` compares the two, here as everywhere.
"""

import asyncio
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter

from msgspec.structs import replace

from perdure.engines.judging import Accepted, judge, place
from perdure.ports.engine import Capability
from perdure.ports.environment import Clock
from perdure.vocabulary.commits import (
    Commit,
    Intent,
    Put,
    Receipt,
    Record,
    Settle,
    StatementFailed,
    Verdict,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import ConfigurationError, Corrupt, Unavailable
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import event_ticks
from perdure.vocabulary.reading import Read, Size

#: How many events a read gives at once, before other tasks have their turn.
BATCH_EVENTS = 256

_position = attrgetter("position")
_happened = attrgetter("happened")
_turn = attrgetter("due", "place")


class OpenIntents:
    """What was given out and is not settled; a place in the order of giving out is given once."""

    def __init__(self) -> None:
        self.by_id: dict[bytes, Intent] = {}
        self._of_kind: dict[str, list[Intent]] = {}  # by due and place
        self._places = 0

    def give(self, intent: Intent) -> None:
        """Add an intent at the next place, unless one is open under its id."""
        if intent.id not in self.by_id:
            self._places += 1
            placed = self.by_id[intent.id] = replace(intent, place=self._places)
            insort(self._of_kind.setdefault(intent.kind, []), placed, key=_turn)

    def settle(self, id_: bytes) -> None:
        """Remove an intent, if it is open."""
        intent = self.by_id.pop(id_, None)
        if intent is not None:
            others = self._of_kind[intent.kind]
            del others[bisect_left(others, _turn(intent), key=_turn)]

    def page(
        self, kind: str, due: int | None, after: tuple[int, int] | None, limit: int
    ) -> list[Intent]:
        """Give those of a kind, by due and place, up to ``due`` and behind ``after``."""
        intents = self._of_kind.get(kind, [])
        start = 0 if after is None else bisect_right(intents, after, key=_turn)
        stop = len(intents) if due is None else bisect_right(intents, due, key=attrgetter("due"))
        return intents[start : min(stop, start + limit)]


class Contents:
    """What a log holds; the view on which the next commit is judged."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []  # by position
        self.of_entity: dict[bytes, list[RecordedEvent]] = {}  # by version
        self.by_id: dict[bytes, RecordedEvent] = {}
        self.records: dict[tuple[str, str], Record] = {}
        self.intents = OpenIntents()

    def head(self) -> int:
        """Give the highest position, 0 when there is no event."""
        return self.events[-1].position if self.events else 0

    def version(self, entity: bytes) -> int:
        """Give how many events the entity has."""
        return len(self.of_entity.get(entity, ()))

    def last_ticks(self, entity: bytes) -> int:
        """Give when the entity's last event by happened happened; 0 when it has none."""
        return max((event.ticks for event in self.of_entity.get(entity, ())), default=0)

    def stored(self, id_: bytes) -> RecordedEvent | None:
        """Give the event stored under an id."""
        return self.by_id.get(id_)

    def first_match(self, criteria: Criteria, after: int) -> int:
        """Give the first position above ``after`` that matches, or 0."""
        return next(map(_position, self.select(Read(criteria=criteria, after=after))), 0)

    def revision(self, kind: str, key: str) -> int:
        """Give the revision of a record; 0 when there is none."""
        record = self.records.get((kind, key))
        return record.revision if record else 0

    def select(self, request: Read) -> Iterator[RecordedEvent]:
        """Give the events of a read, as they stand now; what is added later does not change it."""
        entities = request.criteria.entities
        events = self.of_entity.get(entities[0], []) if len(entities) == 1 else self.events
        upto = self.head() if request.upto is None else request.upto
        start = bisect_right(events, request.after, key=_position)
        places = range(start, bisect_right(events, upto, key=_position))
        walk = reversed(places) if request.backwards else places
        chosen = filter(request.criteria.matches, map(events.__getitem__, walk))
        if request.order == "happened":
            behind = filter(_is_behind(request), chosen)
            return islice(sorted(behind, key=_happened, reverse=request.backwards), request.limit)
        return islice(chosen, request.limit)

    def write(self, commit: Commit, now: int) -> Verdict:
        """Judge one commit, and when it is accepted, place its events and apply it."""
        verdict = judge(commit, self, self.head())
        if not isinstance(verdict, Accepted):
            return verdict
        if commit.statements:
            return StatementFailed(0, "this engine lacks the capability 'statements'")
        placed = place(commit, verdict, self, self.head())
        for event, receipt in placed.rows:
            self._store(event, receipt, now)
        for put in commit.records:
            self._put(put)
        for intent in commit.intents:
            if isinstance(intent, Settle):
                self.intents.settle(intent.id)
            else:
                self.intents.give(intent)
        return placed.committed

    def _store(self, event: NewEvent, receipt: Receipt, now: int) -> None:
        recorded = RecordedEvent(
            position=receipt.position,
            version=receipt.version,
            ticks=event.ticks,
            recorded_at=max(now, self.events[-1].recorded_at) if self.events else now,
            type=event.type,
            entity=event.entity,
            id=event.id,
            data=event.data,
            domain=event.domain,
            tags=event.tags,
            metadata=event.metadata,
        )
        self.events.append(recorded)
        self.of_entity.setdefault(event.entity, []).append(recorded)
        self.by_id[event.id] = recorded

    def _put(self, put: Put) -> None:
        key = put.kind, put.key
        if put.value is None:
            self.records.pop(key, None)
        else:
            self.records[key] = Record(*key, put.value, self.revision(*key) + 1)


class MemoryLog:
    """The log of one context, in memory. See ``ports.engine.Log`` for what each method promises."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._contents: Contents | None = Contents()
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def closed(self) -> bool:
        """Whether the log was closed, and what it held is gone."""
        return self._contents is None

    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        """Write each commit whole or not at all, in order, and say what became of each."""
        await asyncio.sleep(0)  # as with every engine, others run while this is on its way
        held = self._held()
        verdicts = [held.write(commit, self._clock.now()) for commit in commits]
        self._wake()
        return verdicts

    async def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        """Give the selected events in batches, as the log stood when the reading began."""
        selected = self._held().select(request)
        while batch := list(islice(selected, BATCH_EVENTS)):
            yield batch
            await asyncio.sleep(0)
            self._held()  # closed meanwhile: nothing is held any more

    async def events(self, ids: Sequence[bytes]) -> list[RecordedEvent]:
        """Give the events stored under these ids, by position."""
        held = self._held()
        found = (held.stored(id_) for id_ in set(ids))
        return sorted((event for event in found if event is not None), key=_position)

    async def head(self) -> int:
        """Give the highest position, 0 when the log is empty."""
        return self._held().head()

    async def version(self, entity: bytes) -> int:
        """Give how many events the entity has."""
        return self._held().version(entity)

    async def advanced(self, position: int, timeout_seconds: float) -> int:
        """Wait until the head is above the position or the clock has run out, and give the head."""
        timer = asyncio.create_task(self._clock.sleep(timeout_seconds))
        try:
            while self._held().head() <= position and not timer.done():
                news = asyncio.get_running_loop().create_future()
                self._waiting.add(news)
                try:
                    await asyncio.wait((timer, news), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._waiting.discard(news)
            return self._held().head()
        finally:
            timer.cancel()

    async def domains(self) -> list[str]:
        """Give the domains that events carry, in order of name."""
        return sorted({event.domain for event in self._held().events if event.domain is not None})

    async def entities(
        self, criteria: Criteria, after: bytes = b"", limit: int = 1000
    ) -> list[bytes]:
        """Give the entities that have a matching event, in order of id, behind ``after``."""
        matching = self._held().select(Read(criteria=criteria))
        return sorted({event.entity for event in matching if event.entity > after})[:limit]

    async def record(self, kind: str, key: str) -> Record | None:
        """Give one record, or ``None``."""
        return self._held().records.get((kind, key))

    async def records(
        self, kind: str, keys: Sequence[str] | None = None, *, prefix: str = "", after: str = "",
        limit: int = 1000,
    ) -> list[Record]:  # fmt: skip
        """Give the records under these keys, or a page of those with the prefix, in order of key."""
        kept = self._held().records
        if keys is not None:
            return [kept[kind, key] for key in sorted(set(keys)) if (kind, key) in kept]
        found = sorted(key for of, key in kept if of == kind and key.startswith(prefix))
        return [kept[kind, key] for key in found if key > after][:limit]

    async def intent(self, id_: bytes) -> Intent | None:
        """Give the open intent with this id, or ``None``."""
        return self._held().intents.by_id.get(id_)

    async def intents(
        self, kind: str, *, due: int | None = None, after: tuple[int, int] | None = None,
        limit: int = 1000,
    ) -> list[Intent]:  # fmt: skip
        """Give a page of the open intents of a kind, in the order of ``(due, place)``."""
        return self._held().intents.page(kind, due, after, limit)

    async def size(self) -> Size:
        """Count what is stored; ``bytes`` are those of payloads, metadata and records."""
        held, domains = self._held(), await self.domains()
        payloads = sum(len(event.data) + len(event.metadata) for event in held.events)
        values = sum(len(record.value) for record in held.records.values())
        return Size(len(held.events), len(held.of_entity), len(domains), payloads + values)

    async def verify(self, after: int = 0) -> AsyncIterator[Corrupt]:
        """Give nothing: what is in memory has no rows that could decay."""
        self._held()
        found: Iterable[Corrupt] = ()
        for damage in found:
            yield damage

    async def close(self) -> None:
        """Let go of everything; whoever waits is told so. Idempotent."""
        self._contents = None
        self._wake()

    def _held(self) -> Contents:
        if self._contents is None:
            raise Unavailable("the log is closed; open it again")
        return self._contents

    def _wake(self) -> None:
        for news in tuple(self._waiting):
            loop = news.get_loop()
            if not loop.is_closed():  # a loop that is gone waits for nothing
                loop.call_soon_threadsafe(_tell, news)


class MemoryEngine:
    """Logs that last as long as this object: for tests, for trying out, for a first look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._logs: dict[str, MemoryLog] = {}
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """None: not durable, not shared, no SQL."""
        return frozenset()

    async def open(self, context: str, tables: Sequence[str] = ()) -> MemoryLog:
        """Open the log of a context: the same as before, unless that was closed.

        Raises ``ConfigurationError`` when tables are asked for; there is no SQL in memory.
        """
        if self._closed:
            raise Unavailable("the engine is closed; make a new one")
        if tables:
            raise ConfigurationError(
                f"context {context!r} declares tables, and the memory engine lacks the capability "
                "'statements'; use an engine that has it"
            )
        log = self._logs.get(context)
        if log is None or log.closed:
            log = self._logs[context] = MemoryLog(self._clock)
        return log

    async def close(self) -> None:
        """Close every log. Idempotent."""
        self._closed = True
        for log in self._logs.values():
            await log.close()


def _is_behind(request: Read) -> Callable[[RecordedEvent], bool]:
    """Tell which events come behind ``following`` in the direction of a read by happened."""
    if request.following is None:
        return lambda event: True
    mark = event_ticks(request.following), request.following
    if request.backwards:
        return lambda event: event.happened < mark
    return lambda event: event.happened > mark


def _tell(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
