"""Bringing the file of a log into the shape that this version reads and writes.

One rule: a migration is one numbered file of SQL, run in one transaction, recorded in the log with its
checksum, and never changed. A store that is newer, or of another make, is left exactly as it was.
"""

import hashlib
import time
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

import apsw

from perdure.engines.sqlite.connection import Store, fetch, set_pragma
from perdure.engines.sqlite.faults import STORAGE_ERRORS
from perdure.engines.sqlite.statements import DefinitionsOnly
from perdure.vocabulary.errors import ConfigurationError

_RECORDS = """CREATE TABLE perdure_migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL
) STRICT"""
_RETRY_SECONDS = 0.01


class Migration(NamedTuple):
    """One step from a shape of the file to the next."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the SQL."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known_migrations() -> list[Migration]:
    """Give all migrations of this version, in order."""
    folder = files("perdure.engines.sqlite") / "schema"
    named = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    return [Migration(int(name[:4]), name, file.read_text("utf-8")) for name, file in named]


def prepare(store: Store, tables: Sequence[str] = ()) -> None:
    """Migrate the file, and make the user's tables.

    Raises ``ConfigurationError`` when the file is of another make, of a newer version, damaged, or was
    migrated by other SQL than ours, and when a table cannot be made; the file is unchanged then.
    """
    until = time.monotonic() + store.settings.busy_seconds
    while True:
        connection = store.connect()
        try:
            _prepare(connection, tables)
        except apsw.BusyError:  # another process is at it; not all of SQLite's waits are its own
            if time.monotonic() > until:
                raise
            time.sleep(_RETRY_SECONDS)
        except apsw.NotADBError as error:
            raise ConfigurationError(f"{store.path} is not a SQLite database") from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{store.path} is damaged: {error}") from error
        else:
            return
        finally:
            connection.close()


def _prepare(connection: apsw.Connection, tables: Sequence[str]) -> None:
    known = known_migrations()
    missing = _missing(connection, known)
    set_pragma(connection, "journal_mode", "wal")
    set_pragma(connection, "synchronous", 2)
    for migration in missing:
        _migrate(connection, migration, known)
    if tables:
        _make(connection, tables)


def _migrate(connection: apsw.Connection, migration: Migration, known: Sequence[Migration]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if migration in _missing(connection, known):  # still: another process may have been faster
        if migration.number == 1:
            connection.execute(_RECORDS)
        fetch(connection, migration.sql)
        connection.execute(
            "INSERT INTO perdure_migrations (number, name, checksum) VALUES (?, ?, ?)",
            (migration.number, migration.name, migration.checksum),
        )
    connection.execute("COMMIT")


def _missing(connection: apsw.Connection, known: Sequence[Migration]) -> list[Migration]:
    """Give the migrations that the file has not had, having made sure that it is ours."""
    where = connection.filename
    tables = {name for (name,) in fetch(connection, "SELECT name FROM sqlite_schema")}
    if not tables:
        return list(known)
    if "perdure_migrations" not in tables:
        raise ConfigurationError(f"{where} is a database, but no log of Perdure; it is left alone")
    had: dict[int, str] = dict(fetch(connection, "SELECT number, checksum FROM perdure_migrations"))
    newest = known[-1].number
    if max(had) > newest:
        raise ConfigurationError(
            f"{where} has the shape {max(had)}, and this version knows {newest}; use a newer version"
        )
    for migration in known:
        if had.get(migration.number, migration.checksum) != migration.checksum:
            raise ConfigurationError(
                f"{where} was brought to shape {migration.number} by other SQL than ours; "
                "it is left alone"
            )
    return [migration for migration in known if migration.number not in had]


def _make(connection: apsw.Connection, tables: Sequence[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")  # closing the connection rolls back
    for sql in tables:
        try:
            with DefinitionsOnly(connection):
                fetch(connection, sql)
        except STORAGE_ERRORS:
            raise
        except apsw.Error as error:
            raise ConfigurationError(f"the table cannot be made: {error}: {sql}") from error
    connection.execute("COMMIT")
