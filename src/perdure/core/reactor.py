"""A fold of events read and checked: what it selects, how it finds a key, and what it does with it.

A service is one, and so is the state of an entity. What a type checker cannot see is checked here, at
open, and named.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_type_hints

import msgspec

from perdure.core.codec import Codec
from perdure.core.entity import EntityKind
from perdure.core.event_type import EventType
from perdure.core.reactions import Models, Reaction, read_reaction
from perdure.core.service import Service
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import DefinitionError, InvalidData
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.jsontext import read_object

Keying = Literal["entity", "single", "field"]


class Reactor(msgspec.Struct, frozen=True):
    """A service ready to run: what it selects, how it finds a key, and what it does with it.

    ``payloads`` are the types it reads as objects. ``older`` reads what may have been recorded in another
    shape; see ``widening``.
    """

    name: str
    domains: tuple[str, ...]
    codecs: tuple[Codec[Any], ...]
    initial: Models
    keying: Keying
    by: Callable[[Any], object] | None
    order: Literal["happened", "recorded"]
    criteria: Criteria
    reactions: Mapping[str, Reaction]
    payloads: Mapping[str, EventType]
    emit_history: bool
    older: Callable[[RecordedEvent], Any] | None = None
    is_saga: bool = False

    def begin(self) -> Models:
        """Make the models of a key never seen: its own, so that no two keys can share what is in them."""
        return tuple(type(model)() for model in self.initial)

    def read(self, event: RecordedEvent) -> Any:
        """Read an event's payload: the declared class, or a dictionary. Raises ``InvalidData``."""
        declared = self.payloads.get(event.type)
        metadata = event.metadata
        if self.older and (declared is None or (metadata and b"schema" in metadata)):
            return self.older(event)
        return declared.codec.decode(event.data) if declared else read_object(event.data)[0]

    def key_of(self, payload: Any, type_: str) -> str:
        """Say which model a payload belongs to, where that is not its entity's.

        Raises ``InvalidData`` when it cannot be told.
        """
        if self.by is None:
            return ""
        key = self.by(payload)
        text = key if isinstance(key, str) else "" if key is None else str(key)
        if not 0 < len(text) <= 512:
            raise InvalidData(f"{self.name}: the key of {type_} has {len(text)} characters")
        return text


def read_service(
    service: Service[Any], types: Mapping[str, EventType], by_class: Mapping[type[Any], EventType]
) -> Reactor:
    """Read a service's functions. Raises ``DefinitionError``."""
    owner = f"{service.context}.{service.name}"
    models = tuple(service.models.values())
    reactions: dict[str, Reaction] = {}
    for function, names in service.reactions:
        reaction = read_reaction(function, models, owner, by_name=bool(names))
        _add(reactions, reaction, names, by_class)
    if not reactions:
        raise DefinitionError(
            f"{owner} reacts to nothing; add a function with {service.name}.react"
        )
    payloads = {
        name: types[name]
        for name, reaction in reactions.items()
        if name in types and reaction.classes
    }
    return Reactor(
        name=service.name,
        domains=tuple(service.models),
        codecs=tuple(_codec(model, owner) for model in models),
        initial=tuple(_initial(model, owner) for model in models),
        keying="single" if service.single else "entity" if service.by is None else "field",
        by=_key_reader(service, payloads.values(), owner),
        order=service.order,
        criteria=Criteria(types=tuple(sorted(reactions)), domains=service.domains),
        reactions=reactions,
        payloads=payloads,
        emit_history=service.emit_history,
    )


def read_fold(
    kind: EntityKind[Any], types: Mapping[str, EventType], by_class: Mapping[type[Any], EventType]
) -> Reactor:
    """Read the updates of a kind of entity, as the fold they are. Raises ``DefinitionError``."""
    owner = f"{kind.context}.{kind.name}"
    reactions: dict[str, Reaction] = {}
    for function in kind.updates:
        _add(reactions, read_reaction(function, (kind.state,), owner, by_name=False), (), by_class)
    return Reactor(
        name=kind.name,
        domains=(kind.name,),
        codecs=(_codec(kind.state, owner),),
        initial=(_initial(kind.state, owner),),
        keying="entity",
        by=None,
        order="recorded",
        criteria=Criteria(types=tuple(sorted(reactions))),
        reactions=reactions,
        payloads={name: types[name] for name in reactions},
        emit_history=False,
    )


def _add(
    reactions: dict[str, Reaction],
    reaction: Reaction,
    names: Sequence[str],
    by_class: Mapping[type[Any], EventType],
) -> None:
    for name in names or _names(reaction, by_class):
        if name in reactions:
            raise DefinitionError(
                f"{reaction.label}: {name!r} is taken by {reactions[name].label} already"
            )
        reactions[name] = reaction


def _names(reaction: Reaction, by_class: Mapping[type[Any], EventType]) -> Sequence[str]:
    for cls in reaction.classes:
        if cls not in by_class:
            raise DefinitionError(
                f"{reaction.label}: {cls.__name__} is not an event of this context; declare it"
            )
    return [by_class[cls].name for cls in reaction.classes]


def _codec(model: type[Any], owner: str) -> Codec[Any]:
    try:
        return Codec(model)
    except TypeError as fault:
        raise DefinitionError(f"{owner}: {model.__name__} cannot be stored: {fault}") from fault


def _initial(model: type[Any], owner: str) -> Any:
    try:
        initial = model()
    except TypeError as fault:
        raise DefinitionError(
            f"{owner}: {model.__name__}() is the initial model, but: {fault}"
        ) from fault
    if not _is_frozen(initial):
        raise DefinitionError(
            f"{owner}: {model.__name__} can be changed in place, so that one key's model could turn into "
            "another's: declare it frozen"
        )
    return initial


def _key_reader(service: Service[Any], payloads: Any, owner: str) -> Callable[[Any], object] | None:
    by = service.by
    if by is None or callable(by):
        return by
    for declared in payloads:
        if by not in get_type_hints(declared.cls):
            raise DefinitionError(f"{owner}: by={by!r} is not a field of {declared.cls.__name__}")
    name = by

    def read(payload: Any) -> object:
        return payload.get(name) if isinstance(payload, dict) else getattr(payload, name)

    return read


def _is_frozen(model: Any) -> bool:
    """Tell whether the fields of a value stay as they are: by trying, for there are many makes of class."""
    for name in get_type_hints(type(model)):
        if hasattr(model, name):
            try:
                setattr(model, name, getattr(model, name))
            except Exception:  # each make of class has its own way to refuse
                return True
            return False
    return True
