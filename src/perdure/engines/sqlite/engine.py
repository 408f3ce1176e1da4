"""The SQLite engine: a directory, with one file for each context.

Several processes may open the same directory. Within one process open it once: SQLite knows its own
connections, and two engines on one directory merely cost twice.
"""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import apsw

from perdure.engines.sqlite.connection import Store, check_library, make_file
from perdure.engines.sqlite.log import SqliteLog
from perdure.engines.sqlite.migrations import prepare
from perdure.engines.sqlite.settings import SqliteSettings
from perdure.ports.engine import Capability
from perdure.ports.environment import Clock
from perdure.vocabulary.errors import StorageFull, Unavailable
from perdure.vocabulary.names import check_context


class SqliteEngine:
    """Logs that last, in a directory.

    ``clock`` is asked from the engine's threads too. ``vfs`` names an apsw VFS through which all files are
    reached; tests put faults there. Raises ``ConfigurationError`` when the SQLite at hand is not safe.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        vfs: str | None = None,
        settings: SqliteSettings | None = None,
    ) -> None:
        check_library()
        self.directory, self._clock, self._vfs = directory, clock, vfs
        self._settings = settings or SqliteSettings()
        self._lock = threading.Lock()
        self._logs: dict[str, SqliteLog] = {}
        self._is_closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Shared and with SQL; durable unless the settings say otherwise."""
        able = {Capability.SHARED, Capability.STATEMENTS}
        if self._settings.synchronous == "full":
            able.add(Capability.DURABLE)
        return frozenset(able)

    async def open(self, context: str, tables: Sequence[str] = ()) -> SqliteLog:
        """Open the log of a context, making it where there is none; the same as before, unless closed.

        ``tables`` are the user's own ``CREATE TABLE IF NOT EXISTS`` and ``CREATE INDEX IF NOT EXISTS``;
        no name in them may begin with ``perdure_``. Raises ``ConfigurationError`` for a file this version
        cannot read or a table that cannot be made, and ``Unavailable`` when the file cannot be used now.
        """
        check_context(context)
        return await asyncio.to_thread(self._open, context, tables)

    async def close(self) -> None:
        """Close every log. Idempotent."""
        self._is_closed = True
        for log in await asyncio.to_thread(self._opened):
            await log.close()

    def _opened(self) -> list[SqliteLog]:
        with self._lock:  # held while a log is being opened
            return list(self._logs.values())

    def _open(self, context: str, tables: Sequence[str]) -> SqliteLog:
        with self._lock:
            if self._is_closed:
                raise Unavailable("the engine is closed; make a new one")
            store = Store(self.directory / f"{context}.db", self._settings, self._vfs)
            log = self._logs.get(context)
            is_new = log is None or log.closed
            try:
                make_file(store.path)
                if is_new or tables:
                    prepare(store, tables)
                if log is None or log.closed:
                    log = self._logs[context] = SqliteLog(store, self._clock)
            except apsw.FullError as error:
                raise StorageFull(f"no room is left to open {store.path}: {error}") from error
            except (apsw.Error, OSError) as error:
                raise Unavailable(f"{store.path} cannot be opened: {error}") from error
            return log
