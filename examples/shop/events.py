"""What happens in the shop.

One rule: an event is a fact, a frozen value that checks its own bounds and knows nothing of who
reads it. Who it happened to (the cart) and when travel beside it, not in it.

Every other module here folds these events into a model; ``app`` gives them their names on the wire.
"""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

#: Wide enough for any shop, and narrow enough that sums of money fit the 28 digits of a Decimal.
QUANTITY_MAX = 1_000_000
PRICE_MAX = Decimal(1_000_000_000)
PERCENT_MAX = Decimal(100)


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """A shopper put ``quantity`` units of an item into the cart, at ``price`` for each.

    Raises:
        ValueError: the quantity is not positive, or the price is negative or no number.
    """

    item_id: UUID
    item: str
    quantity: int
    price: Decimal

    def __post_init__(self) -> None:
        _check_quantity(self.quantity)
        if not (self.price.is_finite() and 0 <= self.price <= PRICE_MAX):
            raise ValueError(f"price must be from 0 to {PRICE_MAX}, not {self.price}")


@dataclass(frozen=True, slots=True)
class ItemRemoved:
    """A shopper took ``quantity`` units of an item out of the cart; without a quantity, all of them.

    Raises:
        ValueError: the quantity is not positive.
    """

    item_id: UUID
    quantity: int | None = None

    def __post_init__(self) -> None:
        if self.quantity is not None:
            _check_quantity(self.quantity)


@dataclass(frozen=True, slots=True)
class DiscountAdded:
    """A shopper entered a discount code that takes ``percent`` off. A new code replaces the last.

    Raises:
        ValueError: the code is blank, or the percentage is outside 0 to 100.
    """

    code: str
    percent: Decimal

    def __post_init__(self) -> None:
        if not self.code.strip():
            raise ValueError("code must not be blank")
        if not (self.percent.is_finite() and 0 <= self.percent <= PERCENT_MAX):
            raise ValueError(f"percent must be from 0 to {PERCENT_MAX}, not {self.percent}")


@dataclass(frozen=True, slots=True)
class CheckoutStarted:
    """A shopper took the cart to the till."""


@dataclass(frozen=True, slots=True)
class CheckoutFinished:
    """A shopper paid for what was in the cart."""


@dataclass(frozen=True, slots=True)
class CartEmptied:
    """The last item left the cart: recorded by the cart service, for whoever wants to know."""


#: What the shopper does, as against what the shop makes of it.
ShopperEvent = ItemAdded | ItemRemoved | DiscountAdded | CheckoutStarted | CheckoutFinished


def _check_quantity(quantity: int) -> None:
    if not 0 < quantity <= QUANTITY_MAX:
        raise ValueError(f"quantity must be from 1 to {QUANTITY_MAX}, not {quantity}")
