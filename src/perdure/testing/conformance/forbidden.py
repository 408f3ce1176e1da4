"""What SQL in a commit may not do, whatever it is made of: the neighbours and the engine are out of reach."""

import asyncio

import pytest

from perdure.ports.engine import Capability, Engine, Log
from perdure.testing.conformance.books import Books, expect, failed
from perdure.testing.conformance.samples import ANN, Maker, committed, ids, read
from perdure.vocabulary.commits import Commit, Statement
from perdure.vocabulary.errors import PerdureError

#: Refused in every dialect, be it as forbidden or as no SQL at all.
FORBIDDEN = [
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "END",
    "SAVEPOINT mine",
    "RELEASE mine",
    "ROLLBACK TO mine",
    "UPDATE account SET balance = 1; COMMIT",
    "UPDATE account SET balance = 1; UPDATE account SET balance = 2",
    "CREATE TABLE other (id INTEGER)",
    "CREATE TEMP TABLE other (id INTEGER)",
    "CREATE TABLE other AS SELECT * FROM account",
    "CREATE INDEX other ON account (balance)",
    "CREATE VIEW other AS SELECT * FROM account",
    "CREATE TRIGGER other AFTER INSERT ON account BEGIN DELETE FROM account; END",
    "ALTER TABLE account ADD COLUMN other INTEGER",
    "ALTER TABLE account RENAME TO other",
    "DROP TABLE account",
    "DROP TABLE entry",
    "PRAGMA synchronous = OFF",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA user_version = 7",
    "UPDATE account SET balance = (SELECT count(*) FROM pragma_table_info('account'))",
    "ATTACH DATABASE ':memory:' AS other",
    "DETACH DATABASE main",
    "VACUUM",
    "VACUUM INTO '/dev/null'",
    "REINDEX",
    "ANALYZE",
    "INSERT OR ROLLBACK INTO account (owner, balance) VALUES ('cat', 1)",
    "INSERT OR ROLLBACK INTO account (owner, balance) VALUES ('ann', 1)",
    "UPDATE OR ROLLBACK account SET owner = 'ann'",
    "UPDATE account SET owner = load_extension('other')",
]

#: Ways to touch a table that is not the user's.
TRESPASSES = [
    "DELETE FROM {table}",
    "INSERT INTO {table} DEFAULT VALUES",
    "INSERT INTO {table} SELECT * FROM {table}",
    "DROP TABLE {table}",
    "UPDATE account SET balance = (SELECT count(*) FROM {table})",
    "INSERT INTO account (owner, balance) SELECT 'cat', count(*) FROM {table}",
    "DELETE FROM account WHERE EXISTS (SELECT * FROM {table})",
    "WITH stolen AS (SELECT * FROM {table}) UPDATE account SET balance = (SELECT count(*) FROM stolen)",
    'DELETE FROM "{table}"',
]

ENDLESS = Statement(
    "UPDATE account SET balance = (WITH RECURSIVE n (x) AS "
    "(SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n)"
)


class Forbidden(Books):
    """What a statement is kept from."""

    @pytest.mark.parametrize("sql", FORBIDDEN)
    async def test_it_may_do_nothing_but_change_rows(
        self, books: Log, make: Maker, sql: str
    ) -> None:
        await self._refuses(books, make, sql)

    async def test_it_may_not_touch_the_tables_of_the_engine(self, books: Log, make: Maker) -> None:
        if not self.own_tables:
            pytest.skip("own_tables not declared")
        for table in self.own_tables:
            for trespass in TRESPASSES:
                await self._refuses(books, make, trespass.format(table=table))

    async def test_the_conflict_clause_of_a_table_undoes_no_neighbour(
        self, engine: Engine, make: Maker
    ) -> None:
        self.require(Capability.STATEMENTS)
        table = "CREATE TABLE IF NOT EXISTS odd (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)"
        try:
            log = await engine.open("odd", (table,))
        except PerdureError as refused:
            pytest.skip(f"such a table cannot be declared: {refused}")
        insert = Commit(
            events=(make.event(),), statements=(Statement("INSERT INTO odd VALUES (1)"),)
        )
        again = Commit(events=(make.event(),), statements=insert.statements)

        verdicts = await log.commit([insert, again, Commit(events=(make.event(),))])

        assert failed(verdicts[1]).integrity
        assert [committed(verdicts[i]).receipts[0].version for i in (0, 2)] == [1, 2]
        assert len(await read(log)) == 2

    async def test_an_endless_statement_is_cut_off(self, books: Log, make: Maker) -> None:
        before, after = make.events(2)

        (first,), (cut,), (last,) = await asyncio.gather(
            books.commit([Commit(events=(before,))]),
            books.commit([Commit(events=(make.event(),), statements=(ENDLESS,))]),
            books.commit([Commit(events=(after,))]),
        )

        assert [committed(first).receipts[0].version, committed(last).receipts[0].version] == [1, 2]
        assert (failed(cut).index, failed(cut).integrity) == (0, False)
        assert ids(await read(books)) == [before.id, after.id]
        await expect(books, "owner = 'ann' AND balance = 100")

    async def _refuses(self, books: Log, make: Maker, sql: str) -> None:
        before, bad, after = (Commit(events=(make.event(),)) for _ in range(3))
        bad = Commit(events=bad.events, statements=(Statement(sql),))
        version = await books.version(ANN)

        verdicts = await books.commit([before, bad, after])

        refused = failed(verdicts[1])
        assert (refused.index, refused.integrity) == (0, False), sql
        versions = [committed(verdicts[i]).receipts[0].version for i in (0, 2)]
        assert versions == [version + 1, version + 2], sql
        assert ids(await books.events(ids([*before.events, *bad.events, *after.events]))) == ids(
            [*before.events, *after.events]
        )
        await expect(books, "owner = 'ann' AND balance = 100")
        await expect(books, "owner = 'ben' AND balance = 50")
