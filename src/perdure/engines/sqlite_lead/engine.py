"""A directory of files, and the log that a file is."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import apsw

from perdure.engines.sqlite_lead.checkpointer import Checkpointer
from perdure.engines.sqlite_lead.connection import connect, prepare_file
from perdure.engines.sqlite_lead.reader import (
    Reader,
    head_of,
    read_domains,
    read_entities,
    read_ids,
    read_intents,
    read_record_page,
    read_records,
    read_size,
    version_of,
)
from perdure.engines.sqlite_lead.schema import migrate
from perdure.engines.sqlite_lead.verifying import Walk
from perdure.engines.sqlite_lead.writer import Writer
from perdure.ports.engine import Capability
from perdure.ports.environment import Clock
from perdure.vocabulary.commits import Commit, Intent, Record, Verdict
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import ConfigurationError, Corrupt, Unavailable
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read, Size

#: How often a waiting reader looks for what other processes wrote.
POLL_SECONDS = 0.2
_CREATES = re.compile(r"\s*CREATE\s+(TABLE|(UNIQUE\s+)?INDEX)\s+IF\s+NOT\s+EXISTS\b", re.IGNORECASE)


class SqliteEngine:
    """A store in a directory: one file for each context."""

    def __init__(self, directory: Path, clock: Clock, *, vfs: str | None = None) -> None:
        self._directory, self._clock, self._vfs = directory, clock, vfs
        self._logs: dict[str, SqliteLog] = {}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Durable, shared with other processes, and with the user's own tables."""
        return frozenset({Capability.DURABLE, Capability.SHARED, Capability.STATEMENTS})

    async def open(self, context: str, tables: Sequence[str] = ()) -> "SqliteLog":
        """Open the log of a context, making its file where there is none."""
        log = self._logs.get(context)
        if log is None or log.is_closed:
            path = self._directory / f"{context}.db"
            await asyncio.to_thread(_prepare, path, tables, self._vfs)
            log = self._logs[context] = SqliteLog(path, self._clock, self._vfs)
        elif tables:
            await asyncio.to_thread(_prepare, log.path, tables, self._vfs)
        return log

    async def close(self) -> None:
        """Close every log."""
        for log in self._logs.values():
            await log.close()


class SqliteLog:
    """The log of one context, in one file."""

    def __init__(self, path: Path, clock: Clock, vfs: str | None) -> None:
        self.path = path
        self.is_closed = False
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._checkpointer = Checkpointer(path, vfs)
        self._reader = Reader(path, vfs)
        self._writer = Writer(
            path, clock, vfs=vfs, advanced=self._wake, written=self._checkpointer.written
        )

    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        """Write commits; see ``ports.engine``."""
        return await self._writer.commit(commits)

    def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        """Give events in batches."""
        return self._reader.read(request)

    async def events(self, ids: Sequence[bytes]) -> list[RecordedEvent]:
        """Give the events under these ids."""
        return await self._reader.ask(read_ids, ids)

    async def head(self) -> int:
        """Give the highest position, as the file has it."""
        return await self._reader.ask(head_of)

    async def version(self, entity: bytes) -> int:
        """Give how many events an entity has."""
        return await self._reader.ask(version_of, entity)

    async def advanced(self, position: int, timeout_seconds: float) -> int:
        """Wait for the head to pass the position: woken by this process, looking for others."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        waiter = (loop, asyncio.Event())
        self._waiting.add(waiter)
        try:
            while True:
                waiter[1].clear()
                head = await self.head()
                left = deadline - loop.time()
                if head > position or left <= 0:
                    return head
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, POLL_SECONDS)):
                        await waiter[1].wait()
        finally:
            self._waiting.discard(waiter)

    async def domains(self) -> list[str]:
        """Give the domains that events carry."""
        return await self._reader.ask(read_domains)

    async def entities(
        self, criteria: Criteria, after: bytes = b"", limit: int = 1000
    ) -> list[bytes]:
        """Give the entities that have a matching event."""
        return await self._reader.ask(read_entities, criteria, after, limit)

    async def record(self, kind: str, key: str) -> Record | None:
        """Give one record."""
        found = await self._reader.ask(read_records, kind, [key])
        return found[0] if found else None

    async def records(
        self, kind: str, keys: Sequence[str] | None = None, *, prefix: str = "", after: str = "",
        limit: int = 1000,
    ) -> list[Record]:  # fmt: skip
        """Give records by key, or a page of them."""
        if keys is not None:
            return await self._reader.ask(read_records, kind, keys)
        return await self._reader.ask(read_record_page, kind, prefix, after, limit)

    async def intents(self, kind: str, limit: int = 1000) -> list[Intent]:
        """Give the oldest open intents."""
        return await self._reader.ask(read_intents, kind, limit)

    async def size(self) -> Size:
        """Count what is stored."""
        return await self._reader.ask(read_size)

    async def verify(self, after: int = 0) -> AsyncIterator[Corrupt]:
        """Walk the whole log, and give the damage behind a position."""
        walk = Walk()
        while not walk.done:
            for damage in await self._reader.ask(walk.step):
                if damage.position > after:
                    yield damage

    async def close(self) -> None:
        """Write what was accepted, empty the write-ahead log, end the threads."""
        if not self.is_closed:
            self.is_closed = True
            self._wake(0)
            for end in (self._writer.close, self._reader.close, self._checkpointer.close):
                await asyncio.to_thread(end)

    def _wake(self, _position: int) -> None:
        for loop, event in list(self._waiting):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)


def _prepare(path: Path, tables: Sequence[str], vfs: str | None) -> None:
    """Make the file, bring it to today's schema, and add the user's tables."""
    for table in tables:
        if _CREATES.match(table) is None:
            raise ConfigurationError(f"not a CREATE TABLE IF NOT EXISTS: {table[:80]}")
    try:
        prepare_file(path)
        connection = connect(path, "writer", vfs, apsw.Connection)
        try:
            migrate(connection)
            for table in tables:
                connection.execute(table)
        finally:
            connection.close()
    except (OSError, apsw.Error) as fault:
        raise Unavailable(f"{path} cannot be opened: {fault}") from fault
