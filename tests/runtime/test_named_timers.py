"""Named timers: replaced, taken back and set anew by the name that their entity gave them."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from perdure import After, Cancel
from perdure.ports.engine import Log
from perdure.vocabulary.commits import Commit
from tests.runtime.delivering import (
    Between,
    Box,
    Do,
    Mail,
    Noted,
    Store,
    Through,
    accepted,
    is_done,
    noted,
    notes,
    open_intents,
    seconds,
    some_id,
    standing,
    store,
    timing,
    witness,
)

__all__ = ["store"]


@dataclass(frozen=True)
class Fail:
    """A command whose handler fails."""

    what: str


def named(command: Do) -> list[Any]:
    """``set NAME SECONDS WHAT`` (or ``mail``, ``fail``) and ``cancel NAME``, one or several."""
    given: list[Any] = []
    for part in command.what.split("; "):
        verb, name, *rest = part.split()
        if verb == "cancel":
            given.append(Cancel(name))
        else:
            what = {"mail": Mail, "set": Noted, "fail": Fail}[verb](rest[1])
            given.append(After(seconds(float(rest[0])), what, name))
    return given


async def test_a_timer_is_taken_back_by_its_name(store: Store) -> None:
    shop, box = timing(named)
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "set x 10 x; set y 10 y")
        await accepted(app, one, "cancel x")
        await accepted(app, one, "cancel nothing")
        await noted(store, app, one, "y")
        await witness(store, app, box, 30)
        assert await notes(app, one) == ("y",)
        assert await open_intents(app) == 0


@pytest.mark.parametrize(("first", "second"), [(10, 30), (30, 10), (10, 10)])
async def test_a_timer_takes_the_place_of_the_one_of_its_name(
    store: Store, first: int, second: int
) -> None:
    """Also when both are due already, by the time that anybody looks."""
    shop, box = timing(named)
    one, other = box[some_id()], box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, f"set x {first} old")
        await accepted(app, other, f"set x {first} others")
        await accepted(app, one, f"set x {second} new")
        store.clock.advance(100)
        await noted(store, app, other, "others")
        await noted(store, app, one, "new")
        await witness(store, app, box, 100)

        assert await notes(app, one) == ("new",)


async def test_one_command_may_change_a_timer_more_than_once_and_the_last_counts(
    store: Store,
) -> None:
    shop, box = timing(named)
    one, other = box[some_id()], box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "set x 10 a; cancel x; set x 20 b")
        await accepted(app, other, "set x 10 a; set x 20 b; cancel x")
        await noted(store, app, one, "b")
        await witness(store, app, box, 60)

        assert (await notes(app, one), await notes(app, other)) == (("b",), ())
        assert await open_intents(app) == 0


async def test_a_name_can_be_used_again_when_its_timer_has_fired_or_was_taken_back(
    store: Store,
) -> None:
    shop, box = timing(named)
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "set x 10 a")
        await noted(store, app, one, "a")
        await accepted(app, one, "set x 10 b")
        await accepted(app, one, "cancel x")
        await accepted(app, one, "set x 10 c")
        await noted(store, app, one, "a", "c")


async def test_names_hold_over_a_restart(store: Store) -> None:
    shop, box = timing(named)
    one = box[some_id()]
    async with store.open(shop) as app:
        await accepted(app, one, "set x 10 old; set y 10 y")
    async with store.open(shop) as app:
        await accepted(app, one, "set x 20 new; cancel y")
    async with store.open(shop) as app:
        await noted(store, app, one, "new")
        assert await open_intents(app) == 0


@dataclass(frozen=True)
class Tick:
    left: int


async def test_a_timer_that_sets_itself_anew_goes_on(store: Store) -> None:
    shop, box = timing(lambda command: [After(seconds(10), Tick(3), "tick")])
    one = box[some_id()]

    @box.handle
    def tick(state: Box, command: Tick) -> list[Any]:
        again = [After(seconds(10), Tick(command.left - 1), "tick")] if command.left else []
        return [Noted(f"{command.left} left"), *again]

    async with store.open(shop) as app:
        await accepted(app, one, "")
        await noted(store, app, one, "3 left", "2 left", "1 left", "0 left")
        assert await open_intents(app) == 0

    assert 40 <= store.clock.monotonic() < 50


async def test_an_effect_under_way_takes_nothing_from_the_timer_that_replaced_it(
    store: Store,
) -> None:
    shop, box = timing(named)
    one, gate = box[some_id()], asyncio.Event()
    store.world.obstacles["old"] = [gate]

    async with store.open(shop) as app:
        await accepted(app, one, "mail x 10 old")
        await store.until(lambda: store.world.now == 1, step=1)
        await accepted(app, one, "mail x 10 new")
        gate.set()
        await store.until(lambda: is_done(app), step=1)

    assert store.world.done == ["old", "new"]


async def test_an_effect_that_is_tried_again_stops_when_its_timer_is_taken_back(
    store: Store,
) -> None:
    shop, box = timing(named)
    one = box[some_id()]
    store.world.obstacles["x"] = [OSError("down")] * 3

    async with store.open(shop) as app:
        await accepted(app, one, "mail x 10 x")
        await store.until(lambda: len(store.world.acts) == 2, step=1)
        await accepted(app, one, "cancel x")
        await store.until(lambda: is_done(app), step=1)

    assert len(store.world.acts) == 2


async def test_a_parked_timer_goes_when_it_is_replaced_or_taken_back(store: Store) -> None:
    shop, box = timing(named)
    one, other, third = box[some_id()], box[some_id()], box[some_id()]

    @box.handle
    def fail(state: Box, command: Fail) -> list[Any]:
        raise ValueError("cannot")

    async with store.open(shop) as app:
        await accepted(app, one, "fail x 1 it")
        await accepted(app, other, "fail x 1 it")
        await accepted(app, third, "fail x 1 it")

        async def stand(count: int) -> bool:
            return len(await standing(app)) == count

        await store.until(lambda: stand(3), step=5)
        await accepted(app, one, "set x 1 new")
        await accepted(app, other, "cancel x")

        assert [each.ordering for each in await standing(app)] == [third.key]
        await noted(store, app, one, "new")


class Overtaking(Between):
    """A log on which a timer is taken back by somebody else right before its firing is written."""

    overtaken = False

    async def commit(self, commits: Any) -> Any:
        for commit in commits:
            fires = [put for put in commit.records if put.kind == "timer" and not put.value]
            if commit.events and fires and not self.overtaken:
                self.overtaken = True
                await self._log.commit([Commit(records=(fires[0],))])
        return await self._log.commit(commits)


async def test_one_taken_back_at_the_very_moment_of_its_firing_does_not_fire(store: Store) -> None:
    shop, box = timing(named)
    one = box[some_id()]
    logs: list[Overtaking] = []

    def between(log: Log) -> Any:
        logs.append(Overtaking(log))
        return logs[-1]

    async with store.open(shop, engine=Through(store.engine(), between)) as app:
        await accepted(app, one, "set x 10 x")
        await store.until(lambda: logs[0].overtaken, step=1)
        await witness(store, app, box, 5)

        assert await notes(app, one) == ()
        assert await open_intents(app) == 0
