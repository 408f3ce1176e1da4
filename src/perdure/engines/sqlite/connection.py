"""Opening connections to the file of one log: how each is set up, and that the setting took.

One rule: every pragma is read back. SQLite ignores what it does not know, and runs only the first of
several that give a row, both without a word.

``migrations`` brings a file into shape first. Who uses which connection: ``writer``, ``checkpointer`` and
``reader`` one kind each, and none is used by two threads at a time.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import apsw

from perdure.engines.sqlite.settings import SqliteSettings
from perdure.vocabulary.errors import ConfigurationError

#: Older ones can corrupt a write-ahead log that is begun anew while another connection checkpoints it.
SQLITE_VERSION_MIN = (3, 51, 3)

Bound: TypeAlias = tuple[Any, ...] | dict[str, Any]

_SYNCHRONOUS = {"normal": 1, "full": 2}
_RETRY_SECONDS = 0.01


class Store(NamedTuple):
    """Where a log lies, and how it is used."""

    path: Path
    settings: SqliteSettings
    vfs: str | None = None

    def connect(self) -> apsw.Connection:
        """Open the file as it is, with nothing set but how long to wait for a lock."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self.vfs)
        connection.set_busy_timeout(round(self.settings.busy_seconds * 1000))
        # Closing must not copy anything by itself: a checkpoint that fails has to be heard.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return connection

    def connect_writer(self) -> apsw.Connection:
        """Open the one connection that writes."""
        connection = self.connect()
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        cache = {"cache_size": -self.settings.writer_cache_kib, "temp_store": 2, "foreign_keys": 1}
        return self._set_up(connection, cache)

    def connect_checkpointer(self) -> apsw.Connection:
        """Open the connection that copies the write-ahead log into the file."""
        return self._set_up(self.connect(), {})

    def connect_reader(self) -> apsw.Connection:
        """Open a connection that cannot write."""
        cache = {"cache_size": -self.settings.reader_cache_kib, "temp_store": 2, "query_only": 1}
        return self._set_up(self.connect(), cache)

    def _set_up(
        self, connection: apsw.Connection, pragmas: Mapping[str, int | str]
    ) -> apsw.Connection:
        common: dict[str, int | str] = {
            "journal_mode": "wal",
            "synchronous": _SYNCHRONOUS[self.settings.synchronous],
            "wal_autocheckpoint": 0,
            "mmap_size": 0,
            "trusted_schema": 0,
            "cell_size_check": 1,
        }
        try:
            for name, value in (common | dict(pragmas)).items():
                set_pragma(connection, name, value)
        except BaseException:
            connection.close()
            raise
        return connection


def check_library() -> None:
    """Raise ``ConfigurationError`` unless the SQLite that came with apsw is safe to use."""
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < SQLITE_VERSION_MIN:
        least = ".".join(map(str, SQLITE_VERSION_MIN))
        raise ConfigurationError(
            f"SQLite {version} can corrupt a store; {least} or newer is needed: update apsw"
        )


def fetch(connection: apsw.Connection, sql: str, parameters: Bound = ()) -> list[tuple[Any, ...]]:
    """Run a query to its end, so that no transaction stays open behind it."""
    return connection.execute(sql, parameters).fetchall()


def fetch_value(connection: apsw.Connection, sql: str, parameters: Bound = ()) -> Any:
    """Give the first value of the first row, or ``None`` when there is no row."""
    rows = fetch(connection, sql, parameters)
    return rows[0][0] if rows else None


def make_file(path: Path) -> None:
    """Make the file of a log, readable by its owner alone, unless it is there.

    SQLite gives the files beside it the same mode. A file that is there is not opened here: to close it
    again would drop the locks that SQLite holds on it in this process. What is made is found again after
    a power cut, the directories included.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for folder in (path.parent, *(each.parent for each in made)):
            _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_pragma(connection: apsw.Connection, name: str, value: int | str) -> None:
    """Set a pragma, read it back, and raise ``ConfigurationError`` when it did not take."""
    fetch(connection, f"PRAGMA {name} = {value}")
    now = fetch_value(connection, f"PRAGMA {name}")
    # mmap_size answers nothing where memory cannot be mapped, which is as good as zero
    if now != value and not (name == "mmap_size" and now is None):
        raise ConfigurationError(
            f"SQLite did not take PRAGMA {name} = {value} on {connection.filename}: it is at {now}"
        )


def settle(connection: apsw.Connection, seconds: float) -> bool:
    """Copy the whole write-ahead log into the file, sync both, and empty the log.

    What is in the file then is certain: it survives a power cut. ``False`` when other processes were in
    the way for so long; then they, not this connection, found the log as it is. Raises what the storage
    raises.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            if time.monotonic() > until:
                return False
            time.sleep(_RETRY_SECONDS)
        else:
            return True
