"""Looking up what a decision rests on: the values, and the guards that they have not changed.

One rule: a value and its guard are of the same moment. What is read is never stale: a kept model is
folded on to the head of the log before anybody decides on it. SQL tables are not looked up: they are
guarded by statements with expected row counts.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from perdure.core.definition import Definition
from perdure.core.handling import Handler
from perdure.core.kinds import EntityState, Kind
from perdure.core.low import Lookup
from perdure.ports.engine import Log
from perdure.runtime.entities import Entities
from perdure.runtime.models import Models
from perdure.vocabulary.commits import EntityAt, Guard, NothingAfter
from perdure.vocabulary.errors import (
    DefinitionError,
    HandlerFailed,
    InvalidData,
    LimitExceeded,
    Rejected,
)
from perdure.vocabulary.ids import parse_id
from perdure.vocabulary.messages import Envelope
from perdure.vocabulary.reading import Read
from perdure.vocabulary.references import Matching, ModelRef

_LOOKUPS: tuple[type[Any], ...] = (ModelRef, Matching)
#: Events that one ``matching`` may find: a decision rests on few.
MATCHING_MAX = 10_000


class Entity(msgspec.Struct, frozen=True):
    """An entity that was looked up, as it stood then."""

    kind: Kind
    id: bytes
    state: EntityState


class Found(msgspec.Struct):
    """What was looked up: the values in their order, the guards, and the entities among them."""

    values: list[Any] = msgspec.field(default_factory=list)
    guards: list[Guard] = msgspec.field(default_factory=list)
    entities: list[Entity] = msgspec.field(default_factory=list)
    happened: int = 0

    def add_entity(self, kind: Kind, id_: bytes, state: EntityState) -> None:
        """Add an entity's state, on condition of its version."""
        self.values.append(state.state)
        self.guards.append(EntityAt(id_, state.version))
        self.entities.append(Entity(kind, id_, state))
        self.happened = max(self.happened, state.ticks)


def asked(handler: Handler, command: Any) -> tuple[Lookup, ...]:
    """Give what a LOW handler needs for a command. Raises ``Rejected``, ``HandlerFailed``."""
    if handler.needs is None:
        return ()
    try:
        needs = handler.needs(command)
    except Rejected:
        raise
    except Exception as failure:
        cause = f"what it needs: {type(failure).__name__}: {failure}"
        raise HandlerFailed(handler.label, cause) from failure
    lookups = needs if isinstance(needs, tuple) else (needs,)
    if len(lookups) != handler.looks_up:
        cause = f"it takes {handler.looks_up} things, and {len(lookups)} are looked up"
        raise HandlerFailed(handler.label, cause)
    for lookup in lookups:
        if not isinstance(lookup, _LOOKUPS):
            cause = (
                f"{type(lookup).__name__} cannot be looked up; "
                "give account[id], cart[id] or matching(...)"
            )
            raise HandlerFailed(handler.label, cause)
    return lookups


def turn_of(lookup: Lookup) -> str:
    """Name what a lookup is about, to take turns on."""
    if isinstance(lookup, Matching):
        return f"{[cls.__qualname__ for cls in lookup.classes]}{lookup.tags}{lookup.entities}"
    return f"{lookup.domain}/{lookup.key}"


class Lookups:
    """Looks up what LOW handlers need, in one context."""

    def __init__(
        self, log: Log, definition: Definition, entities: Entities, models: Models
    ) -> None:
        self._log, self._definition = log, definition
        self._entities, self._models = entities, models

    async def find(self, lookups: Sequence[Lookup]) -> Found:
        """Look everything up."""
        found = Found()
        for lookup in lookups:
            if isinstance(lookup, Matching):
                await self._find_events(lookup, found)
            else:
                await self._find_model(lookup, found)
        return found

    async def refresh(self, found: Found) -> None:
        """Bring the entities in memory up to date: something was decided on a stale state."""
        for each in found.entities:
            await self._entities.fresh(each.kind, each.id)

    async def _find_model(self, ref: ModelRef[Any], found: Found) -> None:
        if ref.context != self._definition.name:
            raise DefinitionError(
                f"{ref.domain} belongs to context {ref.context!r}: no commit spans two contexts"
            )
        kind = self._definition.kinds.get(ref.domain)
        if kind is not None:
            entity = parse_id(ref.key)
            found.add_entity(kind, entity, await self._entities.state(kind, entity))
            return
        try:
            model, guard, ticks = await self._models.at_head(ref.domain, ref.key)
        except InvalidData as fault:
            raise _unreadable(f"{ref.domain} {ref.key}".rstrip(), fault) from fault
        found.values.append(model)
        found.guards.append(guard)
        found.happened = max(found.happened, ticks)

    async def _find_events(self, matching: Matching[Any], found: Found) -> None:
        wanted, upcasters = self._names(matching), self._definition.upcasters
        types = dict.fromkeys(old for name in wanted for old in upcasters.names_for(name))
        criteria = matching.criteria(tuple(types))
        head = await self._log.head()
        events: list[Envelope[Any]] = []
        async for batch in self._log.read(Read(criteria=criteria, upto=head)):
            for event in batch:
                try:
                    parts = upcasters.read(event.type, event.metadata, event.data)
                except InvalidData as fault:
                    raise _unreadable(
                        f"{event.type!r} at position {event.position}", fault
                    ) from fault
                events += [
                    Envelope.of(msgspec.structs.replace(event, type=name), data)
                    for name, _, data in parts
                    if name in wanted
                ]
            if len(events) > MATCHING_MAX:
                raise LimitExceeded(f"{len(events)} events match; decide on {MATCHING_MAX} at most")
        found.values.append(events)
        found.guards.append(NothingAfter(criteria, head))

    def _names(self, matching: Matching[Any]) -> list[str]:
        names = []
        for cls in matching.classes:
            declared = self._definition.by_class.get(cls)
            if declared is None:
                raise DefinitionError(f"{cls.__name__} is not an event of this context; declare it")
            names.append(declared.name)
        return names


def _unreadable(what: str, fault: InvalidData) -> HandlerFailed:
    """Say that history cannot be read, which is no fault of whoever sent the command."""
    return HandlerFailed(f"looking up {what}", str(fault))
