"""Reading back what was given out: from the form it is stored in to the values a test compares with.

One rule: nothing is taken from the function's hands. So a test sees what will be delivered, and what cannot
be stored fails here as it would in an application.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from perdure.core.definition import Definition
from perdure.core.outputs import Outputs
from perdure.core.parcels import Parcel, unpack
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import event_ticks, id_text, moment_of, ticks_of
from perdure.vocabulary.messages import At, Cancel, Emit, Send
from perdure.vocabulary.references import EntityRef


@dataclass(frozen=True)
class Reader:
    """Reads back what was given out in a context."""

    definitions: Mapping[str, Definition]
    context: str

    def read(self, given: Iterable[tuple[bytes, Outputs]]) -> dict[str, Any]:
        """Give sends, effects, emits and timers. With each outputs comes what a bare event is about."""
        found: dict[str, list[Any]] = {"sends": [], "effects": [], "emits": [], "timers": []}
        for entity, outputs in given:
            self._sort(entity, outputs, found)
        return found

    def _sort(self, entity: bytes, outputs: Outputs, found: dict[str, list[Any]]) -> None:
        homes = {"emit": "emits", "command": "sends", "effect": "effects"}
        later: list[tuple[int, At]] = []
        for intent in outputs.intents:
            value = self._value(intent.kind, intent.target, unpack(intent), entity)
            if intent.due:
                later.append((event_ticks(intent.id), At(_moment(intent.due), value)))
            else:
                found[homes[intent.kind]].append(value)
        cancelled: list[Cancel] = []
        for timer in outputs.timers:
            name = timer.record.rpartition("/")[2]
            if timer.parcel is None:
                cancelled.append(Cancel(name))
                continue
            value = self._value(timer.kind, timer.target, timer.parcel, entity)
            later.append((event_ticks(timer.intent_id), At(_moment(timer.due), value, name)))
        later.sort(key=lambda pair: pair[0])  # ids are made in the order of giving out
        found["timers"] += [*(at for _, at in later), *cancelled]
        found["effects"] += [momentary.value for momentary in outputs.momentary]

    def _value(self, kind: str, target: str, parcel: Parcel, own: bytes) -> Any:
        if kind == "effect":
            return self.definitions[self.context].effects[target].codec.decode(parcel.data)
        definition = self.definitions[target]
        if kind == "emit" and parcel.event is not None:
            return self._emit(definition, parcel.event, own)
        to = None
        handlers = definition.lows
        if parcel.domain:
            handlers = definition.kinds[parcel.domain].handlers
            to = EntityRef[Any](target, parcel.domain, id_text(parcel.entity))
        return Send(handlers[parcel.name].command.codec.decode(parcel.data), to)

    def _emit(self, definition: Definition, event: NewEvent, own: bytes) -> Any:
        payload = payload_of(definition, event)
        abroad = None if definition.name == self.context else definition.name
        about = None if event.entity == own else event.entity_id
        if not (abroad or about or event.domain or event.tags):
            return payload
        return Emit(
            event=payload, entity=about, context=abroad, domain=event.domain, tags=event.tags
        )


def payload_of(definition: Definition, event: NewEvent) -> Any:
    """Read the payload of an event of a declared type."""
    declared = definition.event_types.get(event.type)
    if declared is None:
        raise InvalidData(f"{event.type!r} is not declared in context {definition.name!r}")
    return declared.codec.decode(event.data)


def _moment(due: int) -> datetime:
    return moment_of(ticks_of(due))
