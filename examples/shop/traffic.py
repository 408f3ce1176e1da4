"""Shoppers who are not there: realistic events for the shop, the same ones for the same seed.

A few products are popular and most are not. Some items tend to be taken out again, some make
shoppers doubt and leave. Carts are emptied, abandoned, taken up again hours later, and paid for,
many at a time. One rule: chance comes from the seed and time from ``start``, from nowhere else.

``python -m examples.shop.traffic --carts 1000 --seed 7`` writes one event a line, in the form that
``perdure events import`` reads. Knows the names of the events on the wire, and nothing of Perdure.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import accumulate
from random import Random
from typing import Any
from uuid import UUID

MEAN_SECONDS_BETWEEN_CARTS = 30.0
LATE_SECONDS_MAX = 60.0
CATALOGUE_SIZE = 150
ITEMS_MAX = 20
CODES = (("WELCOME10", 10), ("SPRING15", 15), ("ELEPHANT25", 25))

GREGORIAN = datetime(1582, 10, 15, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event as it is sent: what happened, to which cart, under which id, and when."""

    type: str
    entity: UUID
    event_id: UUID
    at: datetime
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Product:
    """Something to buy. ``regret`` and ``doubt`` are chances: to be taken out, to put off."""

    item_id: UUID
    item: str
    price: float
    regret: float
    doubt: float


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All products, the most popular first, with the sums of their popularity so far."""

    products: tuple[Product, ...]
    cumulative_weights: tuple[float, ...]


Told = tuple[datetime, str, dict[str, Any]]


def traffic(seed: int, carts: int, start: datetime, late: float = 0.0) -> Iterator[Occurrence]:
    """The events of so many carts, the first of which opens soon after ``start``.

    In the order in which they happened; but a share of ``late`` is held back, each by up to a
    minute of event time, and comes after others that happened later. The events are the same
    ones, late or not. Holds only the carts of the moment in memory.

    Raises:
        ValueError: ``carts`` is negative, ``start`` has no time zone, or ``late`` is not a share.
    """
    if carts < 0:
        raise ValueError(f"carts must not be negative, not {carts}")
    if start.tzinfo is None:
        raise ValueError("start must have a time zone")
    if not 0 <= late <= 1:
        raise ValueError(f"late must be a share from 0 to 1, not {late}")
    in_order = _interleaved(Random(seed), carts, start.astimezone(UTC))
    return _held_back(Random(f"late {seed}"), in_order, late) if late else in_order


def catalogue() -> Catalogue:
    """What the shop sells: the same for every seed, so that traffic adds up over several runs."""
    rng = Random("catalogue")
    animals = ("Elephant", "Mammoth", "Tapir", "Rhino", "Hippo", "Manatee")
    things = ("snacks", "blanket", "bath salts", "umbrella", "toothbrush", "harness", "lantern")
    elephant_snacks = UUID("a308b1c2-ca65-47dd-a031-a3b8d3afafd4")
    products = [Product(elephant_snacks, "Elephant snacks", 31.99, regret=0.05, doubt=0.05)]
    for number in range(1, CATALOGUE_SIZE):
        item = f"{rng.choice(animals)} {rng.choice(things)} no. {number}"
        price = round(rng.lognormvariate(3.0, 0.8)) + 0.99
        regret, doubt = 0.6 * rng.random() ** 4, 0.8 * rng.random() ** 6
        products.append(Product(_uuid4(rng), item, price, regret, doubt))
    popularity = (1 / rank for rank in range(1, CATALOGUE_SIZE + 1))
    return Catalogue(tuple(products), tuple(accumulate(popularity)))


def _interleaved(rng: Random, carts: int, start: datetime) -> Iterator[Occurrence]:
    """The stories of the carts woven into one, by time and then by id."""
    goods = catalogue()
    waiting: list[tuple[datetime, bytes, Occurrence]] = []
    opened_at = start
    for _ in range(carts):
        opened_at += timedelta(seconds=rng.expovariate(1 / MEAN_SECONDS_BETWEEN_CARTS))
        while waiting and waiting[0][0] < opened_at:
            yield heappop(waiting)[-1]
        cart, node, clock_seq = _uuid4(rng), rng.getrandbits(48), rng.getrandbits(14)
        for at, event_type, data in _story(rng, goods, opened_at):
            event_id = _uuid1(at, clock_seq, node)
            occurrence = Occurrence(event_type, cart, event_id, at, data)
            heappush(waiting, (at, event_id.bytes, occurrence))
    while waiting:
        yield heappop(waiting)[-1]


def _held_back(rng: Random, occurrences: Iterable[Occurrence], late: float) -> Iterator[Occurrence]:
    """The same occurrences, some of them later."""
    waiting: list[tuple[datetime, bytes, Occurrence]] = []
    for occurrence in occurrences:
        while waiting and waiting[0][0] <= occurrence.at:
            yield heappop(waiting)[-1]
        if rng.random() < late:
            arrives_at = occurrence.at + timedelta(seconds=rng.uniform(1, LATE_SECONDS_MAX))
            heappush(waiting, (arrives_at, occurrence.event_id.bytes, occurrence))
        else:
            yield occurrence
    while waiting:
        yield heappop(waiting)[-1]


def _story(rng: Random, goods: Catalogue, at: datetime) -> Iterator[Told]:
    """One cart: filled, thought over, and then emptied, abandoned or paid for."""
    held: dict[UUID, int] = {}
    doubt = 0.2
    size = min(ITEMS_MAX, int(rng.paretovariate(1.1)))
    chosen = rng.choices(goods.products, cum_weights=goods.cumulative_weights, k=size)
    for product in chosen:
        quantity = rng.choice((1, 1, 1, 1, 2, 3))
        held[product.item_id] = held.get(product.item_id, 0) + quantity
        doubt = max(doubt, product.doubt)
        yield at, "item_added", _added(product, quantity)
        at += _pause(rng)
        if rng.random() < product.regret:
            yield at, "item_removed", _removed(rng, held, product.item_id)
            at += _pause(rng)
    if rng.random() < 0.04:
        while held:
            item_id, _ = held.popitem()
            yield at, "item_removed", {"item_id": str(item_id)}
            at += _pause(rng)
    if not held or rng.random() < doubt:
        if rng.random() < 0.85:
            return
        at += timedelta(hours=rng.uniform(2, 10))
    yield from _till(rng, at)


def _till(rng: Random, at: datetime) -> Iterator[Told]:
    if rng.random() < 0.2:
        code, percent = rng.choice(CODES)
        yield at, "discount_added", {"code": code, "percent": percent}
        at += _pause(rng)
    yield at, "checkout_started", {}
    if rng.random() < 0.93:
        yield at + _pause(rng), "checkout_finished", {}


def _added(product: Product, quantity: int) -> dict[str, Any]:
    item_id = str(product.item_id)
    return {"item_id": item_id, "item": product.item, "quantity": quantity, "price": product.price}


def _removed(rng: Random, held: dict[UUID, int], item_id: UUID) -> dict[str, Any]:
    """One unit of several, or all of it."""
    if held[item_id] > 1 and rng.random() < 0.5:
        held[item_id] -= 1
        return {"item_id": str(item_id), "quantity": 1}
    del held[item_id]
    return {"item_id": str(item_id)}


def _pause(rng: Random) -> timedelta:
    """Half a minute as a rule, sometimes several."""
    return timedelta(seconds=0.5 + rng.lognormvariate(3.4, 0.9))


def _uuid4(rng: Random) -> UUID:
    return UUID(int=rng.getrandbits(128), version=4)


def _uuid1(at: datetime, clock_seq: int, node: int) -> UUID:
    """The time-based id of this moment; the node is random, and marked so as RFC 9562 asks."""
    ticks = (at - GREGORIAN) // MICROSECOND * 10
    time_low, time_mid, time_hi = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48
    low, high = clock_seq & 0xFF, clock_seq >> 8
    return UUID(fields=(time_low, time_mid, time_hi, high, low, node | 1 << 40), version=1)


def main() -> None:
    """Write the events to standard output, one a line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.shop.traffic", description=main.__doc__
    )
    parser.add_argument("--carts", type=int, default=100, help="how many carts (100)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same events (1)")
    parser.add_argument(
        "--start",
        type=datetime.fromisoformat,
        default=datetime(2024, 6, 3, 8, tzinfo=UTC),
        help="when the shop opens, with a time zone (2024-06-03T08:00:00+00:00)",
    )
    parser.add_argument("--late", type=float, default=0.0, help="share that comes late (0)")
    asked = parser.parse_args()
    try:
        occurrences = traffic(asked.seed, asked.carts, asked.start, asked.late)
    except ValueError as error:
        parser.error(str(error))
    try:
        for occurrence in occurrences:
            sys.stdout.write(f"{_line(occurrence)}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has had enough; what is still in the buffer must not go into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(occurrence: Occurrence) -> str:
    record = {
        "event_id": str(occurrence.event_id),
        "type": occurrence.type,
        "entity_id": str(occurrence.entity),
        "data": occurrence.data,
    }
    return json.dumps(record, separators=(",", ":"))


if __name__ == "__main__":
    main()
