"""SQL of the user's own, inside a commit: data in the user's tables, and nothing else.

While it runs, an authorizer refuses the engine's tables, schema changes, pragmas, attached files and
transaction control, and a progress handler cuts off what takes too long.
"""

import time
from collections.abc import Sequence

import apsw

from perdure.vocabulary.commits import Statement, StatementFailed

SECONDS_MAX = 2.0
_STEPS_BETWEEN_CHECKS = 10_000
_ALLOWED = frozenset(
    {
        apsw.SQLITE_SELECT,
        apsw.SQLITE_FUNCTION,
        apsw.SQLITE_RECURSIVE,
        apsw.SQLITE_INSERT,
        apsw.SQLITE_UPDATE,
        apsw.SQLITE_DELETE,
        apsw.SQLITE_READ,
    }
)


class TransactionLost(Exception):
    """A statement rolled the whole transaction back; ``failed`` says which and how."""

    def __init__(self, failed: StatementFailed) -> None:
        super().__init__(failed.reason)
        self.failed = failed


class StatementRunner:
    """Runs the statements of a commit on the writer's connection."""

    def __init__(self, connection: apsw.Connection, seconds_max: float = SECONDS_MAX) -> None:
        self._connection, self._seconds_max = connection, seconds_max
        self._own = frozenset(
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ) | {
            "sqlite_schema",
            "sqlite_master",
            "sqlite_temp_schema",
            "sqlite_temp_master",
            "sqlite_sequence",
        }

    def run(self, statements: Sequence[Statement]) -> StatementFailed | None:
        """Run them in order; give the first that fails, after which the caller rolls back.

        Raises ``TransactionLost`` when one rolled back more than itself.
        """
        for index, statement in enumerate(statements):
            reason = self._run(statement)
            if not self._connection.in_transaction:
                raise TransactionLost(StatementFailed(index, reason or "ended the transaction"))
            if reason:
                return StatementFailed(index, reason)
        if self._connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            return StatementFailed(len(statements) - 1, "FOREIGN KEY constraint failed (deferred)")
        return None

    def _run(self, statement: Statement) -> str:
        connection = self._connection
        deadline = time.monotonic() + self._seconds_max
        connection.set_authorizer(self._authorize)
        connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_CHECKS)
        before = connection.total_changes()
        try:
            connection.execute(statement.sql, statement.parameters, can_cache=False).fetchall()
        except apsw.InterruptError:
            return f"took longer than {self._seconds_max} s"
        except apsw.AuthError as fault:
            return f"is not allowed here: {fault}"
        except (apsw.Error, TypeError, ValueError) as fault:
            return str(fault)
        finally:
            connection.set_authorizer(None)
            connection.set_progress_handler(None)
        changed = connection.total_changes() - before
        if statement.rows is not None and changed != statement.rows:
            return f"changed {changed} rows, not {statement.rows}"
        return ""

    def _authorize(
        self, action: int, one: str | None, two: str | None, _database: str | None, _by: str | None
    ) -> int:
        if action not in _ALLOWED:
            return int(apsw.SQLITE_DENY)
        touches = one if action != apsw.SQLITE_FUNCTION else None
        if touches in self._own or (action == apsw.SQLITE_FUNCTION and two == "load_extension"):
            return int(apsw.SQLITE_DENY)
        return int(apsw.SQLITE_OK)
