"""Promise 4: the first outcome under a command id stays for ever; conflicts and failures are no outcomes."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from perdure import (
    Accepted,
    Context,
    Emit,
    EntityKind,
    HandlerFailed,
    InvalidData,
    InvalidInput,
    Parked,
    Rejected,
    Reply,
    RequestKeyReused,
    WrongVersion,
    entity_named,
)
from perdure.testing import ManualEnvironment
from perdure.vocabulary.ids import micros_of, ticks_at
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Store,
    Withdraw,
    accepted,
    bank_of_accounts,
    declared,
    deposit,
    deposited,
    memory,
    recorded,
    store,
    written,
)

__all__ = ["memory", "store"]


@dataclass(frozen=True)
class Look:
    """A command that changes nothing."""


@dataclass(frozen=True)
class Greet:
    """A command that nothing is looked up for."""

    name: str


def replying_bank() -> tuple[Context, EntityKind[Account]]:
    bank, account = bank_of_accounts()

    @account.handle
    def look(state: Account, command: Look) -> list[Any]:
        return [Reply({"balance": state.balance})]

    @bank.low()
    def greet(command: Greet, *, now: datetime) -> list[Emit | Reply]:
        entity = entity_named("guest", command.name)
        return [Emit(event=Deposited(1), entity=entity), Reply([command.name, None, 1.5])]

    return bank, account


async def test_the_first_outcome_stays_for_ever(store: Store) -> None:
    bank, account = replying_bank()
    mine = account[uuid4()]

    async with store.open(bank) as app:
        looked = accepted(await app.send(mine, Look(), command_id="look"))
        first = accepted(await app.send(mine, Deposit(5), command_id="in"))
        greeted = accepted(await app.send(Greet("ann"), command_id="hello"))
        no = await app.send(mine, Withdraw(6), command_id="out")
        assert (looked.state, looked.version, looked.reply) == (Account(), 0, {"balance": 0})
        assert greeted.reply == ["ann", None, 1.5]
        assert isinstance(no, Rejected)
        await app.send(mine, Deposit(7))
        before = await written(app, "bank")

    async with store.open(bank) as app:
        for each in range(2):
            again = accepted(await app.send(mine, Deposit(5), command_id="in"))
            assert again == msgspec.structs.replace(first, repeated=True)
            again = accepted(await app.send(mine, Look(), command_id="look"))
            assert (again.state, again.version, again.reply) == (Account(), 0, {"balance": 0})
            hello = accepted(await app.send(Greet("ann"), command_id="hello"))
            assert hello == msgspec.structs.replace(greeted, repeated=True)
            out = await app.send(mine, Withdraw(6), command_id="out")
            assert isinstance(out, Rejected)
            assert out.reason == no.reason == "there are 5 only"
            assert await written(app, "bank") == before, each
        # whoever sends it again has seen an older version, and is right to
        again = accepted(await app.send(mine, Deposit(5), command_id="in", expected_version=0))
        assert (again.version, again.repeated) == (1, True)


@pytest.mark.parametrize("apps", [1, 2])
async def test_of_32_at_once_one_takes_effect_and_all_get_its_outcome(
    store: Store, apps: int
) -> None:
    bank, account = replying_bank()
    mine = account[uuid4()]

    async with store.open(bank) as one, store.open(bank) as two:
        senders = [one, two][:apps] * (32 // apps)
        outcomes = await asyncio.gather(
            *(app.send(mine, Deposit(5), command_id="once") for app in senders)
        )
        greetings = await asyncio.gather(
            *(app.send(Greet("ann"), command_id="once") for app in senders)
        )
        refusals = await asyncio.gather(
            *(app.send(mine, Withdraw(9), command_id="once") for app in senders)
        )
        events = await recorded(one)

    for told in (outcomes, greetings):
        first = next(each for each in map(accepted, told) if not each.repeated)
        repeat = msgspec.structs.replace(first, repeated=True)
        assert sorted(told, key=_repeated) == [first, *[repeat] * 31]
    assert {str(refusal) for refusal in refusals} == {"there are 5 only"}
    assert [event.type for event in events] == ["deposited", "deposited"]


def _repeated(outcome: Accepted[Any] | Rejected) -> bool:
    return accepted(outcome).repeated


async def test_an_id_that_stands_for_another_command_is_refused(store: Store) -> None:
    bank, account = replying_bank()
    mine = account[uuid4()]

    async with store.open(bank) as app:
        await app.send(mine, Deposit(5), command_id="c")
        await app.send(mine, Withdraw(9), command_id="no")
        await app.send(Greet("ann"), command_id="c")
        before = await written(app, "bank")
        for to, command, id_ in (
            (mine, Deposit(6), "c"),
            (account[uuid4()], Deposit(5), "c"),
            (mine, Withdraw(1), "no"),
        ):
            with pytest.raises(RequestKeyReused, match=f"'{id_}' was used for another command"):
                await app.send(to, command, command_id=id_)
        with pytest.raises(RequestKeyReused):
            await app.send(Greet("ben"), command_id="c")

        assert await written(app, "bank") == before
        assert await app.model(mine) == Account(5, (5,))


async def test_an_id_counts_for_one_command_of_one_principal(store: Store) -> None:
    bank, account = replying_bank()
    mine = account[uuid4()]

    async with store.open(bank) as app:
        for principal in (None, "ann", "ben", "ann/c", ""):
            done = accepted(await app.send(mine, Deposit(1), command_id="c", principal=principal))
            assert not done.repeated
        assert not accepted(await app.send(mine, Withdraw(1), command_id="c")).repeated
        again = accepted(await app.send(mine, Deposit(1), command_id="c", principal="ben"))
        assert (again.version, again.repeated) == (3, True)
        assert not accepted(await app.send(mine, Deposit(1))).repeated
        assert not accepted(await app.send(mine, Deposit(1))).repeated
        assert len(await recorded(app)) == 8


async def test_failures_and_conflicts_are_no_outcomes(store: Store) -> None:
    broken = True
    bank = declared()
    account = bank.entity("account", Account)
    account.update(deposited)

    @account.handle
    def mended(state: Account, command: Deposit) -> list[Deposited]:
        if broken:
            raise ZeroDivisionError
        return [Deposited(command.amount)]

    mine = account[uuid4()]
    async with store.open(bank) as app:
        with pytest.raises(HandlerFailed):
            await app.send(mine, Deposit(5), command_id="c")
        with pytest.raises(WrongVersion):
            await app.send(mine, Deposit(5), command_id="c", expected_version=3)
        broken = False
        with pytest.raises(WrongVersion):
            await app.send(mine, Deposit(5), command_id="c", expected_version=3)
        done = accepted(await app.send(mine, Deposit(6), command_id="c"))
        assert (done.state, done.repeated) == (Account(6, (6,)), False)

        broken = True  # what it came to stays, whatever became of the function
        again = accepted(await app.send(mine, Deposit(6), command_id="c"))
        assert (again.state, again.repeated) == (Account(6, (6,)), True)


@pytest.mark.parametrize("id_", ["", "a/b", "a b", "ä", "\n", "x" * 201])
async def test_a_malformed_id_is_refused(store: Store, id_: str) -> None:
    bank, account = replying_bank()

    async with store.open(bank) as app:
        with pytest.raises(InvalidInput, match="is not a command id: 1 to 200 visible ASCII"):
            await app.send(account[uuid4()], Deposit(1), command_id=id_)
        accepted(await app.send(account[uuid4()], Deposit(1), command_id="x" * 200))
        assert await app.context("bank").head() == 1


async def test_a_command_that_json_cannot_say_is_refused(store: Store) -> None:
    bank, account = replying_bank()

    async with store.open(bank) as app:
        with pytest.raises(InvalidData):
            await app.send(account[uuid4()], Deposit(2**64))
        with pytest.raises(InvalidData):
            await app.send(Greet("\ud800"))
        assert await app.context("bank").head() == 0


async def test_every_command_leaves_a_record_to_be_read(store: Store) -> None:
    bank, account = replying_bank()
    mine, environment = account[uuid4()], ManualEnvironment()
    now = environment.clock.now()

    async with store.open(bank, environment=environment) as app:
        await app.send(mine, Deposit(5), command_id="c", principal="ann", correlation_id="all")
        environment.clock.advance(60)
        await app.send(mine, Withdraw(6), command_id="c")
        await app.send(Greet("ann"), command_id="c")
        await app.send(mine, Look())
        log = app.context("bank").log
        records = {
            record.key: msgspec.json.decode(record.value) for record in await log.records("command")
        }
        ids = [str(event.event_id) for event in await recorded(app)]

    assert len(records) == 4
    assert records["account.deposit/c/ann"] == {
        "name": "account.deposit", "target": mine.key, "data": {"amount": 5}, "at": now,
        "verdict": "accepted", "events": ids[:1], "version": 1, "principal": "ann",
        "correlation_id": "all",
    }  # fmt: skip
    assert records["account.withdraw/c"] == {
        "name": "account.withdraw", "target": mine.key, "data": {"amount": 6},
        "at": now + 60_000_000, "verdict": "rejected", "reason": "there are 5 only",
        "version": 1,
    }  # fmt: skip
    assert records["greet/c"] == {
        "name": "greet", "data": {"name": "ann"}, "at": now + 60_000_000, "verdict": "accepted",
        "events": ids[1:], "reply": ["ann", None, 1.5],
    }  # fmt: skip


async def test_another_body_at_the_very_same_moment_is_refused_at_once(memory: Store) -> None:
    bank, _ = replying_bank()
    environment = ManualEnvironment()  # its time stands still: whoever waits, waits for ever

    async with memory.open(bank, environment=environment) as app, asyncio.timeout(5):
        first = accepted(await app.send(Greet("ann"), command_id="c"))
        with pytest.raises(RequestKeyReused):
            await app.send(Greet("ben"), command_id="c")
        again = accepted(await app.send(Greet("ann"), command_id="c"))
        assert again == msgspec.structs.replace(first, repeated=True)


async def test_the_first_outcome_stays_when_what_it_was_decided_on_stands_still(
    memory: Store,
) -> None:
    @dataclass(frozen=True)
    class Charge:
        amount: int

    bank = declared()
    statement = bank.service("statement", Account)
    mine = uuid4()

    @statement.react
    def fussy(model: Account, event: Deposited) -> Account:
        if event.amount < 0:
            raise ValueError("negative")
        return deposited(model, event)

    @bank.low(lambda command: statement[mine])
    def charge(command: Charge, found: Account) -> list[Emit]:
        return [Emit(event=Deposited(command.amount), entity=mine)]

    async with memory.open(bank, react=True, retries_max=0) as app:
        first = accepted(await app.send(Charge(5), command_id="c"))
        await app.append(bank.new(mine, Deposited(-1)))
        async with asyncio.timeout(10):
            while not await app.context("bank").log.records("parked"):
                await asyncio.sleep(0.005)
        with pytest.raises(Parked):
            await app.send(Charge(6), command_id="d")

        again = accepted(await app.send(Charge(5), command_id="c"))
        assert again == msgspec.structs.replace(first, repeated=True)


async def test_the_time_of_a_command_is_that_of_its_first_sending(store: Store) -> None:
    bank = declared()
    account = bank.entity("account", Account)
    account.update(deposited)
    account.handle(deposit)
    seen: list[datetime] = []

    @account.handle
    def timed(state: Account, command: Withdraw, *, now: datetime) -> list[Any]:
        seen.append(now)
        return [Reply(now.isoformat())]

    mine, environment = account[uuid4()], ManualEnvironment()
    async with store.open(bank, environment=environment) as app:
        first = accepted(await app.send(mine, Withdraw(1), command_id="c"))
        environment.clock.advance(60)
        again = accepted(await app.send(mine, Withdraw(1), command_id="c"))
        assert again.reply == first.reply == seen[0].isoformat()
        record = await app.context("bank").log.record("command", "account.withdraw/c")
        assert record is not None
        assert msgspec.json.decode(record.value)["at"] == micros_of(ticks_at(seen[0]))
