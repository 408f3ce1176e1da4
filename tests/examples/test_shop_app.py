"""The wired shop on real engines: every model is that of a sorted fold, however the events arrive."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from examples.shop.app import carts, coupons, products, shop
from examples.shop.cart import Cart
from examples.shop.cart_analytics import Carts
from examples.shop.coupons import Coupons
from examples.shop.product_analytics import Products
from examples.shop.traffic import Occurrence, traffic
from examples.shop.visits import Visit
from perdure import App, NewEvent
from tests.examples.folding import Told, fold
from tests.runtime.support import Opener, opener

__all__ = ["opener"]

START = datetime(2026, 11, 2, 9, tzinfo=UTC)


def recorded(occurrence: Occurrence) -> NewEvent:
    return NewEvent(
        type=occurrence.type,
        entity=occurrence.entity.bytes,
        id=occurrence.event_id.bytes,
        data=msgspec.json.encode(occurrence.data),
    )


def story_of(occurrences: list[Occurrence]) -> list[Told]:
    ordered = sorted(occurrences, key=lambda o: (o.at, o.event_id.bytes))
    types = shop.event_types
    return [
        Told(o.at, o.entity, types[o.type].codec.decode(msgspec.json.encode(o.data)))
        for o in ordered
    ]


async def model(app: App, domain: str, key: str, token: int, cls: type) -> Any:
    view = await app.context("store").models.read(domain, key, after=token, wait_seconds=30)
    return msgspec.json.decode(view.json, type=cls)


@pytest.mark.parametrize("late", [0.0, 0.1])
async def test_every_model_is_that_of_a_sorted_fold(opener: Opener, late: float) -> None:
    occurrences = list(traffic(seed=11, carts=60, start=START, late=late))
    story = story_of(occurrences)

    async with opener(shop) as app:
        token = 0
        for start in range(0, len(occurrences), 20):
            batch = [recorded(o) for o in occurrences[start : start + 20]]
            token = (await app.append(*batch, context="store")).position

        assert await app.model(carts.ref, after=token) == fold(Carts(), story)
        assert await app.model(products.ref, after=token) == fold(Products(), story)
        assert await app.model(coupons.ref, after=token) == fold(Coupons(), story)
        for cart in {o.entity for o in occurrences}:
            own = [told for told in story if told.cart == cart]
            assert await model(app, "cart", str(cart), token, Cart) == fold(Cart(), own)
            assert await model(app, "visits", str(cart), token, Visit) == fold(Visit(), own)
        assert app.troubles() == {}
