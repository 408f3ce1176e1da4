"""A kind of entity read and checked: how its events fold, which commands it handles.

An entity's state is a fold of its events as recorded, by version; whatever else is on its stream is
counted and skipped.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.context import CommandType
from perdure.core.entity import EntityKind
from perdure.core.handling import Handler, read_handler
from perdure.core.reactions import Delivery, Reaction
from perdure.core.reactor import Reactor
from perdure.core.signatures import hints_of, label_of, parameters_of
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.events import RecordedEvent

#: An update is run before its event has a position, so that it cannot ask for one.
UPDATE_WANTS = frozenset({"at", "entity", "event_id"})


class EntityState(msgspec.Struct, frozen=True, gc=False):
    """An entity as it stands: after ``version`` events, the latest of which happened at ``ticks``.

    ``position`` is the highest position that was read for it, ``snapshot`` the version of its last snapshot.
    """

    state: Any
    version: int = 0
    ticks: int = 0
    position: int = 0
    snapshot: int = 0


class Gap(Exception):
    """An event does not follow the version before it: what is known of the entity is not its history."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of entity, ready to decide."""

    declared: EntityKind[Any]
    reactor: Reactor
    handlers: Mapping[str, Handler]
    by_class: Mapping[type[Any], Handler]
    queries: Mapping[str, Callable[[Any], Any]]

    @property
    def name(self) -> str:
        """The name of the kind, and of the domain it keeps its states under."""
        return self.reactor.name

    def begin(self) -> EntityState:
        """Make the state of an entity nobody has heard of."""
        return EntityState(self.reactor.begin()[0])

    def is_due(self, state: EntityState) -> bool:
        """Tell whether a snapshot is due: a multiple of ``snapshot_every`` lies behind the last one."""
        every = self.declared.snapshot_every
        return every > 0 and state.version // every > state.snapshot // every

    def advance(self, before: EntityState, events: Iterable[RecordedEvent]) -> EntityState:
        """Fold events onto a state, in order of version. Raises ``Gap``, and what an update raises."""
        state, version, ticks, position = before.state, before.version, before.ticks, 0
        reactions, read = self.reactor.reactions, self.reactor.read
        for event in events:
            if event.version <= version:
                continue
            if event.version != version + 1:
                raise Gap(event.version)
            version += 1
            reaction = reactions.get(event.type)
            if reaction is not None:
                state = _update(reaction, state, event, read(event))
            if event.ticks > ticks:
                ticks = event.ticks
            position = event.position
        return EntityState(state, version, ticks, max(position, before.position), before.snapshot)


def _update(reaction: Reaction, state: Any, event: RecordedEvent, payload: Any) -> Any:
    """Fold one event onto a state."""
    if reaction.plain:  # without detours: on the path of every event of every entity that is loaded
        answer = reaction.function(state, payload)
        if type(answer) is type(state):
            return answer
        (state,), given = reaction.take((state,), answer)
    else:
        (state,), given = reaction.call((state,), (Delivery(event, payload, False),), "")
    if given:
        raise TypeError(f"{reaction.label} is an update: it cannot give anything out")
    return state


def read_kind(
    declared: EntityKind[Any],
    reactor: Reactor,
    command_type: Callable[[type[Any]], CommandType],
) -> Kind:
    """Read a kind's functions. ``reactor`` is its fold. Raises ``DefinitionError``."""
    owner = f"{declared.context}.{declared.name}"
    if not reactor.reactions:
        raise DefinitionError(f"{owner} folds nothing; add a function with {declared.name}.update")
    for reaction in reactor.reactions.values():
        wrong = [name for name in reaction.wants if name not in UPDATE_WANTS]
        if wrong or reaction.enveloped or reaction.batched:
            what = repr(wrong[0]) if wrong else "an envelope, or a run of events"
            raise DefinitionError(
                f"{reaction.label}: an update folds one event before it has a position, "
                f"so it cannot take {what}; there are {', '.join(sorted(UPDATE_WANTS))}"
            )
    handlers: dict[str, Handler] = {}
    for function in declared.handlers:
        for handler in read_handler(function, owner, declared.state, command_type):
            name = handler.command.name
            if name in handlers:
                raise DefinitionError(
                    f"{handler.label}: {name!r} is handled by {handlers[name].label} already"
                )
            handlers[name] = handler
    return Kind(
        declared,
        reactor,
        handlers,
        {handler.command.cls: handler for handler in handlers.values()},
        _read_queries(declared.queries, owner),
    )


def _read_queries(
    functions: Sequence[Callable[[Any], Any]], owner: str
) -> dict[str, Callable[[Any], Any]]:
    queries: dict[str, Callable[[Any], Any]] = {}
    for function in functions:
        label = label_of(function, owner)
        hints_of(function, label)
        positional, wants = parameters_of(function, label, least=1, shape="(state)")
        if len(positional) != 1 or wants:
            raise DefinitionError(f"{label}: takes (state) and nothing else")
        name = function.__name__
        if name in queries:
            raise DefinitionError(f"{label}: two queries are named {name!r}")
        queries[name] = function
    return queries
