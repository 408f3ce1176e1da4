"""Promises 6 to 8: exactly once, convergent, given out once: whatever arrives when, and wherever it stops."""

import asyncio
import random
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure import App, Context, NewEvent, Settings
from perdure.runtime.environment import SystemEnvironment
from perdure.vocabulary.ids import event_ticks
from tests.runtime.support import Opener, OutlivingEngine, at_second, opener

__all__ = ["opener"]


@dataclass(frozen=True)
class Added:
    sku: str
    number: int


@dataclass(frozen=True)
class Noticed:
    number: int


@dataclass(frozen=True)
class Told:
    """A model that remembers the order: any slip in it shows."""

    numbers: tuple[int, ...] = ()


def tell(model: Told, event: Added) -> Told:
    return Told((*model.numbers, event.number))


def shop_with_every_keying() -> Context:
    shop = Context("shop")
    shop.event(Added)
    for service in (
        shop.service("by_cart", Told),
        shop.service("by_sku", Told, by="sku"),
        shop.service("everything", Told, single=True),
        shop.service("as_recorded", Told, order="recorded"),
    ):
        service.react(tell)
    return shop


def arrivals(
    seed: int, count: int, carts: list[UUID], *, late: float
) -> list[tuple[float, NewEvent]]:
    """Make events a second apart, of which some arrive up to a minute late, in order of arrival."""
    chance = random.Random(seed)
    shop = shop_with_every_keying()
    arriving = []
    for number in range(count):
        event = shop.new(
            chance.choice(carts),
            Added(chance.choice("abc"), number),
            id=at_second(number // 2, node=chance.getrandbits(40)),
        )
        delay = chance.uniform(0, 60) if chance.random() < late else 0.0
        arriving.append((number / 2 + delay, event))
    return sorted(arriving, key=lambda pair: pair[0])


def expected(events: list[NewEvent], *, by_happened: bool = True) -> tuple[int, ...]:
    ordered = sorted(events, key=lambda e: (e.ticks, e.id)) if by_happened else events
    return tuple(msgspec.json.decode(event.data)["number"] for event in ordered)


async def assert_models(app: App, carts: list[UUID], events: list[NewEvent], token: int) -> None:
    async def model(domain: str, key: str = "") -> tuple[int, ...]:
        view = await app.context("shop").models.read(domain, key, after=token, wait_seconds=20)
        return msgspec.json.decode(view.json, type=Told).numbers

    for cart in carts:
        of_cart = [e for e in events if e.entity == cart.bytes]
        assert await model("by_cart", str(cart)) == expected(of_cart)
        assert await model("as_recorded", str(cart)) == expected(of_cart, by_happened=False)
    for sku in "abc":
        of_sku = [e for e in events if msgspec.json.decode(e.data)["sku"] == sku]
        assert await model("by_sku", sku) == expected(of_sku)
    assert await model("everything") == expected(events)


@pytest.mark.parametrize("late", [0.0, 0.1, 1.0])
async def test_models_are_those_of_a_sorted_fold(opener: Opener, late: float) -> None:
    carts = [uuid4() for _ in range(4)]
    events = [event for _, event in arrivals(7, 700, carts, late=late)]

    async with opener(shop_with_every_keying(), batch_events=50) as app:
        token = 0
        for start in range(0, len(events), 35):
            token = (await app.append(*events[start : start + 35])).position

        await assert_models(app, carts, events, token)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    batch=st.sampled_from([1, 7, 500]),
    cached=st.sampled_from([1, 1000]),
)
async def test_any_batches_restarts_and_caches_give_the_same_models(
    seed: int, cuts: list[int], batch: int, cached: int
) -> None:
    carts = [uuid4(), uuid4()]
    events = [event for _, event in arrivals(seed, sum(cuts), carts, late=0.1)]
    engine, environment = OutlivingEngine(SystemEnvironment().clock), SystemEnvironment()
    settings_ = Settings(batch_events=batch, cached_models=cached)
    done = 0
    for cut in cuts:
        async with App(
            [shop_with_every_keying()], engine, environment, settings_, version="test"
        ) as app:
            token = (await app.append(*events[done : done + cut])).position
            done += cut
            if cut % 2:
                await assert_models(app, carts, events[:done], token)
            else:
                await asyncio.sleep(0)  # stop somewhere in the middle of it

    async with App(
        [shop_with_every_keying()], engine, environment, settings_, version="test"
    ) as app:
        await assert_models(app, carts, events, token)


def noticing_shop(*, emit_history: bool = False) -> Context:
    shop = Context("shop")
    shop.event(Added)
    shop.event(Noticed)
    cart = shop.service("cart", Told, emit_history=emit_history)

    @cart.react
    def added(model: Told, event: Added) -> tuple[Told, list[Noticed]]:
        return tell(model, event), [Noticed(event.number), Noticed(-event.number)]

    seen = shop.service("seen", Told)

    @seen.react
    def noticed(model: Told, event: Noticed) -> Told:
        return Told((*model.numbers, event.number))

    return shop


async def noticed_by(app: App, cart: UUID, count: int) -> list[int]:
    """Wait until so many events were given out, and give their numbers in the order recorded."""
    live = app.context("shop")
    while True:
        found = [
            msgspec.json.decode(event.data)["number"]
            async for event in app.events()
            if event.type == "noticed" and event.entity == cart.bytes
        ]
        if len(found) >= count:
            return found
        await live.log.advanced(await live.log.head(), 0.05)


async def test_what_is_given_out_is_recorded_with_its_cause_and_delivered(opener: Opener) -> None:
    shop = noticing_shop()
    cart, cause = uuid4(), at_second(5)

    async with opener(shop) as app:
        await app.append(shop.new(cart, Added("tea", 3), id=cause))
        assert await noticed_by(app, cart, 2) == [3, -3]
        emitted = [event async for event in app.events() if event.type == "noticed"]
        token = emitted[-1].position
        seen = await app.context("shop").models.read("seen", str(cart), after=token, wait_seconds=5)

    assert msgspec.json.decode(seen.json) == {"numbers": [3, -3]}
    for event in emitted:
        metadata = msgspec.json.decode(event.metadata)
        assert metadata == {"correlation_id": str(cause), "causation_id": str(cause)}
        assert event.ticks > event_ticks(cause.bytes)


async def test_a_refold_a_restart_and_a_repeat_give_out_nothing_again(opener: Opener) -> None:
    shop = noticing_shop()
    cart = uuid4()
    events = [shop.new(cart, Added("tea", n), id=at_second(100 - n)) for n in range(1, 6)]

    async with opener(shop) as app:
        for event in events:  # each happened before the one before it: each makes a refold
            await app.append(event)
            await app.append(event)
        assert sorted(await noticed_by(app, cart, 10)) == sorted(
            [1, -1, 2, -2, 3, -3, 4, -4, 5, -5]
        )
    async with opener(shop) as app:
        last = await app.append(shop.new(cart, Added("tea", 6), id=at_second(1)))
        assert last.position > 10
        assert len(await noticed_by(app, cart, 12)) == 12


async def test_a_new_service_gives_out_nothing_for_what_was_before_it(opener: Opener) -> None:
    before = Context("shop")
    before.event(Added)
    cart = uuid4()
    async with opener(before) as app:
        await app.append(before.new(cart, Added("tea", 1), id=at_second(1)))

    shop = noticing_shop()
    async with opener(shop) as app:
        await app.append(shop.new(cart, Added("tea", 2), id=at_second(2)))

        assert await noticed_by(app, cart, 2) == [2, -2]


async def test_a_service_that_asks_for_it_gives_out_history_too(opener: Opener) -> None:
    before = Context("shop")
    before.event(Added)
    cart = uuid4()
    async with opener(before) as app:
        await app.append(before.new(cart, Added("tea", 1), id=at_second(1)))

    async with opener(noticing_shop(emit_history=True)) as app:
        assert await noticed_by(app, cart, 2) == [1, -1]
