"""Reading: a few threads, each with a connection of its own, and short questions to them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import apsw

from perdure.engines.sqlite.connection import Store
from perdure.engines.sqlite.faults import before_commit
from perdure.vocabulary.errors import Corrupt, Unavailable

T = TypeVar("T")


class Readers:
    """Connections that cannot write, opened when first needed.

    One is opened at once and only held. As long as any connection is open, SQLite keeps its index of the
    write-ahead log, and in that index a commit whose sync failed does not exist. Were the last one closed,
    the next would read the log itself and show what is on no disk yet.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held = store.connect_reader()
        self._idle: list[apsw.Connection] = []  # the last one used is the next, for its cache
        self._pool = ThreadPoolExecutor(
            store.settings.readers, thread_name_prefix=f"perdure-read-{store.path.stem}"
        )

    async def ask(self, question: Callable[[apsw.Connection], T]) -> T:
        """Run a question in a thread that has a connection to itself for as long.

        Raises ``EngineError`` for what the storage raises, ``Unavailable`` when the log is closed.
        """
        try:
            answer = self._pool.submit(self._answer, question)
        except RuntimeError as error:  # the pool takes nothing any more
            raise Unavailable("the log is closed; open it again") from error
        return await asyncio.wrap_future(answer)

    def close(self) -> None:
        """Wait for the questions that were asked, and close every connection."""
        self._pool.shutdown()
        while self._idle:
            self._idle.pop().close(force=True)
        self._held.close(force=True)

    def _answer(self, question: Callable[[apsw.Connection], T]) -> T:
        connection = self._connect()
        try:
            answer = question(connection)
        except apsw.Error as error:
            meaning = before_commit(error, connection)
            connection.close(force=True)
            raise meaning from error
        except UnicodeDecodeError as error:
            self._idle.append(connection)
            raise Corrupt(f"text in the file of the log is damaged: {error}") from error
        except BaseException:
            self._idle.append(connection)
            raise
        self._idle.append(connection)
        return answer

    def _connect(self) -> apsw.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _open(self) -> apsw.Connection:
        try:
            return self._store.connect_reader()
        except apsw.Error as error:
            raise Unavailable(f"the log cannot be read: {error}") from error
