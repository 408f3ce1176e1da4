"""Deciding on a command in a scenario: as the runtime does, on what has happened there.

What the runtime guards a commit by is looked at here, since nobody else writes in between. ``History`` says
what happened, ``core.deciding`` decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perdure.core.command_records import check_command_id, record_key
from perdure.core.deciding import Decider, Decision, reason_of
from perdure.core.handling import Handler, Message
from perdure.core.kinds import EntityState
from perdure.core.outputs import Outputs
from perdure.runtime.lookups import asked
from perdure.testing.history import History
from perdure.vocabulary.errors import CommandNotFound, HandlerFailed, Rejected, WrongVersion
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import id_text, parse_id, ticks_of
from perdure.vocabulary.references import EntityRef, Matching


@dataclass(frozen=True)
class Made:
    """A decision, what has happened with it, and the state of the entity that decided (LOW: none)."""

    decision: Decision
    history: History
    state: EntityState


@dataclass(frozen=True)
class Desk:
    """Decides on commands that come at ``micros`` (since 1970), after what has happened."""

    history: History
    micros: int

    def decide(self, decider: Decider, message: Message) -> Made:
        """Decide, and record what was decided. Raises ``HandlerFailed``, ``WrongVersion``."""
        before = self._state(decider)
        decision = self._decision(decider, message, before)
        history = self.history
        for event in decision.outputs.events:
            history = history.record(event, ticks_of(self.micros))
        return Made(decision, history, self._fold(decider, before, history))

    def decider(self, cls: type[Any], to: EntityRef[Any] | None) -> Decider:
        """Find who handles a class of command. Raises ``CommandNotFound``."""
        definition = self.history.definition
        if to is not None and to.context != definition.name:
            raise CommandNotFound(f"{to.domain} belongs to context {to.context!r}")
        handlers: Mapping[type[Any], Handler] = (
            definition.lows_by_class if to is None else definition.kind(to.domain).by_class
        )
        if cls not in handlers:
            whose = "no LOW handler" if to is None else f"no function of {to.domain}"
            raise CommandNotFound(f"{definition.name}: {whose} handles {cls.__name__}")
        return Decider(
            definitions=self.history.definitions,
            context=definition.name,
            handler=handlers[cls],
            kind="" if to is None else to.domain,
            entity=b"" if to is None else parse_id(to.key),
            target="" if to is None else to.key,
        )

    def message(
        self, decider: Decider, command: Any, command_id: str, principal: str | None
    ) -> Message:
        """Make the message of a command. Raises ``InvalidData`` for what cannot be stored."""
        declared = decider.handler.command
        name = f"{decider.kind}.{declared.name}" if decider.kind else declared.name
        return Message(
            key=record_key(name, check_command_id(command_id), principal),
            id=command_id,
            name=name,
            command=command,
            data=declared.codec.encode_strictly(command),
            received_at=self.micros,
            principal=principal,
        )

    def _decision(self, decider: Decider, message: Message, before: EntityState) -> Decision:
        try:
            values, happened = self._look_up(decider, message.command, before)
        except Rejected as rejection:
            return Decision(Outputs(), reason_of(decider.handler, rejection))
        decision = decider.decide(message, values, version=before.version, happened=happened)
        late = max(map(self._overtakes, decision.outputs.events), default=0)
        if late:  # such a commit is refused: what is decided happens after all that has happened
            decision = decider.decide(message, values, version=before.version, happened=late)
        for entity in decision.outputs.fresh:
            version = len(self.history.of_entity(entity))
            if version:
                raise WrongVersion(id_text(entity), 0, version)
        return decision

    def _overtakes(self, event: NewEvent) -> int:
        """Give when the last event of its entity happened, if that was not before this one; or 0."""
        last = self.history.last_ticks(event.entity)
        return last if last >= event.ticks else 0

    def _state(self, decider: Decider) -> EntityState:
        if not decider.kind:
            return EntityState(None)
        return self.history.state(self.history.definition.kinds[decider.kind], decider.entity)

    def _look_up(
        self, decider: Decider, command: Any, before: EntityState
    ) -> tuple[list[Any], int]:
        """Give what the function decides on, and when the last event in it happened."""
        if decider.kind:
            return [before.state], before.ticks
        found = [
            (self.history.matching(lookup), 0)
            if isinstance(lookup, Matching)
            else self.history.find(lookup, guarded=True)
            for lookup in asked(decider.handler, command)
        ]
        return [value for value, _ in found], max((ticks for _, ticks in found), default=0)

    def _fold(self, decider: Decider, before: EntityState, after: History) -> EntityState:
        """Fold what was decided on: what cannot be folded would not be recorded."""
        if not decider.kind:
            return before
        kind = after.definition.kinds[decider.kind]
        try:
            return kind.advance(before, after.of_entity(decider.entity)[before.version :])
        except Exception as failure:
            cause = f"an update failed on what it gave: {type(failure).__name__}: {failure}"
            raise HandlerFailed(decider.handler.label, cause) from failure
