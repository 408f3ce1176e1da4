"""Ticks: a schedule records events, under a clock that the test holds in its hands."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

from perdure import App, Context, DefinitionError, Settings
from perdure.ports.engine import Engine
from perdure.runtime import undelivered
from perdure.testing import ManualClock, ManualEnvironment
from tests.runtime.support import OutlivingEngine


@dataclass(frozen=True)
class HourPassed:
    hour: int


@dataclass(frozen=True)
class Hours:
    passed: tuple[int, ...] = ()


def counting(schedule: str = "0 * * * *") -> Context:
    shop = Context("shop")
    shop.event(HourPassed)
    shop.tick("hourly", schedule, lambda at: HourPassed(at.hour))
    return shop


def failing(schedule: str) -> Context:
    shop = Context("shop")
    shop.event(HourPassed)
    shop.tick("hourly", schedule, lambda at: HourPassed(at.hour // 0))
    return shop


def open_app(context: Context, engine: Engine, clock: ManualClock) -> App:
    environment = ManualEnvironment(clock=clock)
    return App([context], engine, environment, Settings(), version="test")


async def recorded(app: App) -> list[tuple[datetime, bytes]]:
    return [(event.happened_at, event.data) async for event in app.events()]


async def is_parked(app: App) -> bool:
    return bool(await undelivered.load(app.context("shop").log))


async def pass_until(
    clock: ManualClock, seconds: float, is_so: Callable[[], Awaitable[bool]]
) -> None:
    """Let time pass in steps until a condition holds; everybody else has turns in between."""
    for _ in range(2000):
        if await is_so():
            return
        clock.advance(seconds)
        for _ in range(20):
            await asyncio.sleep(0)
    raise AssertionError("it never came to hold")


async def test_an_event_is_recorded_at_each_tick_as_of_its_time() -> None:
    clock = ManualClock()  # 2026-01-01 00:00
    async with open_app(counting(), OutlivingEngine(clock), clock) as app:

        async def three() -> bool:
            return len(await recorded(app)) == 3

        await pass_until(clock, 60, three)

        happened = [at.isoformat() for at, _ in await recorded(app)]
        assert happened == [f"2026-01-01T0{hour}:00:00+00:00" for hour in (1, 2, 3)]
        assert [data for _, data in await recorded(app)] == [
            b'{"hour":1}',
            b'{"hour":2}',
            b'{"hour":3}',
        ]


async def test_ticks_that_nobody_was_there_for_come_once() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)
    async with open_app(counting(), engine, clock) as app:

        async def stands() -> bool:
            return bool(await app.context("shop").log.intents("tick"))

        await pass_until(clock, 0, stands)
    clock.advance(5.5 * 3600)
    async with open_app(counting(), engine, clock) as app:

        async def two() -> bool:
            return len(await recorded(app)) == 2

        await pass_until(clock, 60, two)

        hours = [at.hour for at, _ in await recorded(app)]
        assert hours == [1, 6]


async def test_another_schedule_takes_the_place_of_the_one_before() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)
    for schedule in ("0 * * * *", "*/10 * * * *"):
        async with open_app(counting(schedule), engine, clock) as app:

            async def stands(app: App = app, schedule: str = schedule) -> bool:
                intents = await app.context("shop").log.intents("tick")
                return [intent.target for intent in intents] == [f"hourly {schedule}"]

            await pass_until(clock, 0, stands)


async def test_a_clock_set_back_records_no_tick_twice() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)
    async with open_app(counting(), engine, clock) as app:

        async def two() -> bool:
            return len(await recorded(app)) == 2

        await pass_until(clock, 60, two)
        clock.step(-3600)

        async def three() -> bool:
            return len(await recorded(app)) == 3

        await pass_until(clock, 60, three)

        assert [at.hour for at, _ in await recorded(app)] == [1, 2, 3]


async def test_a_tick_that_another_function_recorded_is_passed_over() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)

    async with open_app(counting(), engine, clock) as app:

        async def one() -> bool:
            return len(await recorded(app)) == 1

        await pass_until(clock, 60, one)
    clock.step(-1800)
    shop = Context("shop")
    shop.event(HourPassed)
    shop.tick("hourly", "*/30 * * * *", lambda at: HourPassed(100 + at.hour))

    async with open_app(shop, engine, clock) as later:

        async def two() -> bool:
            return len(await recorded(later)) == 2

        await pass_until(clock, 60, two)

        happened = [(at.strftime("%H:%M"), data) for at, data in await recorded(later)]
        assert happened == [("01:00", b'{"hour":1}'), ("01:30", b'{"hour":101}')]


async def test_a_series_that_is_no_more_leaves_nothing_parked() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)

    async with open_app(failing("0 * * * *"), engine, clock) as app:
        await pass_until(clock, 60, lambda: is_parked(app))

    async with open_app(failing("0 0 * * *"), engine, clock) as later:

        async def stands_alone() -> bool:
            (intent,) = await later.context("shop").log.intents("tick")
            return intent.target == "hourly 0 0 * * *" and not await is_parked(later)

        await pass_until(clock, 1, stands_alone)


async def test_a_tick_whose_function_was_mended_comes_by_itself() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)

    async with open_app(failing("0 * * * *"), engine, clock) as app:
        await pass_until(clock, 60, lambda: is_parked(app))

    async with open_app(counting(), engine, clock) as later:

        async def one() -> bool:
            return [data for _, data in await recorded(later)] == [b'{"hour":1}']

        await pass_until(clock, 1, one)


async def test_a_service_follows_the_ticks() -> None:
    shop = counting()
    hours = shop.service("hours", Hours, single=True)

    @hours.react
    def passed(model: Hours, event: HourPassed) -> Hours:
        return Hours((*model.passed, event.hour))

    clock = ManualClock()
    async with open_app(shop, OutlivingEngine(clock), clock) as app:

        async def followed() -> bool:
            return (await app.model(hours.ref)).passed == (1, 2)

        await pass_until(clock, 60, followed)


def test_a_schedule_that_cannot_be_read_is_told() -> None:
    with pytest.raises(DefinitionError, match="'every hour' is not a cron expression"):
        Context("shop").tick("hourly", "every hour", lambda at: HourPassed(at.hour))


def test_a_name_is_declared_once() -> None:
    shop = counting()
    with pytest.raises(DefinitionError, match="tick 'hourly' is declared twice"):
        shop.tick("hourly", "0 * * * *", lambda at: HourPassed(at.hour))
