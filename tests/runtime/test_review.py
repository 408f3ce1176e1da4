"""What a stranger asked when reading how commands are decided, and what they give out delivered.

Each question got a test that failed first: about changed code, unusual names and times, and history that
cannot be read any more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure import (
    After,
    At,
    Context,
    DefinitionError,
    Envelope,
    HandlerFailed,
    InvalidInput,
    InvalidName,
    Matching,
    Retry,
    Send,
    matching,
)
from perdure.core.definition import define
from perdure.runtime import undelivered
from tests.runtime import delivering
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Store,
    accepted,
    bank_of_accounts,
    declared,
    deposited,
    memory,
    store,
)
from tests.runtime.delivering import Box, Do, Mail, Noted, World, boxes, is_done, standing
from tests.runtime.delivering import store as town
from tests.runtime.support import raw

__all__ = ["memory", "store", "town"]


@dataclass(frozen=True)
class Go:
    """A command without content."""


# --- code that has changed ------------------------------------------------------------------------


async def test_a_field_added_to_a_command_keeps_its_first_outcome(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]
    async with store.open(bank) as app:
        first = accepted(await app.send(mine, Deposit(5), command_id="c"))
    later = declared()

    @later.command("deposit")
    @dataclass(frozen=True)
    class DepositNow:
        amount: int
        note: str = ""

    again = later.entity("account", Account)
    again.update(deposited)

    @again.handle
    def deposit(state: Account, command: DepositNow) -> list[Deposited]:
        return [Deposited(command.amount)]

    async with store.open(later) as app:
        repeat = accepted(await app.send(again[mine.key], DepositNow(5), command_id="c"))

        assert (repeat.state, repeat.version, repeat.repeated) == (first.state, 1, True)
        with pytest.raises(Exception, match="was used for another command"):
            await app.send(again[mine.key], DepositNow(5, "for rent"), command_id="c")


async def test_a_kind_that_refuses_raw_events_refuses_them_under_older_names(store: Store) -> None:
    bank, _ = bank_of_accounts(raw=False)
    bank.upcast("paid_in", 1, into="deposited")(lambda data: data)

    async with store.open(bank) as app:
        with pytest.raises(InvalidName, match="'paid_in' is recorded by commands alone"):
            await app.append(raw("paid_in", uuid4(), b'{"amount":3}'))
        assert await app.context("bank").head() == 0


async def test_history_that_cannot_be_looked_up_is_no_fault_of_the_sender(store: Store) -> None:
    bank, account = bank_of_accounts()
    async with store.open(bank) as app:
        accepted(await app.send(account[uuid4()], Deposit(5)))
    later = Context("bank")

    @later.event("deposited")
    @dataclass(frozen=True)
    class Explained:
        amount: int
        why: str

    def needs(command: Go) -> Matching[Explained]:
        return matching(Explained)

    @later.low(needs)
    def go(command: Go, found: Sequence[Envelope[Explained]]) -> list[Any]:
        return []

    async with store.open(later) as app:
        with pytest.raises(HandlerFailed, match="looking up 'deposited' at position 1 failed"):
            await app.send(Go())


async def test_a_command_goes_on_when_what_it_needs_was_mended(town: delivering.Store) -> None:
    def forwarding(needs: Any) -> tuple[Context, Any]:
        shop, box = boxes(lambda command: [Send(Go())] if command.what == "go" else [Noted("-")])

        @shop.low(needs)
        def go(command: Go, found: Box) -> list[Send]:
            return [Send(Do("noted"), to=box[target])]

        return shop, box

    def broken(command: Go) -> Any:
        raise ValueError("no needs")

    target = uuid4()
    shop, box = forwarding(broken)
    async with town.open(shop) as app:
        await delivering.accepted(app, box[uuid4()], "go")
        await town.until(lambda: _is_parked(app), step=1)

    shop, box = forwarding(lambda command: box[target])
    async with town.open(shop) as app:
        await town.until(lambda: is_done(app), step=1)

        assert await delivering.notes(app, box[target]) == ("-",)


async def test_an_effect_goes_on_when_its_reconcile_was_mended(town: delivering.Store) -> None:
    def mailing(reconcile: Any) -> tuple[Context, Any]:
        shop, box = boxes(lambda command: [Mail(command.what)])

        @shop.effect(retry=Retry(attempts=2), timeout_seconds=1, reconcile=reconcile)
        async def mail(effect: Mail, *, config: World) -> None:
            await config.act(effect.text)

        return shop, box

    async def broken(effect: Mail) -> Any:
        raise ValueError("cannot ask")

    async def mended(effect: Mail) -> str:
        return "succeeded"

    town.world.obstacles["a"] = [asyncio.Event()]
    shop, box = mailing(broken)
    async with town.open(shop) as app:
        await delivering.accepted(app, box[uuid4()], "a")
        await town.until(lambda: _is_parked(app), step=1)

    shop, _ = mailing(mended)
    async with town.open(shop) as app:
        await town.until(lambda: is_done(app), step=1)

        assert await standing(app) == []
        assert town.world.texts() == ["a"]


async def _is_parked(app: Any) -> bool:
    return bool(await undelivered.load(app.context("shop").log))


# --- unusual names and times ----------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    by: str
    name: str


@dataclass(frozen=True)
class Late:
    by: str


@dataclass(frozen=True)
class Plan:
    count: int = 0


async def test_timers_of_two_keys_are_two_whatever_is_in_their_names(store: Store) -> None:
    office = Context("office")
    office.event(Planned)
    office.event(Late)
    plan = office.service("plan", Plan, by="by", order="recorded")

    @plan.react
    def planned(model: Plan, event: Planned) -> tuple[Plan, list[Any]]:
        later = After(timedelta(days=1), Late(event.by), name=event.name)
        return Plan(model.count + 1), [later]

    async with store.open(office, react=True) as app:
        live = app.context("office")
        for by, name in (("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c")):
            done = await app.append(office.new(uuid4(), Planned(by, name)))
        await live.models.wait(live.definition.reactors["plan"], done.position, 10)

        assert len(await live.log.intents("emit")) == 3


@pytest.mark.parametrize(
    "timer",
    [
        After(timedelta.max, Deposited(1)),
        At(datetime(6000, 1, 1, tzinfo=UTC), Deposited(1)),
        At(datetime.max.replace(tzinfo=UTC), Deposited(1), name="never"),
    ],
)
async def test_a_time_that_no_event_id_can_say_is_refused(store: Store, timer: Any) -> None:
    bank, account = bank_of_accounts()

    @account.handle
    def go(state: Account, command: Go) -> list[Any]:
        return [timer]

    async with store.open(bank) as app:
        with pytest.raises(HandlerFailed, match="due beyond the year 5236"):
            await app.send(account[uuid4()], Go())


def test_two_commands_whose_ids_would_be_taken_for_one_are_named() -> None:
    bank, _ = bank_of_accounts()
    bank.command("account.deposit")(Go)

    @bank.low()
    def go(command: Go) -> list[Any]:
        return []

    with pytest.raises(
        DefinitionError, match=r"'account\.deposit' names a command of .*go already"
    ):
        define(bank)


def test_a_handler_may_say_what_its_events_have_in_common() -> None:
    class Fact:
        """What all events are."""

    @dataclass(frozen=True)
    class Gone(Fact):
        pass

    bank, account = bank_of_accounts()
    bank.event(Gone)

    @account.update
    def gone(state: Account, event: Gone) -> Account:
        return state

    @account.handle
    def go(state: Account, command: Go) -> list[Fact]:
        return [Gone()]

    assert "go" in define(bank).kinds["account"].handlers


async def test_a_version_of_nothing_is_refused(memory: Store) -> None:
    bank, _ = bank_of_accounts()

    @bank.low()
    def go(command: Go) -> list[Any]:
        return []

    async with memory.open(bank) as app:
        with pytest.raises(InvalidInput, match="a LOW handler has no version to expect"):
            await app.send(Go(), expected_version=1)  # type: ignore[call-overload]


# --- a cache is only a cache ----------------------------------------------------------------------


@dataclass(frozen=True)
class Loose:
    """A state that JSON holds, and gives back as something else."""

    parts: dict[str, Any] = field(default_factory=dict)


async def test_a_snapshot_that_would_change_the_state_is_not_taken(store: Store) -> None:
    bank = declared()
    loose = bank.entity("loose", Loose, snapshot_every=1)

    @loose.update
    def folds(state: Loose, event: Deposited) -> Loose:
        return Loose({**state.parts, str(event.amount): (event.amount, UUID(int=event.amount))})

    @loose.handle
    def deposit(state: Loose, command: Deposit) -> list[Deposited]:
        return [Deposited(command.amount)]

    mine = loose[uuid4()]
    async with store.open(bank) as app:
        accepted(await app.send(mine, Deposit(1)))
        assert app.meter.counters["snapshots_ignored"] == 1

    async with store.open(bank) as app:
        done = accepted(await app.send(mine, Deposit(2), command_id="c"))
        repeat = accepted(await app.send(mine, Deposit(2), command_id="c"))

        assert done.state.parts["1"] == (1, UUID(int=1))
        assert repeat.state == done.state
