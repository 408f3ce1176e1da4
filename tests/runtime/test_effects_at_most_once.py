"""Promise 9, at most once: started after the commit, from memory, never again, and never written down."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from perdure import (
    Accepted,
    After,
    Context,
    EntityKind,
    HandlerFailed,
    Rejected,
    Statement,
    WrongVersion,
)
from perdure.runtime.undelivered import KIND, OUTCOME
from tests.runtime.delivering import (
    Box,
    Do,
    Mail,
    Noted,
    Store,
    World,
    accepted,
    boxes,
    some_id,
    store,
    turns,
)

__all__ = ["store"]


def telling(give: Any = None, **options: Any) -> tuple[Context, EntityKind[Box]]:
    """Make boxes that note each command, and tell the world of it at most once."""
    shop, box = boxes(give or (lambda command: [Noted("something"), Mail(command.what)]))

    @shop.effect(delivery="at_most_once", **options)
    async def mail(effect: Mail, *, key: str, attempt: int, config: World) -> None:
        await config.act(effect.text, key, attempt)

    return shop, box


async def test_it_runs_after_the_commit(store: Store) -> None:
    shop, box = boxes(lambda command: [Mail(command.what), Noted(command.what)])
    seen: list[bytes] = []

    @shop.effect(delivery="at_most_once")
    async def mail(effect: Mail) -> None:
        seen.extend([event.data async for event in app.events()])

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "hello")
        await store.until(lambda: bool(seen))

    assert seen == [b'{"what":"hello"}']


async def test_it_is_told_its_key_and_that_this_is_the_first_attempt(store: Store) -> None:
    shop, box = telling(lambda command: [Mail("a"), Mail("b")])

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "")
        await store.until(lambda: len(store.world.done) == 2)

    assert len({act.key for act in store.world.acts}) == 2
    assert {act.attempt for act in store.world.acts} == {1}


async def test_one_that_fails_or_takes_too_long_is_not_tried_again(store: Store) -> None:
    shop, box = telling(timeout_seconds=30)
    store.world.obstacles["fails"] = [OSError("down")]
    store.world.obstacles["hangs"] = [asyncio.Event()]

    async with store.open(shop) as app:
        for what in ("fails", "hangs"):
            await accepted(app, box[some_id()], what)
        await store.until(lambda: len(store.world.acts) == 2)
        await store.until(lambda: store.world.now == 0, step=5)
        store.clock.advance(1000)
        await accepted(app, box[some_id()], "last")
        await store.until(lambda: store.world.done == ["last"])

    assert store.world.texts() == ["fails", "hangs", "last"]


async def test_one_that_was_cut_off_does_not_run_again_after_a_restart(store: Store) -> None:
    shop, box = telling()
    store.world.obstacles["a"] = [asyncio.Event()]
    async with store.open(shop, shutdown_seconds_max=0.01) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: store.world.now == 1)
    assert store.world.now == 0

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "b")
        await store.until(lambda: store.world.done == ["b"])

    assert store.world.texts() == ["a", "b"]


async def test_the_end_of_the_application_waits_for_what_was_started(store: Store) -> None:
    shop, box = telling()
    gate = asyncio.Event()
    store.world.obstacles["a"] = [gate]

    async with store.open(shop, shutdown_seconds_max=30) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: store.world.now == 1)
        asyncio.get_running_loop().call_later(0.02, gate.set)

    assert store.world.done == ["a"]


async def test_a_command_that_is_not_accepted_starts_nothing(store: Store) -> None:
    def give(command: Do) -> list[Any]:
        if command.what == "rejected":
            raise Rejected("no")
        return [Mail(command.what), *([Unknown()] if command.what == "nonsense" else [])]

    shop, box = telling(give)

    async with store.open(shop) as app:
        assert isinstance(await app.send(box[some_id()], Do("rejected")), Rejected)
        with pytest.raises(HandlerFailed):
            await app.send(box[some_id()], Do("nonsense"))
        await accepted(app, box[some_id()], "good")
        await store.until(lambda: store.world.done == ["good"])

    assert store.world.texts() == ["good"]


@dataclass(frozen=True)
class Unknown:
    """Nothing that could be given out."""


async def test_a_command_on_a_version_that_is_gone_starts_nothing(store: Store) -> None:
    shop, box = telling()
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "a")
        with pytest.raises(WrongVersion):
            await app.send(one, Do("stale"), expected_version=0)
        await accepted(app, one, "b")
        await store.until(lambda: len(store.world.done) == 2)

    assert store.world.texts() == ["a", "b"]


async def test_a_command_that_was_sent_before_starts_nothing_again(store: Store) -> None:
    shop, box = telling()
    one = box[some_id()]

    async with store.open(shop) as app:
        for _ in range(3):
            await accepted(app, one, "a", command_id="one")
        await accepted(app, one, "b")
        await store.until(lambda: "b" in store.world.done)
    async with store.open(shop) as app:
        assert (await accepted(app, one, "a", command_id="one")).repeated
        await accepted(app, one, "c")
        await store.until(lambda: "c" in store.world.done)

    assert store.world.texts() == ["a", "b", "c"]


async def test_who_loses_a_conflict_starts_nothing_for_the_attempt_that_lost(
    store: Store,
) -> None:
    shop, box = telling()
    one = box[some_id()]

    async with store.open(shop, node="one") as first, store.open(shop, node="two") as second:
        sending = [
            asyncio.ensure_future(app.send(one, Do(f"{number} {name}")))
            for number in range(20)
            for name, app in (("first", first), ("second", second))
        ]
        await store.until(lambda: all(task.done() for task in sending), step=0.1)
        won = [task.result() for task in sending]
        await store.until(lambda: len(store.world.done) == 40)

    assert all(isinstance(outcome, Accepted) for outcome in won)
    assert len(set(store.world.texts())) == len(store.world.texts()) == 40


async def test_a_rejection_by_the_users_table_starts_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def give(command: Do) -> list[Any]:
        return [Mail(command.what), Statement("INSERT INTO names VALUES (?)", (command.what,))]

    shop, box = telling(give)
    shop.table("CREATE TABLE IF NOT EXISTS names (name TEXT PRIMARY KEY)")

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "taken")
        assert isinstance(await app.send(box[some_id()], Do("taken")), Rejected)
        await accepted(app, box[some_id()], "free")
        await store.until(lambda: len(store.world.done) == 2)

    assert store.world.texts() == ["taken", "free"]


SECRET = "one-time-code-481516"  # noqa: S105


async def test_what_it_is_about_is_nowhere_in_the_files(tmp_path: Path) -> None:
    """Neither while it runs, nor after it failed, nor when the application has ended."""
    store = Store(tmp_path / "store")
    shop, box = telling(lambda command: [Noted("a code was sent"), Mail(SECRET)])
    gate = asyncio.Event()
    store.world.obstacles[SECRET] = [gate, OSError(f"cannot send {SECRET}")]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "send a code")
        await store.until(lambda: store.world.now == 1)
        assert found_in(tmp_path, b"a code was sent")
        assert not found_in(tmp_path, SECRET.encode())
        gate.set()
        await accepted(app, box[some_id()], "send a code")
        await store.until(lambda: len(store.world.acts) == 2 and store.world.now == 0)
        await turns()
        log = app.context("shop").log
        assert [*await log.records(OUTCOME), *await log.records(KIND)] == []
        assert not found_in(tmp_path, SECRET.encode())

    assert store.world.done == [SECRET]
    assert not found_in(tmp_path, SECRET.encode())


async def test_no_more_run_at_a_time_than_the_effect_says(store: Store) -> None:
    shop, box = telling(concurrency=2)
    gate = asyncio.Event()

    async with store.open(shop) as app:
        for number in range(6):
            store.world.obstacles[str(number)] = [gate]
            await accepted(app, box[some_id()], str(number))
        await store.until(lambda: store.world.now == 2)
        gate.set()
        await store.until(lambda: len(store.world.done) == 6)

    assert store.world.most == 2


async def test_a_timer_cannot_hold_one(store: Store) -> None:
    shop, box = telling(lambda command: [After(timedelta(seconds=1), Mail(SECRET))])

    async with store.open(shop) as app:
        with pytest.raises(HandlerFailed, match="a timer is written down") as failure:
            await app.send(box[some_id()], Do("later"))

    assert SECRET not in str(failure.value)


async def test_it_can_be_given_out_by_a_service_and_not_by_its_refold(store: Store) -> None:
    shop, box = boxes(lambda command: [Noted(command.what)])
    shop.effect(delivery="at_most_once")(_mail)
    watch = shop.service("watch", Box)

    @watch.react
    def noted(model: Box, event: Noted) -> tuple[Box, list[Any]]:
        return Box((*model.notes, event.what)), [Mail(event.what)]

    one = box[some_id()]
    async with store.open(shop) as app:
        await accepted(app, one, "a")
        await store.until(lambda: store.world.done == ["a"], step=0.1)
    async with store.open(shop) as app:
        await accepted(app, one, "b")
        await store.until(lambda: store.world.done == ["a", "b"], step=0.1)

    assert store.world.texts() == ["a", "b"]


def found_in(directory: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def _mail(effect: Mail, *, config: World) -> None:
    await config.act(effect.text)
