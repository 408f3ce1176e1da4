"""Folding the events of one key into its models, in order and when one comes late.

With ``order="happened"`` a model is a function of the *set* of its events: they are folded
by ``(ticks, id bytes)`` whatever order they arrived in. An event that happened before the last one folded
is *late*: the fold starts again from the nearest *kept state* before it. Kept states stand close together
near the end and ever wider apart before, so that a refold costs in proportion to how late the event is.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from perdure.core.codec import Codec
from perdure.core.reactions import Delivery, Models
from perdure.core.reactor import Reactor
from perdure.vocabulary.errors import Corrupt
from perdure.vocabulary.events import RecordedEvent

#: Fold this many events between two kept states.
KEEP_EVERY = 256
#: Keep at most this many states of a key.
KEPT_MAX = 12

Place = tuple[int, bytes]


class State(msgspec.Struct, frozen=True, gc=False):
    """The models of one key, and where they stand.

    ``ticks`` and ``id`` are those of the last event folded, by happened; ``position`` is the highest
    position folded; ``count`` how many events.
    """

    models: Models
    ticks: int = 0
    id: bytes = b""
    position: int = 0
    count: int = 0

    @property
    def place(self) -> Place:
        """The last event folded, in the order of happening."""
        return self.ticks, self.id


class Given(msgspec.Struct, frozen=True, gc=False):
    """What a reaction gave out, and the event that caused it."""

    cause: RecordedEvent
    outputs: Sequence[Any]


class Folded(msgspec.Struct, frozen=True, gc=False):
    """What a fold came to: the state, states to keep on the way, and what was given out."""

    state: State
    kept: Sequence[State]
    given: Sequence[Given]


class FoldFailed(Exception):
    """A reaction failed on an event. ``__cause__`` is what it raised."""

    def __init__(self, event: RecordedEvent) -> None:
        super().__init__(event.position)
        self.event = event


def is_late(reactor: Reactor, state: State, deliveries: Sequence[Delivery]) -> bool:
    """Tell whether one of the deliveries (in order) happened before the last event folded."""
    first = deliveries[0].event
    return (
        first.ticks <= state.ticks and reactor.order == "happened" and first.happened < state.place
    )


def in_order(reactor: Reactor, deliveries: list[Delivery]) -> list[Delivery]:
    """Put the events of a key into the order they are folded in."""
    if len(deliveries) > 1:
        by_happened = reactor.order == "happened"
        deliveries.sort(key=_happened if by_happened else _recorded)
    return deliveries


def fold(reactor: Reactor, key: str, state: State, deliveries: Sequence[Delivery]) -> Folded:
    """Fold events, given in order, onto a state. Raises ``FoldFailed``; changes nothing."""
    models, position, count = state.models, state.position, state.count
    kept: list[State] = []
    given: list[Given] = []
    start = 0
    while start < len(deliveries):
        run = _run(reactor, deliveries, start, KEEP_EVERY - count % KEEP_EVERY)
        last = run[-1]
        event = last.event
        try:
            models, outputs = reactor.reactions[event.type].call(models, run, key)
        except Exception as failure:
            raise FoldFailed(event) from failure
        if outputs and last.fresh:
            given.append(Given(event, outputs))
        for delivery in run:
            if delivery.event.position > position:
                position = delivery.event.position
        count += len(run)
        start += len(run)
        if count % KEEP_EVERY == 0:
            kept.append(State(models, event.ticks, event.id, position, count))
    last_event = deliveries[-1].event
    return Folded(State(models, last_event.ticks, last_event.id, position, count), kept, given)


def _run(
    reactor: Reactor, deliveries: Sequence[Delivery], start: int, room: int
) -> Sequence[Delivery]:
    """Cut the next run: one event, or as many in a row as one batched reaction may take."""
    first = deliveries[start]
    reaction = reactor.reactions[first.event.type]
    if not reaction.batched:
        return (first,)
    end, last = start + 1, min(len(deliveries), start + room)
    while (
        end < last
        and reactor.reactions[deliveries[end].event.type] is reaction
        and deliveries[end].fresh == first.fresh
    ):
        end += 1
    return deliveries[start:end]


def keep(kept: Sequence[State], fresh: Sequence[State], before: Place | None) -> tuple[State, ...]:
    """Say which states to keep: those before a late event's place, and the new ones, thinned out.

    Where there are too many, the one goes whose absence widens the gaps least, measured against how
    far back it stands.
    """
    states = [s for s in kept if before is None or s.place < before]
    states += fresh
    while len(states) > KEPT_MAX:
        newest = states[-1].count
        gains = [
            ((after.count - earlier.count) / (newest - middle.count + 1), index)
            for index, (earlier, middle, after) in enumerate(
                zip(states, states[1:], states[2:], strict=False), start=1
            )
        ]
        del states[min(gains)[1]]
    return tuple(states)


def base_for(initial: State, kept: Sequence[State], late: Place) -> State:
    """Give the nearest kept state before a place, or the initial one."""
    return max((s for s in kept if s.place < late), key=lambda s: s.place, default=initial)


def write_state(reactor: Reactor, state: State) -> bytes:
    """Write a state: a line of where it stands, then a line of JSON for each model."""
    lines = b"\n".join(map(_encode, reactor.codecs, state.models))
    id_ = state.id.hex().encode()
    return b"%d %b %d %d\n%b" % (state.ticks, id_, state.position, state.count, lines)


def read_state(reactor: Reactor, value: bytes) -> State:
    """Read a state; the inverse of ``write_state``. Raises ``InvalidData`` for another shape."""
    head, *lines = value.split(b"\n")
    models = tuple(codec.decode(line) for codec, line in zip(reactor.codecs, lines, strict=True))
    return State(models, *read_head(head))


def read_head(head: bytes) -> tuple[int, bytes, int, int]:
    """Read the first line of a written state: ticks, id, position, count."""
    try:
        ticks, id_, position, count = head.split(b" ")
        return int(ticks), bytes.fromhex(id_.decode()), int(position), int(count)
    except ValueError as fault:
        raise Corrupt(f"a model's record begins with {head[:80]!r}") from fault


def _encode(codec: Codec[Any], model: Any) -> bytes:
    return codec.encode(model)


def _happened(delivery: Delivery) -> Place:
    return delivery.event.happened


def _recorded(delivery: Delivery) -> int:
    return delivery.event.position
