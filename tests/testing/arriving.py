"""Services that keep their promise about order, and some that break it, each in its own way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from perdure import Context, NewEvent, ServerStarted
from perdure.vocabulary.ids import make_event_id, ticks_at

START = datetime(2025, 11, 1, 12, tzinfo=UTC)
CARTS = [UUID(int=number, version=4) for number in range(1, 4)]


@dataclass(frozen=True)
class Added:
    sku: str
    number: int


@dataclass(frozen=True)
class Told:
    """A model that remembers the order: any slip in it shows."""

    numbers: tuple[int, ...] = ()


def tell(model: Told, event: Added) -> Told:
    return Told((*model.numbers, event.number))


def by_position(model: Told, event: Added, *, position: int) -> Told:
    return Told((*model.numbers, position))


def latest_arrival() -> Callable[..., Told]:
    """Make a function that keeps to itself what it should keep in the model."""
    seen: list[int] = []

    def latest(model: Told, event: Added) -> Told:
        seen.append(event.number)
        return Told((seen[-1], len(seen)))

    return latest


def stumble(model: Told, event: Added) -> Told:
    if event.number == 4:
        raise ValueError("four")
    return tell(model, event)


def started(model: Told, event: ServerStarted) -> Told:
    return Told((*model.numbers, len(model.numbers)))


def shop(**services: Callable[..., Any]) -> Context:
    """Make a shop with a service a function, a model a cart."""
    context = Context("shop")
    context.event(Added)
    for name, function in services.items():
        context.service(name, Told).react(function)
    return context


def shop_in_order() -> Context:
    """Make a shop whose services keep their promise, in every keying there is."""
    context = shop(by_cart=tell)
    context.service("by_sku", Told, by="sku").react(tell)
    context.service("everything", Told, single=True).react(tell)
    context.service("as_recorded", Told, order="recorded").react(by_position)
    context.service("starts", Told, single=True).react(started)
    context.saga("waiting", Told, by="sku").react(tell)
    return context


def events(count: int) -> Sequence[NewEvent]:
    """Make events a second apart."""
    context = shop()
    return [
        context.new(
            CARTS[number % 3],
            Added("abcd"[number % 4], number),
            id=UUID(bytes=make_event_id(ticks_at(START + timedelta(seconds=number)), 0, 1)),
        )
        for number in range(count)
    ]
