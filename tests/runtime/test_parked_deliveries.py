"""Promise 10 for deliveries: what keeps failing stands still, and only what comes after it waits."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    App,
    Context,
    EffectFailed,
    Emit,
    EntityKind,
    IntentNotFound,
    Retry,
    Send,
    Statement,
)
from perdure.ports.engine import Log
from perdure.runtime import undelivered
from perdure.runtime.carriers import DELIVERIES
from perdure.vocabulary.commits import Commit, Settle
from perdure.vocabulary.errors import StorageFull
from perdure.vocabulary.ids import parse_id
from tests.runtime.delivering import (
    Between,
    Box,
    Do,
    Mail,
    Noted,
    Store,
    Through,
    World,
    accepted,
    boxes,
    is_done,
    mailing,
    notes,
    open_intents,
    outcome,
    some_id,
    standing,
    store,
)

__all__ = ["store"]

TWICE = Retry(attempts=2, first_seconds=1, factor=1, jitter=0)


def failing_mail(world: World, text: str, times: int = 100) -> None:
    world.obstacles[text] = [OSError("no route") for _ in range(times)]


async def parked(store: Store, app: App, count: int = 1, context: str = "shop") -> None:
    async def so_many() -> bool:
        return len(await standing(app, context)) == count

    await store.until(so_many, step=1)


async def test_when_the_policy_ends_it_is_parked_with_its_reason(store: Store) -> None:
    shop, box = mailing(retry=TWICE)
    one = some_id()
    failing_mail(store.world, "bad")

    async with store.open(shop) as app:
        await accepted(app, box[one], "bad")
        await parked(store, app)
        (record,) = await standing(app)
        store.clock.advance(1000)
        await accepted(app, box[some_id()], "later")
        await store.until(lambda: "later" in store.world.done)

        assert (record.id, record.attempts) == (store.world.acts[0].key, 2)
        assert (record.kind, record.target, record.ordering) == ("effect", "mail", str(one))
        assert (record.cause, record.outcome) == ("OSError: no route", "failed")
        assert "act(effect.text, key, attempt)" in record.traceback
        assert await outcome(app, record.id) is None
    assert store.world.texts() == ["bad", "bad", "later"]


async def test_what_is_not_known_to_have_failed_says_so(store: Store) -> None:
    shop, box = mailing(retry=Retry(attempts=1), timeout_seconds=5)
    store.world.obstacles["slow"] = [asyncio.Event()]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "slow")
        await parked(store, app)
        (record,) = await standing(app)

    assert record.outcome == "unknown"
    assert "did not return in 5 s" in record.cause


async def test_it_stops_only_those_behind_it_in_its_order(store: Store) -> None:
    shop, box = mailing(retry=TWICE)
    ill, well = box[some_id()], box[some_id()]
    failing_mail(store.world, "bad")

    async with store.open(shop) as app:
        await accepted(app, ill, "bad")
        await parked(store, app)
        for ref, what in ((ill, "behind"), (well, "1"), (ill, "behind too"), (well, "2")):
            await accepted(app, ref, what)
        await store.until(lambda: store.world.done == ["1", "2"])

        await store.until(lambda: are_open(app, 3))


async def test_it_stays_parked_over_restarts(store: Store) -> None:
    shop, box = mailing(retry=TWICE)
    ill = box[some_id()]
    failing_mail(store.world, "bad")
    async with store.open(shop) as app:
        await accepted(app, ill, "bad")
        await accepted(app, ill, "behind")
        await parked(store, app)
        before = await standing(app)

    for number in range(3):
        async with store.open(shop) as app:
            await accepted(app, box[some_id()], f"other {number}")
            await store.until(partial(are_done, store.world, number + 1), step=1)
            assert await standing(app) == before
    assert store.world.texts().count("bad") == 2
    assert "behind" not in store.world.texts()


async def test_it_is_tried_again_from_its_first_attempt_when_somebody_says_so(
    store: Store,
) -> None:
    shop, box = mailing(retry=TWICE)
    ill = box[some_id()]
    failing_mail(store.world, "bad", times=3)

    async with store.open(shop) as app:
        log = app.context("shop").log
        await accepted(app, ill, "bad")
        await accepted(app, ill, "behind")
        await parked(store, app)
        await undelivered.retry(log, parse_id((await standing(app))[0].id))
        await store.until(lambda: is_done(app), step=0.5)

        assert [(act.text, act.attempt) for act in store.world.acts] == [
            *(("bad", 1), ("bad", 2), ("bad", 1), ("bad", 2)),
            ("behind", 1),
        ]
        assert await standing(app) == []


async def test_when_it_is_discarded_those_behind_it_go_on(store: Store) -> None:
    shop, box = mailing(retry=TWICE)
    ill = box[some_id()]
    failing_mail(store.world, "bad")

    async with store.open(shop) as app:
        log = app.context("shop").log
        await accepted(app, ill, "bad")
        await accepted(app, ill, "behind")
        await parked(store, app)
        (record,) = await standing(app)
        await undelivered.discard(log, parse_id(record.id), at=store.clock.now())
        await store.until(lambda: is_done(app), step=0.5)
        became = await outcome(app, record.id)

        assert store.world.done == ["behind"]
        assert await standing(app) == []
        assert became is not None
        assert became.outcome == "discarded"
        for gone in (undelivered.retry(log, parse_id(record.id)), discard_again(log, record.id)):
            with pytest.raises(IntentNotFound):
                await gone


async def discard_again(log: Log, id_: str) -> None:
    await undelivered.discard(log, parse_id(id_), at=0)


async def test_nothing_is_parked_that_was_discarded_during_its_last_attempt(store: Store) -> None:
    shop, box = mailing(retry=Retry(attempts=1))
    gate = asyncio.Event()
    failing = _fail_when(gate)
    store.world.obstacles["bad"] = [failing]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "bad")
        await store.until(lambda: store.world.now == 1)
        key = parse_id(store.world.acts[0].key)
        await undelivered.discard(app.context("shop").log, key, at=store.clock.now())
        gate.set()
        await store.until(lambda: store.world.now == 0)
        await accepted(app, box[some_id()], "next")
        await store.until(lambda: is_done(app), step=1)

        assert await standing(app) == []


class _Gate(asyncio.Event):
    async def wait(self) -> Any:
        await super().wait()
        raise OSError("no route")


def _fail_when(gate: asyncio.Event) -> asyncio.Event:
    failing = _Gate()
    gate.set = failing.set  # type: ignore[method-assign]
    return failing


@pytest.mark.parametrize("is_mended", [True, False])
async def test_other_code_is_tried_at_the_start_and_the_same_is_not(
    store: Store, is_mended: bool
) -> None:
    broken, box = mailing(retry=TWICE)
    failing_mail(store.world, "bad", times=2)
    async with store.open(broken) as app:
        await accepted(app, box[some_id()], "bad")
        await parked(store, app)

    again, _ = boxes(lambda command: [Noted(command.what), Mail(command.what)])

    async def mend(effect: Mail, *, config: World) -> None:
        await config.act(f"mended {effect.text}")

    if is_mended:
        again.effect(retry=TWICE)(mend)
    else:
        again, _ = mailing(retry=TWICE)
    async with store.open(again) as app:
        await accepted(app, box[some_id()], "witness")
        await store.until(lambda: any("witness" in text for text in store.world.done), step=1)
        if is_mended:
            await store.until(lambda: is_done(app), step=1)

        assert ("mended bad" in store.world.done) == is_mended
        assert len(await standing(app)) == (not is_mended)


async def test_an_effect_that_nobody_carries_out_any_more_waits_for_who_does(store: Store) -> None:
    shop, box = mailing(retry=TWICE)
    failing_mail(store.world, "a", times=1)
    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: len(store.world.acts) == 1)

    without, _ = boxes(lambda command: [])
    async with store.open(without) as app:
        await parked(store, app)
        (record,) = await standing(app)
        assert "nobody declared how to carry out 'mail'" in record.cause
    async with store.open(shop) as app:
        await store.until(lambda: is_done(app), step=1)

    assert store.world.done == ["a"]


# --- commands and events ---------------------------------------------------------------------------


def forwarding(target: Any, fails: bool) -> tuple[Context, EntityKind[Box]]:
    """Make boxes that send on what comes as ``send WHAT``; they fail on ``bad``, until mended."""

    def give(command: Do) -> list[Any]:
        if command.what.startswith("send "):
            return [Send(Do(command.what[5:]), to=box[target])]
        if fails and command.what == "bad":
            raise ValueError("cannot")
        return [Noted(command.what)]

    shop, box = boxes(give)
    return shop, box


async def test_a_command_whose_handler_fails_is_tried_again_parked_and_mended(
    store: Store,
) -> None:
    target, other = some_id(), some_id()
    shop, box = forwarding(target, fails=True)
    async with store.open(shop) as app:
        for what in ("send a", "send bad", "send b"):
            await accepted(app, box[other], what)
        await parked(store, app)
        (record,) = await standing(app)

        assert (record.kind, record.ordering) == ("command", str(target))
        assert record.attempts == DELIVERIES.attempts
        assert "ValueError: cannot" in record.cause
        assert await notes(app, box[target]) == ("a",)

    shop, box = forwarding(target, fails=False)
    async with store.open(shop) as app:
        await store.until(lambda: is_done(app), step=1)
        assert await notes(app, box[target]) == ("a", "bad", "b")
        assert await standing(app) == []


async def test_an_event_that_the_users_table_refuses_stops_those_of_its_key_in_order(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "store")
    shop, box = boxes(lambda command: [Noted(what) for what in command.what.split()])
    copies = Context("copies")
    copies.event(Noted)
    copies.table("CREATE TABLE IF NOT EXISTS copies (what TEXT PRIMARY KEY)")
    copy = shop.service("copy", Box)
    ill, well, target = some_id(), some_id(), some_id()

    @copies.write
    def write(event: Noted) -> list[Statement]:
        return [Statement("INSERT INTO copies VALUES (?)", (event.what,))]

    @copy.react
    def noted(model: Box, event: Noted) -> tuple[Box, list[Any]]:
        return model, [Emit(event=event, entity=target, context="copies")]

    async with store.open(shop, copies) as app:
        await accepted(app, box[ill], "a")
        await store.until(lambda: has_copied(app, 1), step=0.1)
        await accepted(app, box[ill], "b a c")
        await parked(store, app)
        await accepted(app, box[well], "d")
        await store.until(lambda: has_copied(app, 3), step=0.1)
        (record,) = await standing(app)

        assert (record.kind, record.ordering) == ("emit", str(ill))
        assert "UNIQUE" in record.cause
        assert await copied(app) == ["a", "b", "d"]
        await undelivered.discard(app.context("shop").log, parse_id(record.id), at=0)
        await store.until(lambda: is_done(app), step=1)
        assert await copied(app) == ["a", "b", "d", "c"]


def are_done(world: World, count: int) -> bool:
    return len(world.done) == count


async def are_open(app: App, count: int) -> bool:
    return await open_intents(app) == count


async def copied(app: App) -> list[str]:
    events = [event.data async for event in app.events(context="copies")]
    return [data.decode().split('"')[3] for data in events]


async def has_copied(app: App, count: int) -> bool:
    return len(await copied(app)) == count


# --- while nothing can be written ------------------------------------------------------------------


class Full(Between):
    """A log that has no room for what settles an intent, or parks it, while it is told so."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.left = 5

    async def commit(self, commits: Any) -> Any:
        if self.left and any(_ends(commit) for commit in commits):
            self.left -= 1
            raise StorageFull("the disk is full")
        return await self._log.commit(commits)


def _ends(commit: Commit) -> bool:
    return any(isinstance(each, Settle) for each in commit.intents) or any(
        put.kind == undelivered.KIND for put in commit.records
    )


@pytest.mark.parametrize("end", [None, EffectFailed("no"), OSError("no route")])
async def test_an_effect_is_not_repeated_because_its_end_cannot_be_written(
    store: Store, end: Exception | None
) -> None:
    shop, box = mailing(retry=Retry(attempts=1))
    store.world.obstacles["a"] = [end] if end else []
    engine = Through(store.engine(), lambda log: Full(log))

    async with store.open(shop, engine=engine) as app:
        one = box[some_id()]
        await accepted(app, one, "a")
        if isinstance(end, OSError):
            await parked(store, app)
        else:
            await store.until(lambda: is_done(app), step=1)

    assert store.world.texts() == ["a"]
