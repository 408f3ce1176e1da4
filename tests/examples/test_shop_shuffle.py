"""The Triple Shuffle over the shop: whatever order its events arrive in, its models are the same (S5.48)."""

from datetime import UTC, datetime

import msgspec

import perdure
from examples.shop.app import shop
from examples.shop.traffic import traffic
from perdure import NewEvent
from perdure.testing import every_order, triple_shuffle

START = datetime(2025, 11, 2, 9, tzinfo=UTC)


def told(seed: int, carts: int) -> list[NewEvent]:
    """Give the traffic of some carts, in the order it happened."""
    return [
        NewEvent(
            type=one.type,
            entity=one.entity.bytes,
            id=one.event_id.bytes,
            data=msgspec.json.encode(one.data),
        )
        for one in traffic(seed, carts, START)
    ]


async def test_every_model_of_the_shop_passes_the_triple_shuffle() -> None:
    events = told(seed=5, carts=25)
    async with perdure.open(shop, store="memory://") as app:
        for start in range(0, len(events), 25):
            await app.append(*events[start : start + 25])

        compared = await triple_shuffle(shop, app)

    assert compared.events >= len(events)  # the shop says itself when a cart is emptied
    assert compared.models == 25 + 25 + 3
    assert compared.left_out == ()


async def test_every_order_of_the_first_events_comes_to_the_same_models() -> None:
    compared = await every_order(shop, told(seed=5, carts=2)[:5])

    assert compared.arrivals == 5 * 120
