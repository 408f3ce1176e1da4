"""What the writer remembers of the log between transactions, and looks up when it does not.

Caches only: the writer drops them when another process has written, and when a transaction is rolled back.
"""

from typing import Any

import apsw

from perdure.engines.sqlite_lead.rows import EVENT_COLUMNS, EVENT_TABLES, read_event
from perdure.engines.sqlite_lead.selecting import where
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import event_ticks

ENTITIES_MAX = 200_000


class Head:
    """An entity's number, its version, and when its last event happened (-1: not looked up)."""

    __slots__ = ("no", "ticks", "version")

    def __init__(self, no: int, version: int, ticks: int) -> None:
        self.no, self.version, self.ticks = no, version, ticks


class Heads:
    """The log as the writer sees it inside its transaction; a ``judging.View``."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._entities: dict[bytes, Head] = {}
        self.numbers: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.position = 0
        self.recorded_at = 0
        self.chain = b""
        self._entity_no = 0

    def forget(self) -> None:
        """Drop everything and look again at the end of the log."""
        self._entities.clear()
        self.names = dict(self._rows("SELECT no, name FROM names"))
        self.numbers = {name: no for no, name in self.names.items()}
        last = self._row(
            "SELECT position, recorded_at, chain FROM events ORDER BY position DESC LIMIT 1"
        )
        self.position, self.recorded_at, self.chain = last or (0, 0, b"")
        self.chain = self.chain or b""
        self._entity_no = self._one("SELECT max(no) FROM entities")

    def trim(self) -> None:
        """Let go of the older half of the entities, when there are too many."""
        if len(self._entities) > ENTITIES_MAX:
            for entity in list(self._entities)[: ENTITIES_MAX // 2]:
                del self._entities[entity]

    def head(self, entity: bytes) -> Head:
        """Give an entity's head; version 0 when it was never heard of, with a number of its own."""
        head = self._entities.get(entity)
        if head is None:
            no = self._one("SELECT no FROM entities WHERE id = ?", entity)
            if no:
                version = self._one("SELECT max(version) FROM events WHERE entity = ?", no)
                head = Head(no, version, -1)
            else:
                head = Head(0, 0, 0)
            self._entities[entity] = head
        return head

    def number_entity(self, entity: bytes, head: Head) -> None:
        """Give a new entity its number."""
        self._entity_no += 1
        head.no = self._entity_no
        self._connection.execute("INSERT INTO entities (no, id) VALUES (?, ?)", (head.no, entity))

    def number(self, name: str) -> int:
        """Give the number of a type, a domain or a tag; a new one is written down."""
        no = self.numbers.get(name)
        if no is None:
            no = len(self.names) + 1
            self._connection.execute("INSERT INTO names (no, name) VALUES (?, ?)", (no, name))
            self.numbers[name], self.names[no] = no, name
        return no

    # -- judging.View --------------------------------------------------------------------------

    def version(self, entity: bytes) -> int:
        """Give how many events the entity has."""
        return self.head(entity).version

    def last_ticks(self, entity: bytes) -> int:
        """Give when the entity's last event by happened happened."""
        head = self.head(entity)
        if head.ticks < 0:
            head.ticks = self._one("SELECT max(ticks) FROM events WHERE entity = ?", head.no)
        return head.ticks

    def stored(self, id_: bytes) -> RecordedEvent | None:
        """Give the event stored under an id."""
        row = self._row(
            f"SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE e.ticks = ? AND e.id = ?",
            event_ticks(id_),
            id_,
        )
        return None if row is None else read_event(row, self.names)

    def first_match(self, criteria: Criteria, after: int) -> int:
        """Give the first position above ``after`` that matches, or 0."""
        condition, values = where(criteria)
        return self._one(
            f"SELECT e.position FROM {EVENT_TABLES} WHERE e.position > ? AND {condition} "
            "ORDER BY e.position LIMIT 1",
            after,
            *values,
        )

    def revision(self, kind: str, key: str) -> int:
        """Give the revision of a record; 0 when there is none."""
        return self._one("SELECT revision FROM records WHERE kind = ? AND key = ?", kind, key)

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def _row(self, sql: str, *values: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(sql, values).fetchone()
        return row

    def _one(self, sql: str, *values: Any) -> int:
        row = self._row(sql, *values)
        return 0 if row is None or row[0] is None else int(row[0])
