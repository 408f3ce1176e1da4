"""The thread that writes: all commits of a log pass through it, as many at once as are waiting.

One rule: nobody is answered before the disk has said so. After an unknown outcome nothing is written, and
no id is looked up, until a checkpoint has made certain what is there.
"""

import logging
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from queue import Empty, SimpleQueue
from typing import TypeAlias

import apsw

from perdure.engines.sqlite.checkpointer import Checkpointer
from perdure.engines.sqlite.connection import Store, settle
from perdure.engines.sqlite.rows import Decoder
from perdure.engines.sqlite.transactions import Answer, Call, Transactions
from perdure.engines.sqlite.waiting import Waiters, call_in
from perdure.vocabulary.commits import Verdict
from perdure.vocabulary.errors import ConfigurationError, EngineError, OutcomeUnknown, Unavailable

_RETRY_SECONDS = 0.05
_RETRY_SECONDS_MAX = 5.0
#: How long other processes may stand in the way when the log is to be made certain.
_SETTLE_SECONDS = 1.0

_log = logging.getLogger(__name__)


#: One call of ``commit``, where its answer goes, and the loop in which somebody waits for that.
Request: TypeAlias = tuple[Call, Future[list[Verdict]], AbstractEventLoop]


class Writer:
    """Takes calls from any event loop, and answers them when they are durable."""

    def __init__(
        self,
        store: Store,
        decoder: Decoder,
        now: Callable[[], int],
        checkpointer: Checkpointer,
        waiters: Waiters,
    ) -> None:
        self._store, self._decoder, self._now = store, decoder, now
        self._checkpointer, self._waiters = checkpointer, waiters
        self._queue: SimpleQueue[Request | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._retry_at, self._retry_after = 0.0, _RETRY_SECONDS
        #: The head after the last transaction of this process.
        self.position = 0
        self._transactions: Transactions | None = None
        # What a crash left in the log may never have been synced. It is now, before an id is looked up in it.
        # When other processes are in the way, they have not crashed, and what they see was synced by them.
        try:
            self._open(store.settings.busy_seconds)
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(
            target=self._run, name=f"perdure-write-{store.path.stem}", daemon=True
        )

    def start(self) -> None:
        """Begin to take calls."""
        self._thread.start()

    def submit(self, request: Request) -> None:
        """Hand over a call, from any thread. Raises ``Unavailable`` when the log is closed."""
        with self._lock:
            if self._is_closed:
                raise Unavailable("the log is closed; open it again")
            self._queue.put(request)

    def stop(self) -> None:
        """Take no more calls, and return when those that were taken are answered."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._queue.put(None)
        self._thread.join()

    def close(self) -> None:
        """Empty the write-ahead log, when that can be, and close the connection: one file is left."""
        if self._transactions is None:
            return
        connection = self._transactions.connection
        try:
            if settle(connection, _SETTLE_SECONDS):
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        except apsw.Error:  # what is in the log stays there, and is read at the next opening
            _log.exception("the log of %s could not be emptied", self._store.path)
        self._let_go()

    def _run(self) -> None:
        is_open = True
        while is_open:
            requests, is_open = self._take()
            if self._transactions is None and time.monotonic() >= self._retry_at:
                self._recover()
            if requests:
                self._serve(requests)

    def _take(self) -> tuple[list[Request], bool]:
        """Take what is waiting, up to a group's size; wait when nothing is, unless there is work."""
        settings = self._store.settings
        requests: list[Request] = []
        commits = size = 0
        try:
            wait = None if self._transactions else max(0.0, self._retry_at - time.monotonic())
            request = self._queue.get(timeout=wait)
            while request is not None:
                call, future, _ = request
                if not future.cancelled():
                    requests.append(request)
                    commits += len(call)
                    for commit in call:
                        for event in commit.events:
                            size += len(event.data)
                        for put in commit.records:
                            size += len(put.value or b"")
                if commits >= settings.group_commits_max or size >= settings.group_bytes_max:
                    break
                request = self._queue.get_nowait()
        except Empty:
            return requests, True
        return requests, request is not None

    def _serve(self, requests: Sequence[Request]) -> None:
        answers = self._write([call for call, _, _ in requests])
        replies: dict[AbstractEventLoop, tuple[list[Future[list[Verdict]]], list[Answer]]] = {}
        for (_, future, loop), answer in zip(requests, answers, strict=True):
            futures, given = replies.get(loop) or replies.setdefault(loop, ([], []))
            futures.append(future)
            given.append(answer)
        for loop, (futures, given) in replies.items():
            call_in(loop, _answer, zip(futures, given, strict=True))
        if self._transactions is None:
            return
        if self._transactions.position > self.position:
            self.position = self._transactions.position
            self._waiters.wake()
        self._checkpointer.restart(self._transactions.connection)

    def _write(self, calls: Sequence[Call]) -> Sequence[Answer]:
        if self._transactions is None:
            message = (
                "the log is being checked after a failed write; nothing was written, ask again"
            )
            return [Unavailable(message) for _ in calls]
        answers: Sequence[Answer]
        try:
            answers = self._transactions.write(calls)
        except EngineError as error:
            answers = [copy(error) for _ in calls]
        except Exception as error:  # the thread must go on, and what it knows must be true
            _log.exception("writing to %s failed in an unforeseen way", self._store.path)
            answers = [OutcomeUnknown(f"writing failed: {error!r}") for _ in calls]
            self._let_go()
        if self._transactions is not None and not self._transactions.is_usable:
            self._let_go()
        return answers

    def _recover(self) -> None:
        """Open the log again, and make certain what is in it; or try that later."""
        try:
            if self._open(_SETTLE_SECONDS):
                self._retry_after = _RETRY_SECONDS
                return
            _log.warning("other processes are in the way of checking %s", self._store.path)
        except (apsw.Error, ConfigurationError):
            _log.exception("the log of %s cannot be trusted yet", self._store.path)
        self._let_go()
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, _RETRY_SECONDS_MAX)

    def _open(self, seconds: float) -> bool:
        """Connect, and tell whether all that is stored is certain now."""
        connection = self._store.connect_writer()
        connection.set_wal_hook(self._note)
        self._transactions = Transactions(connection, self._store, self._decoder, self._now)
        return settle(connection, seconds)

    def _let_go(self) -> None:
        transactions, self._transactions = self._transactions, None
        if transactions is not None:
            transactions.connection.close(force=True)

    def _note(self, connection: apsw.Connection, database: str, frames: int) -> int:
        self._checkpointer.note(frames)
        return apsw.SQLITE_OK


def _answer(replies: Iterable[tuple[Future[list[Verdict]], Answer]]) -> None:
    for future, answer in replies:
        if future.done():  # whoever asked has gone
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
