"""Snapshots: taken when due, used while they fit, left aside when they do not; never an answer's change."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import App, Context, EntityKind, Stop
from perdure.vocabulary.commits import Commit, Put, Record
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Store,
    Withdraw,
    accepted,
    declared,
    deposit,
    folding,
    memory,
    recorded,
    sqlite,
    store,
    withdraw,
    withdrawn,
)

__all__ = ["memory", "sqlite", "store"]


@dataclass(frozen=True)
class Pair:
    """A command that two events come of."""

    amount: int


@dataclass(frozen=True)
class Rest:
    """A command to stop."""


def bank_of(folded: list[int], **options: Any) -> tuple[Context, EntityKind[Account]]:
    """Make a bank whose accounts note the events that are folded."""
    bank = declared()
    account = bank.entity("account", Account, **options)
    account.update(folding(folded))
    account.update(withdrawn)
    account.handle(deposit)
    account.handle(withdraw)

    @account.handle
    def pair(state: Account, command: Pair) -> list[Deposited]:
        return [Deposited(command.amount), Deposited(command.amount + 1)]

    @account.handle
    def rest(state: Account, command: Rest) -> Stop:
        return Stop()

    return bank, account


async def planted(app: App, kind: str, value: bytes, slot: int = 0) -> None:
    """Put a value in the place of a snapshot."""
    log = app.context("bank").log
    await log.commit([Commit(records=(Put("snapshot", f"{kind}/{slot}", value),))])


async def snapshots(app: App) -> Sequence[Record]:
    return await app.context("bank").log.records("snapshot")


def ignored(app: App) -> int:
    return app.meter.counters["snapshots_ignored"]


# --- when they are taken --------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 2, 5, 7])
async def test_they_are_taken_at_every_multiple_also_by_several_events_at_once(
    store: Store, every: int
) -> None:
    folded: list[int] = []
    bank, account = bank_of(folded, snapshot_every=every)
    mine, last = account[uuid4()], 0

    for n in range(12):
        async with store.open(bank) as app:
            folded.clear()
            state = accepted(await app.send(mine, Pair(10 * n))).state
            behind = [10 * (i // 2) + i % 2 for i in range(last, 2 * n)]
            assert folded == [*behind, 10 * n, 10 * n + 1]
            assert state.entries == tuple(10 * (i // 2) + i % 2 for i in range(2 * n + 2))
            assert ignored(app) == 0
        if (2 * n + 2) // every > (2 * n) // every:
            last = 2 * n + 2


async def test_none_are_taken_unless_asked_for_and_so_many_are_kept(store: Store) -> None:
    folded: list[int] = []
    for every, kept, count in ((0, 2, 0), (2, 2, 2), (2, 3, 3), (3, 1, 1)):
        bank, account = bank_of(folded, snapshot_every=every, snapshots_kept=kept)
        mine = account[uuid4()]
        async with store.open(bank) as app:
            before = len(await snapshots(app))
            for n in range(10):
                await app.send(mine, Deposit(n))
            assert len(await snapshots(app)) - before == count


async def test_events_that_came_without_a_command_count_too(store: Store) -> None:
    folded: list[int] = []
    bank, account = bank_of(folded, snapshot_every=10)
    mine = account[uuid4()]

    async with store.open(bank) as app:
        await app.append(*(bank.new(mine.key, Deposited(n)) for n in range(12)))
        await app.send(mine, Deposit(12))
    async with store.open(bank) as app:
        folded.clear()
        assert accepted(await app.send(mine, Deposit(13))).state.entries == tuple(range(14))
        assert folded == [13]


async def test_one_is_taken_when_an_entity_stops(store: Store) -> None:
    folded: list[int] = []
    bank, account = bank_of(folded, snapshot_every=100)
    mine, unknown = account[uuid4()], account[uuid4()]

    async with store.open(bank) as app:
        await app.send(mine, Deposit(1))
        assert accepted(await app.send(mine, Rest())).state == Account(1, (1,))
        assert accepted(await app.send(unknown, Rest())).version == 0
        assert len(await snapshots(app)) == 1
        folded.clear()
        assert accepted(await app.send(mine, Deposit(2))).state == Account(3, (1, 2))
        assert folded == [2]


# --- when they do not fit -------------------------------------------------------------------------


def changed(value: bytes, **changes: Any) -> bytes:
    head, _, state = value.partition(b"\n")
    return msgspec.json.encode(msgspec.json.decode(head) | changes) + b"\n" + state


def other_state(value: bytes, state: bytes) -> bytes:
    return value.partition(b"\n")[0] + b"\n" + state


DAMAGE = {
    "empty": lambda value: b"",
    "garbage": lambda value: b"\xff\xfe\n\x00",
    "cut off": lambda value: value[:-5],
    "without a state": lambda value: value.partition(b"\n")[0],
    "of another type": lambda value: other_state(value, b'{"balance":"x","entries":[]}'),
    "no object": lambda value: other_state(value, b"[]"),
    "of another shape": lambda value: changed(value, shape="0123456789abcdef"),
    "without a place": lambda value: b"{}\n" + value.partition(b"\n")[2],
    "ahead of the log": lambda value: changed(value, version=90, position=10**6),
    "of another history": lambda value: changed(value, position=_version(value) + 1),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_one_that_does_not_fit_is_left_aside_with_a_count_and_a_line(
    store: Store, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folded: list[int] = []
    bank, account = bank_of(folded, snapshot_every=4, snapshots_kept=2)
    mine = account[uuid4()]
    async with store.open(bank) as app:
        for n in range(1, 11):
            await app.send(mine, Deposit(n))
        older, newer = sorted(await snapshots(app), key=lambda record: _version(record.value))
        assert (_version(older.value), _version(newer.value)) == (4, 8)
        await _put(app, newer.key, DAMAGE[damage](newer.value))

    async with store.open(bank) as app:
        folded.clear()
        assert await app.model(mine) == Account(55, tuple(range(1, 11)))
        assert folded == [5, 6, 7, 8, 9, 10]  # the older one is used
        assert ignored(app) == 1
        assert "snapshot ignored" in caplog.text
        await _put(app, older.key, DAMAGE[damage](older.value))
    async with store.open(bank) as app:
        folded.clear()
        assert accepted(await app.send(mine, Deposit(11))).state == Account(66, tuple(range(1, 12)))
        assert folded == list(range(1, 12))
        assert ignored(app) == 2
    async with store.open(bank) as app:  # another was taken: it is due since long
        folded.clear()
        assert (await app.model(mine)).balance == 66
        assert folded == []


async def _put(app: App, key: str, value: bytes) -> None:
    await app.context("bank").log.commit([Commit(records=(Put("snapshot", key, value),))])


def _version(value: bytes) -> int:
    version: int = msgspec.json.decode(value.partition(b"\n")[0])["version"]
    return version


async def test_one_that_is_damaged_in_the_file_is_left_aside(sqlite: Store, tmp_path: Path) -> None:
    folded: list[int] = []
    bank, account = bank_of(folded, snapshot_every=2, snapshots_kept=1)
    mine = account[uuid4()]
    async with sqlite.open(bank) as app:
        for n in range(1, 4):
            await app.send(mine, Deposit(n))
    with sqlite3.connect(tmp_path / "store" / "bank.db") as connection:
        sql = "UPDATE perdure_records SET value = x'00' WHERE key LIKE 'account/%/0'"
        assert connection.execute(sql).rowcount == 1

    async with sqlite.open(bank) as app:
        folded.clear()
        assert await app.model(mine) == Account(6, (1, 2, 3))
        assert (folded, ignored(app)) == ([1, 2, 3], 1)


async def test_one_of_other_functions_or_of_another_shape_is_not_used(store: Store) -> None:
    @dataclass(frozen=True)
    class Wider(Account):
        currency: str = "EUR"

    folded: list[int] = []
    first, account = bank_of(folded, snapshot_every=2)
    second, _ = bank_of(folded, snapshot_every=2, version=2)
    third = declared()
    wider = third.entity("account", Wider, snapshot_every=2, version=2)

    @wider.update
    def widely(state: Wider, event: Deposited) -> Wider:
        folded.append(event.amount)
        return Wider(state.balance + 2 * event.amount, (*state.entries, event.amount))

    mine = account[uuid4()]
    async with store.open(first) as app:
        for n in range(1, 5):
            await app.send(mine, Deposit(n))
    async with store.open(second) as app:
        folded.clear()
        assert await app.model(mine) == Account(10, (1, 2, 3, 4))
        assert (folded, ignored(app)) == ([1, 2, 3, 4], 2)
        await app.send(mine, Deposit(5))
    async with store.open(second) as app:
        folded.clear()
        assert (await app.model(mine)).balance == 15
        assert folded == []
    async with store.open(third) as app:
        assert await app.model(wider[mine.key]) == Wider(30, (1, 2, 3, 4, 5))
        assert folded == [1, 2, 3, 4, 5]


async def test_one_whose_state_the_functions_cannot_bear_is_left_aside(memory: Store) -> None:
    @dataclass(frozen=True)
    class Strict:
        total: int = 0

        def __post_init__(self) -> None:
            if self.total == 13:
                raise KeyError("no thirteen")
            if self.total == 14:
                raise ValueError("no fourteen")

    bank = declared()
    account = bank.entity("strict", Strict, snapshot_every=1, snapshots_kept=1)

    @account.update
    def added(state: Strict, event: Deposited) -> Strict:
        if state.total == 99:
            raise ZeroDivisionError("no ninety-nine")
        return Strict(state.total + event.amount)

    @account.handle
    def add(state: Strict, command: Deposit) -> Deposited:
        return Deposited(command.amount)

    mine = account[uuid4()]
    async with memory.open(bank) as app:
        await app.send(mine, Deposit(1))
        (record,) = await snapshots(app)
        await app.append(bank.new(mine.key, Deposited(2)))
    for wrong in (b'{"total":13}', b'{"total":14}', b'{"total":99}'):
        async with memory.open(bank) as app:
            await _put(app, record.key, other_state(record.value, wrong))
            assert (await app.model(mine)).total == 3
            assert ignored(app) == 1


async def test_a_state_that_json_cannot_say_has_no_snapshot_and_goes_on(store: Store) -> None:
    @dataclass(frozen=True)
    class Ratio:
        value: float = 0.0

    bank = declared()
    ratio = bank.entity("ratio", Ratio, snapshot_every=1)

    @ratio.update
    def grown(state: Ratio, event: Deposited) -> Ratio:
        return Ratio(float("inf") if event.amount == 0 else 1 / event.amount)

    @ratio.handle
    def grow(state: Ratio, command: Deposit) -> Deposited:
        return Deposited(command.amount)

    mine = ratio[uuid4()]
    async with store.open(bank) as app:
        assert accepted(await app.send(mine, Deposit(0))).state == Ratio(float("inf"))
        assert (ignored(app), await snapshots(app)) == (1, [])
        assert accepted(await app.send(mine, Deposit(2))).state == Ratio(0.5)
        assert len(await snapshots(app)) == 1


@pytest.mark.parametrize(("kind", "empty"), [(int, 0), (dict, {})])
async def test_a_state_that_is_false_is_a_state(store: Store, kind: type[Any], empty: Any) -> None:
    folded: list[int] = []
    bank = declared()
    thing = bank.entity("thing", kind, snapshot_every=2)

    def toggled(state: Any, event: Deposited) -> Any:
        folded.append(event.amount)
        if kind is int:
            return state + event.amount
        return {} if state else {"amount": event.amount}

    def toggle(state: Any, command: Deposit) -> list[Deposited]:
        return [Deposited(command.amount)]

    toggled.__annotations__["state"] = toggle.__annotations__["state"] = kind
    thing.update(toggled)
    thing.handle(toggle)

    mine = thing[uuid4()]
    async with store.open(bank) as app:
        await app.send(mine, Deposit(5))
        assert accepted(await app.send(mine, Deposit(-5))).state == empty
    async with store.open(bank) as app:
        folded.clear()
        assert await app.model(mine) == empty
        assert (folded, ignored(app)) == ([], 0)


# --- never an answer's change ---------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["deposit", "withdraw", "pair", "raw"]), st.integers(0, 9)),
        st.tuples(st.sampled_from(["rest", "restart", "spoil"]), st.integers(0, 3)),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, every=st.integers(0, 6), kept=st.integers(1, 3))
async def test_any_snapshots_and_restarts_give_the_state_of_a_fold_from_scratch(
    steps: list[tuple[str, int]], every: int, kept: int
) -> None:
    held = Store("memory", Path())
    bank, account = bank_of([], snapshot_every=every, snapshots_kept=kept)
    mine = account[UUID(int=7, version=4)]
    commands = {"deposit": Deposit, "withdraw": Withdraw, "pair": Pair}
    app = await held.open(bank).__aenter__()
    for step, number in steps:
        if step in commands:
            await app.send(mine, commands[step](number))
        elif step == "raw":
            await app.append(*(bank.new(mine.key, Deposited(n)) for n in range(number)))
        elif step == "rest":
            await app.send(mine, Rest())
        elif step == "restart":
            await app.close()
            app = await held.open(bank).__aenter__()
        else:
            await planted(app, f"account/{mine.key}", b"spoilt", number)
    state = await app.model(mine)
    head = await app.context("bank").head()
    events = await recorded(app)
    assert state == await app.model(mine, as_of=head)
    assert len(state.entries) == len(events)
    amounts = [msgspec.json.decode(event.data)["amount"] for event in events]
    signs = [1 if event.type == "deposited" else -1 for event in events]
    assert state.entries == tuple(s * a for s, a in zip(signs, amounts, strict=True))
    await app.close()
