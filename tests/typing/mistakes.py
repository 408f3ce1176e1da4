"""Mistakes a user makes, each of which a type checker must catch in the editor.

Every line that ends in ``# caught`` must have an error; no other line may. Never imported, only checked.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import perdure
from perdure import Accepted, Context


@dataclass(frozen=True)
class Added:
    sku: str


@dataclass(frozen=True)
class Cart:
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Other:
    n: int = 0


shop = Context("shop")
shop.event(Added)
cart = shop.service("cart", Cart)


@cart.react
def right(model: Cart, event: Added, *, at: datetime) -> Cart:
    return model


@cart.react
def right_with_events(model: Cart, event: Added) -> tuple[Cart, list[Added]]:
    return model, [event]


cart.react(right)


@cart.react  # caught
def wrong_model_returned(model: Cart, event: Added) -> Other:
    return Other()


@cart.react  # caught
def wrong_model_taken(model: Other, event: Added) -> Cart:
    return Cart()


@cart.react  # caught
def forgets_the_model(model: Cart, event: Added) -> list[Added]:
    return [event]


@cart.react  # caught
def gives_nothing(model: Cart, event: Added) -> None:
    pass


@cart.react
def forgets_to_return(model: Cart, event: Added) -> Cart:  # caught
    pass


@shop.upcast("added", 1)
def right_upcaster(data: dict[str, Any]) -> dict[str, Any]:
    return data


@shop.upcast("old", 1, into="added")
def right_rename(data: dict[str, Any]) -> dict[str, Any]:
    return data


@shop.upcast("older", 1, into=["added", "old"])
def right_split(data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("added", data), ("old", data)]


@shop.upcast("added", 2)  # caught
def splits_without_into(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [data]


@shop.upcast("added", 3)  # caught
def gives_an_object(data: dict[str, Any]) -> Added:
    return Added("tea")


@dataclass(frozen=True)
class Add:
    sku: str


basket = shop.entity("basket", Cart)


@basket.update
def right_update(state: Cart, event: Added) -> Cart:
    return state


@basket.update  # caught
def updates_to_another(state: Cart, event: Added) -> Other:
    return Other()


@basket.handle
def right_handler(state: Cart, command: Add, *, now: datetime) -> list[Added]:
    return [Added(command.sku)]


@basket.handle
def right_single(state: Cart, command: Add) -> Added:
    return Added(command.sku)


@basket.handle  # caught
def handles_another(state: Other, command: Add) -> list[Added]:
    return []


@basket.handle  # caught
def decides_nothing(state: Cart, command: Add) -> None:
    pass


@basket.query  # caught
def asks_another(state: Other) -> int:
    return state.n


@shop.effect()
async def right_effect(effect: Other, *, key: str) -> None:
    pass


@shop.effect()  # caught
def acts_at_once(effect: Other) -> None:
    pass


def items(state: Cart) -> int:
    return len(state.items)


async def sends() -> None:
    async with perdure.open(shop, store="memory://") as app:
        outcome = await app.send(basket[uuid4()], Add("tea"))
        print(outcome.state)  # caught
        if isinstance(outcome, Accepted):
            state: Cart = outcome.state
            wrong: Other = outcome.state  # caught
            print(state, wrong)
        counted = await app.send(basket[uuid4()], Add("tea"), query=items)
        if isinstance(counted, Accepted):
            count: int = counted.state
            print(count)
        number: int = await app.model(basket[uuid4()], query=items)
        text: str = await app.model(basket[uuid4()], query=items)  # caught
        print(number, text)


async def reads() -> None:
    async with perdure.open(shop, store="memory://") as app:
        model: Cart = await app.model(cart[uuid4()])
        other: Other = await app.model(cart[uuid4()])  # caught
        await app.append(Added("tea"))  # caught
        print(model, other)
