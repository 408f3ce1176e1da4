"""The story of each cart: its age, its pauses, what came back out, its code and its till.

One rule: the only clock is the time at which events happened, so a story reads the same whenever,
and however often, it is told.

A ``Visit`` is a model per cart; its contents are folded with the very functions of ``cart``. Taken
together over all carts, the same events make ``cart_analytics`` and ``product_analytics``.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from examples.shop.cart import Cart, item_added, item_removed
from examples.shop.events import (
    CheckoutFinished,
    CheckoutStarted,
    DiscountAdded,
    ItemAdded,
    ItemRemoved,
)
from examples.shop.figures import Durations


@dataclass(frozen=True, slots=True)
class TakenOut:
    """An item that was put into the cart and taken out again.

    Each time counts as one stay, from when the item was first put in to when it was taken out;
    putting in more, or taking out some, does not begin a new one.
    """

    item: str
    quantity: int = 0
    stays: Durations = field(default_factory=Durations)


@dataclass(frozen=True, slots=True)
class Discount:
    """When the discount code came: so long and so many events after the beginning.

    ``share_of_the_way`` is 0 for a code entered first of all and 1 for one entered at the till.
    It is known from the checkout on, and missing for a code that came after it.
    """

    code: str
    at: datetime
    after_seconds: float
    after_events: int
    share_of_the_way: float | None = None


@dataclass(frozen=True, slots=True)
class Checkout:
    """The cart at the till, before any discount. ``finished`` once it is paid."""

    at: datetime
    finished: bool
    value: Decimal
    share_of_value_max: float | None


@dataclass(frozen=True, slots=True)
class Visit:
    """The story of one cart, from its first event to its latest."""

    opened_at: datetime | None = None
    last_at: datetime | None = None
    age_seconds: float = 0.0
    events: int = 0
    gaps: Durations = field(default_factory=Durations)
    taken_out: dict[UUID, TakenOut] = field(default_factory=dict)
    value_max: Decimal = Decimal("0.00")
    discount: Discount | None = None
    checkout: Checkout | None = None
    cart: Cart = field(default_factory=Cart)
    put_in_at: dict[UUID, datetime] = field(default_factory=dict)


def put_in(model: Visit, event: ItemAdded, *, at: datetime, entity: UUID) -> Visit:
    """Note the value, and when the item came in."""
    contents = item_added(model.cart, event, entity=entity)
    return replace(
        _told(model, at),
        cart=contents,
        value_max=max(model.value_max, contents.total),
        put_in_at={event.item_id: at} | model.put_in_at,  # the first time stands
    )


def took_out(model: Visit, event: ItemRemoved, *, at: datetime) -> Visit:
    """Note what was taken out, and how long it had stayed."""
    held = model.cart.items.get(event.item_id)
    if held is None:
        return _told(model, at)
    contents, _ = item_removed(model.cart, event)
    remaining = contents.items.get(event.item_id)
    known = model.taken_out.get(event.item_id, TakenOut(held.item))
    taken = TakenOut(
        held.item,
        known.quantity + held.quantity - (remaining.quantity if remaining else 0),
        known.stays.with_one_more(at - model.put_in_at[event.item_id]),
    )
    return replace(
        _told(model, at),
        cart=contents,
        taken_out={**model.taken_out, event.item_id: taken},
        put_in_at={
            item: since for item, since in model.put_in_at.items() if item in contents.items
        },
    )


def entered_code(model: Visit, event: DiscountAdded, *, at: datetime) -> Visit:
    """Note when the code came. Entering the same code again changes nothing."""
    told = _told(model, at)
    if model.discount is not None and model.discount.code == event.code:
        return told
    return replace(told, discount=Discount(event.code, at, told.age_seconds, model.events))


def reached_till(model: Visit, event: CheckoutStarted | CheckoutFinished, *, at: datetime) -> Visit:
    """Note the value at the till. The latest checkout event counts, so in the end the paid one."""
    told = _told(model, at)
    value = model.cart.total
    share_of_value = float(value / model.value_max) if model.value_max else None
    discount = model.discount
    if discount is not None:
        share_of_the_way = discount.after_seconds / (told.age_seconds or 1.0)
        discount = replace(discount, share_of_the_way=share_of_the_way)
    finished = isinstance(event, CheckoutFinished)
    return replace(told, checkout=Checkout(at, finished, value, share_of_value), discount=discount)


def _told(model: Visit, at: datetime) -> Visit:
    """The story and its next event: one more, so much later than the last."""
    if model.opened_at is None or model.last_at is None:
        return replace(model, opened_at=at, last_at=at, events=1)
    return replace(
        model,
        last_at=at,
        age_seconds=(at - model.opened_at).total_seconds(),
        events=model.events + 1,
        gaps=model.gaps.with_one_more(at - model.last_at),
    )
