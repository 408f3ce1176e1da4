"""The counter: what it decides, and the script of the seed (S3.14) on Perdure."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

import perdure
from examples.counter.app import counter, counters
from examples.counter.counter import (
    Counter,
    Increased,
    Increment,
    SendAlert,
    increased,
    increment,
    total,
)
from examples.counter.mailer import send_alert
from perdure import App, Context, Rejected, WrongVersion
from perdure.transports.http import HttpApp
from perdure.transports.server import HttpServer
from tests.examples.mailbox import Mailbox, accepted, all_is_delivered


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/store"


# --- the functions --------------------------------------------------------------------------------


def test_to_increment_is_to_count_one_on() -> None:
    assert increment(Counter(), Increment()) == [Increased(1)]
    assert increased(Counter(2), Increased(3)) == Counter(5)
    assert total(Counter(5)) == 5


def test_getting_to_five_asks_for_an_alert_once() -> None:
    assert increment(Counter(3), Increment()) == [Increased(1)]
    assert increment(Counter(4), Increment()) == [Increased(1), SendAlert(5)]
    assert increment(Counter(3), Increment(by=4)) == [Increased(4), SendAlert(7)]
    assert increment(Counter(5), Increment()) == [Increased(1)]


@pytest.mark.parametrize("step", [0, -1, 1_000_001])
def test_a_step_out_of_bounds_says_so(step: int) -> None:
    for make in (Increment, Increased):
        with pytest.raises(ValueError, match=f"a step is from 1 to 1000000, not {step}"):
            make(step)


# --- the script of the seed -----------------------------------------------------------------------


@asynccontextmanager
async def following(app: App, entity: UUID) -> AsyncIterator[AsyncIterator[Any]]:
    """Follow an entity's events live, as anybody can: over HTTP."""
    http = HttpApp(app)
    async with HttpServer(http, "127.0.0.1", 0, on_stopping=http.stopping.set) as server:
        host, port = server.address
        headers = {"Accept": "text/event-stream"}
        async with (
            httpx2.AsyncClient(base_url=f"http://{host}:{port}") as client,
            client.stream("GET", f"/counters/{entity}/events", headers=headers) as answer,
        ):
            yield (
                json.loads(line.removeprefix("data: "))
                async for line in answer.aiter_lines()
                if line.startswith("data: ")
            )


async def test_the_script_of_the_seed(tmp_path: Path) -> None:
    store, mailbox = f"sqlite:///{tmp_path}/store", Mailbox()
    mine, other = uuid4(), uuid4()

    async with perdure.open(counters, store=store, config=mailbox) as app:
        assert (await accepted(app, counter[mine], Increment())).state == Counter(1)
        assert (await accepted(app, counter[mine], Increment())).state == Counter(2)

        async with following(app, mine) as events, asyncio.timeout(10):
            seen = [await anext(events) for _ in range(2)]
            assert (await accepted(app, counter[mine], Increment())).state == Counter(3)
            seen.append(await anext(events))
        assert [(event["type"], event["data"]) for event in seen] == [
            ("increased", {"amount": 1})
        ] * 3

        assert (await accepted(app, counter[mine], Increment())).state == Counter(4)
        assert mailbox.is_empty()
        assert (await accepted(app, counter[mine], Increment())).state == Counter(5)
        assert await mailbox.next() == {"alert": 5}

        assert (await accepted(app, counter[other], Increment())).state == Counter(1)
        await all_is_delivered(app)

    async with perdure.open(counters, store=store, config=mailbox) as app:
        assert (await accepted(app, counter[mine], Increment())).state == Counter(6)

        committed = await app.append(counters.new(mine, Increased(1)))
        assert [receipt.version for receipt in committed.receipts] == [7]

        outcome = await accepted(app, counter[mine], Increment())
        assert (outcome.state, outcome.version) == (Counter(8), 8)
        assert await app.model(counter[mine]) == Counter(8)
        assert await app.model(counter[other]) == Counter(1)
        await all_is_delivered(app)
    assert mailbox.is_empty()


async def test_the_total_is_all_that_some_want_to_know(store: str) -> None:
    mine = uuid4()

    async with perdure.open(counters, store=store, config=Mailbox()) as app:
        await accepted(app, counter[mine], Increment(3))

        assert await app.model(counter[mine], query=total) == 3


# --- who comes second -----------------------------------------------------------------------------


async def test_of_two_messages_at_once_both_count_and_one_gives_the_alert(store: str) -> None:
    mine, mailbox = uuid4(), Mailbox()

    async with perdure.open(counters, store=store, config=mailbox) as app:
        await accepted(app, counter[mine], Increment(4))
        outcomes = await asyncio.gather(
            accepted(app, counter[mine], Increment()), accepted(app, counter[mine], Increment())
        )

        assert {outcome.state for outcome in outcomes} == {Counter(5), Counter(6)}
        assert await mailbox.next() == {"alert": 5}
        await all_is_delivered(app)
    assert mailbox.is_empty()


async def test_two_applications_over_one_store_lose_no_update(tmp_path: Path) -> None:
    store, mailbox, mine = f"sqlite:///{tmp_path}/store", Mailbox(), uuid4()

    async with (
        perdure.open(counters, store=store, config=mailbox) as one,
        perdure.open(counters, store=store, react=False) as two,  # one does the delivering
    ):
        outcomes = await asyncio.gather(
            *(accepted(app, counter[mine], Increment()) for app in [one, two] * 10)
        )

        assert sorted(outcome.version for outcome in outcomes) == list(range(1, 21))
        assert {outcome.state.count for outcome in outcomes} == set(range(1, 21))
        assert await mailbox.next() == {"alert": 5}
        await all_is_delivered(one)
    assert mailbox.is_empty()


async def test_a_message_that_comes_too_late_leaves_no_effect(store: str) -> None:
    mine, mailbox = uuid4(), Mailbox()

    async with perdure.open(counters, store=store, config=mailbox) as app:
        await accepted(app, counter[mine], Increment(4))
        with pytest.raises(WrongVersion):
            await app.send(counter[mine], Increment(), expected_version=0)

        assert await app.model(counter[mine]) == Counter(4)
        await all_is_delivered(app)
    assert mailbox.is_empty()


async def test_the_same_message_again_gives_the_first_outcome(store: str) -> None:
    mine, mailbox = uuid4(), Mailbox()

    async with perdure.open(counters, store=store, config=mailbox) as app:
        first = await accepted(app, counter[mine], Increment(5), command_id="one")
        again = await accepted(app, counter[mine], Increment(5), command_id="one")

        assert (first.repeated, again.repeated) == (False, True)
        assert (again.version, again.position) == (first.version, first.position)
        assert await mailbox.next() == {"alert": 5}
        await all_is_delivered(app)
    assert mailbox.is_empty()


# --- one entity, handled by another module --------------------------------------------------------


@dataclass(frozen=True)
class Gauge:
    """What the new module knows of a counter: how much of its ten is used up."""

    used: int = 0


@dataclass(frozen=True)
class Fill:
    """What the new module is told."""

    amount: int


def fill(state: Gauge, command: Fill) -> list[Increased | SendAlert]:
    outputs = increment(Counter(state.used), Increment(command.amount))
    if state.used + command.amount > 10:
        raise Rejected("It holds ten")
    return outputs


def filled(state: Gauge, event: Increased) -> Gauge:
    return Gauge(state.used + event.amount)


async def test_an_entity_is_handled_by_another_module_over_the_same_events(store: str) -> None:
    context, mine, mailbox = Context("counters"), uuid4(), Mailbox()
    context.event("increased")(Increased)
    context.effect()(send_alert)
    legacy = context.entity("legacy_counter", Counter)
    legacy.handle(increment)
    legacy.update(increased)
    new = context.entity("new_counter", Gauge)
    new.handle(fill)
    new.update(filled)

    async with perdure.open(context, store=store, config=mailbox) as app:
        assert (await accepted(app, legacy[mine], Increment(2))).state == Counter(2)
        assert (await accepted(app, new[mine], Fill(1))).state == Gauge(3)
        outcome = await accepted(app, legacy[mine], Increment())
        assert (outcome.state, outcome.version) == (Counter(4), 3)

        refused = await app.send(new[mine], Fill(7))  # it would have given the alert
        assert isinstance(refused, Rejected)
        assert refused.reason == "It holds ten"
        assert await app.model(new[mine]) == Gauge(4)
        await all_is_delivered(app)
        assert mailbox.is_empty()

        assert (await accepted(app, new[mine], Fill(6))).state == Gauge(10)
        assert await mailbox.next() == {"alert": 10}
