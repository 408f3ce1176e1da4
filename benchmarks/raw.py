"""The raw limit: the engine's rows, written and read with apsw alone.

The file is one of the engine's, with its schema, its indexes and its durability, and a background thread that
checkpoints it. What is left out is everything else: no queue, no judging, no checksums to compute, nobody to
answer. The rows are those that the engine has just written into another file of the same content.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, sleep
from types import TracebackType
from typing import Any, Self

import apsw

from benchmarks.workload import CONTEXT

TABLE = "perdure_events"
CACHE_KIB = 65_536
#: Frames of the write-ahead log between two checkpoints.
CHECKPOINT_FRAMES = 1_000
SETTLE_SECONDS_MAX = 5.0

Rows = Sequence[tuple[Any, ...]]


class Raw:
    """Writes into a file of its own what the engine wrote into another."""

    def __init__(self, engines: Path, own: Path) -> None:
        self._source = connect(engines)
        self._own = connect(own)
        self._checkpoints = Checkpoints(own)
        self._own.set_wal_hook(self._checkpoints.written)
        self._head = self._own.execute(f"SELECT max(position) FROM {TABLE}").get
        columns = self._own.execute(f"SELECT count(*) FROM pragma_table_info('{TABLE}')").get
        self._insert = f"INSERT INTO {TABLE} VALUES ({','.join('?' * columns)})"

    def missing(self) -> Rows:
        """Give the rows that the engine has written since the last call, when it has settled."""
        sql = f"SELECT * FROM {TABLE} WHERE position > ? ORDER BY position"
        rows = self._source.execute(sql, (self._head,)).fetchall()
        self._head = rows[-1][0]
        settle(self._source)
        return rows

    def append(self, rows: Rows, size: int) -> float:
        """Write rows, so many to a transaction; give rows a second."""
        execute, executemany, insert = self._own.execute, self._own.executemany, self._insert
        began = perf_counter()
        for start in range(0, len(rows), size):
            execute("BEGIN IMMEDIATE")
            executemany(insert, rows[start : start + size])
            execute("COMMIT")
        rate = len(rows) / (perf_counter() - began)
        settle(self._own)
        return rate

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._source.close()
        self._own.close()
        self._checkpoints.close()


class Checkpoints:
    """Moves the write-ahead log into the file, in a thread of its own, and waits for nobody."""

    def __init__(self, directory: Path) -> None:
        self._connection = connect(directory)
        self._due = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="raw-checkpoints", daemon=True)
        self._thread.start()

    def written(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        """Take note of how long the log is; SQLite's hook."""
        if frames >= CHECKPOINT_FRAMES:
            self._due.set()
        return int(apsw.SQLITE_OK)

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        self._due.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while not self._is_closed:
            self._due.wait()
            self._due.clear()
            checkpoint(self._connection)


def connect(directory: Path) -> apsw.Connection:
    """Open the engine's file, as durable as the engine does; every setting is read back."""
    connection = apsw.Connection(str(directory / f"{CONTEXT}.db"))
    connection.set_busy_timeout(5_000)
    settings = {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0}
    for name, value in {**settings, "cache_size": -CACHE_KIB}.items():
        connection.pragma(name, value)
        if (found := connection.pragma(name)) != value:
            raise ValueError(f"SQLite keeps {name} at {found!r}, not {value!r}")
    return connection


def checkpoint(connection: apsw.Connection) -> bool:
    """Move what can be moved; ``False`` when another connection was in the way."""
    try:
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    except apsw.BusyError:
        return False
    return True


def settle(connection: apsw.Connection) -> None:
    """Finish the checkpoints of one side, so that they do not disturb the next."""
    until = perf_counter() + SETTLE_SECONDS_MAX
    while not checkpoint(connection) and perf_counter() < until:
        sleep(0.01)


def scan_rows(directory: Path, upto: int) -> int:
    """Fetch the rows of the log up to a position, and give how many they were."""
    connection = connect(directory)
    try:
        sql = f"SELECT * FROM {TABLE} WHERE position <= ? ORDER BY position"
        return sum(1 for _ in connection.execute(sql, (upto,)))
    finally:
        connection.close()
