"""The stream of an entity: one for all kinds, whoever writes to it, whatever the clocks say."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from perdure import (
    Emit,
    HandlerFailed,
    InvalidName,
    Stop,
)
from perdure.testing import ManualEnvironment, SeededChance
from perdure.vocabulary.ids import event_ticks, make_event_id, ticks_at
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Passing,
    Store,
    Withdraw,
    Withdrawn,
    accepted,
    bank_of_accounts,
    declared,
    deposit,
    deposited,
    folding,
    memory,
    payloads,
    recorded,
    store,
    written,
)
from tests.runtime.support import raw

__all__ = ["memory", "store"]


# --- one stream, whoever writes to it -------------------------------------------------------------


@dataclass(frozen=True)
class Loyalty:
    points: int = 0


@dataclass(frozen=True)
class Rewarded:
    points: int


@dataclass(frozen=True)
class Reward:
    points: int


async def test_two_kinds_on_one_id_have_one_stream_and_one_version(store: Store) -> None:
    bank, account = bank_of_accounts()
    bank.event(Rewarded)
    loyalty = bank.entity("loyalty", Loyalty)

    @loyalty.update
    def rewarded(state: Loyalty, event: Rewarded) -> Loyalty:
        return Loyalty(state.points + event.points)

    @loyalty.update
    def earned(state: Loyalty, event: Deposited) -> Loyalty:
        return Loyalty(state.points + event.amount)

    @loyalty.handle
    def reward(state: Loyalty, command: Reward) -> list[Rewarded]:
        return [Rewarded(command.points)]

    id_ = uuid4()
    async with store.open(bank) as app:
        for n in range(1, 4):  # each has a stale state whenever the other has written
            money = accepted(await app.send(account[id_], Deposit(n)))
            points = accepted(await app.send(loyalty[id_], Reward(10)))
            assert (money.version, points.version) == (2 * n - 1, 2 * n)

        assert points.state == Loyalty(36)
        assert await app.model(account[id_]) == Account(6, (1, 2, 3))
        ticks = [event.ticks for event in await recorded(app)]
        assert ticks == sorted(set(ticks))


async def test_a_raw_event_is_caught_up_with_even_among_others(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]

    async with store.open(bank) as app:
        await app.send(mine, Deposit(1))
        await app.append(bank.new(mine.key, Deposited(10)))
        assert await app.model(mine) == Account(11, (1, 10))
        await app.append(raw("noise", UUID(mine.key), b"{}"), bank.new(mine.key, Deposited(100)))
        done = accepted(await app.send(mine, Withdraw(111)))

        assert (done.state, done.version) == (Account(0, (1, 10, 100, -111)), 5)


async def test_an_own_event_may_have_tags_and_one_of_another_entity_is_given_out(
    store: Store,
) -> None:
    tagging = declared()
    account = tagging.entity("account", Account, raw=False)
    account.update(deposited)
    other = account[uuid4()]

    @account.handle
    def tagged(state: Account, command: Deposit, *, entity: UUID) -> list[Any]:
        event = Deposited(command.amount)
        return [
            Emit(event=event, tags=("vip",), domain="till"),
            Emit(event=event, entity=entity),
            Emit(event=Deposited(100), entity=UUID(other.key), tags=("gift",)),
        ]

    mine = account[uuid4()]
    async with store.open(tagging, react=True) as app:
        done = accepted(await app.send(mine, Deposit(1)))
        assert (done.state, done.version, len(done.events)) == (Account(2, (1, 1)), 2, 2)
        async with asyncio.timeout(10):
            while len(events := await recorded(app)) < 3:
                await asyncio.sleep(0.005)
        assert await app.model(other) == Account(100, (100,))

    assert [(event.tags, event.domain) for event in events] == [
        (("vip",), "till"), ((), None), (("gift",), None),
    ]  # fmt: skip
    ids = {str(event.event_id) for event in events[:2]}
    assert ids == set(map(str, done.events))
    told = msgspec.json.decode(events[2].metadata)
    assert told["command_id"] == told["correlation_id"] == done.command_id


async def test_a_kind_may_refuse_raw_events(store: Store) -> None:
    bank, account = bank_of_accounts(raw=False)
    mine = account[uuid4()]

    async with store.open(bank) as app:
        with pytest.raises(InvalidName, match="'deposited' is recorded by commands alone"):
            await app.append(bank.new(mine.key, Deposited(10)))
        await app.append(raw("noise", UUID(mine.key), b"{}"))
        assert accepted(await app.send(mine, Deposit(1))).version == 2


async def test_a_handler_that_fails_on_a_stale_state_decides_again(store: Store) -> None:
    bank, plain = bank_of_accounts()
    fussy, account = bank_of_accounts()

    @dataclass(frozen=True)
    class TakeBack:
        place: int

    @account.handle
    def take_back(state: Account, command: TakeBack) -> list[Withdrawn]:
        return [Withdrawn(state.entries[command.place])]

    mine = account[uuid4()]
    async with store.open(fussy) as app, store.open(bank) as other:
        await app.send(mine, Deposit(1))
        await other.send(plain[mine.key], Deposit(2))
        done = accepted(await app.send(mine, TakeBack(1)))
        assert done.state == Account(1, (1, 2, -2))
        with pytest.raises(HandlerFailed, match=r"take_back.*IndexError"):
            await app.send(mine, TakeBack(7))


# --- time -----------------------------------------------------------------------------------------


async def test_ids_ascend_whatever_the_clocks_say(store: Store) -> None:
    bank, account = bank_of_accounts()
    fast, slow = (Passing(chance=SeededChance(seed)) for seed in (1, 2))
    fast.clock.step(30)
    mine = account[uuid4()]
    ahead = ticks_at(datetime(2026, 1, 1, 1, tzinfo=UTC))  # an hour on: within the bound

    async with store.open(bank, environment=fast) as one, store.open(bank, environment=slow) as two:
        for n in range(6):
            await (one, two)[n % 2].send(mine, Deposit(n))
        fast.clock.step(-3600)
        await one.send(mine, Deposit(6))
        late = make_event_id(ahead - 10**11, 0, 1)
        await one.append(raw("deposited", UUID(mine.key), b'{"amount":7}', UUID(bytes=late)))
        future = make_event_id(ahead, 0, 1)
        await two.append(raw("deposited", UUID(mine.key), b'{"amount":8}', UUID(bytes=future)))
        for n in range(9, 13):
            await (one, two)[n % 2].send(mine, Deposit(n))
        events = await recorded(one)

    ticks = [event_ticks(event.id) for event in events if event.id != late]
    assert ticks == sorted(set(ticks))
    assert ticks[-4] > ahead
    assert [data["amount"] for data in payloads(events)] == list(range(13))


async def test_an_idle_entity_leaves_memory_and_comes_back_as_it_was(memory: Store) -> None:
    folded: list[int] = []
    bank = declared()
    account = bank.entity("account", Account, idle_seconds=60)
    account.update(folding(folded))
    account.handle(deposit)
    environment = ManualEnvironment()
    mine = account[uuid4()]

    async def after(seconds: float, amount: int) -> Account:
        for _ in range(round(seconds)):
            environment.clock.advance(1)
            await asyncio.sleep(0)
        folded.clear()
        return accepted(await app.send(mine, Deposit(amount))).state

    async with memory.open(bank, environment=environment, react=True) as app:
        await after(0, 1)
        assert await after(50, 2) == Account(3, (1, 2))
        assert folded == [2]
        assert await after(50, 3) == Account(6, (1, 2, 3))
        assert folded == [3]  # kept: it was sent something 50 seconds ago
        assert await after(75, 4) == Account(10, (1, 2, 3, 4))
        assert folded == [1, 2, 3, 4]


async def test_an_entity_that_stops_leaves_memory_and_lives_on(store: Store) -> None:
    folded: list[int] = []

    @dataclass(frozen=True)
    class Rest: ...

    bank = declared()
    account = bank.entity("account", Account)
    account.update(folding(folded))
    account.handle(deposit)

    @account.handle
    def rest(state: Account, command: Rest) -> list[Deposited | Stop]:
        return [Deposited(10), Stop()]

    mine = account[uuid4()]
    async with store.open(bank) as app:
        await app.send(mine, Deposit(1))
        assert accepted(await app.send(mine, Rest())).state == Account(11, (1, 10))
        folded.clear()
        assert accepted(await app.send(mine, Deposit(2))).state == Account(13, (1, 10, 2))
        assert folded == [1, 10, 2]


async def test_history_that_cannot_be_folded_stops_its_entity_alone(store: Store) -> None:
    bank = declared()
    account = bank.entity("account", Account)
    account.handle(deposit)

    @account.update
    def fussy(state: Account, event: Deposited) -> Account:
        if event.amount < 0:
            raise ValueError("negative")
        return deposited(state, event)

    mine, other = account[uuid4()], account[uuid4()]
    async with store.open(bank) as app:
        await app.append(bank.new(mine.key, Deposited(1)))
        bad = await app.append(bank.new(mine.key, Deposited(-1)))
        before = await written(app, "bank")
        where = f"account {mine.key}: an update failed: ValueError: negative.*to {bad.position}"
        with pytest.raises(HandlerFailed, match=where):
            await app.send(mine, Deposit(1))
        with pytest.raises(HandlerFailed, match=where):
            await app.model(mine)

        assert await written(app, "bank") == before
        assert await app.model(mine, as_of=bad.position - 1) == Account(1, (1,))
        with pytest.raises(HandlerFailed, match="ValueError: negative"):
            await app.model(mine, as_of=bad.position)
        assert accepted(await app.send(other, Deposit(1))).version == 1
