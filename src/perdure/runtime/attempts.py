"""One command, decided and committed; and decided again when something was faster.

The guards say what the decision rested on, so an attempt either holds or leaves nothing. The order of the
guards is the order of the questions: was this command carried out already, then has anything changed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from perdure.core.command_records import KIND, write_record
from perdure.core.deciding import Decider, Decision, reason_of
from perdure.core.definition import Definition
from perdure.core.handling import Message
from perdure.core.kinds import EntityState
from perdure.core.low import Lookup
from perdure.core.outputs import Momentary, Outputs
from perdure.ports.engine import Log
from perdure.runtime.entities import Entities
from perdure.runtime.hung_commands import HungCommands
from perdure.runtime.lookups import Entity, Found, Lookups, asked, turn_of
from perdure.runtime.timers import Timers
from perdure.runtime.watchdog import Watchdog
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    Guard,
    GuardFailed,
    HappenedBefore,
    IdsTaken,
    Put,
    RecordAt,
    Settle,
    StatementFailed,
)
from perdure.vocabulary.errors import HandlerFailed, OutcomeUnknown, Rejected, WrongVersion
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import id_text
from perdure.vocabulary.outcomes import Accepted, Outcome

#: Makes the event that tells whoever sent, from the reason of a rejection and the reply.
Answer: TypeAlias = Callable[[str | None, Any], NewEvent]


class Beside(msgspec.Struct, frozen=True):
    """What is written with the outcome of a command, whatever that is.

    The intent it came by is settled, and a saga that sent it is told.
    """

    guards: tuple[Guard, ...] = ()
    records: tuple[Put, ...] = ()
    intents: tuple[Settle, ...] = ()
    answer: Answer | None = None


def answered(answer: Answer | None, outcome: Outcome[Any]) -> tuple[NewEvent, ...]:
    """Make the event that tells an outcome to whoever sent; none where nobody is to be told."""
    if answer is None:
        return ()
    if isinstance(outcome, Rejected):
        return (answer(outcome.reason, None),)
    return (answer(None, outcome.reply),)


class Desk(msgspec.Struct, frozen=True):
    """What a context decides with."""

    log: Log
    definitions: Mapping[str, Definition]
    context: str
    entities: Entities
    lookups: Lookups
    timers: Timers
    hung: HungCommands
    watchdog: Watchdog

    @property
    def definition(self) -> Definition:
        """The definition of the context."""
        return self.definitions[self.context]


class Decided(msgspec.Struct, frozen=True):
    """A decision that is in the log: its outcome, and what is to be done now that it is."""

    outcome: Outcome[Any]
    gave_out: bool = False
    momentary: Sequence[Momentary] = ()


class Draft(msgspec.Struct, frozen=True):
    """A decision as it is committed: with the entities as they are then, and the ids of what happened."""

    commit: Commit
    after: Sequence[Entity]
    events: tuple[UUID, ...]


class AlreadyDone(Exception):
    """The command was carried out before: its record tells the outcome."""


class Withdrawn(Exception):
    """The timer by which the command came was replaced, or taken back. Nothing was written."""


class Attempt:
    """The attempts to carry one command out."""

    def __init__(
        self, desk: Desk, decider: Decider, message: Message, expected: int | None, beside: Beside
    ) -> None:
        self._desk, self._decider, self._message = desk, decider, message
        self._expected, self._beside = expected, beside
        self._target = decider.target
        self._lookups: tuple[Lookup, ...] = ()
        self._refusal: str | None = None
        self._describe = partial(desk.hung.describe, decider, message)
        if not decider.kind:
            try:
                with desk.watchdog.watching(desk.log, self._describe):
                    self._lookups = asked(decider.handler, message.command)
            except Rejected as rejection:
                self._refusal = reason_of(decider.handler, rejection)
        self._learned: dict[bytes, int] = {}
        self._stale: Found | None = None

    @property
    def what(self) -> str:
        """Name the command, for messages."""
        return f"{self._message.name} {self._target}".rstrip()

    @property
    def turns(self) -> list[str]:
        """Name what to take turns on."""
        if self._decider.kind:
            return [f"{self._decider.kind}/{self._target}"]
        return [turn_of(lookup) for lookup in self._lookups]

    async def make(self) -> Decided | None:
        """Look up, decide and commit; ``None``: something was faster, try again.

        Raises ``AlreadyDone``, ``Withdrawn``, ``WrongVersion``, ``HandlerFailed``, ``EngineError``.
        """
        if self._refusal is not None:
            return await self._commit(Found(), Decision(Outputs(), self._refusal))
        found = await self._look_up()
        happened = max(found.happened, *self._learned.values(), 0)
        version = found.entities[0].state.version if self._decider.kind else 0
        try:
            with self._desk.watchdog.watching(self._desk.log, self._describe):
                decision = self._decider.decide(
                    self._message, found.values, version=version, happened=happened
                )
            return await self._commit(found, decision)
        except HandlerFailed:
            if await self._still_holds(found):
                raise
            return None

    async def _still_holds(self, found: Found) -> bool:
        """Tell whether what was looked up is still so: a function that failed on less has not failed."""
        (verdict,) = await self._desk.log.commit([Commit(guards=tuple(found.guards))])
        if not isinstance(verdict, Committed):
            self._learn(found, verdict)
        return isinstance(verdict, Committed)

    async def _look_up(self) -> Found:
        stale, self._stale = self._stale, None
        if not self._decider.kind:
            if stale is not None:
                await self._desk.lookups.refresh(stale)
            return await self._desk.lookups.find(self._lookups)
        entities, entity = self._desk.entities, self._decider.entity
        kind = self._desk.definition.kinds[self._decider.kind]
        state = await (entities.fresh if stale else entities.state)(kind, entity)
        if self._expected is not None and state.version != self._expected:
            state = await entities.fresh(kind, entity)
            if state.version != self._expected:
                raise WrongVersion(self._target, self._expected, state.version)
        found = Found()
        found.add_entity(kind, entity, state)
        return found

    async def _commit(self, found: Found, decision: Decision) -> Decided | None:
        draft = await self._draft(found, decision)
        try:
            (verdict,) = await self._desk.log.commit([draft.commit])
        except OutcomeUnknown as failure:
            self._forget(found)
            again = f"send it again under the command id {self._message.id!r}"
            raise OutcomeUnknown(f"{failure}; {again}") from failure
        if isinstance(verdict, Committed):
            if verdict.repeated:
                raise AlreadyDone
            return self._accept(found, decision, draft, verdict)
        if isinstance(verdict, StatementFailed):
            if not verdict.integrity:
                label = self._decider.handler.label
                raise HandlerFailed(label, f"statement {verdict.index}: {verdict.reason}")
            return await self._commit(found, Decision(Outputs(), verdict.reason))
        taken = self._taken(found, verdict)
        if taken is not None:
            return await self._commit(found, Decision(Outputs(), taken))
        self._learn(found, verdict)
        return None

    @staticmethod
    def _taken(found: Found, verdict: object) -> str | None:
        """Give the reason when an entity that was to be fresh is there already: no attempt changes that."""
        guard = verdict.guard if isinstance(verdict, GuardFailed) else None
        if isinstance(guard, EntityAt) and guard not in found.guards:
            return f"entity {id_text(guard.entity)} exists already"
        return None

    def _learn(self, found: Found, verdict: object) -> None:
        """See what was faster, for the next attempt. Raises where none would come to anything else."""
        self._stale = found
        if isinstance(verdict, IdsTaken):
            raise AlreadyDone  # ids are made of the command's id and time: it was sent twice
        if isinstance(verdict, GuardFailed):
            guard = verdict.guard
            if isinstance(guard, RecordAt) and guard.kind == KIND:
                raise AlreadyDone
            if guard in self._beside.guards:
                raise Withdrawn
            if isinstance(guard, HappenedBefore):
                self._learned[guard.entity] = verdict.actual

    def _forget(self, found: Found) -> None:
        for each in found.entities:
            self._desk.entities.drop(each.kind, each.id)

    # -- from a decision to its commit ----------------------------------------------------------

    async def _draft(self, found: Found, decision: Decision) -> Draft:
        message, beside, outputs = self._message, self._beside, decision.outputs
        with self._desk.watchdog.watching(self._desk.log, self._describe):
            after = [self._after(each, outputs.events) for each in found.entities]
            written = self._desk.definition.statements(outputs.events)
        ids = tuple(event.event_id for event in outputs.events)
        puts = [self._record(decision, after, ids)]
        guards: list[Guard] = [RecordAt(KIND, message.key, 0), *found.guards, *beside.guards]
        intents: list[Any] = [*beside.intents, *outputs.intents]
        if not self._decider.kind:
            guards += self._guard_others(found, outputs)
        if outputs.timers:
            await self._desk.timers.set(outputs.timers, guards, puts, intents)
        if beside.records:
            changed = {(put.kind, put.key) for put in puts}  # a timer may set itself anew
            puts += [put for put in beside.records if (put.kind, put.key) not in changed]
        for each in after:
            puts += self._desk.entities.snapshot(each.kind, each.id, each.state, last=outputs.stop)
        commit = Commit(
            guards=tuple(guards),
            events=(*outputs.events, *self._told(decision)),
            records=tuple(puts),
            intents=tuple(intents),
            statements=(*written, *outputs.statements),
        )
        return Draft(commit, after, ids)

    def _after(self, before: Entity, events: Sequence[NewEvent]) -> Entity:
        """Fold what was decided on, before it is recorded: what cannot be folded must not be."""
        own = [event for event in events if event.entity == before.id]
        if not own:
            return before
        version = before.state.version
        recorded = [
            _as_recorded(e, version + i, self._message.received_at) for i, e in enumerate(own, 1)
        ]
        try:
            state = before.kind.advance(before.state, recorded)
        except Exception as failure:
            cause = f"an update failed on what it gave: {type(failure).__name__}: {failure}"
            raise HandlerFailed(self._decider.handler.label, cause) from failure
        return Entity(before.kind, before.id, state)

    def _guard_others(self, found: Found, outputs: Outputs) -> list[Guard]:
        """Guard the entities that are written to without having been looked up."""
        known = {each.id for each in found.entities}
        guards: dict[bytes, Guard] = {}
        for event in outputs.events:
            if event.entity not in known:
                guards.setdefault(event.entity, HappenedBefore(event.entity, event.ticks))
        return [*guards.values(), *(EntityAt(entity, 0) for entity in outputs.fresh)]

    def _told(self, decision: Decision) -> tuple[NewEvent, ...]:
        answer = self._beside.answer
        return () if answer is None else (answer(decision.rejection, decision.outputs.reply),)

    def _record(self, decision: Decision, after: Sequence[Entity], ids: tuple[UUID, ...]) -> Put:
        value = write_record(
            self._message,
            self._target,
            events=ids,
            version=after[0].state.version if self._decider.kind else 0,
            reply=decision.outputs.reply,
            rejection=decision.rejection,
        )
        return Put(KIND, self._message.key, value)

    # -- after the commit -----------------------------------------------------------------------

    def _accept(
        self,
        found: Found,
        decision: Decision,
        draft: Draft,
        committed: Committed,
    ) -> Decided:
        outputs, after = decision.outputs, draft.after
        for before, then in zip(found.entities, after, strict=True):
            self._keep(before, then, committed, outputs.stop)
        gave_out = len(draft.commit.intents) > len(self._beside.intents)
        if decision.rejection is not None:
            return Decided(Rejected(decision.rejection), gave_out)
        is_entity = bool(self._decider.kind)
        accepted = Accepted(
            state=after[0].state.state if is_entity else None,
            version=after[0].state.version if is_entity else 0,
            position=committed.position,
            command_id=self._message.id,
            events=draft.events,
            reply=outputs.reply,
        )
        return Decided(accepted, gave_out, outputs.momentary)

    def _keep(self, before: Entity, after: Entity, committed: Committed, stops: bool) -> None:
        entities = self._desk.entities
        if stops:
            entities.drop(after.kind, after.id)
            return
        state, position = after.state, after.state.position
        if after is not before:
            position = committed.position
        snapshot = state.version if after.kind.is_due(state) else state.snapshot
        kept = EntityState(state.state, state.version, state.ticks, position, snapshot)
        entities.keep(after.kind, after.id, kept)


def _as_recorded(event: NewEvent, version: int, now: int) -> RecordedEvent:
    return RecordedEvent(
        position=0,
        version=version,
        ticks=event.ticks,
        recorded_at=now,
        type=event.type,
        entity=event.entity,
        id=event.id,
        data=event.data,
        domain=event.domain,
        tags=event.tags,
        metadata=event.metadata,
    )
