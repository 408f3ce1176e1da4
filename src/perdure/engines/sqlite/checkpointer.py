"""Copying the write-ahead log into the file in the background, so that no commit has to wait for it.

One rule: a checkpoint can fail and nothing is lost by it; it is logged and tried again.

A passive checkpoint never waits and never makes anybody wait, but under steady load it never catches up
either. So the writer copies the rest itself, between two groups, once the log is long and the rest short:
``Checkpointer.restart``.
"""

import logging
import threading
import time

import apsw

from perdure.engines.sqlite.connection import Store
from perdure.vocabulary.errors import ConfigurationError

_RETRY_SECONDS = 1.0
_BUSY_SECONDS = 0.05
#: How long the writer waits for readers before it goes on with the log as it is.
_RESTART_MILLISECONDS = 100

_log = logging.getLogger(__name__)


class Checkpointer:
    """A thread with a connection of its own, and what it and the writer know of the log's length."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._wake = threading.Event()
        self._copying = threading.Lock()
        self._closing = False
        self._frames = 0  # in the log
        self._asked = 0  # in the log when a checkpoint was last asked for
        self._copied = 0  # of the log, as of the last checkpoint
        self._restart_at = 0.0  # not before
        self._thread = threading.Thread(
            target=self._run, name=f"perdure-checkpoint-{store.path.stem}", daemon=True
        )

    def start(self) -> None:
        """Begin to wait for work."""
        self._thread.start()

    def note(self, frames: int) -> None:
        """Be told by the writer how long the log is after a commit."""
        if frames < self._frames:  # it was begun anew
            self._asked = self._copied = 0
        self._frames = frames
        if frames - self._asked >= self._store.settings.checkpoint_frames:
            self._asked = frames
            self._wake.set()

    def restart(self, writer: apsw.Connection) -> None:
        """Let the writer begin the log anew when that is due. Called between two transactions."""
        settings, frames = self._store.settings, self._frames
        if frames < settings.restart_frames or time.monotonic() < self._restart_at:
            return
        is_overdue = frames >= settings.restart_always_frames
        if not is_overdue and frames - self._copied > settings.restart_rest_frames:
            return
        if not self._copying.acquire(blocking=is_overdue):
            return
        writer.set_busy_timeout(_RESTART_MILLISECONDS)
        try:
            writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
        except apsw.BusyError:  # a reader, or another process: there will be another chance
            self._restart_at = time.monotonic() + _BUSY_SECONDS
        except apsw.Error:
            self._restart_at = time.monotonic() + _RETRY_SECONDS
            _log.exception("the log of %s could not be begun anew", self._store.path)
        else:
            self._frames = self._asked = self._copied = 0
        finally:
            writer.set_busy_timeout(round(settings.busy_seconds * 1000))
            self._copying.release()

    def close(self) -> None:
        """Stop, when the checkpoint that is running is done."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        connection: apsw.Connection | None = None
        while self._wake.wait() and not self._closing:
            self._wake.clear()
            try:
                connection = connection or self._store.connect_checkpointer()
                with self._copying:
                    _, self._copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except apsw.BusyError:  # another process is at it
                continue
            except (apsw.Error, ConfigurationError):
                _log.exception("the checkpoint of %s failed", self._store.path)
                self._wake.wait(_RETRY_SECONDS)
                self._wake.set()
        if connection is not None:
            connection.close()
