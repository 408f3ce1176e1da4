"""SQL of one's own in the commit of a decision: the tables move with the events, or neither does."""

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure import (
    Accepted,
    After,
    ConfigurationError,
    Context,
    Emit,
    EntityKind,
    HandlerFailed,
    InvalidData,
    Rejected,
    Send,
    Statement,
)
from perdure.vocabulary.ids import entity_named
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Store,
    Withdraw,
    accepted,
    bank_of_accounts,
    declared,
    deposited,
    memory,
    recorded,
    sqlite,
    withdraw,
    withdrawn,
    written,
)

__all__ = ["memory", "sqlite"]

STOCK = "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, left INTEGER NOT NULL)"
ENTRIES = "CREATE TABLE IF NOT EXISTS entries (entity TEXT NOT NULL, amount INTEGER NOT NULL)"
OWNERS = "CREATE TABLE IF NOT EXISTS owners (name TEXT PRIMARY KEY, account TEXT NOT NULL)"


@dataclass(frozen=True)
class Stock:
    sku: str
    count: int


@dataclass(frozen=True)
class Buy:
    sku: str


@dataclass(frozen=True)
class Bought:
    sku: str


@dataclass(frozen=True)
class Run:
    """A command that runs any SQL."""

    sql: str


def shop() -> Context:
    context = Context("shop")
    context.event(Bought)
    context.table(STOCK)

    @context.low()
    def stock(command: Stock) -> Statement:
        row = (command.sku, command.count)
        return Statement("INSERT INTO stock VALUES (?, ?)", row, rows=1)

    @context.low()
    def buy(command: Buy) -> list[Any]:
        sql = "UPDATE stock SET left = left - 1 WHERE sku = ? AND left > 0"
        return [
            Emit(event=Bought(command.sku), entity=entity_named("sku", command.sku)),
            Statement(sql, (command.sku,), rows=1),
        ]

    @context.low()
    def run(command: Run) -> list[Any]:
        event = Emit(event=Bought("x"), entity=entity_named("sku", "x"))
        return [event, Statement(command.sql), Send(Buy("x"))]

    return context


def rows(folder: Path, context: str, table: str) -> list[tuple[Any, ...]]:
    """Read a table as another process would."""
    file = min(folder.glob(f"{context}.*"), key=lambda path: len(path.name))
    with sqlite3.connect(file) as connection:
        return sorted(connection.execute(f"SELECT * FROM {table}"))


async def test_rows_that_are_not_there_reject_the_command(sqlite: Store, tmp_path: Path) -> None:
    async with sqlite.open(shop()) as app:
        accepted(await app.send(Stock("tea", 2)))
        for _ in range(2):
            accepted(await app.send(Buy("tea")))
        before = await written(app, "shop")
        outcome = await app.send(Buy("tea"), command_id="third")
        assert isinstance(outcome, Rejected)
        assert "1" in outcome.reason
        assert await written(app, "shop") == {**before, "command": before["command"] + 1}
        accepted(await app.send(Stock("mug", 1)))

        again = await app.send(Buy("tea"), command_id="third")
        assert isinstance(again, Rejected)
        assert again.reason == outcome.reason
        twice = await app.send(Stock("tea", 9))
        assert isinstance(twice, Rejected)
        assert "UNIQUE constraint failed: stock.sku" in twice.reason
        assert len(await recorded(app)) == 2

    assert rows(tmp_path / "store", "shop", "stock") == [("mug", 1), ("tea", 0)]


async def test_no_more_is_sold_than_there_is_when_all_buy_at_once(
    sqlite: Store, tmp_path: Path
) -> None:
    async with sqlite.open(shop()) as one, sqlite.open(shop()) as two:
        accepted(await one.send(Stock("tea", 10)))
        outcomes = await asyncio.gather(*((one, two)[n % 2].send(Buy("tea")) for n in range(64)))
        assert len(await recorded(one)) == 10

    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 10
    assert rows(tmp_path / "store", "shop", "stock") == [("tea", 0)]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDTE stock SET left = 0",
        "UPDATE shelf SET left = 0",
        "DELETE FROM events",
        "DROP TABLE stock",
        "PRAGMA synchronous = OFF",
        "COMMIT",
        "UPDATE stock SET left = ?",
    ],
)
async def test_sql_that_cannot_run_is_a_fault_and_nothing_is_written(
    sqlite: Store, tmp_path: Path, sql: str
) -> None:
    async with sqlite.open(shop()) as app:
        await app.send(Stock("tea", 2))
        before = await written(app, "shop")
        with pytest.raises(HandlerFailed, match="run failed: statement 0"):
            await app.send(Run(sql), command_id="c")
        assert await written(app, "shop") == before
        accepted(await app.send(Run("UPDATE stock SET left = 1"), command_id="c"))

    assert rows(tmp_path / "store", "shop", "stock") == [("tea", 1)]


# --- an entity, and what is given out beside ------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    name: str


def owned_bank() -> tuple[Context, EntityKind[Account]]:
    bank = declared()
    bank.table(OWNERS)
    account = bank.entity("account", Account, snapshot_every=1)
    account.update(deposited)
    account.update(withdrawn)
    account.handle(withdraw)

    @account.handle
    def claim(state: Account, command: Claim, *, entity: UUID) -> list[Any]:
        row = (command.name, str(entity))
        return [
            Deposited(5),
            Statement("INSERT INTO owners VALUES (?, ?)", row),
            Send(Withdraw(1), to=account[entity]),
            After(timedelta(days=1), Deposited(1), name="interest"),
        ]

    return bank, account


async def test_a_name_that_is_taken_leaves_nothing_of_the_decision(
    sqlite: Store, tmp_path: Path
) -> None:
    bank, account = owned_bank()
    ann, ben = uuid4(), uuid4()

    async with sqlite.open(bank) as app:
        done = accepted(await app.send(account[ann], Claim("gold")))
        assert done.state == Account(5, (5,))
        before = await written(app, "bank")
        assert {name for name, count in before.items() if count} == {
            "head", "command", "snapshot", "timer", "intent emit", "intent command",
        }  # fmt: skip
        refused = await app.send(account[ben], Claim("gold"))
        assert isinstance(refused, Rejected)
        assert await written(app, "bank") == {**before, "command": 2}
        assert await app.model(account[ben]) == Account()
        assert accepted(await app.send(account[ben], Claim("silver"))).version == 1

    owners = rows(tmp_path / "store", "bank", "owners")
    assert owners == [("gold", str(ann)), ("silver", str(ben))]


# --- write ----------------------------------------------------------------------------------------


def writing_bank() -> tuple[Context, EntityKind[Account]]:
    bank, account = bank_of_accounts()
    bank.table(ENTRIES)

    @bank.write
    def entry(event: Deposited, *, entity: UUID) -> Sequence[Statement]:
        if event.amount == 13:
            raise ValueError("not 13")
        if event.amount == 14:
            return [Statement("INSERT INTO entries VALUES (NULL, 14)")]
        row = (str(entity), event.amount)
        return [Statement("INSERT INTO entries VALUES (?, ?)", row, rows=1)]

    mirror = bank.service("mirror", Account)

    @mirror.react
    def mirrored(model: Account, event: Deposited, *, entity: UUID) -> Any:
        if event.amount >= 1000:
            return model
        return model, [Emit(event=Deposited(event.amount * 1000), entity=MIRROR)]

    return bank, account


MIRROR = entity_named("account", "mirror")


async def test_what_an_event_writes_is_written_however_it_is_recorded(
    sqlite: Store, tmp_path: Path
) -> None:
    bank, account = writing_bank()
    mine = uuid4()

    async with sqlite.open(bank, react=True) as app:
        await app.send(account[mine], Deposit(1))
        await app.append(bank.new(mine, Deposited(2)))
        async with asyncio.timeout(10):
            while len(await recorded(app)) < 4:
                await asyncio.sleep(0.005)

    expected = [(str(mine), 1), (str(mine), 2), (str(MIRROR), 1000), (str(MIRROR), 2000)]
    assert rows(tmp_path / "store", "bank", "entries") == sorted(expected)


async def test_an_event_whose_write_fails_is_not_recorded(sqlite: Store, tmp_path: Path) -> None:
    bank, account = writing_bank()
    mine = uuid4()

    async with sqlite.open(bank) as app:
        before = await written(app, "bank")
        with pytest.raises(HandlerFailed, match=r"entry failed: ValueError: not 13"):
            await app.send(account[mine], Deposit(13))
        with pytest.raises(HandlerFailed, match=r"entry failed: ValueError: not 13"):
            await app.append(bank.new(mine, Deposited(1)), bank.new(mine, Deposited(13)))
        with pytest.raises(InvalidData, match="NOT NULL constraint failed"):
            await app.append(bank.new(mine, Deposited(1)), bank.new(mine, Deposited(14)))
        assert await written(app, "bank") == before
        refused = await app.send(account[mine], Deposit(14))
        assert isinstance(refused, Rejected)
        assert await recorded(app) == []

    assert rows(tmp_path / "store", "bank", "entries") == []


async def test_a_store_without_tables_says_so(memory: Store) -> None:
    with pytest.raises(ConfigurationError, match="context 'bank' keeps tables of its own"):
        async with memory.open(writing_bank()[0]):
            pass

    plain = Context("shop")
    plain.event(Bought)

    @plain.low()
    def run(command: Run) -> Statement:
        return Statement(command.sql)

    async with memory.open(plain) as app:
        with pytest.raises(HandlerFailed, match="lacks the capability 'statements'"):
            await app.send(Run("DELETE FROM stock"))
