"""The rows of a group on their way into the file: gathered, then written table by table.

One rule: what is written is what would be, had each change been made by itself. Changes of one kind are
gathered as long as their order among the kinds does not matter; where it does, what was gathered goes
first.
"""

from collections.abc import Collection, Sequence
from typing import Any

import apsw

from perdure.engines.sqlite.rows import REVISION_STEP, intent_checksum, record_checksum
from perdure.vocabulary.commits import Intent, Put, Settle

Row = tuple[Any, ...]

_ENTITY = "INSERT INTO perdure_entities (no, id) VALUES (?, ?)"
_NAME = "INSERT INTO perdure_names (no, name) VALUES (?, ?)"
_EVENT = (
    "INSERT INTO perdure_events (position, version, ticks, recorded_at, type, domain, entity, id, "
    "tags, data, metadata, checksum, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_TAG = "INSERT OR IGNORE INTO perdure_event_tags (tag, position) VALUES (?, ?)"
_LISTED = "INSERT OR IGNORE INTO perdure_domain_entities (domain, entity) VALUES (?, ?)"
_CHAIN = "UPDATE perdure_events SET chain = ? WHERE position = ?"
_MAKE = "INSERT INTO perdure_records (kind, key, revision, value, checksum) VALUES (?, ?, 1, ?, ?)"
_PUT = (
    f"{_MAKE} ON CONFLICT (kind, key) DO UPDATE SET revision = revision + 1, value = excluded.value, "
    f"checksum = excluded.checksum + revision * {REVISION_STEP}"
)
_REMOVE = "DELETE FROM perdure_records WHERE kind = ? AND key = ?"
_INTENT = (
    "INSERT INTO perdure_intents (id, kind, target, ordering, payload, due, checksum) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_SETTLE = "DELETE FROM perdure_intents WHERE id = ?"


class Rowset:
    """Rows that are decided on and not yet written."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.entities: list[Row] = []
        self.names: list[Row] = []
        self.events: list[Row] = []
        self.tags: list[Row] = []
        self.listed: list[Row] = []
        self._makes: list[Row] = []
        self._puts: list[Row] = []
        self._put: set[tuple[str, str]] = set()
        self._removed: set[tuple[str, str]] = set()
        self._intents: list[Row] = []
        self._given: set[bytes] = set()
        self._settled: set[bytes] = set()

    def keep(self, records: Sequence[Put], made: Collection[tuple[str, str]] = ()) -> None:
        """Gather writes of records. Those that are ``made`` must not be stored yet, or the writing fails."""
        for put in records:
            at = put.kind, put.key
            if put.value is None:
                if at in self._put:
                    self.write_records()
                self._removed.add(at)
                continue
            if at in self._removed:
                self.write_records()
            rows = self._makes if at in made and at not in self._put else self._puts
            self._put.add(at)
            rows.append((*at, put.value, record_checksum(*at, put.value)))

    def give(self, intents: Sequence[Intent | Settle]) -> None:
        """Gather what is given out and what is settled."""
        for intent in intents:
            id_ = intent.id
            if isinstance(intent, Settle):
                if id_ in self._given:
                    self.write_intents()
                self._settled.add(id_)
                continue
            if id_ in self._settled:
                self.write_intents()
            self._given.add(id_)
            self._intents.append(
                (id_, intent.kind, intent.target, intent.ordering, intent.payload, intent.due,
                 intent_checksum(intent))
            )  # fmt: skip

    def is_gathered(self, kind: str, key: str) -> bool:
        """Tell whether a change of this record waits to be written."""
        return (kind, key) in self._put or (kind, key) in self._removed

    def write_events(self) -> None:
        """Write the events gathered so far, with the names and entities they bring."""
        if self.events:
            self._write(_ENTITY, self.entities)
            self._write(_NAME, self.names)
            self._write(_EVENT, self.events)
            self._write(_TAG, self.tags)
            self._write(_LISTED, self.listed)

    def write_records(self) -> None:
        """Write the records gathered so far."""
        self._write(_REMOVE, list(self._removed))
        self._write(_MAKE, self._makes)
        self._write(_PUT, self._puts)
        self._removed.clear()
        self._put.clear()

    def write_intents(self) -> None:
        """Write the intents gathered so far."""
        self._write(_SETTLE, [(id_,) for id_ in self._settled])
        self._write(_INTENT, self._intents)
        self._settled.clear()
        self._given.clear()

    def seal(self, position: int, chain: bytes) -> None:
        """Write everything, with the chain on the last event, at this position."""
        if self.events:
            self.events[-1] = (*self.events[-1][:-1], chain)
            self.write_events()
        elif chain:
            self._connection.execute(_CHAIN, (chain, position))
        self.write_records()
        self.write_intents()

    def _write(self, sql: str, rows: list[Row]) -> None:
        if rows:
            self._connection.executemany(sql, rows)
            rows.clear()
