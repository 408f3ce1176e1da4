"""Reading one file: connections of their own, in threads of their own, never a transaction left open.

A batch is one statement, fetched whole: so a slow reader holds nothing that the write-ahead log would
have to keep for it. What was damaged is never given.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from perdure.engines.sqlite_lead.connection import connect
from perdure.engines.sqlite_lead.rows import EVENT_COLUMNS, EVENT_TABLES, read_event, value_checksum
from perdure.engines.sqlite_lead.selecting import where
from perdure.vocabulary.commits import Intent, Record
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import Corrupt, Unavailable
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import event_ticks
from perdure.vocabulary.reading import Read, Size

THREADS = 4
BATCH_EVENTS = 500
KEYS_AT_A_TIME = 500

P = ParamSpec("P")
T = TypeVar("T")
Batch = tuple[list[RecordedEvent], Corrupt | None]


class Names(dict[int, str]):
    """The dictionary of types, domains and tags, looked up as it is needed. It only grows."""

    def __init__(self, connection: apsw.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, no: int) -> str:
        """Look a number up. Raises ``KeyError`` for one that is not there."""
        row = self._connection.execute("SELECT name FROM names WHERE no = ?", (no,)).fetchone()
        if row is None:
            raise KeyError(no)
        self[no] = row[0]
        return str(row[0])


class Source(apsw.Connection):
    """A reading connection, with the names it has met."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = Names(self)


class Reader:
    """Reads one file."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._path, self._vfs = path, vfs
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"perdure-read-{path.stem}")
        self._local = threading.local()
        self._connections: list[Source] = []
        self._closed = False

    async def ask(
        self,
        question: Callable[Concatenate[Source, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function of a connection in a reading thread."""
        if self._closed:
            raise Unavailable("the log is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._threads, partial(self._ask, question, *args, **kwargs)
        )

    def close(self) -> None:
        """End the threads. Blocks."""
        self._closed = True
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    def _ask(self, question: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        connection: Source | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._local.connection = connect(
                    self._path, "reader", self._vfs, Source
                )
                self._connections.append(connection)
            return question(connection, *args, **kwargs)
        except apsw.CorruptError as fault:
            raise Corrupt(f"{self._path.name}: {fault}") from fault
        except apsw.Error as fault:
            raise Unavailable(f"{self._path.name} cannot be read: {fault}") from fault

    async def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        """Give the selected events in batches, each read by itself."""
        if request.order == "happened" and request.upto is None:
            head = await self.ask(head_of)
            request = _replace(request, upto=head)
        left = request.limit
        while left is None or left > 0:
            size = BATCH_EVENTS if left is None else min(left, BATCH_EVENTS)
            events, damage = await self.ask(read_batch, request, size)
            if events:
                yield events
            if damage is not None:
                raise damage
            if len(events) < size:
                return
            left = None if left is None else left - len(events)
            request = _behind(request, events[-1])


def head_of(connection: Source) -> int:
    """Give the highest position."""
    return _number(connection, "SELECT max(position) FROM events")


def version_of(connection: Source, entity: bytes) -> int:
    """Give how many events an entity has."""
    return _number(
        connection,
        "SELECT max(version) FROM events WHERE entity = (SELECT no FROM entities WHERE id = ?)",
        entity,
    )


def read_batch(connection: Source, request: Read, size: int) -> Batch:
    """Read up to ``size`` events; stop in front of the first that is damaged."""
    condition, values = where(request.criteria)
    conditions, bounds = ["e.position > ?"], [request.after]
    if request.upto is not None:
        conditions.append("e.position <= ?")
        bounds.append(request.upto)
    down = "DESC" if request.backwards else "ASC"
    if request.order == "happened":
        order = f"e.ticks {down}, e.id {down}"
        if request.following is not None:
            sign = "<" if request.backwards else ">"
            conditions.append(f"(e.ticks, e.id) {sign} (?, ?)")
            values = [event_ticks(request.following), request.following, *values]
    else:
        order = f"e.position {down}"
    sql = (
        f"SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE {' AND '.join(conditions)} AND {condition} "
        f"ORDER BY {order} LIMIT ?"
    )
    rows = connection.execute(sql, (*bounds, *values, size)).fetchall()
    return _events(connection, rows)


def read_ids(connection: Source, ids: Sequence[bytes]) -> list[RecordedEvent]:
    """Read the events stored under these ids, by position."""
    found: list[RecordedEvent] = []
    for start in range(0, len(ids), KEYS_AT_A_TIME):
        chosen = ids[start : start + KEYS_AT_A_TIME]
        values = [value for id_ in chosen for value in (event_ticks(id_), id_)]
        sql = (
            f"SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE (e.ticks, e.id) IN "
            f"(VALUES {','.join(['(?,?)'] * len(chosen))})"
        )
        events, damage = _events(connection, connection.execute(sql, values).fetchall())
        if damage is not None:
            raise damage
        found += events
    return sorted(found, key=lambda event: event.position)


def read_domains(connection: Source) -> list[str]:
    """Read the domains that events carry."""
    sql = (
        "WITH RECURSIVE found(no) AS (SELECT min(domain) FROM events WHERE domain IS NOT NULL UNION ALL "
        "SELECT (SELECT min(domain) FROM events WHERE domain > found.no) FROM found "
        "WHERE found.no IS NOT NULL) "
        "SELECT name FROM names JOIN found USING (no) ORDER BY name"
    )
    return [row[0] for row in connection.execute(sql)]


def read_entities(connection: Source, criteria: Criteria, after: bytes, limit: int) -> list[bytes]:
    """Read the entities that have a matching event, in order of id."""
    condition, values = where(criteria)
    sql = f"SELECT DISTINCT n.id FROM {EVENT_TABLES} WHERE n.id > ? AND {condition} ORDER BY n.id LIMIT ?"
    return [row[0] for row in connection.execute(sql, (after, *values, limit))]


def read_records(connection: Source, kind: str, keys: Sequence[str]) -> list[Record]:
    """Read the records under these keys."""
    found: list[Record] = []
    for start in range(0, len(keys), KEYS_AT_A_TIME):
        chosen = keys[start : start + KEYS_AT_A_TIME]
        marks = ",".join("?" * len(chosen))
        sql = f"SELECT key, value, revision, checksum FROM records WHERE kind = ? AND key IN ({marks})"
        rows: list[Any] = connection.execute(sql, (kind, *chosen)).fetchall()
        found += [_record(kind, *row) for row in rows]
    return sorted(found, key=lambda record: record.key)


def read_record_page(
    connection: Source, kind: str, prefix: str, after: str, limit: int
) -> list[Record]:
    """Read a page of the records whose key begins with the prefix."""
    sql = (
        "SELECT key, value, revision, checksum FROM records WHERE kind = ? AND key > ? AND key >= ? "
        "ORDER BY key LIMIT ?"
    )
    rows: list[Any] = connection.execute(sql, (kind, after, prefix, limit)).fetchall()
    return [_record(kind, *row) for row in rows if row[0].startswith(prefix)]


def read_intents(connection: Source, kind: str, limit: int) -> list[Intent]:
    """Read the oldest open intents of a kind."""
    sql = (
        "SELECT id, kind, target, ordering, due, payload, checksum FROM intents WHERE kind = ? "
        "ORDER BY seq LIMIT ?"
    )
    found = []
    for id_, kind_, target, ordering, due, payload, sum_ in connection.execute(sql, (kind, limit)):
        if sum_ != value_checksum(id_, kind_, target, ordering, due, payload):
            raise Corrupt(f"the intent {id_.hex()} is damaged; it is not delivered")
        found.append(
            Intent(id=id_, kind=kind_, target=target, ordering=ordering, payload=payload, due=due)
        )
    return found


def read_size(connection: Source) -> Size:
    """Count what is stored."""
    pages = connection.pragma("page_count") * connection.pragma("page_size")
    return Size(
        events=_number(connection, "SELECT count(*) FROM events"),
        entities=_number(connection, "SELECT count(*) FROM entities"),
        domains=len(read_domains(connection)),
        bytes=pages,
    )


def _events(connection: Source, rows: Sequence[tuple[Any, ...]]) -> Batch:
    events: list[RecordedEvent] = []
    for row in rows:
        try:
            events.append(read_event(row, connection.names))
        except Corrupt as damage:
            return events, damage
    return events, None


def _record(kind: str, key: str, value: bytes, revision: int, sum_: int) -> Record:
    if sum_ != value_checksum(kind, key, value):
        raise Corrupt(f"the record {kind} {key!r} is damaged; it is not served")
    return Record(kind, key, value, revision)


def _behind(request: Read, last: RecordedEvent) -> Read:
    if request.order == "happened":
        return _replace(request, following=last.id)
    if request.backwards:
        return _replace(request, upto=last.position - 1)
    return _replace(request, after=last.position)


def _replace(request: Read, **changes: Any) -> Read:
    return Read(**{field: getattr(request, field) for field in request.__struct_fields__} | changes)


def _number(connection: Source, sql: str, *values: Any) -> int:
    row: Any = connection.execute(sql, values).fetchone()
    return int(row[0] or 0)
