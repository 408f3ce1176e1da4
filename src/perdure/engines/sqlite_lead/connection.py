"""Connections to a context's file: opened in one way, with every setting read back.

A statement that holds several pragmas stops at the first that returns a row, silently; so each is set by
itself, and what is in force is asked for and compared. A setting that did not take is an error at open.
"""

import os
from pathlib import Path
from typing import Literal, TypeVar

import apsw

from perdure.vocabulary.errors import ConfigurationError

#: The write-ahead log of earlier versions can be reset while a reader still needs it.
VERSION_MIN = (3, 51, 3)
BUSY_MILLISECONDS = 5_000
CACHE_KIB = 64 * 1024

Role = Literal["writer", "reader"]
C = TypeVar("C", bound=apsw.Connection)


def connect(path: Path, role: Role, vfs: str | None, kind: type[C]) -> C:
    """Open a connection. Raises ``ConfigurationError`` when a setting is not in force."""
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < VERSION_MIN:
        raise ConfigurationError(f"SQLite {apsw.sqlite_lib_version()} is too old; 3.51.3 is needed")
    connection = kind(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    pragma(connection, "journal_mode", "wal")
    pragma(connection, "synchronous", 2)  # FULL: the log is synced at each commit
    pragma(connection, "wal_autocheckpoint", 0)  # a checkpoint's failure is not a commit's
    pragma(connection, "temp_store", 2)
    pragma(connection, "foreign_keys", 1)
    pragma(connection, "trusted_schema", 0)
    if role == "writer":
        pragma(connection, "cache_size", -CACHE_KIB)
    else:
        pragma(connection, "query_only", 1)
    return connection


def pragma(connection: apsw.Connection, name: str, value: int | str) -> None:
    """Set a pragma and read it back."""
    connection.pragma(name, value)
    found = connection.pragma(name)
    if found != value:
        raise ConfigurationError(f"SQLite keeps {name} at {found!r}; {value!r} is needed")


def prepare_file(path: Path) -> None:
    """Make the directory and the file, readable by their owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
