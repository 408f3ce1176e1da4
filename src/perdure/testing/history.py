"""What has happened in a scenario, and what the folds of a context make of it: no store, no loop.

One rule: the events are recorded as a log would record them, and folded by the functions of ``core``, so
that a scenario says what an application would. ``scenarios`` is what a test writes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.definition import Definition
from perdure.core.folding import FoldFailed, State, fold, in_order, write_state
from perdure.core.kinds import EntityState, Kind
from perdure.core.outputs import Outputs
from perdure.core.reacting import Routed, give_out, route
from perdure.core.reactions import Delivery
from perdure.core.reactor import Reactor
from perdure.vocabulary.errors import (
    DefinitionError,
    HandlerFailed,
    InvalidData,
    InvalidInput,
    ModelNotFound,
    Parked,
)
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import (
    entity_id,
    event_ticks,
    id_text,
    make_event_id,
    micros_of,
    parse_id,
)
from perdure.vocabulary.messages import Envelope
from perdure.vocabulary.references import Matching, ModelRef

_NODE = 1 << 40  # the multicast bit: no network card has this address


class History(msgspec.Struct, frozen=True):
    """The events of one context, in the order they were recorded, and its definition."""

    definitions: Mapping[str, Definition]
    context: str
    events: tuple[RecordedEvent, ...] = ()

    @property
    def definition(self) -> Definition:
        """The definition of the context."""
        return self.definitions[self.context]

    @property
    def head(self) -> int:
        """The highest position; 0 while nothing has happened."""
        return len(self.events)

    def record(self, event: NewEvent, ticks: int) -> "History":
        """Record an event; one without an id happens at these ticks, or as soon after as is free."""
        id_ = event.id or self._free_id(ticks)
        recorded = RecordedEvent(
            position=self.head + 1,
            version=len(self.of_entity(event.entity)) + 1,
            ticks=event_ticks(id_),
            recorded_at=micros_of(ticks),
            type=event.type,
            entity=event.entity,
            id=id_,
            data=event.data,
            domain=event.domain,
            tags=event.tags,
            metadata=event.metadata,
        )
        return msgspec.structs.replace(self, events=(*self.events, recorded))

    def of_entity(self, entity: bytes) -> list[RecordedEvent]:
        """Give the events of an entity, by version."""
        return [event for event in self.events if event.entity == entity]

    def last_ticks(self, entity: bytes) -> int:
        """Give when the last event of an entity happened; 0 when it has none."""
        return max((event.ticks for event in self.of_entity(entity)), default=0)

    def state(self, kind: Kind, entity: bytes) -> EntityState:
        """Give the state of an entity. Raises ``HandlerFailed`` when an update fails on its events."""
        state = kind.begin()
        for event in self.of_entity(entity):
            try:
                state = kind.advance(state, [event])
            except Exception as failure:
                cause = f"{type(failure).__name__}: {failure}, on {event.type!r}"
                raise HandlerFailed(f"{kind.name}: an update", cause) from failure
        return state

    def find(self, ref: ModelRef[Any], *, guarded: bool = False) -> tuple[Any, int]:
        """Give a model, or a state, and when the last event in it happened.

        ``guarded``: a decision is to rest on it. Raises ``DefinitionError``, ``ModelNotFound``,
        ``InvalidInput``, ``Parked``, ``HandlerFailed``.
        """
        if ref.context != self.context:
            raise DefinitionError(f"{ref.domain} belongs to context {ref.context!r}, not this one")
        kind = self.definition.kinds.get(ref.domain)
        if kind is not None:
            known = self.state(kind, parse_id(ref.key))
            return known.state, known.ticks
        if ref.domain not in self.definition.models:
            raise ModelNotFound(
                f"no service keeps a model under {ref.domain!r} in context {self.context!r}"
            )
        reactor, place = self.definition.models[ref.domain]
        if guarded and reactor.keying == "field":
            raise InvalidInput(
                f"{ref.domain} is keyed by a field, which no guard can hold", "lookup"
            )
        if reactor.keying == "entity":
            entity_id(ref.key)
        state = self._fold(reactor, ref.key, self._routed(reactor).get(ref.key, []))[0]
        return state.models[place], state.ticks

    def matching(self, matching: Matching[Any]) -> list[Envelope[Any]]:
        """Give the events that match. Raises ``DefinitionError`` for a class that is not declared.

        And ``HandlerFailed`` for what cannot be read.
        """
        wanted = [self._name(cls) for cls in matching.classes]
        upcasters = self.definition.upcasters
        types = {old for name in wanted for old in upcasters.names_for(name)}
        criteria = matching.criteria(tuple(types))
        found: list[Envelope[Any]] = []
        for event in filter(criteria.matches, self.events):
            try:
                parts = upcasters.read(event.type, event.metadata, event.data)
            except InvalidData as fault:
                where = f"looking up {event.type!r} at position {event.position}"
                raise HandlerFailed(where, str(fault)) from fault
            found += [
                Envelope.of(msgspec.structs.replace(event, type=name), data)
                for name, _, data in parts
                if name in wanted
            ]
        return found

    def react(self, reactors: Sequence[Reactor], *, after: int) -> list[tuple[bytes, Outputs]]:
        """Give what the reactors give out for the events behind a position, each with its cause's entity.

        What happened up to there is history: it gives out nothing. Raises ``Parked`` for a function that
        fails, or gives out what cannot be carried out.
        """
        found: list[tuple[bytes, Outputs]] = []
        for reactor in reactors:
            by_key = self._routed(reactor, live_from=after)
            for key, deliveries in by_key.items():
                if deliveries[-1].event.position > after:
                    _, given = self._fold(reactor, key, deliveries, after=after)
                    found += [(event.entity, outputs) for event, outputs in given]
        return found

    def _routed(self, reactor: Reactor, live_from: int = 0) -> dict[str, list[Delivery]]:
        routed = Routed({}, [])
        selected = [event for event in self.events if reactor.criteria.matches(event)]
        route(reactor, selected, {}, routed, live_from=live_from)
        for one in routed.unreadable:
            raise _parked(reactor, id_text(one.event.entity), one.event, one.failure)
        return routed.by_key

    def _fold(
        self, reactor: Reactor, key: str, deliveries: list[Delivery], *, after: int | None = None
    ) -> tuple[State, list[tuple[RecordedEvent, Outputs]]]:
        """Fold the events of a key; and sort what those behind ``after`` give out."""
        if not deliveries:
            return State(reactor.begin()), []
        last = deliveries[-1].event
        given: list[tuple[RecordedEvent, Outputs]] = []
        try:
            folded = fold(reactor, key, State(reactor.begin()), in_order(reactor, [*deliveries]))
            write_state(reactor, folded.state)
            for one in folded.given:
                if after is not None and one.cause.position > after:
                    outputs = give_out(self.definitions, self.context, reactor, key, [one])
                    given.append((one.cause, outputs))
        except FoldFailed as failure:
            raise _parked(reactor, key, failure.event, failure.__cause__) from failure.__cause__
        except InvalidData as failure:
            raise _parked(reactor, key, last, failure) from failure
        return folded.state, given

    def _name(self, cls: type[Any]) -> str:
        declared = self.definition.by_class.get(cls)
        if declared is None:
            raise DefinitionError(f"{cls.__name__} is not an event of this context; declare it")
        return declared.name

    def _free_id(self, ticks: int) -> bytes:
        taken = {event.ticks for event in self.events}
        while ticks in taken:
            ticks += 1
        return make_event_id(ticks, 0, _NODE)


def _parked(
    reactor: Reactor, key: str, event: RecordedEvent, cause: BaseException | None
) -> Parked:
    return Parked(reactor.name, key, event.position, f"{type(cause).__name__}: {cause}")
