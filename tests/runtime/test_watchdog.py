"""A function that never returns is named, ends the process, and is parked at the next start."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from perdure import App, Context, KeyParked, Parked
from perdure.runtime.hanging import loop_name
from perdure.runtime.watchdog import EXIT_CODE, Hung, Watchdog, mark, marks
from perdure.vocabulary.commits import Commit
from tests.runtime.ending import SECONDS, Ending
from tests.runtime.support import Opener, at_second, opener, raw

__all__ = ["opener"]


@dataclass(frozen=True)
class Added:
    sku: str


@dataclass(frozen=True)
class Told:
    skus: tuple[str, ...] = ()


Take = Callable[[Told, str], None]


def shop_that(take: Take, **keying: Any) -> Context:
    """Make a shop whose reaction first does what a test wants."""
    shop = Context("shop")
    shop.event(Added)
    cart = shop.service("cart", Told, **keying)

    @cart.react
    def added(model: Told, event: Added) -> Told:
        take(model, event.sku)
        return Told((*model.skus, event.sku))

    return shop


def nothing(model: Told, sku: str) -> None:
    """React as one should."""


def ill_on_bad(ending: Ending) -> Take:
    def take(model: Told, sku: str) -> None:
        if sku == "bad":
            ending.spin()

    return take


def opened(opener: Opener, shop: Context, ending: Ending | None = None) -> App:
    # A loop that died just when it was closed may not have given its lease back.
    app = opener(shop, function_seconds_max=SECONDS, lease_seconds=3)
    if ending is not None:
        app.watchdog = Watchdog(SECONDS, end=ending.end)
    return app


async def add(app: App, cart: UUID, *skus: str, second: float = 0) -> int:
    shop = Context("shop")
    shop.event(Added)
    token = 0
    for count, sku in enumerate(skus):
        id_ = at_second(second + count, node=cart.int % 60_000)
        token = (await app.append(shop.new(cart, Added(sku), id=id_))).position
    return token


async def told(app: App, key: UUID, token: int) -> tuple[str, ...]:
    view = await app.context("shop").models.read("cart", str(key), after=token, wait_seconds=10)
    return msgspec.json.decode(view.json, type=Told).skus


async def test_a_call_that_does_not_return_is_named_and_marked_and_ends_the_process(
    opener: Opener, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    ending, cart = Ending(), uuid4()
    async with opened(opener, shop_that(ill_on_bad(ending)), ending) as app:
        await add(app, cart, "a", "bad", "b")
        await ending.wait()
        (hung,) = await marks(app.context("shop").log, "react/cart")

    assert ending.codes == [EXIT_CODE]
    assert (hung.key, hung.position, hung.type) == (str(cart), 2, "added")
    assert "shop.cart: shop_that.<locals>.added" in hung.label
    assert "in spin" in hung.stack
    (said,) = [r.msg for r in caplog.records if r.name == "perdure.watchdog"]
    assert isinstance(said, dict)
    assert said["function"] == hung.label
    assert said["key"] == str(cart)
    assert "in spin" in capfd.readouterr().err


async def test_what_hung_is_parked_at_every_start_and_the_others_go_on(opener: Opener) -> None:
    ending, ill, well = Ending(), uuid4(), uuid4()
    async with opened(opener, shop_that(ill_on_bad(ending)), ending) as app:
        await add(app, ill, "a", "bad", "b")
        await ending.wait()

    for start in range(2):
        again = Ending()
        async with opened(opener, shop_that(ill_on_bad(again)), again) as app:
            token = await add(app, well, "x", second=start)
            assert await told(app, well, token) == ("x",) * (start + 1)
            with pytest.raises(Parked, match=r"at position 2: .*added did not return within 0.4 s"):
                await told(app, ill, token)
            assert not await marks(app.context("shop").log)
        assert not again.codes


async def test_what_hung_of_a_single_model_is_parked_at_the_next_start(opener: Opener) -> None:
    """Its key is empty, and its mark is found for all that."""
    ending, cart = Ending(), uuid4()
    async with opened(opener, shop_that(ill_on_bad(ending), single=True), ending) as app:
        token = await add(app, cart, "a", "bad")
        await ending.wait()

    again = Ending()
    async with opened(opener, shop_that(ill_on_bad(again), single=True), again) as app:
        with pytest.raises(Parked, match="did not return within"):
            await app.context("shop").models.read("cart", after=token, wait_seconds=10)
    assert not again.codes


async def test_what_hung_is_released_in_order_when_its_code_has_changed(opener: Opener) -> None:
    ending, cart = Ending(), uuid4()
    async with opened(opener, shop_that(ill_on_bad(ending)), ending) as app:
        await add(app, cart, "a", "bad", "b")
        await ending.wait()
    async with opened(opener, shop_that(ill_on_bad(Ending()))) as app:
        token = await add(app, cart, "c", second=10)
        with pytest.raises(Parked):
            await told(app, cart, token)

    async with opened(opener, shop_that(nothing)) as app:
        await until_free(app)
        assert await told(app, cart, token) == ("a", "bad", "b", "c")


async def test_what_hung_is_tried_again_when_it_may_take_longer(opener: Opener) -> None:
    ending, cart = Ending(), uuid4()

    def slow_once(model: Told, sku: str) -> None:
        if not ending.came.is_set():
            ending.spin()

    shop = shop_that(slow_once)
    async with opened(opener, shop, ending) as app:
        token = await add(app, cart, "a")
        await ending.wait()

    async with opener(shop, function_seconds_max=SECONDS + 1) as app:
        await until_free(app)
        assert await told(app, cart, token) == ("a",)


async def test_parking_what_hung_is_an_event(opener: Opener) -> None:
    ending, cart = Ending(), uuid4()
    async with opened(opener, shop_that(ill_on_bad(ending)), ending) as app:
        await add(app, cart, "bad")
        await ending.wait()

    shop = shop_that(ill_on_bad(Ending()))
    watch = shop.service("watch", Told, single=True)

    @watch.react
    def parked(model: Told, event: KeyParked) -> Told:
        return Told((*model.skus, event.key))

    async with opened(opener, shop) as app:
        while not (skus := (await app.model(watch.ref)).skus):
            await app.context("shop").log.advanced(await app.context("shop").head(), 0.02)
    assert skus == (str(cart),)


@pytest.mark.parametrize("keying", [{"single": True}, {"by": "sku"}, {}])
async def test_an_event_whose_reading_does_not_return_parks_its_entity(
    opener: Opener, keying: dict[str, Any]
) -> None:
    """Such an event gets in while its class is another."""
    ill, well = uuid4(), uuid4()
    async with opener(Context("shop"), react=False) as app:
        await add_raw(app, ill, "a", "bad")
        await add_raw(app, well, "a")
        await add_raw(app, ill, "a")

    ending = Ending()
    async with opened(opener, shop_that_reads(ending, **keying), ending) as app:
        await ending.wait()

    again = Ending()
    async with opened(opener, shop_that_reads(again, **keying), again) as app:
        loop = app.context("shop").loops["cart"]
        while loop.reached < 4:
            await app.context("shop").log.advanced(4, 0.02)
        (parked,) = loop.parking.sources.values()
        assert (parked.key, parked.position) == (str(ill), 2)
        assert "__post_init__ did not return" in parked.cause
        assert loop.checkpoint.degraded
    assert not again.codes

    async with opened(opener, shop_that_reads(None, **keying)) as app:
        await until_free(app)
        while app.context("shop").loops["cart"].checkpoint.degraded:
            await app.context("shop").log.advanced(4, 0.02)


def shop_that_reads(ending: Ending | None, **keying: Any) -> Context:
    """Make a shop whose event's class does not come to an end of ``bad``; of none without an ending."""

    @dataclass(frozen=True)
    class Read:
        sku: str

        if ending is not None:

            def __post_init__(self) -> None:
                if self.sku == "bad":
                    ending.spin()

    def added(model: Told, event: Any) -> Told:
        return Told((*model.skus, event.sku))

    added.__annotations__["event"] = Read
    shop = Context("shop")
    shop.event("added")(Read)
    shop.service("cart", Told, **keying).react(added)
    return shop


async def add_raw(app: App, cart: UUID, *skus: str) -> None:
    await app.append(*(raw("added", cart, b'{"sku": "%b"}' % sku.encode()) for sku in skus))


async def test_what_hangs_when_it_is_tried_again_stays_parked(opener: Opener) -> None:
    def fail(model: Told, sku: str) -> None:
        if sku == "bad":
            raise ValueError(sku)

    cart = uuid4()
    async with opened(opener, shop_that(fail)) as app:
        token = await add(app, cart, "a", "bad", "b")
        with pytest.raises(Parked, match="ValueError"):
            await told(app, cart, token)

    ending = Ending()
    async with opened(opener, shop_that(ill_on_bad(ending)), ending) as app:
        await ending.wait()
    again = Ending()
    async with opened(opener, shop_that(ill_on_bad(again)), again) as app:
        token = await add(app, uuid4(), "x")
        await app.context("shop").models.read("cart", str(uuid4()), after=token, wait_seconds=10)
        with pytest.raises(Parked, match=r"position 2: .* did not return"):
            await told(app, cart, token)
    assert not again.codes
    async with opened(opener, shop_that(nothing)) as app:
        await until_free(app)
        assert await told(app, cart, token) == ("a", "bad", "b")


async def test_a_refold_that_hangs_on_an_old_event_parks_behind_the_late_one(
    opener: Opener,
) -> None:
    def ill_after_late(ending: Ending) -> Take:
        def take(model: Told, sku: str) -> None:
            if sku == "b" and "late" in model.skus:
                ending.spin()

        return take

    ending, cart = Ending(), uuid4()
    async with opened(opener, shop_that(ill_after_late(ending)), ending) as app:
        token = await add(app, cart, "a", "b", second=10)
        assert await told(app, cart, token) == ("a", "b")
        token = await add(app, cart, "late", second=5)
        await ending.wait()

    again = Ending()
    async with opened(opener, shop_that(ill_after_late(again)), again) as app:
        await app.context("shop").models.wait(app.context("shop").loops["cart"].reactor, token, 10)
        with pytest.raises(Parked, match=r"position 2: .* did not return"):
            await told(app, cart, token)
    assert not again.codes
    async with opened(opener, shop_that(nothing)) as app:
        await until_free(app)
        assert await told(app, cart, token) == ("late", "a", "b")


async def test_a_mark_on_what_was_processed_since_is_forgotten(opener: Opener) -> None:
    cart, shop = uuid4(), shop_that(nothing)
    async with opened(opener, shop) as app:
        token = await add(app, cart, "a")
        assert await told(app, cart, token) == ("a",)
        reactor = app.context("shop").loops["cart"].reactor
        late = Hung(
            context="shop", loop=loop_name(reactor), key=str(cart), label="f", position=1, since=1
        )
        await app.context("shop").log.commit([Commit(records=(mark(late),))])

    async with opened(opener, shop) as app:
        token = await add(app, cart, "b", second=1)
        assert await told(app, cart, token) == ("a", "b")
        assert not await marks(app.context("shop").log)


async def test_many_quick_calls_in_one_fold_are_no_long_call(opener: Opener) -> None:
    def take(model: Told, sku: str) -> None:
        time.sleep(0.01)  # it takes a while

    ending, cart = Ending(), uuid4()
    async with opener(Context("shop"), react=False) as app:
        await add_raw(app, cart, *("a" for _ in range(150)))
    async with opened(opener, shop_that(take), ending) as app:
        assert len(await told(app, cart, 150)) == 150
    assert not ending.codes


async def test_a_loop_that_sleeps_or_is_busy_with_other_things_is_left_alone(
    opener: Opener,
) -> None:
    def be_busy() -> None:
        time.sleep(3 * SECONDS)  # no function that is watched

    ending = Ending()
    async with opened(opener, shop_that(nothing), ending) as app:
        await told(app, uuid4(), await add(app, uuid4(), "a"))
        be_busy()
        await asyncio.sleep(3 * SECONDS)  # the time in which it must not bite
    assert not ending.codes


async def until_free(app: App) -> None:
    live = app.context("shop")
    while await live.log.records("parked", prefix="cart/"):
        await live.log.advanced(await live.log.head(), 0.02)
