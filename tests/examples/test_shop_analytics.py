"""Questions 7 and 8 of the shop, and all carts together, with answers worked out by hand."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from examples.shop import shards
from examples.shop.cart_analytics import Carts
from examples.shop.coupons import CODES_MAX, Coupons
from examples.shop.events import CheckoutFinished, CheckoutStarted, DiscountAdded, ItemRemoved
from examples.shop.product_analytics import Products
from tests.examples.folding import (
    BRUSH,
    LEASH,
    SNACKS,
    A,
    B,
    C,
    D,
    E,
    F,
    Told,
    brush,
    clock,
    fold,
    leash,
    snacks,
    told,
)

# --- all carts and all products: questions 7 and 8 ------------------------------------------------

#: A and E are paid, B and C are left with something in them, D is emptied. F comes much later.
SHOP = told(
    ("10:00:00", A, snacks()),
    ("10:00:30", B, snacks()),
    ("10:01:00", A, brush(2)),
    ("10:02:00", B, leash()),
    ("10:03:00", C, leash()),
    ("10:04:00", D, brush()),
    ("10:05:00", A, ItemRemoved(BRUSH)),  # in for 240 seconds
    ("10:06:00", D, ItemRemoved(BRUSH)),  # in for 120 seconds
    ("10:07:00", E, snacks(2)),
    ("10:07:30", E, ItemRemoved(SNACKS, 1)),  # in for 30 seconds
    ("10:08:00", A, CheckoutStarted()),
    ("10:09:00", A, CheckoutFinished()),
    ("10:10:00", E, CheckoutFinished()),
    ("13:00:00", F, snacks()),
)


def test_question_7_what_is_most_often_removed_before_checkout():
    first, second = fold(Products(), SHOP).most_removed

    # The brush three units in two goes, 240 and 120 seconds after it came in; the snacks once.
    assert (first.item_id, first.times, first.units) == (BRUSH, 2, 3)
    assert first.mean_seconds_in_cart == 180
    assert (second.item_id, second.times, second.units) == (SNACKS, 1, 1)


def test_question_8_what_goes_most_closely_with_an_abandoned_cart():
    products = fold(Products(), SHOP)

    # Of A to E, B and C were abandoned: two of five. Both carts with a leash were, and no other:
    # phi = (2 x 5 - 2 x 2) / sqrt(2 x 3 x 2 x 3) = 1. One of three with snacks is below the rate
    # of all, and no cart with a brush was.
    assert (products.carts_ended, products.carts_abandoned) == (5, 2)
    [place] = products.most_left_behind
    assert (place.item_id, place.carts, place.abandoned, place.rate) == (LEASH, 2, 2, 1.0)
    assert place.lift == pytest.approx(1.0 / 0.4)
    assert place.correlation == pytest.approx(1.0)


def test_an_abandoned_cart_that_is_taken_up_again_is_abandoned_no_more():
    products = fold(Products(), SHOP + told(("13:05:00", B, CheckoutFinished())))

    # Now C alone of five. The leash: one of two, phi = (1 x 5 - 2 x 1) / sqrt(2 x 3 x 1 x 4).
    assert (products.carts_ended, products.carts_abandoned) == (5, 1)
    [place] = products.most_left_behind
    assert (place.item_id, place.rate, place.lift) == (LEASH, 0.5, 0.5 / 0.2)
    assert place.correlation == pytest.approx(3 / 24**0.5)


def test_a_cart_counts_once_for_each_item_it_held():
    again = told(("13:01:00", F, ItemRemoved(SNACKS)), ("13:02:00", F, snacks(4)))

    product = shards.get(fold(Products(), [*SHOP, *again]).products, SNACKS)

    # In A, B, E and F; 1 + 1 + 2 + 1 + 4 units put in, 1 + 1 out again, A's and E's one each bought.
    assert (product.carts, product.added, product.removed, product.bought) == (4, 9, 2, 2)


def test_what_happens_after_the_checkout_is_not_a_removal_before_it():
    before = fold(Products(), SHOP)

    assert fold(before, told(("13:01:00", A, ItemRemoved(SNACKS)))) == before


# --- carts in circulation -------------------------------------------------------------------------


def places(carts: Carts) -> tuple[int, ...]:
    return (carts.opened, carts.in_use, carts.emptied, carts.abandoned, carts.checked_out)


def test_every_cart_stands_in_one_place():
    assert places(fold(Carts(), SHOP[:-1])) == (5, 2, 1, 0, 2)  # B and C are in use
    assert places(fold(Carts(), SHOP)) == (6, 1, 1, 2, 2)  # F is in use, B and C abandoned


def test_a_cart_returns_from_being_emptied_or_abandoned():
    back = SHOP + told(("13:05:00", B, CheckoutFinished()), ("13:06:00", D, leash()))

    carts = fold(Carts(), back)

    assert places(carts) == (6, 2, 0, 1, 3)  # D and F are in use, C abandoned
    assert carts.returned == 2


def test_an_emptied_cart_is_not_taken_up_by_anything_but_an_item():
    carts = fold(Carts(), SHOP + told(("13:05:00", D, DiscountAdded("X", Decimal(5)))))

    assert (carts.emptied, carts.returned) == (1, 0)


def test_active_carts_are_counted_back_from_the_newest_event():
    active = fold(
        Carts(),
        told(
            ("10:00:00", A, snacks()),
            ("10:30:00", B, snacks()),
            ("10:59:00", C, snacks()),
            ("10:59:30", D, snacks()),
            ("11:00:15", A, snacks()),
        ),
    ).active

    # 11:00:15 back to 10:59:15 holds D and A; the hour and the day hold all four, each once.
    assert (active.last_minute.count, active.last_hour.count, active.last_day.count) == (2, 4, 4)


def test_a_window_is_empty_of_what_lies_before_it():
    later = Told(clock("11:30:00", day=4), F, snacks())

    active = fold(Carts(), [*SHOP, later]).active

    # The day before, 11:30 and earlier has gone; F, last seen at 13:00, is counted once, and now.
    assert (active.last_minute.count, active.last_hour.count, active.last_day.count) == (1, 1, 1)


def test_the_age_of_carts_in_use_is_exact_when_it_is_drawn_up():
    carts = [UUID(int=number, version=4) for number in range(100, 110)]
    opened = [
        Told(clock(f"10:{minute:02}:00"), cart, snacks()) for minute, cart in enumerate(carts)
    ]

    age = fold(Carts(), [*opened, Told(clock("10:10:00"), carts[0], brush())]).age

    # Ages of 60, 120, ... 600 seconds: the ninth of ten is p90, the tenth p99.
    assert (age.count, age.mean_seconds, age.at) == (10, 330, clock("10:10:00"))
    assert (age.p90_seconds, age.p99_seconds) == (540, 600)


# --- coupons --------------------------------------------------------------------------------------


def test_a_code_is_credited_with_the_checkouts_it_was_in_force_at():
    ten, half = DiscountAdded("TEN", Decimal(10)), DiscountAdded("HALF", Decimal(50))
    coupons = fold(
        Coupons(),
        told(
            ("10:00:00", A, snacks()),
            ("10:01:00", A, ten),
            ("10:01:30", A, ten),  # again: it is in force since 10:01
            ("10:02:00", A, CheckoutFinished()),  # 31.99, TEN after half of the way
            ("11:00:00", B, brush(3)),
            ("11:00:10", B, ten),
            ("11:00:30", B, half),
            ("11:01:00", B, ItemRemoved(BRUSH, 1)),
            ("11:02:00", B, CheckoutFinished()),  # 17.58, HALF after a quarter of the way
            ("12:00:00", C, leash()),
            ("12:01:00", C, ten),
            ("12:02:00", C, ten),  # and never paid
        ),
    ).coupons

    ten_percent, half_off = coupons["TEN"], coupons["HALF"]
    assert (ten_percent.uses, ten_percent.carts, ten_percent.checkouts) == (5, 3, 1)
    assert (ten_percent.value, ten_percent.discount_given) == (Decimal("31.99"), Decimal("3.20"))
    assert ten_percent.mean_share_of_the_way == 0.5
    assert (half_off.uses, half_off.carts, half_off.checkouts) == (1, 1, 1)
    assert (half_off.value, half_off.discount_given) == (Decimal("17.58"), Decimal("8.79"))
    assert half_off.mean_share_of_the_way == 0.25


def test_the_code_entered_longest_ago_makes_room():
    start = clock("10:00:00")
    codes = [
        Told(start + timedelta(seconds=n), A, DiscountAdded(f"CODE{n}", Decimal(5)))
        for n in range(CODES_MAX + 1)
    ]

    coupons = fold(Coupons(), codes).coupons

    assert len(coupons) == CODES_MAX
    assert "CODE0" not in coupons
    assert f"CODE{CODES_MAX}" in coupons
