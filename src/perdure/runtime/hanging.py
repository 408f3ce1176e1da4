"""What a react loop says of a call that does not return: on which event, and what must wait for its mending.

One rule: all of it is read from the stack when it is needed, because in the years when nothing hangs it must
cost nothing. ``watchdog`` asks; ``react`` and ``folder`` name the events they are busy with.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import Any

import msgspec

from perdure.core.fingerprints import function_fingerprint
from perdure.core.reacting import ParkedKey
from perdure.core.reactions import Delivery, Reaction
from perdure.core.reactor import Reactor
from perdure.core.widening import PartsReaction, Reading
from perdure.runtime.watchdog import Hung, Stack, users_call
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import id_text


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """What must wait when a call hangs: a key, or an entity (``source``), from a position on."""

    key: str
    since: int
    source: bool = False


def loop_name(reactor: Reactor) -> str:
    """Name a react loop in marks; no reactor's name holds a slash."""
    return f"react/{reactor.name}"


def code_of(reactor: Reactor, type_: str) -> str:
    """Fingerprint what is called for an event of this type; empty when nothing is any more."""
    if type_ not in reactor.reactions:
        return ""
    return function_fingerprint(*_called(reactor, type_))


def hangs_still(reactor: Reactor, parked: ParkedKey, seconds: float) -> bool:
    """Tell whether a call that did not return is still the same code, with no more time."""
    return (
        bool(parked.code)
        and parked.code == code_of(reactor, parked.type)
        and seconds <= parked.seconds
    )


def hung_folding(
    context: str,
    reactor: Reactor,
    deliveries: Sequence[Delivery],
    waiting: Waiting,
    stack: Stack,
) -> Hung:
    """Describe a fold, which these events were the reason of."""
    event, label = deliveries[-1].event, _label(context, reactor, stack)
    for frame in stack:
        if frame.f_code is Reaction.call.__code__:
            event = frame.f_locals["run"][-1].event
            label = frame.f_locals["self"].label
    return _hung(context, reactor, label, event, waiting)


def hung_reading(
    context: str,
    reactor: Reactor,
    events: Sequence[RecordedEvent],
    reading: Iterator[RecordedEvent],
    waiting: Waiting | None,
    stack: Stack,
) -> Hung:
    """Describe the reading of events, of which ``reading`` has given all up to the one that hangs.

    Nobody knows which key that one has: unless it is said what is ``waiting``, its entity is.
    """
    event = events[len(events) - length_hint(reading) - 1]
    label = _label(context, reactor, stack)
    entity = Waiting(id_text(event.entity), event.position, source=True)
    return _hung(context, reactor, label, event, waiting or entity)


def _called(reactor: Reactor, type_: str) -> Iterator[Callable[..., Any]]:
    """Give the user's functions that an event of this type is led through."""
    reaction = reactor.reactions[type_]
    if isinstance(reaction, PartsReaction):
        yield from (part.function for part in reaction.by_type.values())
    else:
        yield reaction.function
    if reactor.by is not None:
        yield reactor.by
    reading = getattr(reactor.older, "__self__", None)
    if isinstance(reading, Reading) and type_ in reading.upcasters.comes_to:
        yield from (step.function for _, step in sorted(reading.upcasters.steps.items()))


def _hung(
    context: str, reactor: Reactor, label: str, event: RecordedEvent, waiting: Waiting
) -> Hung:
    return Hung(
        context=context,
        loop=loop_name(reactor),
        key=waiting.key,
        label=label,
        source=waiting.source,
        since=waiting.since,
        type=event.type,
        position=event.position,
        event_id=id_text(event.id),
        code=code_of(reactor, event.type),
    )


def _label(context: str, reactor: Reactor, stack: Stack) -> str:
    call = users_call(stack)
    name = "a function" if call is None else call.f_code.co_qualname
    return f"{context}.{reactor.name}: {name}"
