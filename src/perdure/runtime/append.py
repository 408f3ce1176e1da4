"""Recording events that somebody says happened: each checked whole before anything is written.

What is malformed is refused with the place of the fault; ids that the server makes are later than all
their entity has.
"""

from collections.abc import Callable, Sequence

import msgspec

from perdure.core.definition import Definition
from perdure.core.upcasting import stamped
from perdure.ports.engine import Log
from perdure.ports.environment import Environment
from perdure.runtime.minting import Mint
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    Guard,
    GuardFailed,
    HappenedBefore,
    IdsTaken,
    NothingAfter,
    Put,
    StatementFailed,
)
from perdure.vocabulary.errors import (
    ConcurrencyError,
    ConditionFailed,
    EventIdTaken,
    HappenedEarlier,
    InvalidData,
    InvalidId,
    InvalidInput,
    InvalidName,
    PerdureError,
    RecordMoved,
    WrongVersion,
)
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import (
    TICKS_BEFORE_1970,
    TICKS_PER_SECOND,
    entity_id,
    event_id,
    event_ticks,
    id_text,
)
from perdure.vocabulary.jsontext import read_object
from perdure.vocabulary.names import SYSTEM_PREFIX, check_name, check_tags

#: An id the server made is made again this often when the entity has moved on meanwhile.
MINTING_ATTEMPTS = 8
_NAMES_REMEMBERED_MAX = 10_000

#: Makes the records to write beside events, once these have their ids.
Beside = Callable[[Sequence[NewEvent]], Sequence[Put]]


class Appender:
    """Records events in one context."""

    def __init__(
        self, definition: Definition, log: Log, environment: Environment, ahead_seconds_max: float
    ) -> None:
        self._definition, self._log, self._clock = definition, log, environment.clock
        self._ahead_seconds_max = ahead_seconds_max
        self._mint = Mint(environment.clock, environment.chance)
        self._known_names: set[str] = set()

    async def append(
        self,
        events: Sequence[NewEvent],
        *,
        guards: Sequence[Guard] = (),
        beside: Beside | None = None,
    ) -> tuple[Committed, tuple[NewEvent, ...]]:
        """Record events, all or none, on condition of the guards; give their receipts and ids.

        Events without an id get one, later than all their entity has. ``beside`` makes records to write
        in the same commit, from the events with their ids. Raises ``InvalidInput`` for what is
        malformed, ``EventIdTaken`` for ids stored with other content, ``ConcurrencyError`` for a guard that
        is false, ``EngineError`` for a store that fails; nothing is written then, except that after
        ``OutcomeUnknown`` it must be asked again under the same ids.
        """
        checked: list[NewEvent] = []
        try:
            for event in events:
                checked.append(self._check(event))  # noqa: PERF401  # its length says which failed
        except InvalidInput as fault:
            fault.index = len(checked) if len(events) > 1 else None
            raise
        return await self.append_unchecked(checked, guards, beside)

    async def append_unchecked(
        self,
        events: Sequence[NewEvent],
        guards: Sequence[Guard] = (),
        beside: Beside | None = None,
    ) -> tuple[Committed, tuple[NewEvent, ...]]:
        """Record events that are known to be sound; like ``append``."""
        if all(event.id for event in events):
            commit = self._commit(events, guards, beside)
            (verdict,) = await self._log.commit([commit])
            if isinstance(verdict, Committed):
                return verdict, commit.events
            raise refusal(verdict, commit)
        return await self._append_minting(events, guards, beside)

    async def _append_minting(
        self, events: Sequence[NewEvent], guards: Sequence[Guard], beside: Beside | None
    ) -> tuple[Committed, tuple[NewEvent, ...]]:
        """Make the missing ids, each later than its entity's last; again when that has moved on."""
        commit = Commit()
        verdict: object = None
        for _ in range(MINTING_ATTEMPTS):
            named, before = self._name(events)
            commit = self._commit(named, (*guards, *before), beside)
            (verdict,) = await self._log.commit([commit])
            if isinstance(verdict, Committed):
                return verdict, commit.events
            if isinstance(verdict, GuardFailed) and isinstance(verdict.guard, HappenedBefore):
                self._mint.learn(verdict.guard.entity, verdict.actual)
            elif not self._made_here(verdict, events):
                break
        raise refusal(verdict, commit)

    def _name(self, events: Sequence[NewEvent]) -> tuple[list[NewEvent], list[Guard]]:
        named: list[NewEvent] = []
        guards: dict[bytes, Guard] = {}
        for event in events:
            if not event.id:
                event = msgspec.structs.replace(event, id=self._mint.make(event.entity))
                guards.setdefault(event.entity, HappenedBefore(event.entity, event.ticks))
            named.append(event)
        return named, list(guards.values())

    @staticmethod
    def _made_here(verdict: object, events: Sequence[NewEvent]) -> bool:
        """Tell whether only ids that we made were taken: then others are made."""
        return isinstance(verdict, IdsTaken) and all(not events[i].id for i in verdict.indices)

    def _check(self, event: NewEvent) -> NewEvent:
        """Check all of an event, and give it with its payload as it will be stored."""
        declared = self._definition.event_types.get(event.type)
        if declared is None:
            self._check_undeclared(event.type)
        elif event.type.startswith(SYSTEM_PREFIX):
            raise InvalidName(f"{event.type!r}: the server alone records what it does")
        if event.type in self._definition.commanded:
            raise InvalidName(
                f"{event.type!r} is recorded by commands alone: its kind is raw=False"
            )
        entity_id(event.entity)
        if event.id:
            self._check_time(event_id(event.id))
        if event.domain is not None and event.domain not in self._known_names:
            self._remember(check_name(event.domain, "domain"))
        if event.tags:
            check_tags(event.tags)
        _, data = read_object(event.data)
        metadata = event.metadata
        upcasters = self._definition.upcasters
        if declared is not None:
            metadata = stamped(metadata, declared.version)
            if metadata:  # it may state a shape of before
                upcasters.read(event.type, metadata, data)
            else:
                declared.codec.decode(data)
        elif event.type in upcasters.comes_to:
            upcasters.read(event.type, metadata, data)
        if data is event.data and metadata is event.metadata:
            return event
        return msgspec.structs.replace(event, data=data, metadata=metadata)

    def _check_undeclared(self, name: str) -> None:
        if self._definition.strict:
            known = ", ".join(
                n for n in self._definition.event_types if not n.startswith(SYSTEM_PREFIX)
            )
            raise InvalidName(
                f"{name!r} is not declared in the strict context {self._definition.name!r}: {known}"
            )
        if name not in self._known_names:
            if name.startswith(SYSTEM_PREFIX):
                raise InvalidName(f"{name!r}: names under {SYSTEM_PREFIX!r} belong to the server")
            self._remember(check_name(name, "event type"))

    def _remember(self, name: str) -> None:
        if len(self._known_names) < _NAMES_REMEMBERED_MAX:
            self._known_names.add(name)

    def _check_time(self, id_: bytes) -> None:
        now = self._clock.now() * 10 + TICKS_BEFORE_1970
        ahead = (event_ticks(id_) - now) / TICKS_PER_SECOND
        if ahead > self._ahead_seconds_max:
            raise InvalidId(
                f"the time in event id {id_text(id_)} is {ahead:,.0f} s ahead of the server's clock; "
                f"at most {self._ahead_seconds_max:,.0f} s are taken",
                "event_id",
            )

    def _commit(
        self, events: Sequence[NewEvent], guards: Sequence[Guard], beside: Beside | None
    ) -> Commit:
        return Commit(
            guards=tuple(guards),
            events=tuple(events),
            records=tuple(beside(events)) if beside else (),
            statements=self._definition.statements(events),
        )


def refusal(verdict: object, commit: Commit) -> PerdureError:
    """Turn a verdict that refuses into the error that says it."""
    if isinstance(verdict, IdsTaken):
        ids = [id_text(commit.events[i].id) for i in verdict.indices]
        return EventIdTaken(ids, list(verdict.indices))
    if isinstance(verdict, StatementFailed):
        return InvalidData(f"statement {verdict.index}: {verdict.reason}")
    if isinstance(verdict, GuardFailed):
        guard, actual = verdict.guard, verdict.actual
        if isinstance(guard, EntityAt):
            return WrongVersion(id_text(guard.entity), guard.version, actual)
        if isinstance(guard, NothingAfter):
            return ConditionFailed(guard.position, actual)
        if isinstance(guard, HappenedBefore):
            return HappenedEarlier(id_text(guard.entity), guard.ticks, actual)
        return RecordMoved(guard.kind, guard.key, guard.revision, actual)
    return ConcurrencyError(f"refused: {verdict!r}")
