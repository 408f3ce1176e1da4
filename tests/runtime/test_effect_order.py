"""Promises 9 and 10: effects of one entity come one after another, and nobody waits for another's."""

import asyncio

import pytest

from perdure import Retry
from perdure.runtime import undelivered
from perdure.vocabulary.ids import parse_id
from tests.runtime.delivering import (
    Counting,
    Mail,
    Ring,
    Store,
    World,
    accepted,
    boxes,
    counted,
    is_done,
    mailing,
    some_id,
    standing,
    store,
    turns,
)

__all__ = ["store"]

SLOW = Retry(attempts=3, first_seconds=10, factor=1, jitter=0)


async def test_effects_of_one_entity_run_one_after_another_in_order(store: Store) -> None:
    shop, box = mailing()
    one, gate = box[some_id()], asyncio.Event()
    store.world.obstacles["1"] = [gate]

    async with store.open(shop) as app:
        for number in range(1, 6):
            await accepted(app, one, str(number))
        await accepted(app, box[some_id()], "other")
        await store.until(lambda: "other" in store.world.done)
        assert store.world.texts() == ["1", "other"]
        gate.set()
        await store.until(lambda: is_done(app))

    assert store.world.done == ["other", "1", "2", "3", "4", "5"]


async def test_those_of_one_command_run_in_the_order_they_were_given(store: Store) -> None:
    shop, box = boxes(lambda command: [Mail(letter) for letter in command.what])
    store.world.obstacles["a"] = [OSError("down")]

    @shop.effect()
    async def mail(effect: Mail, *, config: World) -> None:
        await config.act(effect.text)

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "abcd")
        await store.until(lambda: is_done(app), step=1)

    assert store.world.texts() == ["a", "a", "b", "c", "d"]


async def test_behind_one_that_is_tried_again_its_entity_waits_and_others_go_on(
    store: Store,
) -> None:
    shop, box = mailing(retry=SLOW)
    one = box[some_id()]
    store.world.obstacles["1"] = [OSError("down"), OSError("down")]

    async with store.open(shop) as app:
        await accepted(app, one, "1")
        await accepted(app, one, "2")
        await store.until(lambda: len(store.world.acts) == 1)
        for number in range(3):
            await accepted(app, box[some_id()], f"other {number}")
        await store.until(lambda: len(store.world.done) == 3)
        assert "2" not in store.world.texts()
        await store.until(lambda: is_done(app), step=1)

    assert store.world.done[3:] == ["1", "2"]


async def test_the_order_holds_over_a_restart(store: Store) -> None:
    shop, box = mailing(retry=SLOW)
    one = box[some_id()]
    store.world.obstacles["1"] = [OSError("down"), asyncio.Event()]
    async with store.open(shop) as app:
        for number in range(1, 5):
            await accepted(app, one, str(number))
        await store.until(lambda: len(store.world.acts) == 2, step=1)

    async with store.open(shop) as app:
        await store.until(lambda: is_done(app), step=1)

    assert store.world.done == ["1", "2", "3", "4"]


async def test_unordered_effects_do_not_wait_for_one_another(store: Store) -> None:
    shop, box = mailing(ordered=False)
    one, gate = box[some_id()], asyncio.Event()
    store.world.obstacles["1"] = [gate]

    async with store.open(shop) as app:
        for number in range(1, 4):
            await accepted(app, one, str(number))
        await store.until(lambda: sorted(store.world.done) == ["2", "3"])
        gate.set()
        await store.until(lambda: is_done(app))


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_run_at_a_time_than_the_effect_says(store: Store, ordered: bool) -> None:
    shop, box = mailing(concurrency=3, ordered=ordered)
    one, gate = box[some_id()], asyncio.Event()

    async with store.open(shop) as app:
        for number in range(10):
            store.world.obstacles[str(number)] = [gate]
            await accepted(app, box[some_id()] if ordered else one, str(number))
        await store.until(lambda: store.world.now == 3)
        gate.set()
        await store.until(lambda: is_done(app))

    assert store.world.most == 3
    assert sorted(store.world.done) == [str(number) for number in range(10)]


async def test_an_effect_that_hangs_stops_no_other(store: Store) -> None:
    """All places of its kind are taken; another kind, other entities and commands go on."""
    shop, box = boxes(lambda c: [Ring(c.what) if c.what.startswith("ring") else Mail(c.what)])

    @shop.effect(concurrency=2)
    async def ring(effect: Ring, *, config: World) -> None:
        await config.act(effect.text)

    @shop.effect()
    async def mail(effect: Mail, *, config: World) -> None:
        await config.act(effect.text)

    async with store.open(shop) as app:
        for number in range(20):
            store.world.obstacles[f"ring {number}"] = [asyncio.Event()]
            await accepted(app, box[some_id()], f"ring {number}")
        for number in range(20):
            await accepted(app, box[some_id()], f"mail {number}")
        await store.until(lambda: len(store.world.done) == 20)

        assert store.world.now == 2


#: What two rounds of the loop read, of the hundred that there are turns for.
TWO_ROUNDS = 24


async def pages_in_a_while(counting: list[Counting]) -> int:
    before = counting[0].pages
    for _ in range(50):
        await turns()
    return counting[0].pages - before


async def test_nothing_is_read_while_a_second_attempt_takes_its_time(store: Store) -> None:
    shop, box = mailing(retry=SLOW, timeout_seconds=1000)
    store.world.obstacles["a"] = [OSError("down"), asyncio.Event()]
    engine, counting = counted(store)

    async with store.open(shop, engine=engine) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: len(store.world.acts) == 2, step=1)

        assert await pages_in_a_while(counting) <= TWO_ROUNDS


async def test_nothing_is_read_for_one_that_was_discarded_while_it_waited(store: Store) -> None:
    shop, box = mailing(retry=SLOW)
    store.world.obstacles["a"] = [OSError("down")]
    engine, counting = counted(store)

    async with store.open(shop, engine=engine) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: len(store.world.acts) == 1)
        key = parse_id(store.world.acts[0].key)
        await undelivered.discard(app.context("shop").log, key, at=store.clock.now())
        store.clock.advance(20)
        await turns()

        assert await pages_in_a_while(counting) <= TWO_ROUNDS
        assert await standing(app) == []
