"""The states of entities, folded from their events when somebody needs them, and kept for a while.

Only a cache: what is decided on a state is committed on condition of its version, so that one that is
stale, lost or kept twice never changes an answer. An entity nobody has sent anything to for a while, or
that nobody needed for longest when there are too many, leaves memory.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from functools import partial

from perdure.core.kinds import EntityState, Gap, Kind
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.snapshots import Snapshots
from perdure.runtime.watchdog import Hung, Stack, Watchdog
from perdure.vocabulary.commits import Put
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import HandlerFailed
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import id_text
from perdure.vocabulary.reading import Read

_Key = tuple[str, bytes]


class Entities:
    """The states of one context's entities."""

    def __init__(
        self, log: Log, snapshots: Snapshots, clock: Clock, watchdog: Watchdog, capacity: int
    ) -> None:
        self._log, self._snapshots, self._clock, self._capacity = log, snapshots, clock, capacity
        self._watchdog = watchdog
        self._kept: OrderedDict[_Key, tuple[EntityState, float]] = OrderedDict()

    def __len__(self) -> int:
        """Count the entities in memory."""
        return len(self._kept)

    def peek(self, kind: Kind, entity: bytes) -> EntityState | None:
        """Give the state in memory: it may be stale."""
        found = self._kept.get((kind.name, entity))
        return None if found is None else found[0]

    async def state(self, kind: Kind, entity: bytes) -> EntityState:
        """Give the state in memory, or else read it. It may be stale."""
        found = self.peek(kind, entity)
        return found if found is not None else await self._load(kind, entity)

    async def fresh(self, kind: Kind, entity: bytes) -> EntityState:
        """Give the state with everything in it that is recorded now."""
        before = self.peek(kind, entity)
        if before is None:
            return await self._load(kind, entity)
        try:
            state = await self._follow(kind, entity, before)
        except Gap:
            self.drop(kind, entity)
            return await self._load(kind, entity)
        if state is not before:
            self.keep(kind, entity, state)
        return state

    async def as_of(
        self, kind: Kind, entity: bytes, *, version: int | None = None, position: int | None = None
    ) -> EntityState:
        """Give the state as it was after so many events, or at a position. Nothing is kept of it."""
        return await self._follow(kind, entity, kind.begin(), limit=version, upto=position)

    def keep(self, kind: Kind, entity: bytes, state: EntityState) -> None:
        """Keep a state in memory, unless a later one is there."""
        key = kind.name, entity
        found = self._kept.get(key)
        if found is not None and found[0].version > state.version:
            return
        self._kept[key] = state, self._clock.monotonic() + kind.declared.idle_seconds
        self._kept.move_to_end(key)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)

    def drop(self, kind: Kind, entity: bytes) -> None:
        """Let an entity go from memory."""
        self._kept.pop((kind.name, entity), None)

    def sweep(self) -> None:
        """Let all entities go that have been idle for as long as their kind says."""
        now = self._clock.monotonic()
        for key in [key for key, (_, until) in self._kept.items() if until <= now]:
            del self._kept[key]

    def snapshot(self, kind: Kind, entity: bytes, state: EntityState, *, last: bool) -> list[Put]:
        """Give the snapshot to write with a commit, when it is due; ``last``: the entity is told to stop."""
        due = kind.is_due(state) or (last and kind.declared.snapshot_every and state.version)
        return self._snapshots.write(kind, entity, state) if due else []

    async def _load(self, kind: Kind, entity: bytes) -> EntityState:
        state = None
        for snapshot in await self._snapshots.read(kind, entity):
            state = await self._from_snapshot(kind, entity, snapshot)
            if state is not None:
                break
        if state is None:
            state = await self._follow(kind, entity, kind.begin())
        self.keep(kind, entity, state)
        return state

    async def _from_snapshot(
        self, kind: Kind, entity: bytes, snapshot: EntityState
    ) -> EntityState | None:
        """Fold on from a snapshot; ``None`` when it is of another history than the log's."""
        try:
            state = await self._follow(kind, entity, snapshot)
            if state.version <= await self._log.version(entity):
                return state
        except (Gap, HandlerFailed):
            pass
        self._snapshots.complain(kind, entity, "it does not fit the log")
        return None

    async def _follow(
        self, kind: Kind, entity: bytes, state: EntityState, *,
        limit: int | None = None, upto: int | None = None,
    ) -> EntityState:  # fmt: skip
        """Fold what is recorded behind a state onto it. Raises ``Gap``, ``HandlerFailed``."""
        async for events in self._events(entity, state.position, limit, upto):
            try:
                with self._watchdog.watching(None, partial(_hung, kind, entity)):
                    state = kind.advance(state, events)
            except Gap:
                raise
            except Exception as failure:
                raise _unfoldable(kind, entity, events, failure) from failure
        return state

    def _events(
        self, entity: bytes, after: int, limit: int | None, upto: int | None
    ) -> AsyncIterator[Sequence[RecordedEvent]]:
        criteria = Criteria(entities=(entity,))
        return self._log.read(Read(criteria=criteria, after=after, limit=limit, upto=upto))


def _unfoldable(
    kind: Kind, entity: bytes, events: Sequence[RecordedEvent], failure: Exception
) -> HandlerFailed:
    where = f"positions {events[0].position} to {events[-1].position}"
    return HandlerFailed(
        f"{kind.name} {id_text(entity)}: an update",
        f"{type(failure).__name__}: {failure}, among the events at {where}",
    )


def _hung(kind: Kind, entity: bytes, stack: Stack) -> Hung:
    return Hung(
        context=kind.declared.context,
        loop="decide",
        key=f"{kind.name} {id_text(entity)}",
        label=f"{kind.declared.context}.{kind.name}: an update",
    )
