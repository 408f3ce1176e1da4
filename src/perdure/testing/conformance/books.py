"""A user's tables, for the parts of the suite that write SQL: accounts, and entries that refer to them.

What a table holds is asked through the port too: a statement that must change one row says so.
"""

import pytest

from perdure.ports.engine import Capability, Engine, Log
from perdure.testing.conformance.samples import commit, committed
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, Statement, StatementFailed, Verdict

ACCOUNT = """CREATE TABLE IF NOT EXISTS account (
    owner TEXT PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0)
)"""
ENTRY = """CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY,
    owner TEXT NOT NULL REFERENCES account (owner) DEFERRABLE INITIALLY DEFERRED
)"""
TABLES = (ACCOUNT, ENTRY)
OPEN_ANN = Statement("INSERT INTO account (owner, balance) VALUES ('ann', 100)", rows=1)
OPEN_BEN = Statement("INSERT INTO account (owner, balance) VALUES ('ben', 50)", rows=1)
ORPHAN = Statement("INSERT INTO entry (id, owner) VALUES (1, 'nobody')")

#: Statements that fail, for one reason each, on a table with ann and ben.
FAILING: dict[str, Statement] = {
    "not SQL": Statement("this is not SQL"),
    "no such table": Statement("UPDATE never SET balance = 1"),
    "too few rows": Statement("UPDATE account SET balance = 1 WHERE owner = 'cat'", rows=1),
    "too many rows": Statement("UPDATE account SET balance = 1", rows=1),
    "rows where none must be": Statement("DELETE FROM account WHERE owner = 'ann'", rows=0),
    "unique": Statement("INSERT INTO account (owner, balance) VALUES ('ann', 1)"),
    "check": Statement("UPDATE account SET balance = -1"),
    "not null": Statement("UPDATE account SET balance = NULL"),
    "deferred foreign key": ORPHAN,
}
#: Those of them that cannot be run; to the others the data, not the SQL, says no.
NOT_RUN = frozenset({"not SQL", "no such table"})


async def expect(log: Log, condition: str) -> None:
    """Insist that exactly one account meets the condition."""
    look = Statement(f"UPDATE account SET balance = balance WHERE {condition}", rows=1)
    committed(await commit(log, Commit(statements=(look,))))


def failed(verdict: Verdict) -> StatementFailed:
    """Insist that a commit was refused because of a statement, and give the reason."""
    assert isinstance(verdict, StatementFailed), f"not refused: {verdict}"
    return verdict


class Books(EngineUnderTest):
    """An engine whose user keeps accounts."""

    @pytest.fixture
    async def books(self, engine: Engine) -> Log:
        """A log whose user keeps accounts: ann has 100, ben 50."""
        self.require(Capability.STATEMENTS)
        log = await engine.open("books", TABLES)
        committed(await commit(log, Commit(statements=(OPEN_ANN, OPEN_BEN))))
        return log
