"""From what a function gave out to what is written: events, intents, timers, statements.

One rule for every function that gives out: what differs between deciding and reacting is which events
are recorded in this very commit. Everything else becomes an intent, with an id that is made from its cause
and its place in the list, so that giving out twice delivers once.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any

import msgspec

from perdure.core.codec import to_plain
from perdure.core.definition import Definition
from perdure.core.effect import Effect
from perdure.core.parcels import Kind, Parcel, pack
from perdure.core.upcasting import stamped
from perdure.vocabulary.commits import Intent, Statement
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import (
    TICKS_MAX,
    entity_id,
    id_text,
    micros_of,
    parse_id,
    retimed,
    ticks_at,
    ticks_of,
)
from perdure.vocabulary.jsontext import read_object, write_object
from perdure.vocabulary.messages import After, At, Cancel, Emit, Reply, Send, Stop
from perdure.vocabulary.names import check_name, check_tags


class Recorded(Enum):
    """Which events are recorded in the commit itself."""

    OWN = "those about the entity that decides"
    ANY = "those of the context"
    NONE = "none: a reactor gives all of them out"


class Giver(msgspec.Struct, frozen=True, kw_only=True):
    """Who gives out, and when.

    ``kind`` is the entity's that decides, if one does; ``timers`` says whose the named timers are, and
    ``key`` is what effects and events are ordered by. ``entity`` is what a bare event is about. ``since``
    (microseconds since 1970) is what ``After`` counts from. ``id_of`` makes the id of the output at a
    place in the list.
    """

    definitions: Mapping[str, Definition]
    context: str
    label: str
    kind: str
    timers: str
    key: str
    entity: bytes
    recorded: Recorded
    since: int
    metadata: bytes
    id_of: Callable[[int], bytes]
    saga: str = ""

    @property
    def definition(self) -> Definition:
        """The giver's own context."""
        return self.definitions[self.context]


class TimerChange(msgspec.Struct, frozen=True):
    """A named timer is set, or with no intent taken back."""

    record: str
    intent_id: bytes
    kind: Kind
    due: int
    parcel: Parcel | None
    target: str = ""
    ordering: str = ""


class Momentary(msgspec.Struct, frozen=True):
    """An effect that is carried out at most once: never written down."""

    effect: Effect
    value: Any
    key: str


class Outputs(msgspec.Struct):
    """What was given out, sorted by what becomes of it."""

    events: list[NewEvent] = msgspec.field(default_factory=list)
    fresh: list[bytes] = msgspec.field(default_factory=list)
    intents: list[Intent] = msgspec.field(default_factory=list)
    timers: list[TimerChange] = msgspec.field(default_factory=list)
    statements: list[Statement] = msgspec.field(default_factory=list)
    momentary: list[Momentary] = msgspec.field(default_factory=list)
    reply: Any = None
    stop: bool = False


class _Due(msgspec.Struct, frozen=True):
    """When an output is due, and under which name it can be taken back."""

    micros: int = 0
    name: str = ""


_AT_ONCE = _Due()


def sort_outputs(giver: Giver, given: Any, into: Outputs, *, first: int = 0) -> int:
    """Sort what a function gave out; ``first`` is the place of the first in its cause's list.

    Gives the place behind the last. Raises ``InvalidData`` for what cannot be carried out.
    """
    values: Sequence[Any]
    if type(given) is list or type(given) is tuple:
        values = given
    elif given is None:
        raise InvalidData(f"{giver.label} gave None: a return is forgotten; give [] for nothing")
    else:
        values = (given,)
    for index, value in enumerate(values, start=first):
        _sort(giver, value, index, into)
    return first + len(values)


def _sort(giver: Giver, value: Any, index: int, into: Outputs) -> None:
    if _record(giver, value, index, into):
        return
    if isinstance(value, After | At):
        _set(giver, value, index, into)
    elif isinstance(value, Cancel):
        into.timers.append(TimerChange(_timer(giver, value.name), b"", "emit", 0, None))
    elif isinstance(value, Reply | Stop | Statement):
        if giver.recorded is Recorded.NONE:
            raise InvalidData(f"{giver.label} reacts: it cannot give {type(value).__name__}")
        if isinstance(value, Reply):
            into.reply = _as_json(value.value)
        elif isinstance(value, Stop):
            into.stop = True
        else:
            into.statements.append(value)
    else:
        _give(giver, value, index, into, _AT_ONCE)


def _record(giver: Giver, value: Any, index: int, into: Outputs) -> bool:
    """Take an event that is recorded in the commit itself; ``False`` for everything else."""
    emit = value if type(value) is Emit else None
    declared = giver.definition.by_class.get(type(emit.event if emit else value))
    if declared is None or giver.recorded is Recorded.NONE:
        return False
    if emit is not None and (emit.context or giver.context) != giver.context:
        return False
    about = entity_id(emit.entity) if emit and emit.entity else giver.entity
    if not about:
        raise InvalidData(
            f"{giver.label} gave a bare {type(value).__name__}: say Emit(event=..., entity=...)"
        )
    if giver.recorded is Recorded.OWN and about != giver.entity:
        return False
    into.events.append(_event(giver, emit or Emit(event=value), about, index, 0))
    if emit is not None and emit.fresh:
        into.fresh.append(about)
    return True


def _set(giver: Giver, timer: After | At, index: int, into: Outputs) -> None:
    if isinstance(timer, After):
        due = giver.since + timer.delay // timedelta(microseconds=1)
    elif timer.moment.tzinfo is None:
        raise InvalidData(f"{giver.label}: At({timer.moment}) has no time zone")
    else:
        due = micros_of(ticks_at(timer.moment))
    if ticks_of(due) > TICKS_MAX:
        raise InvalidData(f"{giver.label}: a timer is due beyond the year 5236")
    what = timer.what
    own = giver.definition.kinds.get(giver.kind)
    if own is not None and type(what) in own.by_class:
        what = Send(what, own.declared[id_text(giver.entity)])
    _give(giver, what, index, into, _Due(max(due, 1), timer.name))


def _give(giver: Giver, value: Any, index: int, into: Outputs, due: _Due) -> None:
    """Make the intent to send a command, to carry out an effect, or to record an event."""
    if isinstance(value, Send):
        target, ordering, parcel = _command(giver, value)
        _add(giver, "command", target, ordering, parcel, index, into, due)
        return
    effect = giver.definition.effects_by_class.get(type(value))
    if effect is None:
        emit = value if isinstance(value, Emit) else Emit(event=value)
        target = emit.context or giver.context
        about = entity_id(emit.entity) if emit.entity else giver.entity
        happened = due.micros if due.micros > giver.since else 0  # never before its cause
        parcel = Parcel(event=_event(giver, emit, about, index, happened))
        _add(giver, "emit", target, giver.key, parcel, index, into, due)
    elif effect.is_durable:
        data = effect.codec.encode_strictly(value)
        parcel = Parcel(name=effect.name, data=data, metadata=giver.metadata)
        _add(giver, "effect", effect.name, giver.key, parcel, index, into, due)
    elif due is not _AT_ONCE:
        raise InvalidData(
            f"{giver.label}: a timer is written down, and {effect.name} is carried out at most once"
        )
    else:
        into.momentary.append(Momentary(effect, value, giver.id_of(index).hex()))


def _add(
    giver: Giver,
    kind: Kind,
    target: str,
    ordering: str,
    parcel: Parcel,
    index: int,
    into: Outputs,
    due: _Due,
) -> None:
    id_ = giver.id_of(index)
    if due.name:
        record = _timer(giver, due.name)
        into.timers.append(TimerChange(record, id_, kind, due.micros, parcel, target, ordering))
    else:
        into.intents.append(
            Intent(
                id=id_,
                kind=kind,
                target=target,
                ordering=ordering,
                payload=pack(parcel),
                due=due.micros,
            )
        )


def _command(giver: Giver, send: Send) -> tuple[str, str, Parcel]:
    """Give the context a command goes to, what it is ordered by, and its parcel."""
    to = send.to
    context = giver.context if to is None else to.context
    definition = giver.definitions.get(context)
    if definition is None:
        raise InvalidData(f"{giver.label} sends into context {context!r}, which is not open here")
    kind = None if to is None else definition.kinds.get(to.domain)
    handlers = definition.lows_by_class if kind is None else kind.by_class
    handler = handlers.get(type(send.command))
    if handler is None or (to is not None and kind is None):
        receiver = "a LOW handler" if to is None else f"{to.domain!r}"
        raise InvalidData(
            f"{giver.label} sends {type(send.command).__name__}, which {receiver} does not take"
        )
    parcel = Parcel(
        domain="" if to is None else to.domain,
        entity=b"" if to is None else parse_id(to.key),
        name=handler.command.name,
        data=handler.command.codec.encode_strictly(send.command),
        metadata=giver.metadata,
        saga=giver.saga,
        saga_key=giver.key if giver.saga else "",
    )
    return context, giver.key if to is None else to.key, parcel


def _event(giver: Giver, emit: Emit, about: bytes, index: int, due: int) -> NewEvent:
    target = emit.context or giver.context
    definition = giver.definitions.get(target)
    declared = None if definition is None else definition.by_class.get(type(emit.event))
    if declared is None:
        raise InvalidData(
            f"{giver.label} gave out {type(emit.event).__name__}, which is not an event of a context "
            f"{target!r} in this application, nor an effect"
        )
    if not about:
        raise InvalidData(f"{giver.label}: say which entity {declared.name!r} is about")
    check_tags(emit.tags)
    return NewEvent(
        type=declared.name,
        entity=about,
        id=retimed(giver.id_of(index), ticks_of(due)) if due else giver.id_of(index),
        data=declared.codec.encode_strictly(emit.event),
        domain=None if emit.domain is None else check_name(emit.domain, "domain"),
        tags=tuple(emit.tags),
        metadata=stamped(giver.metadata, declared.version),
    )


def _timer(giver: Giver, name: str) -> str:
    """Name the record of a timer."""
    return f"{giver.timers}/{name}"


def scope_of(owner: str, key: str) -> str:
    """Name whose timers these are; a slash in the key is none between the key and a timer's name."""
    return f"{owner}/{key.replace('%', '%25').replace('/', '%2F')}"


def _as_json(value: Any) -> Any:
    """Give a reply as whoever asks again will read it. Raises ``InvalidData``."""
    return read_object(write_object({"reply": to_plain(value)}))[0]["reply"]
