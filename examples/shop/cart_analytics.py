"""The carts in circulation: how many are in use, how old they are, and what became of the others.

One rule: a cart stands in exactly one place, and an event moves it from one place to another. So
the counts always add up, and no list of all carts is needed to know them.

Listens to the shopper only. That a cart is empty it sees for itself, for ``CartEmptied`` is what
the cart service once concluded: history that is imported has none, and a late event may belie it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from examples.shop import shards
from examples.shop.circulation import Circulation
from examples.shop.events import (
    CheckoutFinished,
    CheckoutStarted,
    DiscountAdded,
    ItemAdded,
    ItemRemoved,
    ShopperEvent,
)
from examples.shop.figures import MINUTE, SECOND, TEN_MINUTES, Ages, Window, ages_at


class Standing(Enum):
    """Where a cart stands. One left quiet is abandoned if there is still something in it."""

    UNKNOWN = "unknown"
    IN_USE = "in use"
    EMPTIED = "emptied"
    ABANDONED = "abandoned"
    CHECKED_OUT = "checked out"


_LEFT = (Standing.EMPTIED, Standing.ABANDONED)


@dataclass(frozen=True, slots=True)
class Trolley:
    """What is remembered of one cart: its times, and how much of which item is in it."""

    opened_at: datetime
    last_at: datetime
    items: dict[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Active:
    """Carts with an event in the last minute, hour and day before the newest event of all.

    Right to a bucket: to a second in the minute, a minute in the hour, ten minutes in the day.
    """

    last_minute: Window = field(default_factory=Window)
    last_hour: Window = field(default_factory=Window)
    last_day: Window = field(default_factory=Window)


@dataclass(frozen=True, slots=True)
class Carts:
    """All carts, each in one place: opened = in_use + emptied + abandoned + checked_out.

    A cart opens with its first item. ``returned`` counts the times that an emptied or abandoned
    cart was taken up again. ``age`` is that of the carts in use, and drawn up once a minute.
    """

    opened: int = 0
    in_use: int = 0
    emptied: int = 0
    abandoned: int = 0
    checked_out: int = 0
    returned: int = 0
    active: Active = field(default_factory=Active)
    age: Ages = field(default_factory=Ages)
    circulation: Circulation[Trolley] = field(default_factory=lambda: Circulation())


def moved(model: Carts, event: ShopperEvent, *, at: datetime, entity: UUID) -> Carts:
    """Move the cart from where it stood to where it stands now.

    What happens to a cart that is not, or no longer, known changes nothing until an item is added.
    """
    circulation, gone_quiet = model.circulation.look_over(at)
    before = circulation.find(entity)
    after = _trolley_after(before, event, at)
    if before is None and after is None:
        return model
    was = _standing(circulation, before, entity)
    circulation = _remembered(circulation, after, entity)
    now = Standing.CHECKED_OUT if after is None else _standing(circulation, after, entity)
    left = len(gone_quiet or ())
    return Carts(
        opened=model.opened + (was is Standing.UNKNOWN),
        in_use=model.in_use - left - (was is Standing.IN_USE) + (now is Standing.IN_USE),
        emptied=model.emptied - (was is Standing.EMPTIED) + (now is Standing.EMPTIED),
        abandoned=model.abandoned + left - (was is Standing.ABANDONED),
        checked_out=model.checked_out + (now is Standing.CHECKED_OUT),
        returned=model.returned + (was in _LEFT and now is not was),
        active=_active(model.active, before, at),
        age=model.age if gone_quiet is None else _ages(circulation, at),
        circulation=circulation,
    )


def _trolley_after(before: Trolley | None, event: ShopperEvent, at: datetime) -> Trolley | None:
    """The trolley after the event: None while there is none yet, and once it is paid for."""
    if before is None:
        if not isinstance(event, ItemAdded):
            return None
        before = Trolley(at, at)
    items = before.items
    match event:
        case ItemAdded(item_id=item, quantity=quantity):
            items = {**items, item: items.get(item, 0) + quantity}
        case ItemRemoved(item_id=item, quantity=quantity):
            remaining = 0 if quantity is None else items.get(item, 0) - quantity
            others = {other: held for other, held in items.items() if other != item}
            items = {**others, item: remaining} if remaining > 0 else others
        case DiscountAdded() | CheckoutStarted():
            pass
        case CheckoutFinished():
            return None
    return Trolley(before.opened_at, at, items)


def _standing(circulation: Circulation[Trolley], trolley: Trolley | None, cart: UUID) -> Standing:
    if trolley is None:
        return Standing.UNKNOWN
    if not circulation.is_quiet(cart):
        return Standing.IN_USE
    return Standing.ABANDONED if trolley.items else Standing.EMPTIED


def _remembered(
    circulation: Circulation[Trolley], trolley: Trolley | None, cart: UUID
) -> Circulation[Trolley]:
    """An emptied cart is set aside at once; a paid one is done with."""
    if trolley is None:
        return circulation.close(cart)
    return circulation.keep(cart, trolley, quiet=not trolley.items)


def _active(active: Active, trolley: Trolley | None, at: datetime) -> Active:
    before, now = trolley.last_at.isoformat() if trolley is not None else "", at.isoformat()
    return Active(
        active.last_minute.moved(before, now, span=timedelta(minutes=1), width=SECOND),
        active.last_hour.moved(before, now, span=timedelta(hours=1), width=MINUTE),
        active.last_day.moved(before, now, span=timedelta(days=1), width=TEN_MINUTES),
    )


def _ages(circulation: Circulation[Trolley], at: datetime) -> Ages:
    return ages_at(at, [trolley.opened_at for _, trolley in shards.items(circulation.in_use)])
