"""A context read whole and checked, ready to run.

``define`` turns what a user declared into lookup tables: types by wire name, functions by type. All that
a type checker cannot see is checked here, at open, and named.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from perdure.core.answers import answered_type
from perdure.core.context import Context, EventType
from perdure.core.effect import Effect, read_effects
from perdure.core.fingerprints import function_fingerprint
from perdure.core.handling import Handler, read_low
from perdure.core.kinds import Kind, read_kind
from perdure.core.lineage import join
from perdure.core.reactor import Reactor, read_fold, read_service
from perdure.core.saga import Saga
from perdure.core.sagas import read_saga
from perdure.core.signatures import is_of_the_user
from perdure.core.system import SYSTEM_EVENTS
from perdure.core.ticking import Tick
from perdure.core.upcasting import Upcasters
from perdure.core.widening import widen
from perdure.core.writing import Writer, read_writers
from perdure.vocabulary.commits import Statement
from perdure.vocabulary.errors import CommandNotFound, DefinitionError
from perdure.vocabulary.events import NewEvent, RecordedEvent


class Definition(msgspec.Struct, frozen=True):
    """A whole context, ready to run.

    ``models`` are the folds whose models can be read, by domain; those of ``kinds`` are states.
    """

    name: str
    strict: bool
    event_types: Mapping[str, EventType]
    by_class: Mapping[type[Any], EventType]
    upcasters: Upcasters
    reactors: Mapping[str, Reactor]
    models: Mapping[str, tuple[Reactor, int]]
    kinds: Mapping[str, Kind]
    lows: Mapping[str, Handler]
    lows_by_class: Mapping[type[Any], Handler]
    effects: Mapping[str, Effect]
    effects_by_class: Mapping[type[Any], Effect]
    writers: Mapping[str, Sequence[Writer]]
    tables: tuple[str, ...]
    ticks: Mapping[str, Tick]
    commanded: frozenset[str]
    code: str

    def kind(self, name: str) -> Kind:
        """Give a kind of entity. Raises ``CommandNotFound``."""
        kind = self.kinds.get(name)
        if kind is None:
            raise CommandNotFound(f"no kind of entity is named {name!r} in context {self.name!r}")
        return kind

    def statements(self, events: Sequence[NewEvent | RecordedEvent]) -> tuple[Statement, ...]:
        """Give what events change in the user's own tables. Raises ``HandlerFailed``."""
        if not self.writers:
            return ()
        found: list[Statement] = []
        for event in events:
            if event.type not in self.writers and event.type not in self.upcasters.comes_to:
                continue
            for name, _, payload in self.upcasters.read(event.type, event.metadata, event.data):
                for writer in self.writers.get(name, ()):
                    found += writer.write(event, payload)
        return tuple(found)


def define(context: Context) -> Definition:
    """Read a context whole. Raises ``DefinitionError`` naming the first thing that cannot work."""
    types = {**SYSTEM_EVENTS, **context.event_types}
    by_class = {declared.cls: declared for declared in types.values()}
    answered = (
        answered_type(name) for name, one in context.services.items() if isinstance(one, Saga)
    )
    types |= {declared.name: declared for declared in answered}
    upcasters = join(context.name, tuple(context.upcasters.values()), types)
    reactors = {
        service.name: widen(
            read_saga(service, types, by_class, context.command_type)
            if isinstance(service, Saga)
            else read_service(service, types, by_class),
            upcasters,
        )
        for service in context.services.values()
    }
    kinds = {
        kind.name: read_kind(
            kind, widen(read_fold(kind, types, by_class), upcasters), context.command_type
        )
        for kind in context.kinds.values()
    }
    lows = _lows(context)
    effects = _effects(context)
    for kind in kinds.values():
        _check_given(kind, by_class, effects)
    _check_names(kinds.values(), lows)
    return Definition(
        name=context.name,
        strict=context.strict,
        event_types=types,
        by_class=by_class,
        upcasters=upcasters,
        reactors=reactors,
        models=_models(context.name, [*reactors.values(), *(k.reactor for k in kinds.values())]),
        kinds=kinds,
        lows={handler.command.name: handler for handler in lows},
        lows_by_class={handler.command.cls: handler for handler in lows},
        effects={effect.name: effect for effect in effects.values()},
        effects_by_class=effects,
        writers=read_writers(context.writers, context.name, by_class),
        tables=tuple(context.tables),
        ticks={name: Tick(tick, by_class) for name, tick in context.ticks.items()},
        code=_code(context),
        commanded=frozenset(
            name for k in kinds.values() if not k.declared.raw for name in k.reactor.reactions
        ),
    )


def _check_given(
    kind: Kind, by_class: Mapping[type[Any], EventType], effects: Mapping[type[Any], Effect]
) -> None:
    """Check what the handlers of a kind say they give out, where they say it.

    An event that no update takes is told: an update that gives the state back says that it is meant so.
    """
    known = (*by_class, *effects)
    for handler in kind.handlers.values():
        for cls in handler.gives:
            declared = by_class.get(cls)
            if declared is not None and declared.name not in kind.reactor.reactions:
                raise DefinitionError(
                    f"{handler.label} gives {cls.__name__}, which no update of {kind.name} takes"
                )
            if declared is None and is_of_the_user(cls) and not _is_base(cls, known):
                raise DefinitionError(
                    f"{handler.label} gives {cls.__name__}, which is neither an event of this "
                    "context nor an effect that somebody carries out"
                )


def _check_names(kinds: Iterable[Kind], lows: Sequence[Handler]) -> None:
    """Check that no two commands have one name, with the kind in front: their ids would be taken for one."""
    named = {low.command.name: low for low in lows}
    for kind in kinds:
        for handler in kind.handlers.values():
            name = f"{kind.name}.{handler.command.name}"
            other = named.setdefault(name, handler)
            if other is not handler:
                raise DefinitionError(
                    f"{handler.label}: {name!r} names a command of {other.label} already"
                )


def _is_base(cls: type[Any], known: Sequence[type[Any]]) -> bool:
    """Tell whether a class is one of the known ones, or what some of them have in common."""
    return any(cls in each.__mro__ for each in known)


def _models(context: str, reactors: Sequence[Reactor]) -> dict[str, tuple[Reactor, int]]:
    models: dict[str, tuple[Reactor, int]] = {}
    for reactor in reactors:
        for place, domain in enumerate(reactor.domains):
            if domain in models:
                raise DefinitionError(f"{context}: two models are named {domain!r}")
            models[domain] = (reactor, place)
    return models


def _lows(context: Context) -> list[Handler]:
    handlers: dict[str, Handler] = {}
    for declared in context.lows:
        handler = read_low(declared, context.name, context.command_type)
        name = handler.command.name
        if name in handlers:
            raise DefinitionError(
                f"{handler.label}: {name!r} is handled by {handlers[name].label} already"
            )
        handlers[name] = handler
    return list(handlers.values())


def _effects(context: Context) -> dict[type[Any], Effect]:
    effects: dict[type[Any], Effect] = {}
    by_name: dict[str, Effect] = {}
    for declared in context.effects:
        for cls, effect in read_effects(declared, context.name, context.name_of):
            if effect.name in by_name:
                raise DefinitionError(
                    f"{effect.label}: {effect.name!r} is carried out by "
                    f"{by_name[effect.name].label} already"
                )
            effects[cls] = by_name[effect.name] = effect
    return effects


def _code(context: Context) -> str:
    """Give a fingerprint of all functions that are run for commands and events: have they changed?"""
    functions: list[Callable[..., Any]] = []
    for kind in context.kinds.values():
        functions += (*kind.updates, *kind.handlers)
    for low in context.lows:
        functions += (low.operate,) if low.needs is None else (low.needs, low.operate)
    functions += context.writers
    functions += (tick.make for tick in context.ticks.values())
    functions += (upcaster.function for upcaster in context.upcasters.values())
    text = " ".join(function_fingerprint(function) for function in functions)
    return blake2b(text.encode(), digest_size=8).hexdigest()
