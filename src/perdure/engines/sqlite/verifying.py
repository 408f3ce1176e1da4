"""Checking a log from end to end: every row, every index, every version, and the chain over all of it.

One rule: it goes on behind what it finds. A window of rows is one short transaction, so that the check of
years of events holds nobody up.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Protocol

import apsw

from perdure.engines.sqlite.connection import fetch, fetch_value
from perdure.engines.sqlite.rows import (
    CHAIN_BYTES,
    COLUMNS,
    INTENT_COLUMNS,
    RECORD_COLUMNS,
    Decoder,
    EventRow,
    read_intent,
    read_record,
    read_tags,
)
from perdure.vocabulary.errors import Corrupt

_WINDOW = 500

_ROWS = (
    f"SELECT {COLUMNS}, e.chain FROM perdure_events e NOT INDEXED "
    "LEFT JOIN perdure_entities n ON n.no = e.entity "
    "WHERE e.position > :after AND e.position <= :upto ORDER BY e.position"
)
_TAGGED = """SELECT count(*) FROM perdure_names n
    JOIN perdure_event_tags t ON t.tag = n.no AND t.position = ? WHERE n.name = ?"""
#: What has to be found by another way too; if not, a read that goes that way would miss it.
_CROSS_CHECKS = {
    "its id": ("perdure_events_by_happened", "o.ticks = e.ticks AND o.id = e.id", "TRUE"),
    "its entity": (
        "perdure_events_by_entity",
        "o.entity = e.entity AND o.version = e.version",
        "TRUE",
    ),
    "its type": ("perdure_events_by_type", "o.type = e.type", "TRUE"),
    "its domain": ("perdure_events_by_domain", "o.domain = e.domain", "e.domain IS NOT NULL"),
}
#: Compared from outside: an entry may be found by one number and, damaged, lead to another.
_UNFOUND = """SELECT e.position FROM perdure_events e NOT INDEXED
    WHERE e.position > :after AND e.position <= :upto AND {condition} AND e.position IS NOT (
        SELECT o.position FROM perdure_events o INDEXED BY {index}
        WHERE {same} AND o.position = e.position)"""
_UNPRECEDED = """SELECT e.position FROM perdure_events e NOT INDEXED
    WHERE e.position > :after AND e.position <= :upto AND e.version <> 1 AND NOT EXISTS (
        SELECT 1 FROM perdure_events o INDEXED BY perdure_events_by_entity
        WHERE o.entity = e.entity AND o.version = e.version - 1 AND o.position < e.position)"""
_UNLISTED = """SELECT e.position FROM perdure_events e NOT INDEXED
    JOIN perdure_entities n ON n.no = e.entity
    WHERE e.position > :after AND e.position <= :upto AND e.domain IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM perdure_domain_entities l WHERE l.domain = e.domain AND l.entity = n.id)"""
#: Small beside the log: SQLite's own check of a whole table and its indexes will do.
_TABLES = (
    "perdure_entities",
    "perdure_names",
    "perdure_event_tags",
    "perdure_domain_entities",
    "perdure_records",
    "perdure_intents",
    "sqlite_sequence",  # the last place that was given
)
_RECORDS = f"SELECT no, {RECORD_COLUMNS} FROM perdure_records WHERE no > ? ORDER BY no LIMIT ?"
_INTENTS = f"SELECT seq, {INTENT_COLUMNS} FROM perdure_intents WHERE seq > ? ORDER BY seq LIMIT ?"


class Check(Protocol):
    """A check on its way, window by window."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to check."""
        ...

    def next_window(self, connection: apsw.Connection) -> list[Corrupt]:
        """Check some rows, and give what is wrong with them."""
        ...


class EventCheck:
    """The check of the events behind a position, on its way."""

    def __init__(self, connection: apsw.Connection, decoder: Decoder, after: int) -> None:
        self._decoder, self._after = decoder, after
        self._head: int = fetch_value(connection, "SELECT max(position) FROM perdure_events") or 0
        # the chain can be followed from where it was last written down
        sql = (
            "SELECT position, chain FROM perdure_events "
            "WHERE position <= ? AND chain IS NOT NULL ORDER BY position DESC LIMIT 1"
        )
        self._position = 0
        self._start_chain(0, b"")
        for position, chain in fetch(connection, sql, (after,)):
            self._position = position
            self._start_chain(position, chain)

    @property
    def is_done(self) -> bool:
        """Whether the head of the log, as it was at the start, is reached."""
        return self._position >= self._head

    def next_window(self, connection: apsw.Connection) -> list[Corrupt]:
        """Check some rows, and give what is wrong with them."""
        bounds = {"after": self._position, "upto": min(self._position + _WINDOW, self._head)}
        try:
            found = list(self._window(connection, bounds))
        except apsw.CorruptError as error:
            self._is_whole = False
            first = bounds["after"] + 1
            what = f"the positions {first} to {bounds['upto']} cannot all be read: {error}"
            found = [Corrupt(what, max(first, self._after + 1))]
        self._position = bounds["upto"]
        return [damage for damage in found if damage.position > self._after]

    def _window(self, connection: apsw.Connection, bounds: dict[str, int]) -> Iterator[Corrupt]:
        expected = bounds["after"]
        for *row, chain in fetch(connection, _ROWS, bounds):
            position = row[0]
            for missing in range(expected + 1, position):
                yield self._broken(missing, "it is missing")
            expected = position
            yield from self._row(connection, tuple(row), chain)
        for missing in range(expected + 1, bounds["upto"] + 1):
            yield self._broken(missing, "it is missing")
        for what, (index, same, condition) in _CROSS_CHECKS.items():
            sql = _UNFOUND.format(index=index, same=same, condition=condition)
            for (position,) in fetch(connection, sql, bounds):
                yield _damage(position, f"it cannot be found by {what}")
        for (position,) in fetch(connection, _UNPRECEDED, bounds):
            yield _damage(position, "the version of its entity before it is missing")
        for (position,) in fetch(connection, _UNLISTED, bounds):
            yield _damage(position, "its entity is not listed under its domain")

    def _row(
        self, connection: apsw.Connection, row: EventRow, chain: bytes | None
    ) -> Iterator[Corrupt]:
        position, tags = row[0], row[8]
        content = self._decoder.content(connection, row)
        if content is None:
            yield self._broken(position, "it does not fit its checksum")
        else:
            self._chained.update(content)
            for tag in read_tags(tags):
                if not fetch_value(connection, _TAGGED, (position, tag)):
                    yield _damage(position, f"it cannot be found by its tag {tag!r}")
        if chain is not None:
            if self._is_whole and chain != self._chained.digest():
                yield _damage(
                    position, f"the chain from position {self._chained_from + 1} is broken"
                )
            self._start_chain(position, chain)
        elif position == self._head:
            yield _damage(position, "the chain does not reach it")

    def _broken(self, position: int, what: str) -> Corrupt:
        self._is_whole = False  # what the chain says from here to its next link is no news
        return _damage(position, what)

    def _start_chain(self, position: int, chain: bytes) -> None:
        self._chained, self._is_whole = blake2b(chain, digest_size=CHAIN_BYTES), True
        self._chained_from = position


class ValueCheck:
    """The check of records or of intents, on its way."""

    def __init__(self, sql: str, read: Callable[[EventRow], object]) -> None:
        self._sql, self._read = sql, read
        self._last = 0
        self.is_done = False

    def next_window(self, connection: apsw.Connection) -> list[Corrupt]:
        """Check some rows, and give what is wrong with them."""
        found: list[Corrupt] = []
        try:
            rows = fetch(connection, self._sql, (self._last, _WINDOW))
        except apsw.CorruptError as error:
            self.is_done = True
            return [Corrupt(f"records or intents cannot be read on: {error}")]
        for number, *row in rows:
            self._last = number
            try:
                self._read(tuple(row))
            except Corrupt as damage:
                found.append(damage)
        self.is_done = len(rows) < _WINDOW
        return found


class TableCheck:
    """SQLite's own check of the smaller tables, one at a time."""

    def __init__(self) -> None:
        self._left = list(_TABLES)

    @property
    def is_done(self) -> bool:
        """Whether every table was checked."""
        return not self._left

    def next_window(self, connection: apsw.Connection) -> list[Corrupt]:
        """Check one table, and give what is wrong with it."""
        table = self._left.pop()
        try:
            rows = fetch(connection, f"PRAGMA integrity_check('{table}')")
        except apsw.CorruptError as error:
            rows = [(str(error),)]
        return [Corrupt(f"the table {table} is damaged: {row}") for (row,) in rows if row != "ok"]


def other_checks() -> list[Check]:
    """Make the checks of everything but events."""
    return [ValueCheck(_RECORDS, read_record), ValueCheck(_INTENTS, read_intent), TableCheck()]


def _damage(position: int, what: str) -> Corrupt:
    return Corrupt(f"the event at position {position} is damaged: {what}", position)
