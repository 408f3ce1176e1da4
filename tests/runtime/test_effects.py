"""Promise 9, at least once: an effect is carried out until it is done, and it is known what became of it."""

import asyncio
from typing import Any, Literal

import pytest

from perdure import EffectFailed, HandlerFailed, Rejected, Retry
from tests.runtime.delivering import (
    Do,
    Mail,
    Noted,
    Store,
    World,
    accepted,
    boxes,
    is_done,
    mailing,
    outcome,
    some_id,
    standing,
    store,
    turns,
)

__all__ = ["store"]

SLOW = Retry(attempts=4, first_seconds=10, factor=2, jitter=0)


async def test_an_effect_runs_after_the_commit_that_gave_it_out(store: Store) -> None:
    shop, box = boxes(lambda command: [Mail(command.what), Noted(command.what)])
    seen: list[bytes] = []

    @shop.effect()
    async def mail(effect: Mail) -> None:
        seen.extend([event.data async for event in app.events()])

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "hello")
        await store.until(lambda: is_done(app))

    assert seen == [b'{"what":"hello"}']


@pytest.mark.parametrize("no", [Rejected("no"), ValueError("no")])
async def test_a_command_that_is_not_accepted_has_no_effect(store: Store, no: Exception) -> None:
    def give(command: Do) -> list[Any]:
        if command.what == "bad":
            raise no
        return [Mail(command.what)]

    shop, box = boxes(give)
    shop.effect()(_mail)

    async with store.open(shop) as app:
        if isinstance(no, Rejected):
            assert isinstance(await app.send(box[some_id()], Do("bad")), Rejected)
        else:
            with pytest.raises(HandlerFailed):
                await app.send(box[some_id()], Do("bad"))
        assert await is_done(app)
        await accepted(app, box[some_id()], "good")
        await store.until(lambda: is_done(app))

    assert store.world.texts() == ["good"]


async def test_the_config_the_key_and_the_attempt_are_handed_over(store: Store) -> None:
    shop, box = mailing()

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await accepted(app, box[some_id()], "b")
        await store.until(lambda: is_done(app))
        keys = {act.key for act in store.world.acts}

        assert len(keys) == 2
        assert {act.attempt for act in store.world.acts} == {1}
        assert {(await known(app, key)) for key in keys} == {("succeeded", 1, "")}


async def test_the_policy_says_when_it_is_tried_again(store: Store) -> None:
    shop, box = mailing(retry=SLOW)
    store.world.obstacles["a"] = [OSError("1"), OSError("2"), OSError("3")]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: is_done(app), step=1)

    waits = [b.at - a.at for a, b in zip(store.world.acts, store.world.acts[1:], strict=False)]
    assert all(low <= wait <= low + 4 for low, wait in zip((10, 20, 40), waits, strict=True))
    assert [act.attempt for act in store.world.acts] == [1, 2, 3, 4]


async def test_the_key_is_the_same_for_all_attempts_and_after_a_restart(store: Store) -> None:
    shop, box = mailing(retry=SLOW)
    store.world.obstacles["a"] = [OSError("1"), OSError("2")]
    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: len(store.world.acts) == 2, step=1)

    async with store.open(shop) as app:
        await store.until(lambda: is_done(app), step=1)

    assert len(store.world.acts) == 3
    assert len({act.key for act in store.world.acts}) == 1
    assert store.world.done == ["a"]


async def test_what_was_done_is_not_done_again_after_a_restart(store: Store) -> None:
    shop, box = mailing()
    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: is_done(app))

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "b")
        await store.until(lambda: is_done(app))

    assert store.world.texts() == ["a", "b"]


async def test_one_that_takes_too_long_is_unknown_and_tried_again(store: Store) -> None:
    shop, box = mailing(timeout_seconds=30)
    store.world.obstacles["a"] = [asyncio.Event()]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: len(store.world.acts) == 1)
        store.clock.advance(29)
        await turns()
        assert store.world.now == 1
        await store.until(lambda: is_done(app), step=1)

        first, second = store.world.acts
        assert second.key == first.key
        assert second.at - first.at >= 30
        assert await known(app, first.key) == ("succeeded", 2, "")


@pytest.mark.parametrize("of", [asyncio.CancelledError(), TimeoutError()])
async def test_one_that_was_cancelled_by_its_own_doing_is_tried_again_later(
    store: Store, of: BaseException
) -> None:
    shop, box = boxes(lambda command: [Mail(command.what)])

    @shop.effect(retry=SLOW)
    async def mail(effect: Mail, *, config: World, attempt: int) -> None:
        await config.act(effect.text, "", attempt)
        if attempt == 1:
            raise of

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: is_done(app), step=1)

    first, second = store.world.acts
    assert second.at - first.at >= 10


async def test_an_effect_that_says_it_failed_is_given_up_at_once(store: Store) -> None:
    shop, box = mailing()
    store.world.obstacles["bad"] = [EffectFailed("no such address")]
    one = box[some_id()]

    async with store.open(shop) as app:
        await accepted(app, one, "bad")
        await accepted(app, one, "next")
        await store.until(lambda: is_done(app))

        assert store.world.texts() == ["bad", "next"]
        assert await known(app, store.world.acts[0].key) == ("failed", 1, "no such address")
        assert await standing(app) == []


async def test_the_end_of_the_application_lets_what_runs_come_to_its_end(store: Store) -> None:
    shop, box = mailing()
    gate = asyncio.Event()
    store.world.obstacles["a"] = [gate]
    async with store.open(shop, shutdown_seconds_max=30) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: store.world.now == 1)
        asyncio.get_running_loop().call_later(0.02, gate.set)

    async with store.open(shop) as app:
        await store.until(lambda: is_done(app))

    assert store.world.texts() == ["a"]


# --- asked about -----------------------------------------------------------------------------------


Answer = Literal["succeeded", "failed"] | None


def asked(answer: Answer, asks: list[str], **options: Any) -> tuple[Any, Any]:
    """Make boxes with an effect that can be asked about."""
    shop, box = boxes(lambda command: [Mail(command.what)])

    async def became(effect: Mail, *, key: str, config: World) -> Answer:
        asks.append(key)
        await config.act(f"ask {effect.text}", key)
        return answer

    @shop.effect(reconcile=became, timeout_seconds=30, **options)
    async def mail(effect: Mail, *, key: str, attempt: int, config: World) -> None:
        await config.act(effect.text, key, attempt)

    return shop, box


BECAME = {
    "succeeded": (["a", "ask a"], ("succeeded", "")),
    "failed": (["a", "ask a"], ("failed", "failed, says its reconcile")),
    None: (["a", "ask a", "a"], ("succeeded", "")),
}


@pytest.mark.parametrize("answer", BECAME)
async def test_after_an_unknown_outcome_it_is_asked_what_became_of_it(
    store: Store, answer: Answer
) -> None:
    asks: list[str] = []
    shop, box = asked(answer, asks)
    store.world.obstacles["a"] = [asyncio.Event()]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: is_done(app), step=5)
        acts = store.world.acts

        assert (store.world.texts(), asks) == (BECAME[answer][0], [acts[0].key])
        assert {act.key for act in acts} == {acts[0].key}
        await check_became(app, acts[0].key, answer)


@pytest.mark.parametrize("answer", BECAME)
async def test_it_is_asked_after_a_process_that_ended_in_the_middle(
    store: Store, answer: Answer
) -> None:
    asks: list[str] = []
    shop, box = asked(answer, asks)
    store.world.obstacles["a"] = [asyncio.Event()]
    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: len(store.world.acts) == 1)

    async with store.open(shop) as app:
        await store.until(lambda: is_done(app), step=1)

        assert store.world.texts() == BECAME[answer][0]
        await check_became(app, store.world.acts[0].key, answer)
        assert await app.context("shop").log.records("attempt") == []


async def test_it_is_not_asked_after_a_failure_that_is_known(store: Store) -> None:
    asks: list[str] = []
    shop, box = asked(None, asks)
    store.world.obstacles["a"] = [OSError("refused")]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: is_done(app), step=1)

    assert (store.world.texts(), asks) == (["a", "a"], [])


async def test_while_nobody_answers_the_outcome_stays_unknown(store: Store) -> None:
    asks: list[str] = []
    shop, box = asked("succeeded", asks, retry=Retry(attempts=3, jitter=0))
    store.world.obstacles["a"] = [asyncio.Event()]
    store.world.obstacles["ask a"] = [OSError("no line"), asyncio.Event()]

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "a")
        await store.until(lambda: has_parked(app), step=5)

        assert store.world.texts() == ["a", "ask a", "ask a"]
        (parked,) = await standing(app)
        assert (parked.outcome, parked.attempts) == ("unknown", 3)


async def check_became(app: Any, key: str, answer: Answer) -> None:
    became = await outcome(app, key)
    assert became is not None
    kind, cause = BECAME[answer][1]
    assert became.outcome == kind
    assert became.cause.endswith(cause)


async def known(app: Any, key: str) -> tuple[str, int, str]:
    became = await outcome(app, key)
    assert became is not None
    return became.outcome, became.attempts, became.cause


async def has_parked(app: Any) -> bool:
    return bool(await standing(app))


async def _mail(effect: Mail, *, config: World) -> None:
    await config.act(effect.text)
