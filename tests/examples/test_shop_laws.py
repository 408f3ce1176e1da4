"""What holds for every story the shop can be told, and of the traffic that tells the long ones."""

import json
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import RFC_4122, UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.shop import shards
from examples.shop.cart import Cart
from examples.shop.cart_analytics import Carts
from examples.shop.circulation import FORGOTTEN_AFTER, QUIET_AFTER
from examples.shop.coupons import Coupons
from examples.shop.events import (
    CheckoutFinished,
    CheckoutStarted,
    DiscountAdded,
    ItemAdded,
    ItemRemoved,
)
from examples.shop.product_analytics import Products
from examples.shop.traffic import Occurrence, traffic
from tests.examples.folding import CART, SERVICES, Told, fold, react, routes_of, stored

START = datetime(2024, 6, 3, 8, tzinfo=UTC)
ON_THE_WIRE = {
    "item_added": ItemAdded,
    "item_removed": ItemRemoved,
    "discount_added": DiscountAdded,
    "checkout_started": CheckoutStarted,
    "checkout_finished": CheckoutFinished,
}

item_ids = st.sampled_from([UUID(int=number, version=4) for number in range(1, 4)])
prices = st.decimals(min_value=0, max_value=1000, places=2)
added = st.builds(ItemAdded, item_ids, st.just("thing"), st.integers(1, 5), prices)
removed = st.builds(ItemRemoved, item_ids, st.none() | st.integers(1, 6))
codes = st.builds(DiscountAdded, st.sampled_from(["A", "B"]), st.just(Decimal(10)))
till = st.just(CheckoutStarted()) | st.just(CheckoutFinished())
carts = st.sampled_from([UUID(int=number << 64, version=4) for number in range(1, 5)])
pauses = st.integers(0, 4000).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def stories(draw: st.DrawFn) -> list[Told]:
    """Up to twenty events of a few carts, with pauses of up to more than an hour."""
    line = st.tuples(carts, added | removed | codes | till, pauses)
    drawn: list[tuple[UUID, Any, timedelta]] = draw(st.lists(line, max_size=20))
    at, story = START, []
    for cart, event, pause in drawn:
        at += pause
        story.append(Told(at, cart, event))
    return story


def told_by(occurrence: Occurrence) -> Told:
    event: Any = msgspec.convert(occurrence.data, ON_THE_WIRE[occurrence.type], strict=False)
    return Told(occurrence.at, occurrence.entity, event)


# --- laws of the models ---------------------------------------------------------------------------


@given(st.lists(added | removed, max_size=20))
def test_the_total_is_the_sum_of_quantity_times_price(events: list[Any]):
    cart = fold(Cart(), [Told(START, CART, event) for event in events])

    quantities: dict[UUID, int] = {}
    latest: dict[UUID, Decimal] = {}
    for event in events:
        held = quantities.get(event.item_id, 0)
        if isinstance(event, ItemAdded):
            quantities[event.item_id] = held + event.quantity
            latest[event.item_id] = event.price
        else:
            quantities[event.item_id] = max(0, held - (event.quantity or held))
    left = {item_id: quantity for item_id, quantity in quantities.items() if quantity}
    assert {item_id: line.quantity for item_id, line in cart.items.items()} == left
    assert cart.total == sum(quantity * latest[item_id] for item_id, quantity in left.items())


@given(stories())
def test_every_cart_ever_opened_stands_in_exactly_one_place(story: list[Told]):
    carts = fold(Carts(), story)

    assert carts.opened == carts.in_use + carts.emptied + carts.abandoned + carts.checked_out
    assert carts.in_use == len(list(shards.items(carts.circulation.in_use)))
    assert carts.emptied + carts.abandoned == len(list(shards.items(carts.circulation.quiet)))


@given(stories())
def test_every_unit_put_in_is_removed_bought_or_still_in_a_cart(story: list[Told]):
    model = fold(Products(), story)

    held: dict[UUID, int] = {}
    for circulating in (model.circulation.in_use, model.circulation.quiet):
        for _, trolley in shards.items(circulating):
            for item_id, line in trolley.held.items():
                held[item_id] = held.get(item_id, 0) + line.quantity
    for item_id, product in shards.items(model.products):
        assert product.added == product.removed + product.bought + held.get(item_id, 0)
        assert 0 <= product.carts_abandoned <= product.carts_ended <= product.carts


@given(stories())
def test_the_services_agree_on_how_carts_ended(story: list[Told]):
    carts, products = fold(Carts(), story), fold(Products(), story)

    assert products.carts_abandoned == carts.abandoned
    assert products.carts_ended == carts.emptied + carts.abandoned + carts.checked_out


@pytest.mark.parametrize("model_type", [model_type for model_type, _ in SERVICES])
@given(story=stories())
def test_functions_change_nothing_that_came_in_and_models_survive_the_store(
    model_type: type, story: list[Told]
):
    model = model_type()
    routes = routes_of(model_type)
    for at, cart, event in story:
        if type(event) not in routes:
            continue
        came_in = deepcopy(model)
        after, _ = react(routes[type(event)], model, event, at, cart)
        assert model == came_in
        assert stored(after) == after
        model = stored(after)


# --- laws of the traffic --------------------------------------------------------------------------

seeds = st.integers(0, 2**32)


@given(seeds)
def test_the_same_seed_tells_the_same_story_in_the_order_it_happened(seed: int):
    story = list(traffic(seed, 5, START))

    assert story == list(traffic(seed, 5, START))
    assert all(a.at <= b.at for a, b in pairwise(story))
    assert len({occurrence.event_id for occurrence in story}) == len(story)
    assert len({occurrence.entity for occurrence in story}) == 5


@given(seeds)
def test_ids_are_time_based_for_events_and_random_for_carts(seed: int):
    for occurrence in traffic(seed, 3, START):
        event_id, entity = occurrence.event_id, occurrence.entity
        happened = datetime(1582, 10, 15, tzinfo=UTC) + timedelta(microseconds=event_id.time // 10)
        assert (event_id.version, event_id.variant, happened) == (1, RFC_4122, occurrence.at)
        assert (entity.version, entity.variant) == (4, RFC_4122)


@given(seeds, st.floats(0, 1))
def test_late_traffic_is_the_same_traffic_in_another_order(seed: int, late: float):
    in_order, arrived = list(traffic(seed, 5, START)), list(traffic(seed, 5, START, late))

    assert sorted(arrived, key=lambda occurrence: (occurrence.at, occurrence.event_id)) == sorted(
        in_order, key=lambda occurrence: (occurrence.at, occurrence.event_id)
    )
    newest = START
    for occurrence in arrived:
        assert newest - occurrence.at <= timedelta(minutes=1)
        newest = max(newest, occurrence.at)


def test_some_of_late_traffic_is_late():
    arrived = list(traffic(7, 200, START, late=0.1))

    overtaken = sum(a.at > b.at for a, b in pairwise(arrived))
    assert overtaken > 10


def test_a_start_in_another_time_zone_is_the_same_moment():
    elsewhere = START.astimezone(timezone(timedelta(hours=5)))

    assert list(traffic(7, 5, elsewhere)) == list(traffic(7, 5, START))


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ((7, 5, START.replace(tzinfo=None)), "time zone"),
        ((7, -1, START), "negative"),
        ((7, 5, START, 1.1), "share"),
    ],
)
def test_traffic_that_cannot_be_is_refused_at_once(asked: tuple[Any, ...], complaint: str):
    with pytest.raises(ValueError, match=complaint):
        traffic(*asked)


def test_the_command_writes_one_event_a_line():
    command = [sys.executable, "-m", "examples.shop.traffic", "--carts", "5", "--seed", "7"]

    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert [json.loads(line) for line in ran.stdout.splitlines()] == [
        {
            "event_id": str(occurrence.event_id),
            "type": occurrence.type,
            "entity_id": str(occurrence.entity),
            "data": occurrence.data,
        }
        for occurrence in traffic(7, 5, START)
    ]


# --- a day and a half of traffic ------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy_days() -> list[Told]:
    return [told_by(occurrence) for occurrence in traffic(7, 4400, START)]


def test_the_windows_hold_the_carts_with_an_event_in_them(busy_days: list[Told]):
    model = Carts()
    seen: dict[UUID, datetime] = {}
    for number, line in enumerate(busy_days, start=1):
        model = fold(model, [line])
        seen[line.cart] = line.at
        if number % 2000:
            continue
        # By hand: a second is cut off in the minute, a minute in the hour, ten in the day.
        minute = line.at.replace(microsecond=0) - timedelta(seconds=59)
        hour = line.at.replace(microsecond=0, second=0) - timedelta(minutes=59)
        tenth = line.at.replace(microsecond=0, second=0, minute=line.at.minute // 10 * 10)
        day = tenth - timedelta(hours=23, minutes=50)
        assert model.active.last_minute.count == sum(at >= minute for at in seen.values())
        assert model.active.last_hour.count == sum(at >= hour for at in seen.values())
        assert model.active.last_day.count == sum(at >= day for at in seen.values())


@pytest.mark.parametrize("model_type", [Carts, Products, Coupons])
def test_a_model_of_all_carts_remembers_those_of_a_day(model_type: type, busy_days: list[Told]):
    circulation = fold(model_type(), busy_days).circulation

    newest = busy_days[-1].at
    an_hour, a_minute = timedelta(hours=1), timedelta(minutes=1)
    in_use = [trolley.last_at for _, trolley in shards.items(circulation.in_use)]
    quiet = [trolley.last_at for _, trolley in shards.items(circulation.quiet)]
    assert all(newest - at <= QUIET_AFTER + 2 * a_minute for at in in_use)
    assert all(newest - at <= FORGOTTEN_AFTER + an_hour + 2 * a_minute for at in quiet)
    assert len(in_use) + len(quiet) < 4400 / 2


def test_traffic_has_something_of_everything(busy_days: list[Told]):
    carts, products = fold(Carts(), busy_days), fold(Products(), busy_days)

    for count in (carts.emptied, carts.abandoned, carts.checked_out, carts.returned):
        assert count > 20
    assert len(products.most_removed) == len(products.most_left_behind) == 10
    assert all(place.lift > 1 for place in products.most_left_behind)
