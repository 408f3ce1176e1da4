"""Timers: durable, due at their time and not before, replaced and taken back by name."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perdure import (
    After,
    App,
    At,
    Cancel,
    Emit,
    HandlerFailed,
    Send,
)
from tests.runtime.delivering import (
    Box,
    Do,
    Mail,
    Noted,
    Store,
    accepted,
    boxes,
    counted,
    is_done,
    noted,
    notes,
    open_intents,
    seconds,
    some_id,
    store,
    timing,
    witness,
)

__all__ = ["store"]

START = datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_timer_fires_at_its_time_and_not_before(store: Store) -> None:
    shop, box = timing(lambda command: [After(seconds(60), Noted("late"))])
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "")
        await witness(store, app, box, 55)
        assert await notes(app, one) == ()
        await noted(store, app, one, "late")

    assert 60 <= store.clock.monotonic() < 65


async def test_what_a_timer_records_happened_when_it_was_due(store: Store) -> None:
    shop, box = timing(lambda command: [At(START + seconds(90), Noted("late"))])

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "")
        store.clock.advance(500)
        await store.until(lambda: is_done(app), step=1)
        (event,) = [event async for event in app.events()]

    assert event.happened_at == START + seconds(90)


async def test_timers_fire_in_the_order_they_are_due(store: Store) -> None:
    delays = {"c": 30, "a": 10, "d": 40, "b": 20}
    shop, box = timing(
        lambda command: [After(seconds(delay), Noted(name)) for name, delay in delays.items()]
    )
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "")
        store.clock.advance(100)
        await noted(store, app, one, "a", "b", "c", "d")


async def test_those_that_fell_due_while_nothing_ran_fire_at_the_start(store: Store) -> None:
    shop, box = timing(
        lambda command: [After(seconds(60), Noted("overdue")), After(seconds(900), Noted("later"))]
    )
    one = box[some_id()]
    async with store.open(shop) as app:
        await accepted(app, one, "")
    store.clock.advance(100)

    async with store.open(shop) as app:
        await noted(store, app, one, "overdue")
        assert await open_intents(app) == 1
        store.clock.advance(800)
        await noted(store, app, one, "overdue", "later")


@pytest.mark.parametrize(
    "moment", [START - timedelta(days=1000), START, datetime.min.replace(tzinfo=UTC)]
)
async def test_a_time_gone_by_means_at_once(store: Store, moment: datetime) -> None:
    shop, box = timing(lambda command: [Noted("now"), At(moment, Noted("then"))])
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "")
        await store.until(lambda: is_done(app))
        first, second = [event async for event in app.events()]

    assert (first.data, second.data) == (b'{"what":"now"}', b'{"what":"then"}')
    assert first.ticks < second.ticks


async def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    shop, box = timing(lambda command: [Noted("now"), At(datetime(2026, 1, 1), Noted("then"))])  # noqa: DTZ001

    async with store.open(shop) as app:
        with pytest.raises(HandlerFailed, match="has no time zone"):
            await app.send(box[some_id()], Do(""))
        assert await app.context("shop").head() == 0


# --- what a timer can hold -------------------------------------------------------------------------


async def test_a_timer_can_hold_whatever_can_be_given_out(store: Store) -> None:
    other, later = some_id(), seconds(10)

    def give(command: Do) -> list[Any]:
        if command.what != "all":
            return [Noted(command.what)]
        return [
            After(later, Noted("event")),
            After(later, Emit(event=Noted("emit"), entity=other, tags=("t",))),
            After(later, Send(Do("sent"), to=box[other])),
            After(later, Do("to oneself")),
            After(later, Mail("effect")),
        ]

    shop, box = timing(give)
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "all")
        await witness(store, app, box, 5)
        assert await open_intents(app) == 5
        store.clock.advance(5)
        await store.until(lambda: is_done(app), step=0.25)

        assert await notes(app, one) == ("event", "to oneself")
        assert await notes(app, box[other]) == ("emit", "sent")
        assert store.world.done == ["effect"]


async def test_a_timer_reaches_another_context(store: Store) -> None:
    there, crate = boxes(lambda command: [Noted(f"did {command.what}")], "there")
    other = some_id()
    shop, box = timing(
        lambda command: [
            After(seconds(5), Emit(event=Noted("event"), entity=other, context="there"), "one"),
            After(seconds(10), Send(Do("it"), to=crate[other]), "two"),
        ]
    )

    async with store.open(shop, there) as app:
        await accepted(app, box[some_id()], "")
        await noted(store, app, crate[other], "event", "did it")
        await store.until(lambda: is_done(app))
    assert store.clock.monotonic() >= 10


async def test_a_timer_can_be_set_by_a_service(store: Store) -> None:
    shop, box = timing(lambda command: [Noted(command.what)])
    remind = shop.service("remind", Box)

    @remind.react
    def react(model: Box, event: Noted) -> tuple[Box, list[Any]]:
        after = Box((*model.notes, event.what))
        if event.what == "never mind":
            return after, [Cancel("reminder")]
        if event.what.startswith("remind"):
            return after, []
        return after, [After(seconds(30), Noted(f"remind of {event.what}"), "reminder")]

    one, other, third = box[some_id()], box[some_id()], box[some_id()]
    async with store.open(shop) as app:
        for ref, what in ((one, "a"), (one, "b"), (other, "c"), (third, "d"), (third, "e")):
            await accepted(app, ref, what)
        await accepted(app, third, "never mind")
        await store.until(lambda: has_intents(app, 2), step=0.01)
    async with store.open(shop) as app:
        await noted(store, app, one, "a", "b", "remind of b")
        await noted(store, app, other, "c", "remind of c")
        await witness(store, app, box, 60)

        assert await notes(app, third) == ("d", "e", "never mind")


async def test_ten_thousand_far_timers_hide_nothing_and_are_not_read(store: Store) -> None:
    far = timedelta(days=1)

    def give(command: Do) -> list[Any]:
        if command.what == "far":
            return [After(far, Noted("far")), After(far, Mail("far"))] * 500
        return [Noted(command.what), Mail("near")]

    shop, box = timing(give)
    engine, counting = counted(store)

    async with store.open(shop, engine=engine) as app:
        for _ in range(10):
            await accepted(app, box[some_id()], "far")
        before = counting[0].rows
        await accepted(app, box[some_id()], "now")
        await witness(store, app, box, 10)
        await store.until(lambda: store.world.done == ["near"])

        assert counting[0].rows - before < 20
        assert await app.context("shop").head() == 2


async def has_intents(app: App, count: int) -> bool:
    return await open_intents(app) == count
