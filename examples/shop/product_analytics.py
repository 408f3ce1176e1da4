"""How shoppers relate to products: what they put in, take back out, buy, and leave behind.

One rule: a cart that has ended says something about every item it ever held. It ends *bought*,
*emptied* or *abandoned* (left for an hour with something in it); one that is taken up again within
a day takes back what its end had said.

The model grows with the catalogue and with the carts of a day, not with the carts ever seen. Its
two rankings are the answers; ``products`` holds the figures they are drawn from.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import nlargest
from math import sqrt
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
from examples.shop.figures import Durations
from examples.shop.shards import Shards

RANKING_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Product:
    """One product over all carts, in units: added = removed + bought + still in some cart.

    ``stays`` are the times it was taken out before checkout, and how long it had been in.
    ``carts`` held it at some time; of these, ``carts_ended``; of these, ``carts_abandoned``.
    """

    item: str
    added: int = 0
    removed: int = 0
    bought: int = 0
    stays: Durations = field(default_factory=Durations)
    carts: int = 0
    carts_ended: int = 0
    carts_abandoned: int = 0


@dataclass(frozen=True, slots=True)
class Removed:
    """A place in the ranking of what is most often taken out before checkout."""

    item_id: UUID
    item: str
    times: int
    units: int
    mean_seconds_in_cart: float


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """A place in the ranking of what goes with an abandoned cart.

    Of the ended ``carts`` that held it, so many were ``abandoned``: that is its ``rate``. ``lift``
    is how many times the rate of all carts that is. ``correlation`` is the phi coefficient of "held it" and
    "was abandoned" over all ended carts: unlike the lift it is not carried away by one odd cart.
    """

    item_id: UUID
    item: str
    carts: int
    abandoned: int
    rate: float
    lift: float
    correlation: float


@dataclass(frozen=True, slots=True)
class Held:
    """Units of an item in a cart, and since when. None left: it was in and was taken out."""

    quantity: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Trolley:
    """What is remembered of one cart: every item it ever held."""

    last_at: datetime
    held: dict[UUID, Held] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Has everything been taken out?"""
        return not any(held.quantity for held in self.held.values())


@dataclass(frozen=True, slots=True)
class Products:
    """All products. ``most_left_behind`` is drawn up once a minute, when carts are found quiet."""

    most_removed: list[Removed] = field(default_factory=list)
    most_left_behind: list[LeftBehind] = field(default_factory=list)
    carts_ended: int = 0
    carts_abandoned: int = 0
    products: Shards[Product] = field(default_factory=dict)
    circulation: Circulation[Trolley] = field(default_factory=lambda: Circulation())


def shopped(model: Products, event: ShopperEvent, *, at: datetime, entity: UUID) -> Products:
    """Note what the event says of the products it touches.

    What happens to a cart that is not, or no longer, known changes nothing until an item is added.
    """
    circulation, gone_quiet = model.circulation.look_over(at)
    trolley = circulation.find(entity)
    if trolley is None and not isinstance(event, ItemAdded):
        return model
    for abandoned in gone_quiet or ():
        model = _ended(model, abandoned)
    if trolley is not None and circulation.is_quiet(entity):
        model = _ended(model, trolley, times=-1)
    model, trolley = _told(model, event, trolley or Trolley(at), at)
    paid = isinstance(event, CheckoutFinished)
    if paid or trolley.is_empty:
        model = _ended(model, trolley, paid=paid)
    if paid:
        circulation = circulation.close(entity)
    else:
        circulation = circulation.keep(entity, trolley, quiet=trolley.is_empty)
    ranking = model.most_left_behind if gone_quiet is None else _most_left_behind(model)
    return replace(model, circulation=circulation, most_left_behind=ranking)


def _told(
    model: Products, event: ShopperEvent, trolley: Trolley, at: datetime
) -> tuple[Products, Trolley]:
    match event:
        case ItemAdded():
            return _put_in(model, event, trolley, at)
        case ItemRemoved():
            return _took_out(model, event, trolley, at)
        case DiscountAdded() | CheckoutStarted() | CheckoutFinished():
            return model, Trolley(at, trolley.held)


def _put_in(
    model: Products, event: ItemAdded, trolley: Trolley, at: datetime
) -> tuple[Products, Trolley]:
    product = shards.find(model.products, event.item_id) or Product(event.item)
    held = trolley.held.get(event.item_id)
    product = replace(
        product,
        item=event.item,
        added=product.added + event.quantity,
        carts=product.carts + (held is None),
    )
    if held is not None and held.quantity:
        held = Held(held.quantity + event.quantity, held.since)
    else:
        held = Held(event.quantity, at)
    model = replace(model, products=shards.put(model.products, event.item_id, product))
    return model, Trolley(at, {**trolley.held, event.item_id: held})


def _took_out(
    model: Products, event: ItemRemoved, trolley: Trolley, at: datetime
) -> tuple[Products, Trolley]:
    held = trolley.held.get(event.item_id)
    if held is None or not held.quantity:
        return model, Trolley(at, trolley.held)
    product = shards.get(model.products, event.item_id)
    units = held.quantity if event.quantity is None else min(event.quantity, held.quantity)
    product = replace(
        product,
        removed=product.removed + units,
        stays=product.stays.with_one_more(at - held.since),
    )
    model = replace(
        model,
        products=shards.put(model.products, event.item_id, product),
        most_removed=_most_removed(model.most_removed, event.item_id, product),
    )
    remaining = Held(held.quantity - units, held.since)
    return model, Trolley(at, {**trolley.held, event.item_id: remaining})


def _ended(model: Products, trolley: Trolley, *, paid: bool = False, times: int = 1) -> Products:
    """Let the end of a cart count for every item it ever held; ``times=-1`` takes it back."""
    abandoned = 0 if paid or trolley.is_empty else times
    products = model.products
    for item_id, held in trolley.held.items():
        product = shards.get(products, item_id)
        product = replace(
            product,
            bought=product.bought + (held.quantity if paid else 0),
            carts_ended=product.carts_ended + times,
            carts_abandoned=product.carts_abandoned + abandoned,
        )
        products = shards.put(products, item_id, product)
    return replace(
        model,
        products=products,
        carts_ended=model.carts_ended + times,
        carts_abandoned=model.carts_abandoned + abandoned,
    )


def _most_removed(ranking: list[Removed], item_id: UUID, product: Product) -> list[Removed]:
    """The ranking with the product's new place. Counts only grow, so nobody else can move up."""
    times, mean = product.stays.count, product.stays.mean_seconds
    place = Removed(item_id, product.item, times, product.removed, mean)
    places = [other for other in ranking if other.item_id != item_id] + [place]
    places.sort(key=lambda place: (-place.times, -place.units, place.item_id))
    return places[:RANKING_LENGTH]


def _most_left_behind(model: Products) -> list[LeftBehind]:
    """The products that go with abandonment, closest first; none while all carts end alike."""
    ended, abandoned = model.carts_ended, model.carts_abandoned
    if not 0 < abandoned < ended:
        return []
    closest = nlargest(
        RANKING_LENGTH,
        (
            (correlation(product.carts_abandoned, product.carts_ended, abandoned, ended), item_id)
            for item_id, product in shards.items(model.products)
            if product.carts_abandoned * ended > product.carts_ended * abandoned
        ),
    )
    return [
        _place(model, item_id, shards.get(model.products, item_id), closeness)
        for closeness, item_id in closest
    ]


def _place(model: Products, item_id: UUID, product: Product, closeness: float) -> LeftBehind:
    rate = product.carts_abandoned / product.carts_ended
    return LeftBehind(
        item_id,
        product.item,
        carts=product.carts_ended,
        abandoned=product.carts_abandoned,
        rate=rate,
        lift=rate / (model.carts_abandoned / model.carts_ended),
        correlation=closeness,
    )


def correlation(both: int, first: int, second: int, among: int) -> float:
    """The phi coefficient of two claims that hold for so many cases, both and each, among all.

    1 when they always go together, 0 when they have nothing to do with each other or when one of
    them holds always or never.
    """
    spread = first * (among - first) * second * (among - second)
    return (both * among - first * second) / sqrt(spread) if spread > 0 else 0.0
