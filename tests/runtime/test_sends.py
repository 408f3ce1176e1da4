"""Commands that entities send: handled exactly once, in the receiver's own commit, in order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest

from perdure import App, Context, Emit, EntityKind, HandlerFailed, Rejected, Send, matching
from perdure.ports.engine import Log
from perdure.vocabulary.commits import Commit, Settle
from perdure.vocabulary.errors import OutcomeUnknown, StorageFull
from perdure.vocabulary.events import Metadata, RecordedEvent
from tests.runtime.delivering import (
    Between,
    Box,
    Do,
    Mail,
    Noted,
    Store,
    Through,
    accepted,
    boxes,
    is_done,
    noted,
    notes,
    open_intents,
    some_id,
    standing,
    store,
)

__all__ = ["store"]


def passing(*, there: bool = False) -> tuple[tuple[Context, ...], EntityKind[Box], EntityKind[Box]]:
    """Make boxes that pass on ``to ID REST``, and note everything else but ``no``.

    The receivers are of the same kind, or those of another context.
    """

    def give(command: Do) -> list[Any]:
        verb, _, rest = command.what.partition(" ")
        if verb == "to":
            receiver, _, what = rest.partition(" ")
            return [Send(Do(what), to=receivers[UUID(receiver)])]
        if verb == "no":
            raise Rejected("no")
        return [Noted(command.what)]

    shop, box = boxes(give)
    receivers = box
    if not there:
        return (shop,), box, box
    other, receivers = boxes(give, "there")
    return (shop, other), box, receivers


WHERE = pytest.mark.parametrize("there", [False, True], ids=["own", "another"])


@WHERE
async def test_a_command_is_handled_by_its_receiver(store: Store, there: bool) -> None:
    contexts, box, receivers = passing(there=there)
    one, other = box[some_id()], some_id()

    async with store.open(*contexts) as app:
        sent = await accepted(app, one, f"to {other} hello")
        assert (sent.version, sent.events) == (0, ())
        await noted(store, app, receivers[other], "hello", step=0)
        await store.until(lambda: is_done(app))


@WHERE
async def test_commands_to_one_receiver_are_handled_in_the_order_they_were_sent(
    store: Store, there: bool
) -> None:
    contexts, box, receivers = passing(there=there)
    one, other = box[some_id()], some_id()

    async with store.open(*contexts) as app:
        for number in range(30):
            await accepted(app, one, f"to {other} {number}")
        await noted(store, app, receivers[other], *map(str, range(30)), step=0)


@WHERE
async def test_what_the_receiver_rejects_is_done(store: Store, there: bool) -> None:
    contexts, box, receivers = passing(there=there)
    one, other = box[some_id()], some_id()

    async with store.open(*contexts) as app:
        for what in ("no thanks", "yes"):
            await accepted(app, one, f"to {other} {what}")
        await noted(store, app, receivers[other], "yes", step=0)
        await store.until(lambda: is_done(app))

        assert await standing(app) == []


@dataclass(frozen=True)
class Register:
    name: str


async def test_a_command_without_a_receiver_goes_to_its_low_handler(store: Store) -> None:
    shop, box = boxes(lambda command: [Send(Register(command.what))])

    @shop.low(lambda command: matching(Noted, tags=(f"name:{command.name}",)))
    def register(command: Register, found: Any, *, new_id: Callable[[], UUID]) -> list[Any]:
        if found:
            raise Rejected("taken")
        tags = (f"name:{command.name}",)
        return [Emit(event=Noted(command.name), entity=new_id(), tags=tags, fresh=True)]

    async with store.open(shop) as app:
        for what in ("ann", "ben", "ann"):
            await accepted(app, box[some_id()], what)
        await store.until(lambda: is_done(app))

        assert sorted(event.data for event in await recorded(app)) == [
            b'{"what":"ann"}',
            b'{"what":"ben"}',
        ]


async def test_who_and_why_go_along(store: Store) -> None:
    (shop,), box, _ = passing()
    one, two, three = some_id(), some_id(), some_id()

    async with store.open(shop) as app:
        await app.send(
            box[one], Do(f"to {two} to {three} hello"),
            command_id="first", principal="ann", correlation_id="all-of-it",
        )  # fmt: skip
        await store.until(lambda: is_done(app))
        (event,) = await recorded(app)
        about = metadata(event)

        assert (about.principal, about.correlation_id) == ("ann", "all-of-it")
        assert about.command_id not in (None, "first")
        assert about.causation_id not in (None, "first", about.command_id)


async def test_without_a_correlation_the_first_command_is_it(store: Store) -> None:
    (shop,), box, _ = passing()

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], f"to {some_id()} hello", command_id="first")
        await store.until(lambda: is_done(app))
        about = metadata((await recorded(app))[0])

    assert (about.correlation_id, about.causation_id) == ("first", "first")


async def test_a_chain_of_a_hundred_goes_to_its_end(store: Store) -> None:
    (shop,), box, _ = passing()
    ids = [some_id() for _ in range(100)]
    what = " ".join([*(f"to {each}" for each in ids[1:]), "the end"])

    async with store.open(shop) as app:
        await accepted(app, box[ids[0]], what)
        await noted(store, app, box[ids[-1]], "the end", step=0)

        assert await app.context("shop").head() == 1


@dataclass(frozen=True)
class Ball:
    left: int
    to: UUID


def playing() -> tuple[Context, EntityKind[Box]]:
    shop, box = boxes(lambda command: [Noted(command.what)])

    @box.handle
    def hit(state: Box, command: Ball, *, entity: UUID) -> list[Any]:
        back = [Send(Ball(command.left - 1, entity), to=box[command.to])] if command.left else []
        return [Noted(str(command.left)), *back]

    return shop, box


@pytest.mark.parametrize("alone", [False, True], ids=["two", "itself"])
async def test_a_ball_goes_to_and_fro_until_it_is_dropped(store: Store, alone: bool) -> None:
    shop, box = playing()
    one = some_id()
    other = one if alone else some_id()

    async with store.open(shop) as app:
        await app.send(box[one], Ball(20, other))
        await store.until(lambda: is_done(app))
        mine, theirs = await notes(app, box[one]), await notes(app, box[other])

    assert mine == tuple(map(str, range(20, -1, -1 if alone else -2)))
    assert theirs == (mine if alone else tuple(map(str, range(19, 0, -2))))


async def test_what_is_decided_on_it_happened_after_it_was_sent(store: Store) -> None:
    shop, box = playing()

    async with store.open(shop) as app:
        await app.send(box[some_id()], Ball(9, some_id()))
        await store.until(lambda: is_done(app))
        ticks = [event.ticks for event in await recorded(app)]

    assert ticks == sorted(set(ticks))


# --- exactly once ----------------------------------------------------------------------------------


class Breaking(Between):
    """A log whose commits that settle an intent fail, ``before`` or ``after`` they are written."""

    def __init__(self, log: Log, when: Literal["before", "after"], times: int) -> None:
        super().__init__(log)
        self._when, self._left = when, times

    async def commit(self, commits: Any) -> Any:
        ends = any(isinstance(each, Settle) for commit in commits for each in commit.intents)
        if not ends or not self._left:
            return await self._log.commit(commits)
        self._left -= 1
        if self._when == "before":
            raise StorageFull("the disk is full")
        await self._log.commit(commits)
        raise OutcomeUnknown("the disk did not answer")


@WHERE
@pytest.mark.parametrize("restarts", [False, True], ids=["goes on", "starts again"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_command_has_one_effect_wherever_its_delivery_breaks_off(
    store: Store, when: Literal["before", "after"], restarts: bool, there: bool
) -> None:
    contexts, box, receivers = passing(there=there)
    one, other = box[some_id()], some_id()
    broken: list[Breaking] = []

    def between(log: Log) -> Any:
        broken.append(Breaking(log, when, 1 if restarts else 3))
        return broken[-1]

    async with store.open(*contexts, engine=Through(store.engine(), between)) as app:
        await accepted(app, one, f"to {other} a")
        if restarts:
            await store.until(lambda: any(not log._left for log in broken))
    async with store.open(*contexts) as app:
        await accepted(app, one, f"to {other} b")
        await noted(store, app, receivers[other], "a", "b")
        await store.until(lambda: is_done(app), step=0.5)


@WHERE
@pytest.mark.parametrize("what", ["hello", "no thanks"])
async def test_a_command_that_is_given_out_again_is_done_without_effect(
    store: Store, what: str, there: bool
) -> None:
    contexts, box, receivers = passing(there=there)
    one, other = box[some_id()], some_id()

    async with store.open(*contexts, react=False) as app:
        await accepted(app, one, f"to {other} {what}")
        (intent,) = await app.context("shop").log.intents("command")
    async with store.open(*contexts) as app:
        await store.until(lambda: is_done(app))
        before = await notes(app, receivers[other])
        for _ in range(3):
            await app.context("shop").log.commit([Commit(intents=(intent,))])
            await store.until(lambda: is_done(app), step=1)

        assert await notes(app, receivers[other]) == before
        assert len(before) == (what == "hello")


async def test_two_nodes_at_once_handle_a_command_once(store: Store) -> None:
    """The lease keeps one of them from delivering; it is the record of the command that promises it."""
    (shop,), box, _ = passing()
    one, other = box[some_id()], some_id()

    async with store.open(shop, node="one") as first:
        for number in range(20):
            await accepted(first, one, f"to {other} {number}")
        async with store.open(shop, node="two", gone=("one",)) as second:
            await noted(store, second, box[other], *map(str, range(20)), step=0.1)
            await store.until(lambda: is_done(second), step=0.1)


# --- a receiver that fails ----------------------------------------------------------------------


async def test_a_handler_that_fails_is_tried_again_and_then_succeeds(store: Store) -> None:
    failures = iter([ValueError("1"), ValueError("2")])
    target = some_id()

    def give(command: Do) -> list[Any]:
        if command.what == "send":
            return [Send(Do("it"), to=box[target])]
        if (failure := next(failures, None)) is not None:
            raise failure
        return [Noted(command.what)]

    shop, box = boxes(give)

    async with store.open(shop) as app:
        await accepted(app, box[some_id()], "send")
        await noted(store, app, box[target], "it")


async def test_a_command_nobody_takes_is_refused_to_its_sender(store: Store) -> None:
    shop, box = boxes(lambda command: [Send(Mail("not a command"), to=box[some_id()])])

    async with store.open(shop) as app:
        with pytest.raises(HandlerFailed, match="sends Mail, which 'box' does not take"):
            await app.send(box[some_id()], Do(""))
        assert await open_intents(app) == 0


async def recorded(app: App) -> list[RecordedEvent]:
    return [event async for event in app.events()]


def metadata(event: RecordedEvent) -> Metadata:
    return msgspec.json.decode(event.metadata, type=Metadata)
