"""The log of one context in one SQLite file. ``ports.engine.Log`` says what each method promises.

What writes is in ``writer``, what reads in ``queries`` and ``scan``; here they are put together.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TypeVar

import apsw

from perdure.engines.sqlite import queries
from perdure.engines.sqlite.checkpointer import Checkpointer
from perdure.engines.sqlite.connection import Store
from perdure.engines.sqlite.reader import Readers
from perdure.engines.sqlite.rows import Decoder
from perdure.engines.sqlite.scan import Scan
from perdure.engines.sqlite.verifying import Check, EventCheck, other_checks
from perdure.engines.sqlite.waiting import Waiters
from perdure.engines.sqlite.writer import Writer
from perdure.ports.environment import Clock
from perdure.vocabulary.commits import Commit, Intent, Record, Verdict
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import Corrupt, Unavailable
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read, Size

T = TypeVar("T")


class SqliteLog:
    """Opened by ``SqliteEngine``. May be used from several event loops at once, in one process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._decoder = Decoder(store.settings)
        self._waiters = Waiters()
        self._checkpointer = Checkpointer(store)
        self._readers = Readers(store)
        try:
            self._writer = Writer(
                store, self._decoder, clock.now, self._checkpointer, self._waiters
            )
        except BaseException:
            self._readers.close()
            raise
        self._process = os.getpid()
        self._closing = threading.Lock()
        self._is_closed = False
        self._looked_at, self._seen = clock.monotonic(), 0
        self._checkpointer.start()
        self._writer.start()

    @property
    def closed(self) -> bool:
        """Whether the log was closed."""
        return self._is_closed

    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        """Write each commit whole or not at all, in order, and say what became of each."""
        self._check()
        if not commits:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Verdict]] = loop.create_future()
        self._writer.submit((commits, future, loop))
        return await future

    async def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        """Give the selected events in batches, as the log stood when the reading began."""
        scan: Scan | None = None

        def next_batch(connection: apsw.Connection) -> list[RecordedEvent]:
            nonlocal scan
            if scan is None:
                scan = Scan(connection, request, self._decoder)
            return scan.next_batch(connection)

        while scan is None or not scan.is_done:
            if events := await self._ask(next_batch):
                yield events
        if scan.damage is not None:
            raise scan.damage

    async def events(self, ids: Sequence[bytes]) -> list[RecordedEvent]:
        """Give the events stored under these ids, by position."""
        return await self._ask(partial(queries.events, decoder=self._decoder, ids=ids))

    async def head(self) -> int:
        """Give the highest position, 0 when the log is empty."""
        return await self._ask(queries.head)

    async def version(self, entity: bytes) -> int:
        """Give how many events the entity has."""
        return await self._ask(partial(queries.version, decoder=self._decoder, entity=entity))

    async def advanced(self, position: int, timeout_seconds: float) -> int:
        """Wait until the head is above the position or the clock has run out, and give the head."""
        timer = asyncio.create_task(self._clock.sleep(timeout_seconds))
        try:
            self._seen = max(self._seen, await self.head())
            while True:
                news = self._waiters.add()
                try:
                    if max(self._seen, self._writer.position) > position or timer.done():
                        return await self.head()
                    await self._wait(timer, news)
                finally:
                    self._waiters.discard(news)
        finally:
            timer.cancel()

    async def domains(self) -> list[str]:
        """Give the domains that events carry, in order of name."""
        return await self._ask(queries.domains)

    async def entities(
        self, criteria: Criteria, after: bytes = b"", limit: int = 1000
    ) -> list[bytes]:
        """Give the entities that have a matching event, in order of id, behind ``after``."""
        return await self._ask(
            partial(
                queries.entities, decoder=self._decoder, criteria=criteria, after=after, limit=limit
            )
        )

    async def record(self, kind: str, key: str) -> Record | None:
        """Give one record, or ``None``."""
        return await self._ask(partial(queries.record, kind=kind, key=key))

    async def records(
        self, kind: str, keys: Sequence[str] | None = None, *, prefix: str = "", after: str = "",
        limit: int = 1000,
    ) -> list[Record]:  # fmt: skip
        """Give the records under these keys, or a page of those with the prefix, in order of key."""
        if keys is not None:
            return await self._ask(partial(queries.records_under, kind=kind, keys=keys))
        page = partial(queries.records_from, kind=kind, prefix=prefix, after=after, limit=limit)
        return await self._ask(page)

    async def intent(self, id_: bytes) -> Intent | None:
        """Give the open intent with this id, or ``None``."""
        return await self._ask(partial(queries.intent, id_=id_))

    async def intents(
        self, kind: str, *, due: int | None = None, after: tuple[int, int] | None = None,
        limit: int = 1000,
    ) -> list[Intent]:  # fmt: skip
        """Give a page of the open intents of a kind, in the order of ``(due, place)``."""
        page = partial(queries.intents, kind=kind, upto=due, after=after, limit=limit)
        return await self._ask(page)

    async def size(self) -> Size:
        """Count what is stored; ``bytes`` are those of the database, its log not counted."""
        return await self._ask(queries.size)

    async def verify(self, after: int = 0) -> AsyncIterator[Corrupt]:
        """Check every row, every index and the chain, and give each damage found."""
        events = await self._ask(partial(EventCheck, decoder=self._decoder, after=after))
        checks: list[Check] = [events, *other_checks()]
        for check in checks:
            while not check.is_done:
                for damage in await self._ask(check.next_window):
                    yield damage

    async def close(self) -> None:
        """Finish what was accepted, empty the write-ahead log, and let go of everything. Idempotent."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._closing:
            if self._is_closed:
                return
            self._is_closed = True
            if self._process != os.getpid():
                return  # threads and files are those of the parent
            self._writer.stop()
            self._waiters.wake()
            self._checkpointer.close()
            self._readers.close()
            self._writer.close()

    async def _ask(self, question: Callable[[apsw.Connection], T]) -> T:
        self._check()
        return await self._readers.ask(question)

    async def _wait(self, timer: asyncio.Task[None], news: asyncio.Future[None]) -> None:
        """Wait for news of this process, and look now and then for those of others, one for all."""
        poll = asyncio.create_task(self._clock.sleep(self._store.settings.poll_seconds))
        try:
            await asyncio.wait((timer, news, poll), return_when=asyncio.FIRST_COMPLETED)
        finally:
            poll.cancel()
        self._check()
        now = self._clock.monotonic()
        if now - self._looked_at >= self._store.settings.poll_seconds:
            self._looked_at = now
            seen = await self.head()
            if seen > self._seen:
                self._seen = seen
                self._waiters.wake()

    def _check(self) -> None:
        if self._is_closed:
            raise Unavailable("the log is closed; open it again")
        if self._process != os.getpid():
            raise Unavailable("the log was opened before this process was forked; open it again")
