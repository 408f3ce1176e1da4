"""Conflicts: nothing is lost however many decide at once, and nobody tries for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import (
    Accepted,
    After,
    App,
    Contended,
    Context,
    Emit,
    EntityKind,
    Envelope,
    ModelRef,
    OutcomeUnknown,
    Rejected,
    Send,
    Settings,
    Unavailable,
    matching,
)
from perdure.core.retrying import CONFLICTS
from perdure.ports.engine import Capability, Engine, Log
from perdure.testing import SeededChance
from perdure.vocabulary.commits import Commit, Verdict
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Passing,
    Store,
    Withdraw,
    accepted,
    bank_of_accounts,
    declared,
    deposited,
    memory,
    recorded,
    store,
    withdraw,
    withdrawn,
    written,
)

__all__ = ["memory", "store"]


# --- many at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("apps", [1, 2])
async def test_of_64_commands_at_once_on_one_entity_none_is_lost(store: Store, apps: int) -> None:
    bank, account = bank_of_accounts(snapshot_every=10)
    mine = account[uuid4()]

    async with store.open(bank) as one, store.open(bank) as two:
        senders = [one, two][:apps] * (64 // apps)
        outcomes = await asyncio.gather(
            *(app.send(mine, Deposit(n)) for n, app in enumerate(senders, 1))
        )
        state = await one.model(mine)
        assert await two.model(mine) == state
        events = await recorded(two)

    told = sorted(map(accepted, outcomes), key=lambda outcome: outcome.version)
    assert [outcome.version for outcome in told] == list(range(1, 65))
    assert [outcome.state.entries for outcome in told] == [
        state.entries[:count] for count in range(1, 65)
    ]
    assert (state.balance, sorted(state.entries)) == (64 * 65 // 2, list(range(1, 65)))
    assert [event.version for event in events] == list(range(1, 65))


async def test_no_more_is_withdrawn_at_once_than_there_is(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]

    async with store.open(bank) as one, store.open(bank) as two:
        await one.send(mine, Deposit(10))
        outcomes = await asyncio.gather(
            *((one, two)[n % 2].send(mine, Withdraw(3)) for n in range(20))
        )
        assert (await two.model(mine)).balance == 1

    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 3
    assert {str(outcome) for outcome in outcomes if isinstance(outcome, Rejected)} == {
        "there are 1 only"
    }


async def test_so_many_commands_are_handled_at_once_and_no_more(memory: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]

    async with memory.open(bank, commands_in_flight_max=8) as app:
        outcomes = await asyncio.gather(
            *(app.send(mine, Deposit(1)) for _ in range(20)), return_exceptions=True
        )
        assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 8
        assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 12
        assert accepted(await app.send(mine, Deposit(1))).version == 9


# --- somebody is always faster --------------------------------------------------------------------

Before = Callable[[], Awaitable[None]]


class SlowLog:
    """A log on which something else happens before each commit, or to its answer."""

    def __init__(self, log: Log, slow: "SlowEngine") -> None:
        self._log, self._slow = log, slow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        await self._slow.before()
        verdicts = await self._log.commit(commits)
        await self._slow.after()
        return verdicts


class SlowEngine:
    """An engine all of whose logs are slow."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.before = self.after = _nothing

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._engine.capabilities

    async def open(self, context: str, tables: Sequence[str] = ()) -> Any:
        return SlowLog(await self._engine.open(context, tables), self)

    async def close(self) -> None:
        await self._engine.close()


async def _nothing() -> None:
    pass


def slow_app(store: Store, *contexts: Context) -> tuple[App, SlowEngine]:
    environment = Passing(chance=SeededChance(3))
    engine = SlowEngine(store.open(*contexts, environment=environment).engine)
    return App(contexts, engine, environment, Settings(), version="test", react=False), engine


@dataclass(frozen=True)
class Count:
    """A command to record how many events there are."""


@dataclass(frozen=True)
class CountIn:
    """A command to record how many entries a model has."""

    domain: str
    key: str


def counting_bank(seen: list[int]) -> tuple[Context, EntityKind[Account]]:
    """Make a bank whose decisions are noted, and give much out."""
    bank = declared()
    account = bank.entity("account", Account, snapshot_every=1)
    account.update(deposited)
    account.update(withdrawn)
    account.handle(withdraw)

    @account.handle
    def deposit(state: Account, command: Deposit, *, entity: UUID) -> list[Any]:
        seen.append(len(state.entries))
        return [
            Deposited(command.amount),
            Send(Withdraw(1), to=account[entity]),
            After(timedelta(days=1), Deposited(1), name="interest"),
        ]

    @bank.low(lambda command: matching(Deposited))
    def count(command: Count, found: Sequence[Envelope[Deposited]]) -> list[Emit]:
        seen.append(len(found))
        return [Emit(event=Deposited(len(found)), entity=uuid4())]

    bank.service("statement", Account).react(deposited)
    bank.service("total", Account, single=True).react(deposited)

    @bank.low(lambda command: ModelRef("bank", command.domain, command.key))
    def count_in(command: CountIn, found: Account) -> list[Emit]:
        seen.append(len(found.entries))
        return [Emit(event=Deposited(len(found.entries)), entity=uuid4())]

    return bank, account


@pytest.mark.parametrize("what", ["account", "events", "statement", "total"])
async def test_who_is_never_fast_enough_is_told_so_and_leaves_nothing(
    store: Store, what: str
) -> None:
    seen: list[int] = []
    bank, account = counting_bank(seen)
    mine = account[uuid4()]
    sent: dict[str, Any] = {
        "account": (mine, Deposit(100)),
        "events": (Count(),),
        "statement": (CountIn("statement", mine.key),),
        "total": (CountIn("total", ""),),
    }
    app, engine = slow_app(store, bank)

    async with app, store.open(bank) as faster:

        async def overtake() -> None:
            await faster.append(bank.new(mine.key, Deposited(1)))

        engine.before = overtake
        with pytest.raises(Contended, match=f"{CONFLICTS.attempts} times; send it again"):
            await app.send(*sent[what], command_id="c")
        engine.before = _nothing

        assert seen == list(range(CONFLICTS.attempts))
        assert app.meter.counters["command_conflicts"] == CONFLICTS.attempts - 1
        assert await app.model(mine) == Account(12, (1,) * 12)
        left = await written(app, "bank")
        assert {name for name, count in left.items() if count} == {"head"}
        done = accepted(await app.send(*sent[what], command_id="c"))
        assert (done.repeated, seen[-1]) == (False, 12)


@settings(max_examples=15, deadline=None)
@given(
    times=st.integers(0, CONFLICTS.attempts - 1), amounts=st.lists(st.integers(1, 9), max_size=3)
)
async def test_whoever_is_fast_enough_once_has_seen_all_that_came_before(
    tmp_path_factory: pytest.TempPathFactory, times: int, amounts: list[int]
) -> None:
    seen: list[int] = []
    bank, account = counting_bank(seen)
    mine = account[uuid4()]
    store = Store("memory", tmp_path_factory.getbasetemp())
    app, engine = slow_app(store, bank)

    async with app, store.open(bank) as faster:
        left = [times]

        async def overtake() -> None:
            if left[0]:
                left[0] -= 1
                for amount in amounts:
                    await faster.append(bank.new(mine.key, Deposited(amount)))

        engine.before = overtake
        done = accepted(await app.send(mine, Deposit(100)))

    assert done.state.entries == (*amounts * times, 100)
    assert len(seen) == (times + 1 if amounts else 1)


# --- the store does not answer --------------------------------------------------------------------


@pytest.mark.parametrize("stored", [True, False])
async def test_after_an_unknown_outcome_the_same_id_tells_what_became_of_it(
    store: Store, stored: bool
) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]
    app, engine = slow_app(store, bank)

    async def lose() -> None:
        raise OutcomeUnknown("the sync failed")

    async with app:
        await app.send(mine, Deposit(1))
        if stored:
            engine.after = lose
        else:
            engine.before = lose
        with pytest.raises(OutcomeUnknown, match="send it again under the command id 'c'"):
            await app.send(mine, Deposit(2), command_id="c")
        engine.before = engine.after = _nothing

        assert (await app.model(mine)).entries == ((1, 2) if stored else (1,))
        done = accepted(await app.send(mine, Deposit(2), command_id="c"))
        assert (done.state, done.repeated) == (Account(3, (1, 2)), stored)
        assert accepted(await app.send(mine, Deposit(3))).state == Account(6, (1, 2, 3))


async def test_a_store_that_takes_nothing_now_is_no_outcome(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]
    app, engine = slow_app(store, bank)

    async def refuse() -> None:
        raise Unavailable("not now")

    async with app:
        await app.send(mine, Deposit(1))
        engine.before = refuse
        for _ in range(3):
            with pytest.raises(Unavailable):
                await app.send(mine, Deposit(2), command_id="c")
        engine.before = _nothing
        done = accepted(await app.send(mine, Deposit(2), command_id="c"))
        assert (done.state, done.repeated) == (Account(3, (1, 2)), False)


async def test_a_sender_that_gives_up_holds_up_nobody(memory: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]
    app, engine = slow_app(memory, bank)
    released = asyncio.Event()

    async def wait() -> None:
        await released.wait()

    async with app:
        engine.before = wait
        senders = [asyncio.create_task(app.send(mine, Deposit(n))) for n in range(1, 5)]
        await asyncio.sleep(0.01)
        for given_up in senders[:2]:  # the first is about to commit, the second has its turn next
            given_up.cancel()
        await asyncio.gather(*senders[:2], return_exceptions=True)
        released.set()
        async with asyncio.timeout(10):
            for sender in senders[2:]:
                accepted(await sender)
        assert await app.model(mine) == Account(7, (3, 4))
        assert app.context("bank").commands.in_flight == 0
