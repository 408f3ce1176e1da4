"""Routing by annotation: which events a reaction takes, and how it is called.

Read once, at open. What is wrong is a ``DefinitionError`` that names the function.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec

from perdure.core.signatures import check_plain, check_wants, hints_of, label_of, parameters_of
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.messages import Envelope

Models = tuple[Any, ...]


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One event on its way to a reaction, with its payload read; ``fresh``: its first processing."""

    event: RecordedEvent
    payload: Any
    fresh: bool


#: What a reaction may ask for by name.
BY_NAME: Mapping[str, Callable[[RecordedEvent, str], object]] = {
    "at": lambda event, key: event.happened_at,
    "entity": lambda event, key: event.entity_id,
    "event_id": lambda event, key: event.event_id,
    "position": lambda event, key: event.position,
    "key": lambda event, key: key,
}
_ITS_TYPE = {"at": datetime, "entity": UUID, "event_id": UUID, "position": int, "key": str}


class Reaction(msgspec.Struct, frozen=True):
    """A user's function with what its signature says.

    ``models`` are the places of the models it takes among those of the service; ``wants`` the names it
    asks for; ``enveloped`` and ``batched`` how it takes its events. ``plain``: one model and one event as
    they are, the common case, called without detours.
    """

    function: Callable[..., Any]
    label: str
    classes: tuple[type[Any], ...]
    models: tuple[int, ...]
    wants: tuple[str, ...]
    enveloped: bool
    batched: bool
    plain: bool = False

    def call(
        self, models: Models, run: Sequence[Delivery], key: str
    ) -> tuple[Models, Sequence[Any]]:
        """Run the function on a run of events (of one event, unless it takes batches)."""
        if self.plain:
            answer = self.function(models[0], run[0].payload)
            return ((answer,), ()) if type(answer) is type(models[0]) else self.take(models, answer)
        taken = [models[i] for i in self.models]
        last = run[-1]
        if self.enveloped:
            events = [Envelope.of(delivery.event, delivery.payload) for delivery in run]
        else:
            events = [delivery.payload for delivery in run]
        given = {name: BY_NAME[name](last.event, key) for name in self.wants}
        answer = self.function(*taken, events if self.batched else events[0], **given)
        return self.take(models, answer)

    def take(self, models: Models, answer: Any) -> tuple[Models, Sequence[Any]]:
        """Read what came back: the models in the order they were taken, then what is given out."""
        count = len(self.models)
        if count == 1 and isinstance(answer, type(models[self.models[0]])):
            fresh: Sequence[Any] = (answer,)
            outputs: Any = ()
        elif isinstance(answer, tuple) and len(answer) in (count, count + 1):
            fresh = answer[:count]
            outputs = answer[count] if len(answer) > count else ()
        else:
            raise TypeError(f"{self.label} gave {type(answer).__name__}, not its model")
        if not isinstance(outputs, list | tuple):
            raise TypeError(f"{self.label} gave out {type(outputs).__name__}, not a list")
        after = list(models)
        for place, model in zip(self.models, fresh, strict=True):
            if not isinstance(model, type(models[place])):
                wanted = type(models[place]).__name__
                raise TypeError(f"{self.label} gave {type(model).__name__}, not {wanted}")
            after[place] = model
        return tuple(after), outputs


def read_reaction(
    function: Callable[..., Any], models: Sequence[type[Any]], owner: str, *, by_name: bool
) -> Reaction:
    """Read a function's signature. ``by_name``: its events were named, not annotated."""
    label = label_of(function, owner)
    check_plain(function, label)
    hints = hints_of(function, label)
    positional, wants = parameters_of(function, label, least=2, shape="(model, event)")
    *taken, event = positional
    places = tuple(_place(name, hints, models, label) for name in taken)
    if len(set(places)) != len(places):
        raise DefinitionError(f"{label} takes the same model twice")
    check_wants(wants, hints, _ITS_TYPE, label)
    if by_name:
        return Reaction(function, label, (), places, wants, enveloped=False, batched=False)
    if event not in hints:
        raise DefinitionError(f"{label}: annotate {event!r} with the event it takes")
    classes, enveloped, batched = _read_event(hints[event], label)
    plain = len(models) == 1 and not (wants or enveloped or batched)
    return Reaction(function, label, classes, places, wants, enveloped, batched, plain)


def _place(name: str, hints: Mapping[str, Any], models: Sequence[type[Any]], label: str) -> int:
    known = ", ".join(model.__name__ for model in models)
    if name not in hints:
        raise DefinitionError(f"{label}: annotate {name!r} with its model ({known})")
    for place, model in enumerate(models):
        if hints[name] is model:
            return place
    raise DefinitionError(f"{label}: {name!r} is not a model of this service, which keeps {known}")


def _read_event(hint: Any, label: str) -> tuple[tuple[type[Any], ...], bool, bool]:
    """Read ``E``, ``A | B``, ``Envelope[E]``, ``Sequence[E]`` and ``Sequence[Envelope[E]]``."""
    batched = get_origin(hint) in (Sequence, list)
    if batched:
        (hint,) = get_args(hint)
    enveloped = get_origin(hint) is Envelope
    if enveloped:
        (hint,) = get_args(hint)
    classes = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for cls in classes:
        if not isinstance(cls, type):
            raise DefinitionError(f"{label}: {cls!r} is not the class of an event")
    return tuple(classes), enveloped, batched
