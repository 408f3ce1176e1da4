"""Every order of a few events is tried, and the first two that differ are told."""

import pytest

from perdure.testing import OrderMatters, every_order
from tests.testing.arriving import by_position, events, shop, shop_in_order, stumble, tell


@pytest.mark.parametrize(("count", "orders"), [(0, 1), (1, 1), (4, 24)])
async def test_every_order_comes_to_the_same_models(count: int, orders: int) -> None:
    compared = await every_order(shop_in_order(), events(count))

    assert (compared.events, compared.arrivals) == (count, count * orders)
    assert len(compared.left_out) == 3


async def test_every_order_may_come_twice() -> None:
    assert (await every_order(shop(good=tell), events(3), duplicated=True)).arrivals == 36


async def test_the_first_two_orders_that_differ_are_told() -> None:
    given = events(5)

    with pytest.raises(OrderMatters) as found:
        await every_order(shop(bad=by_position), given)

    case = found.value
    ids = [event.id for event in given]
    assert [event.id for event in case.first.events] == ids
    # 0 and 3 are of one cart, 1 and 4 of another: these were the first of a cart to change places
    assert [ids.index(event.id) for event in case.second.events] == [0, 1, 2, 4, 3]
    assert "arriving as: 1 2 3 5 4" in str(case)


async def test_a_reaction_that_fails_in_every_order_is_no_difference_in_order() -> None:
    assert (await every_order(shop(stumbles=stumble), events(3))).models == 3


async def test_more_events_than_have_orders_to_try_are_refused() -> None:
    with pytest.raises(ValueError, match=r"7 events have 5,040 orders; 6 at most"):
        await every_order(shop(good=tell), events(7))
