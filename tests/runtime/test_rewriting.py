"""``write``: the user's own tables move with the events, and can be made again from history."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from perdure import (
    App,
    ConfigurationError,
    Context,
    HandlerFailed,
    InvalidData,
    Settings,
    Statement,
)
from perdure.engines.memory import MemoryEngine
from perdure.engines.sqlite import SqliteEngine
from perdure.runtime.environment import SystemEnvironment

TABLE = "CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE)"


@dataclass(frozen=True)
class Named:
    name: str


def people() -> Context:
    context = Context("people")
    context.event(Named)
    context.table(TABLE)

    @context.write
    def named(event: Named, *, entity: UUID) -> Sequence[Statement]:
        sql = "INSERT INTO people VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name"
        return [Statement(sql, (str(entity), event.name), rows=1)]

    return context


def open_app(context: Context, folder: Path) -> App:
    environment = SystemEnvironment()
    engine = SqliteEngine(folder, environment.clock)
    return App([context], engine, environment, Settings(), version="test")


def rows(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(file_in(folder)) as connection:
        return sorted(connection.execute("SELECT id, name FROM people"))


def file_in(folder: Path) -> Path:
    """Give the database file of the context, not those that SQLite puts beside it."""
    return min(folder.glob("people.*"), key=lambda path: len(path.name))


async def test_an_event_appended_changes_the_table_in_its_own_commit(tmp_path: Path) -> None:
    context = people()
    async with open_app(context, tmp_path) as app:
        ann, ben = uuid4(), uuid4()
        await app.append(context.new(ann, Named("Ann")), context.new(ben, Named("Ben")))
        with pytest.raises(InvalidData, match="UNIQUE constraint failed"):
            await app.append(context.new(uuid4(), Named("Ben")))
        count = len([event async for event in app.events()])

    assert count == 2
    assert rows(tmp_path) == sorted([(str(ann), "Ann"), (str(ben), "Ben")])


async def test_history_is_written_again_into_another_database(tmp_path: Path) -> None:
    context = people()
    async with open_app(context, tmp_path / "store") as app:
        for number in range(30):
            await app.append(context.new(uuid4(), Named(f"name {number}")))
        other = sqlite3.connect(tmp_path / "other.db")
        other.execute(TABLE)
        async for written in app.writes():
            for statement in written.statements:
                other.execute(statement.sql, [*map(str, statement.parameters)])
        copied = sorted(other.execute("SELECT id, name FROM people"))
        other.close()

    assert copied == rows(tmp_path / "store")
    assert len(copied) == 30


async def test_tables_are_emptied_and_filled_again_at_once(tmp_path: Path) -> None:
    context = people()
    async with open_app(context, tmp_path) as app:
        ann = uuid4()
        await app.append(context.new(ann, Named("Ann")))
        await app.append(context.new(ann, Named("Anna")))
        before = rows(tmp_path)
        with sqlite3.connect(file_in(tmp_path)) as connection:
            connection.execute("DELETE FROM people")
            connection.execute("INSERT INTO people VALUES ('stray', 'Stray')")

        assert await app.rewrite() == 2
        assert rows(tmp_path) == before == [(str(ann), "Anna")]


async def test_a_context_without_tables_has_nothing_to_write_again(tmp_path: Path) -> None:
    async with open_app(Context("people"), tmp_path) as app:
        with pytest.raises(ConfigurationError, match="declares no table"):
            await app.rewrite()


async def test_a_function_that_fails_is_named_and_nothing_is_recorded(tmp_path: Path) -> None:
    context = people()

    @context.write
    def broken(event: Named) -> Sequence[Statement]:
        raise ValueError(event.name)

    async with open_app(context, tmp_path) as app:
        with pytest.raises(HandlerFailed, match="broken failed: ValueError: Ann"):
            await app.append(context.new(uuid4(), Named("Ann")))
        assert [event async for event in app.events()] == []
    assert rows(tmp_path) == []


async def test_a_store_without_tables_says_so_at_open() -> None:
    environment = SystemEnvironment()
    app = App([people()], MemoryEngine(environment.clock), environment, Settings(), version="test")
    with pytest.raises(ConfigurationError, match="keeps tables of its own"):
        await app.__aenter__()
