"""What is in the cart.

One rule: facts are facts. Taking out what was never in, or more of it than there is, is harmless:
the cart holds what remains.

The smallest service of the shop, and the one to read first. ``cart_analytics`` builds on it.
"""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import UUID

from examples.shop.events import CartEmptied, ItemAdded, ItemRemoved


@dataclass(frozen=True, slots=True)
class Line:
    """So many units of one item, at the latest price seen for it."""

    item: str
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Cart:
    """The contents of a cart. ``id`` is missing until something has been put in."""

    id: UUID | None = None
    items: dict[UUID, Line] = field(default_factory=dict)
    total: Decimal = Decimal("0.00")


def item_added(model: Cart, event: ItemAdded, *, entity: UUID) -> Cart:
    """Put units into the cart: the quantities add up, and the latest price holds for all."""
    held = model.items.get(event.item_id)
    quantity = event.quantity + (held.quantity if held else 0)
    items = {**model.items, event.item_id: Line(event.item, quantity, event.price)}
    return Cart(entity, items, _total(items))


def item_removed(model: Cart, event: ItemRemoved) -> tuple[Cart, list[CartEmptied]]:
    """Take units out of the cart, and say so when that leaves it empty."""
    held = model.items.get(event.item_id)
    if held is None:
        return model, []
    remaining = 0 if event.quantity is None else held.quantity - event.quantity
    if remaining > 0:
        items = {**model.items, event.item_id: replace(held, quantity=remaining)}
    else:
        items = {key: line for key, line in model.items.items() if key != event.item_id}
    emptied = [] if items else [CartEmptied()]
    return Cart(model.id, items, _total(items)), emptied


def _total(items: dict[UUID, Line]) -> Decimal:
    return sum((line.quantity * line.price for line in items.values()), Decimal("0.00"))
