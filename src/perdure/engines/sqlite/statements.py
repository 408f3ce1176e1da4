"""The user's own SQL: what it may touch, for how long, and what happens when it fails.

One rule: a statement changes rows of the user's tables, and nothing else. SQLite's authorizer sees every
table a statement names while it is prepared; what begins with ``perdure_`` or ``sqlite_`` is out of reach.

The authorizer stays on the writer's connection and is switched, not exchanged: to exchange it would make
SQLite prepare every statement of the engine again. The user's statements are never kept prepared, or
one with the text of an engine's own would pass unseen.
"""

import re
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType

import apsw

from perdure.engines.sqlite.faults import STORAGE_ERRORS
from perdure.vocabulary.commits import Statement, StatementFailed

_RESERVED = ("perdure_", "sqlite_", "pragma_", "dbstat")
_CHANGES_ROWS = frozenset(
    {
        apsw.SQLITE_SELECT,
        apsw.SQLITE_READ,
        apsw.SQLITE_INSERT,
        apsw.SQLITE_UPDATE,
        apsw.SQLITE_DELETE,
        apsw.SQLITE_FUNCTION,
        apsw.SQLITE_RECURSIVE,
    }
)
_DEFINES = frozenset(
    {
        apsw.SQLITE_CREATE_TABLE,
        apsw.SQLITE_CREATE_INDEX,
        apsw.SQLITE_REINDEX,
        apsw.SQLITE_READ,
        apsw.SQLITE_FUNCTION,
    }
)
#: To make a table SQLite writes its own catalogue, and may make indexes, under the same authorizer.
_CATALOGUE = frozenset({"sqlite_master", "sqlite_sequence"})
_OWN_INDEX = "sqlite_autoindex_"

_QUOTED = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/""",
    re.DOTALL | re.VERBOSE,
)
_OR_ROLLBACK = re.compile(r"\bOR\s+ROLLBACK\b", re.IGNORECASE)
#: How often the time is looked at, in steps of SQLite's virtual machine: a few microseconds' worth.
_STEPS = 1000


class Undone(Exception):
    """SQLite has rolled back the whole transaction because of one commit's statement.

    No error yet: the transaction is begun again without that commit.
    """

    def __init__(self, failure: StatementFailed) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Statements:
    """Runs the user's statements inside the transaction of a writer's connection."""

    def __init__(self, connection: apsw.Connection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._open = False
        self._until = 0.0
        connection.authorizer = self._authorize

    def run(self, statements: Sequence[Statement]) -> StatementFailed | None:
        """Run the statements of one commit: all of them, or none and the reason.

        Raises ``Undone`` when SQLite threw away more than this commit, and what the storage raises.
        """
        self._connection.execute("SAVEPOINT perdure_statements")
        failure = self._run(statements)
        if failure is not None:
            if not self._connection.in_transaction:
                raise Undone(failure)
            self._connection.execute("ROLLBACK TO perdure_statements")
        self._connection.execute("RELEASE perdure_statements")
        return failure

    def _run(self, statements: Sequence[Statement]) -> StatementFailed | None:
        self._open, self._until = True, time.monotonic() + self._seconds
        self._connection.set_progress_handler(self._is_late, _STEPS)
        try:
            for index, statement in enumerate(statements):
                failure = self._run_one(index, statement)
                if failure is not None:
                    return failure
        finally:
            self._connection.set_progress_handler(None)
            self._open = False
        unmet, _ = self._connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)
        if unmet:
            last = len(statements) - 1
            return StatementFailed(last, "a deferred foreign key is not met", integrity=True)
        return None

    def _run_one(self, index: int, statement: Statement) -> StatementFailed | None:
        """Run one statement; say why when it failed."""
        failed = partial(StatementFailed, index)
        if _OR_ROLLBACK.search(_QUOTED.sub(" ", statement.sql)):
            return failed("OR ROLLBACK would undo what others write; use OR ABORT, or leave it out")
        before = self._connection.total_changes()
        cursor = self._connection.cursor()
        once = _Once()
        cursor.exec_trace = once
        try:
            cursor.execute(statement.sql, statement.parameters, can_cache=False)
            for _ in cursor:  # what it returns goes nowhere, but has to be worked out
                pass
        except STORAGE_ERRORS:
            raise
        except apsw.InterruptError:
            return failed(f"it took longer than {self._seconds:g} s")
        except apsw.AuthError:
            return failed(
                "not allowed: a statement changes rows of the user's own tables, and nothing else"
            )
        except apsw.ExecTraceAbort:
            return failed("more than one statement")
        except apsw.ConstraintError as error:
            return failed(f"{error}", integrity=True)
        except Exception as error:  # whatever is wrong with the SQL or its values is the verdict
            return failed(f"{error}")
        if not once.seen:
            return failed("no statement at all")
        changed = self._connection.total_changes() != before
        rows = self._connection.changes() if changed else 0
        if statement.rows is not None and rows != statement.rows:
            return failed(f"it changed {rows} rows, not {statement.rows}", integrity=True)
        return None

    def _authorize(
        self, action: int, one: str | None, two: str | None, database: str | None, by: str | None
    ) -> int:
        if not self._open or _is_allowed(action, one, two, database, _CHANGES_ROWS):
            return apsw.SQLITE_OK
        return apsw.SQLITE_DENY

    def _is_late(self) -> bool:
        return time.monotonic() > self._until


class DefinitionsOnly:
    """For as long as it is entered, a connection can make tables and indexes of the user, no more."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.authorizer = self._authorize

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.authorizer = None

    def _authorize(
        self, action: int, one: str | None, two: str | None, database: str | None, by: str | None
    ) -> int:
        if one in _CATALOGUE or _is_allowed(action, one, two, database, _DEFINES):
            return apsw.SQLITE_OK
        return apsw.SQLITE_DENY


class _Once:
    """Lets the first statement of a text pass, and stops at the second."""

    def __init__(self) -> None:
        self.seen = False

    def __call__(self, cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        if not cursor.has_vdbe:  # a comment
            return True
        first, self.seen = not self.seen, True
        return first


def _is_allowed(
    action: int, one: str | None, two: str | None, database: str | None, actions: frozenset[int]
) -> bool:
    if action not in actions or database not in (None, "main"):
        return False
    if action == apsw.SQLITE_FUNCTION:
        return two != "load_extension"
    names = [one or ""]
    if action == apsw.SQLITE_CREATE_INDEX:  # its name, and the table's
        names = [(one or "").removeprefix(_OWN_INDEX), two or ""]
    return not any(name.lower().startswith(_RESERVED) for name in names)
