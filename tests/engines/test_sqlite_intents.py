"""How the SQLite engine keeps intents: read by one index, which older stores are given."""

from collections.abc import Sequence
from pathlib import Path

import apsw

from perdure.engines.sqlite import SqliteEngine
from perdure.engines.sqlite.migrations import known_migrations
from perdure.engines.sqlite.queries import intents
from perdure.engines.sqlite.rows import intent_checksum
from perdure.runtime.environment import SystemClock
from perdure.testing.conformance.samples import as_given, commit, committed, intent
from perdure.vocabulary.commits import Commit, Intent, Settle

#: What the first migration was when it was released.
FIRST_CHECKSUM = "ca98bcec19b42f3230f6af62829c57aca6de08ba4690f69be1e94b275f760ae6"


async def test_a_store_of_the_first_shape_keeps_its_intents(tmp_path: Path) -> None:
    old = [intent(b"%016d" % n, b"p", ("emit", "other")[n % 3 == 0], n * 5 % 7) for n in range(9)]
    _make_first_shape(tmp_path / "shop.db", old)
    engine = SqliteEngine(tmp_path, SystemClock())

    log = await engine.open("shop")

    emit = sorted((each for each in old if each.kind == "emit"), key=lambda each: each.due)
    found = await log.intents("emit")
    assert as_given(found) == emit
    assert [each.place for each in found] == [10 * (old.index(each) + 1) for each in emit]
    committed(await commit(log, Commit(intents=(*(Settle(i.id) for i in old), intent(b"n" * 16)))))
    assert [each.place for each in await log.intents("emit")] == [91]
    assert [damage async for damage in log.verify()] == []
    await engine.close()


async def test_a_store_of_the_first_shape_is_brought_to_the_last_once(tmp_path: Path) -> None:
    _make_first_shape(tmp_path / "old.db", [])
    shapes = []
    for _ in range(2):
        engine = SqliteEngine(tmp_path, SystemClock())
        for context in ("old", "new"):
            await engine.open(context)
        await engine.close()
        shapes += [_shape(tmp_path / f"{context}.db") for context in ("old", "new")]

    assert shapes == [shapes[0]] * 4


async def test_every_page_of_intents_is_two_steps_into_the_index(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path, SystemClock())
    await engine.open("shop")
    connection = apsw.Connection(str(tmp_path / "shop.db"))
    asked: list[tuple[str, apsw.Bindings | None]] = []

    def trace(cursor: apsw.Cursor, sql: str, bound: "apsw.Bindings | None") -> bool:
        asked.append((sql, bound))
        return True

    connection.exec_trace = trace
    for upto, after in ((None, None), (5, None), (None, (3, 4)), (5, (3, 4))):
        assert intents(connection, "emit", upto, after, 10) == []
    connection.exec_trace = None

    by = "SEARCH perdure_intents USING INDEX perdure_intents_by_due"
    for sql, bound in asked:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bound)]
        assert [step for step in plan if step not in ("MERGE (UNION ALL)", "LEFT", "RIGHT")] == [
            f"{by} (kind=? AND due=? AND rowid>?)",
            f"{by} (kind=? AND due>? AND due<?)",
        ]
    assert len(asked) == 4
    connection.close()
    await engine.close()


def _make_first_shape(path: Path, given: Sequence[Intent]) -> None:
    """Make a file as the first version left it, with intents at places 10, 20, 30 and so on."""
    first = known_migrations()[0]
    assert first.checksum == FIRST_CHECKSUM, "a migration is never changed"
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    with connection:
        connection.execute(
            "CREATE TABLE perdure_migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, "
            "checksum TEXT NOT NULL) STRICT"
        )
        connection.execute(first.sql)
        connection.execute(
            "INSERT INTO perdure_migrations VALUES (?, ?, ?)",
            (first.number, first.name, first.checksum),
        )
        connection.executemany(
            "INSERT INTO perdure_intents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (10 * n, i.id, i.kind, i.target, i.ordering, i.payload, i.due, intent_checksum(i))
                for n, i in enumerate(given, 1)
            ],
        )
    connection.close()


def _shape(path: Path) -> list[tuple[object, ...]]:
    """Give what a file is made of, and the migrations it had."""
    connection = apsw.Connection(str(path))
    schema = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE name <> 'perdure_migrations' ORDER BY 1, 2"
    )
    had = connection.execute("SELECT number, name, checksum FROM perdure_migrations ORDER BY 1")
    shape = [*schema, *had]
    connection.close()
    return shape
