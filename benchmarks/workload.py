"""What is recorded: the same events for the same seed, with a payload of about 215 bytes.

Two shapes. ``scattered``: every entity in turn, in an order that leaves no index page hot, for appends and
reads. ``carts``: thousands of carts open at a time, each with an event every half minute or so, and on
request some of them late, for catching up. Both are made while they are read, in constant memory.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush, heapreplace
from random import Random
from uuid import UUID

import msgspec

from perdure import Context, NewEvent
from perdure.vocabulary.ids import TICKS_BEFORE_1970, TICKS_PER_SECOND, make_event_id, ticks_at

CARTS_OPEN = 4_000
CARTS_FROM = datetime(2026, 1, 1, tzinfo=UTC)
CART_EVENTS = (10, 20)
LATE_SECONDS_MAX = 60.0
CONTEXT = "bench"
TYPE = "item_added"


class ItemAdded(msgspec.Struct, frozen=True):
    """The payload of every event."""

    item_id: str
    item: str
    quantity: int
    cents: int
    currency: str
    shopper: str
    channel: str
    note: str


class Tally(msgspec.Struct, frozen=True):
    """The model that is folded from them."""

    items: int = 0
    cents: int = 0
    last: str = ""


def added(model: Tally, event: ItemAdded) -> Tally:
    """Count an item in."""
    quantity = event.quantity
    return Tally(model.items + quantity, model.cents + quantity * event.cents, event.item)


def context() -> Context:
    """A context that knows the event, and keeps no model."""
    bench = Context(CONTEXT)
    bench.event(TYPE)(ItemAdded)
    return bench


def payloads(count: int = 1_000, seed: int = 1) -> list[bytes]:
    """Payloads, as JSON, to choose from."""
    rng = Random(f"payloads {seed}")
    return [
        msgspec.json.encode(
            ItemAdded(
                item_id=str(_uuid4(rng)),
                item=f"Elephant snacks no. {rng.randrange(1000):03}",
                quantity=rng.randint(1, 3),
                cents=rng.randint(100, 9_999),
                currency="EUR",
                shopper=str(_uuid4(rng)),
                channel="web",
                note="leave it at door",
            )
        )
        for _ in range(count)
    ]


def entities(count: int, seed: int = 1) -> list[bytes]:
    """The ids of so many entities."""
    rng = Random(f"entities {seed}")
    return [_uuid4(rng).bytes for _ in range(count)]


def now_ticks() -> int:
    """The time, in the ticks of event ids."""
    return time.time_ns() // 100 + TICKS_BEFORE_1970


def scattered(entities: Sequence[bytes], count: int, seed: int = 1) -> Iterator[NewEvent]:
    """So many events, each entity having one before any has another, in an order of chance.

    Their ids are fresh and ascend, from now on.
    """
    rng = Random(f"scattered {seed}")
    chosen = payloads()
    node, ticks = _node(), now_ticks()
    order = list(entities)
    for number in range(count):
        place = number % len(order)
        if place == 0:
            rng.shuffle(order)
        yield NewEvent(
            type=TYPE,
            entity=order[place],
            id=make_event_id(ticks + number, 0, node),
            data=chosen[number % len(chosen)],
        )


def carts(count: int, seed: int = 1, late: float = 0.0) -> Iterator[NewEvent]:
    """So many events of carts, thousands of them open at a time; a share comes late.

    A late event is held back by up to a minute of event time and arrives after others that happened
    later. The events are the same ones, late or not.
    """
    in_order = _told(count, seed)
    return (event for _, event in (_held_back(in_order, seed, late) if late else in_order))


def _told(count: int, seed: int) -> Iterator[tuple[float, NewEvent]]:
    """The stories of the carts woven into one, each event with its time in seconds."""
    rng = Random(f"carts {seed}")
    chosen = payloads()
    start = ticks_at(CARTS_FROM)
    # When the next event of a cart happens, which cart, and how many events it has left.
    waiting = [
        (rng.uniform(0, 60), _uuid4(rng).bytes, rng.randint(1, CART_EVENTS[1]))
        for _ in range(CARTS_OPEN)
    ]
    heapify(waiting)
    for number in range(count):
        at, cart, left = waiting[0]
        if left > 1:
            heapreplace(waiting, (at + rng.lognormvariate(3.3, 0.6), cart, left - 1))
        else:
            opened = at + rng.uniform(0, 60)
            heapreplace(waiting, (opened, _uuid4(rng).bytes, rng.randint(*CART_EVENTS)))
        ticks = start + int(at * TICKS_PER_SECOND)
        id_ = make_event_id(ticks, number & 0x3FFF, number)
        yield at, NewEvent(type=TYPE, entity=cart, id=id_, data=chosen[number % len(chosen)])


def _held_back(
    occurrences: Iterable[tuple[float, NewEvent]], seed: int, late: float
) -> Iterator[tuple[float, NewEvent]]:
    rng = Random(f"late {seed}")
    waiting: list[tuple[float, int, NewEvent]] = []
    for number, (at, event) in enumerate(occurrences):
        while waiting and waiting[0][0] <= at:
            arrived, _, held = heappop(waiting)
            yield arrived, held
        if rng.random() < late:
            heappush(waiting, (at + rng.uniform(1, LATE_SECONDS_MAX), number, event))
        else:
            yield at, event
    while waiting:
        arrived, _, held = heappop(waiting)
        yield arrived, held


def _node() -> int:
    """A node no other call has: ids made at the same moment differ by it."""
    return time.time_ns() & 0xFFFFFFFFFFFF | 1 << 40


def _uuid4(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)
