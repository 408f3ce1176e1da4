"""Promise 10: a failing event stops only its key, and nothing is skipped."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from perdure import App, Context, KeyParked, KeyReleased, Parked
from tests.runtime.support import Opener, at_second, opener, raw

__all__ = ["opener"]


@dataclass(frozen=True)
class Added:
    sku: str


@dataclass(frozen=True)
class Told:
    skus: tuple[str, ...] = ()


def shop_that_fails_on(*bad: str, **keying: Any) -> Context:
    shop = Context("shop")
    shop.event(Added)
    cart = shop.service("cart", Told, **keying)

    @cart.react
    def added(model: Told, event: Added) -> Told:
        if event.sku in bad:
            raise ValueError(f"cannot take {event.sku}")
        return Told((*model.skus, event.sku))

    return shop


async def told(app: App, key: UUID | str, token: int) -> tuple[str, ...]:
    view = await app.context("shop").models.read("cart", str(key), after=token, wait_seconds=10)
    return msgspec.json.decode(view.json, type=Told).skus


async def test_a_failing_key_is_parked_and_the_others_go_on(opener: Opener) -> None:
    shop = shop_that_fails_on("bad")
    ill, well = uuid4(), uuid4()

    async with opener(shop) as app:
        for n, (cart, sku) in enumerate(
            [(ill, "a"), (ill, "bad"), (well, "x"), (ill, "b"), (well, "y")]
        ):
            token = (await app.append(shop.new(cart, Added(sku), id=at_second(n)))).position

        assert await told(app, well, token) == ("x", "y")
        with pytest.raises(Parked, match="at position 2: ValueError: cannot take bad"):
            await told(app, ill, token)


async def test_a_parked_key_goes_on_in_order_when_the_function_is_mended(opener: Opener) -> None:
    broken, mended = shop_that_fails_on("bad"), shop_that_fails_on()
    cart = uuid4()
    async with opener(broken) as app:
        for n, sku in enumerate(["a", "bad", "b", "c"]):
            token = (await app.append(broken.new(cart, Added(sku), id=at_second(n)))).position
        with pytest.raises(Parked):
            await told(app, cart, token)

    async with opener(mended) as app:
        token = (await app.append(mended.new(cart, Added("d"), id=at_second(9)))).position
        await until_free(app, cart)

        assert await told(app, cart, token) == ("a", "bad", "b", "c", "d")


async def test_a_late_event_to_a_parked_key_waits_and_converges(opener: Opener) -> None:
    broken, mended = shop_that_fails_on("bad"), shop_that_fails_on()
    cart = uuid4()
    async with opener(broken) as app:
        for second, sku in ((10, "a"), (20, "bad"), (5, "early"), (30, "b")):
            token = (await app.append(broken.new(cart, Added(sku), id=at_second(second)))).position
        with pytest.raises(Parked):
            await told(app, cart, token)

    async with opener(mended) as app:
        await until_free(app, cart)

        assert await told(app, cart, token) == ("early", "a", "bad", "b")


@pytest.mark.parametrize("keying", [{"single": True}, {"by": "sku"}, {}])
async def test_an_event_that_cannot_be_read_parks_its_entity_only(
    opener: Opener, keying: dict[str, Any]
) -> None:
    """Such events get in while their type is not declared."""
    before = Context("shop")
    ill, well = uuid4(), uuid4()
    async with opener(before) as app:
        await app.append(
            raw("added", ill, b'{"sku": "a"}', at_second(1)),
            raw("added", ill, b'{"sku": 7}', at_second(2)),
            raw("added", well, b'{"sku": "a"}', at_second(3)),
            raw("added", ill, b'{"sku": "a"}', at_second(4)),
        )

    async with opener(shop_that_fails_on(**keying)) as app:
        loop = app.context("shop").loops["cart"]
        live = app.context("shop")
        while loop.reached < 4:
            await live.log.advanced(await live.log.head(), 0.02)

        assert set(loop.parking.sources) == {str(ill)}
        assert loop.checkpoint.degraded
        key = {"single": "", "by": "a"}.get(next(iter(keying), ""), str(well))
        taken = await told(app, key, 4)
        assert taken == (("a",) if not keying else ("a", "a"))


async def test_parking_and_release_are_events_that_can_be_reacted_to(opener: Opener) -> None:
    broken, mended = shop_that_fails_on("bad"), shop_that_fails_on()
    cart = uuid4()
    for shop in (broken, mended):
        watch = shop.service("watch", Told, single=True)

        @watch.react
        def parked(model: Told, event: KeyParked) -> Told:
            return Told((*model.skus, f"parked {event.key} {event.cause}"))

        @watch.react
        def released(model: Told, event: KeyReleased) -> Told:
            return Told((*model.skus, f"released {event.key}"))

    async with opener(broken) as app:
        await app.append(broken.new(cart, Added("bad")))
        await until_watched(app, 1)
    async with opener(mended) as app:
        watched = await until_watched(app, 2)

    assert watched == (f"parked {cart} ValueError: cannot take bad", f"released {cart}")


async def until_free(app: App, key: UUID) -> None:
    live = app.context("shop")
    while await live.log.records("parked", prefix="cart/"):
        await live.log.advanced(await live.log.head(), 0.02)


async def until_watched(app: App, count: int) -> tuple[str, ...]:
    live = app.context("shop")
    while True:
        view = await live.models.read("watch")
        skus = msgspec.json.decode(view.json, type=Told).skus
        if len(skus) >= count:
            return skus
        await live.log.advanced(await live.log.head(), 0.02)
