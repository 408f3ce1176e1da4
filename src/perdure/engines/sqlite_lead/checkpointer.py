"""Moving the write-ahead log into the file, beside the writer.

In a thread of its own, so that no commit waits for it; a failure is logged and tried again, and is nobody's
commit. Under steady load a passive pass never catches the end of the log, so beyond a bound the writer does
the short rest itself, between two groups, and the log starts over.
"""

import logging
import threading
from pathlib import Path

import apsw

from perdure.engines.sqlite_lead.connection import connect

FRAMES = 1_000

logger = logging.getLogger("perdure.sqlite")


class Checkpointer:
    """Checkpoints one file in the background."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path, self._vfs = path, vfs
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(
            target=self._run, name=f"perdure-wal-{path.stem}", daemon=True
        )
        self._thread.start()

    def written(self, frames: int) -> None:
        """Say how many frames the log has."""
        if frames >= FRAMES:
            self._wake.set()

    def close(self) -> None:
        """End the thread, with the log emptied where no reader needs it. Blocks."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        connection = connect(self._path, "writer", self._vfs, apsw.Connection)
        try:
            while not self._closed:
                self._wake.wait()
                self._wake.clear()
                mode = (
                    apsw.SQLITE_CHECKPOINT_TRUNCATE
                    if self._closed
                    else apsw.SQLITE_CHECKPOINT_PASSIVE
                )
                try:
                    connection.wal_checkpoint(mode=mode)
                except apsw.Error as fault:
                    logger.warning("%s: the log was not checkpointed: %s", self._path.name, fault)
        finally:
            connection.close()
