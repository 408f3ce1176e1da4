"""Questions 1 to 6 of the shop: one cart and its story, with answers worked out by hand."""

import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from examples.shop.cart import Cart
from examples.shop.events import (
    CartEmptied,
    CheckoutFinished,
    CheckoutStarted,
    DiscountAdded,
    ItemAdded,
    ItemRemoved,
)
from examples.shop.visits import Discount, Visit
from tests.examples.folding import (
    BRUSH,
    CART,
    ENCODER,
    LEASH,
    SNACKS,
    brush,
    clock,
    fold,
    leash,
    snacks,
    told,
)

# --- events ---------------------------------------------------------------------------------------


def test_the_payload_of_the_seed_is_accepted_as_it_is():
    body = (
        '{"quantity":1,"price":31.99,"item_id":"a308b1c2-ca65-47dd-a031-a3b8d3afafd4",'
        '"item":"Elephant snacks"}'
    )

    assert msgspec.json.decode(body, type=ItemAdded) == snacks()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: replace(snacks(), quantity=0), "quantity must be from 1"),
        (lambda: replace(snacks(), quantity=10**6 + 1), "quantity must be from 1"),
        (lambda: replace(snacks(), price=Decimal("-0.01")), "price must be from 0"),
        (lambda: replace(snacks(), price=Decimal("NaN")), "price must be from 0"),
        (lambda: replace(snacks(), price=Decimal("Infinity")), "price must be from 0"),
        (lambda: ItemRemoved(SNACKS, -1), "quantity must be from 1"),
        (lambda: DiscountAdded(" ", Decimal(10)), "code must not be blank"),
        (lambda: DiscountAdded("X", Decimal("100.1")), "percent must be from 0 to 100"),
        (lambda: DiscountAdded("X", Decimal(-1)), "percent must be from 0 to 100"),
        (lambda: DiscountAdded("X", Decimal("sNaN")), "percent must be from 0 to 100"),
    ],
)
def test_an_event_out_of_bounds_says_what_is_wrong(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()


def test_the_bounds_themselves_are_allowed():
    assert replace(snacks(), price=Decimal(0)).price == 0
    assert DiscountAdded("FREE", Decimal(100)).percent == 100
    assert DiscountAdded("NOTHING", Decimal(0)).percent == 0


# --- what is in the cart --------------------------------------------------------------------------


def test_three_items_make_the_model_of_the_seed():
    model = fold(
        Cart(),
        told(
            ("10:00:00", CART, snacks()), ("10:01:00", CART, brush(2)), ("10:02:00", CART, leash(2))
        ),
    )

    # 31.99 + 2 x 8.79 + 2 x 23.31 = 31.99 + 17.58 + 46.62
    assert ENCODER.encode(model).endswith(b'"total":96.19}')
    assert json.loads(ENCODER.encode(model)) == {
        "id": "f2f47a95-fb61-4c5a-a83e-7a92210b09bb",
        "items": {
            str(SNACKS): {"item": "Elephant snacks", "quantity": 1, "price": 31.99},
            str(BRUSH): {"item": "Toothbrush (Elephant)", "quantity": 2, "price": 8.79},
            str(LEASH): {"item": "Pachyderm leash", "quantity": 2, "price": 23.31},
        },
        "total": 96.19,
    }


def test_a_cart_nobody_has_touched_is_empty():
    assert json.loads(ENCODER.encode(Cart())) == {"id": None, "items": {}, "total": 0.0}


def test_quantities_add_up_and_the_latest_price_holds_for_all():
    cheaper = replace(snacks(3), price=Decimal("0.69"))

    model = fold(Cart(), told(("10:00:00", CART, snacks(2)), ("10:01:00", CART, cheaper)))

    assert (model.items[SNACKS].quantity, model.total) == (5, Decimal("3.45"))


@pytest.mark.parametrize("removed", [ItemRemoved(LEASH), ItemRemoved(LEASH, 3)])
def test_taking_out_what_was_never_in_is_harmless(removed):
    before = fold(Cart(), told(("10:00:00", CART, snacks())))
    given_out: list[Any] = []

    assert fold(before, told(("10:01:00", CART, removed)), given_out) == before
    assert given_out == []


@pytest.mark.parametrize(
    "removed", [ItemRemoved(SNACKS), ItemRemoved(SNACKS, 2), ItemRemoved(SNACKS, 9)]
)
def test_taking_the_last_item_out_says_that_the_cart_is_empty(removed):
    given_out: list[Any] = []

    model = fold(
        Cart(), told(("10:00:00", CART, snacks(2)), ("10:01:00", CART, removed)), given_out
    )

    assert (model, given_out) == (Cart(CART), [CartEmptied()])


# --- the story of one cart: questions 1 to 6 ------------------------------------------------------

VISIT = told(
    ("10:00:00", CART, snacks()),  # 31.99
    ("10:01:00", CART, brush(2)),  # 49.57
    ("10:03:00", CART, leash(2)),  # 96.19, the most it ever was
    ("10:04:00", CART, ItemRemoved(BRUSH)),  # 78.61
    ("10:08:00", CART, DiscountAdded("ELEPHANT25", Decimal(25))),
    ("10:09:00", CART, ItemRemoved(LEASH, 1)),  # 55.30
    ("10:10:00", CART, CheckoutStarted()),
    ("10:12:00", CART, CheckoutFinished()),
)


def test_question_1_how_old_is_the_cart():
    visit = fold(Visit(), VISIT)

    assert visit.opened_at == clock("10:00:00")
    assert visit.age_seconds == 12 * 60


def test_question_2_how_much_time_passes_between_events():
    gaps = fold(Visit(), VISIT).gaps

    # 60, 120, 60, 240, 60, 60 and 120 seconds
    assert (gaps.count, gaps.total_seconds, gaps.mean_seconds) == (7, 720, 720 / 7)
    assert (gaps.longest_seconds, gaps.last_seconds) == (240, 120)


def test_question_3_what_was_put_in_and_taken_out_again():
    taken_out = fold(Visit(), VISIT).taken_out

    assert {taken.item: taken.quantity for taken in taken_out.values()} == {
        "Toothbrush (Elephant)": 2,
        "Pachyderm leash": 1,
    }


def test_question_4_how_long_those_items_stayed():
    taken_out = fold(Visit(), VISIT).taken_out

    # The brushes from 10:01 to 10:04, the leash from 10:03 to 10:09.
    assert (taken_out[BRUSH].stays.count, taken_out[BRUSH].stays.mean_seconds) == (1, 180)
    assert (taken_out[LEASH].stays.count, taken_out[LEASH].stays.mean_seconds) == (1, 360)


def test_an_item_put_back_in_begins_a_new_stay():
    again = told(
        ("10:00:00", CART, snacks()),
        ("10:05:00", CART, ItemRemoved(SNACKS)),
        ("10:10:00", CART, snacks()),
        ("10:11:00", CART, snacks()),
        ("10:11:30", CART, ItemRemoved(SNACKS, 1)),
        ("10:12:00", CART, ItemRemoved(LEASH)),
    )

    stays = fold(Visit(), again).taken_out[SNACKS].stays

    # 10:00 to 10:05, and 10:10 to 10:11:30
    assert (stays.count, stays.total_seconds, stays.last_seconds) == (2, 390, 90)


def test_question_5_how_the_highest_value_compares_to_the_value_at_checkout():
    visit = fold(Visit(), VISIT)

    assert (visit.value_max, visit.checkout.value) == (Decimal("96.19"), Decimal("55.30"))
    assert visit.checkout.share_of_value_max == pytest.approx(55.30 / 96.19)
    assert (visit.checkout.at, visit.checkout.finished) == (clock("10:12:00"), True)


def test_question_6_when_the_discount_code_came():
    on_the_way, paid = fold(Visit(), VISIT[:6]).discount, fold(Visit(), VISIT).discount

    # After eight of twelve minutes, and after four events.
    assert on_the_way == Discount("ELEPHANT25", clock("10:08:00"), 480, 4, None)
    assert paid == replace(on_the_way, share_of_the_way=480 / 720)


def test_a_new_code_replaces_the_last_and_the_same_code_does_not():
    codes = told(
        ("10:00:00", CART, DiscountAdded("OLD", Decimal(5))),
        ("10:01:00", CART, DiscountAdded("NEW", Decimal(10))),
        ("10:02:00", CART, DiscountAdded("NEW", Decimal(10))),
    )

    assert fold(Visit(), codes).discount == Discount("NEW", clock("10:01:00"), 60, 1)


# --- the domain stands alone ----------------------------------------------------------------------


def test_the_domain_needs_nothing_but_the_standard_library():
    script = (
        "import sys; before = set(sys.modules);"
        "from examples.shop import cart, visits, cart_analytics, product_analytics, coupons, traffic;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - sys.stdlib_module_names))"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "['examples']"
