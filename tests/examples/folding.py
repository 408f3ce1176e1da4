"""Telling a story to the shop by hand: what Perdure does with plain functions, in twenty lines.

Routes each event by the annotation of ``event``, passes ``at`` and ``entity`` to those that ask,
and names the carts and the items that the stories are about.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from inspect import signature
from typing import Any, NamedTuple, get_args, get_type_hints
from uuid import UUID

import msgspec

from examples.shop import cart, visits
from examples.shop.cart_analytics import Carts, moved
from examples.shop.coupons import Coupons, redeemed
from examples.shop.events import ItemAdded
from examples.shop.product_analytics import Products, shopped

ENCODER = msgspec.json.Encoder(decimal_format="number")

#: Every service of the shop: its model and its functions.
SERVICES: list[tuple[type, list[Callable[..., Any]]]] = [
    (cart.Cart, [cart.item_added, cart.item_removed]),
    (visits.Visit, [visits.put_in, visits.took_out, visits.entered_code, visits.reached_till]),
    (Carts, [moved]),
    (Products, [shopped]),
    (Coupons, [redeemed]),
]

CART = UUID("f2f47a95-fb61-4c5a-a83e-7a92210b09bb")
A, B, C, D, E, F = (UUID(int=number, version=4) for number in range(1, 7))

SNACKS = UUID("a308b1c2-ca65-47dd-a031-a3b8d3afafd4")
BRUSH = UUID("54b12494-0a5e-4c2c-9d7c-3f4f5b0c7a11")
LEASH = UUID("deed1ee5-6f3b-4d0e-8a55-0d9a3a6f1c22")


def snacks(quantity: int = 1) -> ItemAdded:
    return ItemAdded(SNACKS, "Elephant snacks", quantity, Decimal("31.99"))


def brush(quantity: int = 1) -> ItemAdded:
    return ItemAdded(BRUSH, "Toothbrush (Elephant)", quantity, Decimal("8.79"))


def leash(quantity: int = 1) -> ItemAdded:
    return ItemAdded(LEASH, "Pachyderm leash", quantity, Decimal("23.31"))


class Told(NamedTuple):
    at: datetime
    cart: UUID
    event: Any


def clock(text: str, day: int = 3) -> datetime:
    return datetime.fromisoformat(f"2024-06-{day:02}T{text}Z")


def told(*lines: tuple[str, UUID, Any]) -> list[Told]:
    return [Told(clock(time), cart, event) for time, cart, event in lines]


def fold(model: Any, story: Iterable[Told], given_out: list[Any] | None = None) -> Any:
    """The model after the story; what it gave out is added to the list."""
    routes = routes_of(type(model))
    for at, entity, event in story:
        if type(event) in routes:
            model, given = react(routes[type(event)], model, event, at, entity)
            if given_out is not None:
                given_out += given
    return model


def routes_of(model_type: type) -> dict[type, Callable[..., Any]]:
    routes: dict[type, Callable[..., Any]] = {}
    for function in dict(SERVICES)[model_type]:
        annotation = get_type_hints(function)["event"]
        routes |= dict.fromkeys(get_args(annotation) or (annotation,), function)
    return routes


def react(
    function: Callable[..., Any], model: Any, event: Any, at: datetime, entity: UUID
) -> tuple[Any, list[Any]]:
    offered = {"at": at, "entity": entity}
    asked = {name: offered[name] for name in signature(function).parameters if name in offered}
    result = function(model, event, **asked)
    return result if isinstance(result, tuple) else (result, [])


def stored(model: Any) -> Any:
    """The model as it is when it has been written to the store and read back."""
    return msgspec.json.decode(ENCODER.encode(model), type=type(model))
