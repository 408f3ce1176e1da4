"""What the discount codes do: how often they are used, when, and what they cost.

One rule: a cart has one code at a time, the last one entered; that one is credited with the
checkout. The discount is its percentage of the cart's value, to the cent.

Why one model for all codes and not one per code: a checkout names no code, so only a service that
knows the cart can tell which code was redeemed. A service per code could be told so by an emitted
event, but history that is imported emits nothing, and its figures would stay at zero. The price is
that the model must be bounded by hand: the codes entered longest ago make room for new ones.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from examples.shop.cart import Cart, item_added, item_removed
from examples.shop.circulation import Circulation
from examples.shop.events import (
    CheckoutFinished,
    CheckoutStarted,
    DiscountAdded,
    ItemAdded,
    ItemRemoved,
    ShopperEvent,
)

CODES_MAX = 500
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Coupon:
    """One code over all carts.

    ``uses`` counts every time it was entered, ``carts`` every time it came into force in a cart,
    ``checkouts`` the carts paid while it was; ``value`` and ``discount_given`` are theirs, and so
    is ``mean_share_of_the_way``: when it came, from 0 for the first event to 1 for the till.
    """

    last_used_at: datetime
    uses: int = 0
    carts: int = 0
    checkouts: int = 0
    value: Decimal = Decimal("0.00")
    discount_given: Decimal = Decimal("0.00")
    mean_share_of_the_way: float = 0.0


@dataclass(frozen=True, slots=True)
class Entered:
    """A code in force in a cart: what it takes off, and when it came."""

    code: str
    percent: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Trolley:
    """What is remembered of one cart: its contents, and the code in force."""

    opened_at: datetime
    last_at: datetime
    cart: Cart = field(default_factory=Cart)
    entered: Entered | None = None


@dataclass(frozen=True, slots=True)
class Coupons:
    """All codes, by code."""

    coupons: dict[str, Coupon] = field(default_factory=dict)
    circulation: Circulation[Trolley] = field(default_factory=lambda: Circulation())


def redeemed(model: Coupons, event: ShopperEvent, *, at: datetime, entity: UUID) -> Coupons:
    """Follow the cart to the till, and credit the code in force there.

    What happens to a cart that is not, or no longer, known changes nothing until an item is added
    or a code entered.
    """
    circulation, _ = model.circulation.look_over(at)
    trolley = circulation.find(entity)
    if trolley is None:
        if not isinstance(event, ItemAdded | DiscountAdded):
            return model
        trolley = Trolley(at, at)
    coupons = model.coupons
    match event:
        case ItemAdded():
            trolley = replace(trolley, cart=item_added(trolley.cart, event, entity=entity))
        case ItemRemoved():
            trolley = replace(trolley, cart=item_removed(trolley.cart, event)[0])
        case DiscountAdded():
            coupons = _used(coupons, trolley, event, at)
            trolley = _entered(trolley, event, at)
        case CheckoutStarted():
            pass
        case CheckoutFinished():
            return Coupons(_credited(coupons, trolley, at), circulation.close(entity))
    return Coupons(coupons, circulation.keep(entity, replace(trolley, last_at=at)))


def _entered(trolley: Trolley, event: DiscountAdded, at: datetime) -> Trolley:
    """The code in force from now on; the same code again is in force since it first was."""
    known = trolley.entered
    since = known.at if known is not None and known.code == event.code else at
    return replace(trolley, entered=Entered(event.code, event.percent, since))


def _used(
    coupons: dict[str, Coupon], trolley: Trolley, event: DiscountAdded, at: datetime
) -> dict[str, Coupon]:
    """Note the use; when there are too many codes, the one entered longest ago makes room."""
    known = trolley.entered
    in_force = known is not None and known.code == event.code
    coupon = coupons.get(event.code, Coupon(at))
    coupon = replace(
        coupon, last_used_at=at, uses=coupon.uses + 1, carts=coupon.carts + (not in_force)
    )
    coupons = {**coupons, event.code: coupon}
    if len(coupons) > CODES_MAX:
        oldest = min(coupons, key=lambda code: (coupons[code].last_used_at, code))
        del coupons[oldest]
    return coupons


def _credited(coupons: dict[str, Coupon], trolley: Trolley, at: datetime) -> dict[str, Coupon]:
    """Credit the code in force with the checkout, unless it had to make room meanwhile."""
    entered = trolley.entered
    coupon = coupons.get(entered.code) if entered is not None else None
    if entered is None or coupon is None:
        return coupons
    value = trolley.cart.total
    discount = (value * entered.percent / 100).quantize(CENT, ROUND_HALF_UP)
    whole_way = at - trolley.opened_at
    share = (entered.at - trolley.opened_at) / whole_way if whole_way else 0.0
    checkouts = coupon.checkouts + 1
    mean = coupon.mean_share_of_the_way
    credited = replace(
        coupon,
        checkouts=checkouts,
        value=coupon.value + value,
        discount_given=coupon.discount_given + discount,
        mean_share_of_the_way=mean + (share - mean) / checkouts,
    )
    return {**coupons, entered.code: credited}
