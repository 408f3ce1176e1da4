"""What the writer has to look up in the file: inside its transaction, with all that was written before."""

from sys import maxsize

import apsw

from perdure.engines.sqlite.connection import fetch, fetch_value
from perdure.engines.sqlite.known import UNHEARD, UNKNOWN, Head
from perdure.engines.sqlite.rows import COLUMNS, Decoder
from perdure.engines.sqlite.scan import first_match
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import event_ticks

EVENT_BY_ID = (
    f"SELECT {COLUMNS} FROM perdure_events e LEFT JOIN perdure_entities n ON n.no = e.entity "
    "WHERE e.ticks = ? AND e.id = ?"
)
LAST_OF_ENTITY = (
    f"SELECT {COLUMNS} FROM perdure_events e LEFT JOIN perdure_entities n ON n.no = e.entity "
    "WHERE e.entity = ? ORDER BY e.version DESC LIMIT 1"
)


class RowView:
    """Look-ups on one connection; every event they rest on is checked for damage."""

    def __init__(self, connection: apsw.Connection, decoder: Decoder) -> None:
        self._connection, self._decoder = connection, decoder

    def head(self, entity: bytes) -> Head:
        """Give what is stored of an entity; ``UNHEARD`` when that is nothing."""
        no = fetch_value(
            self._connection, "SELECT no FROM perdure_entities WHERE id = ?", (entity,)
        )
        if no is None:
            return UNHEARD
        last = self._event(LAST_OF_ENTITY, (no,))
        return no, last.version if last else 0, UNKNOWN, 0

    def name(self, name: str) -> int | None:
        """Give the number of a name, or ``None`` when it has none."""
        no: int | None = fetch_value(
            self._connection, "SELECT no FROM perdure_names WHERE name = ?", (name,)
        )
        return no

    def last_ticks(self, no: int) -> int:
        """Give when the last event by happened of an entity happened, 0 when it has none."""
        sql = "SELECT max(ticks) FROM perdure_events WHERE entity = ?"
        return fetch_value(self._connection, sql, (no,)) or 0

    def stored(self, id_: bytes) -> RecordedEvent | None:
        """Give the event stored under an id."""
        return self._event(EVENT_BY_ID, (event_ticks(id_), id_))

    def first_match(self, criteria: Criteria, after: int, upto: int) -> int:
        """Give the first position in this range that matches, or 0."""
        return first_match(self._connection, self._decoder, criteria, after, upto)

    def revision(self, kind: str, key: str) -> int:
        """Give the revision of a record; 0 when there is none."""
        sql = "SELECT revision FROM perdure_records WHERE kind = ? AND key = ?"
        return fetch_value(self._connection, sql, (kind, key)) or 0

    def _event(self, sql: str, parameters: tuple[int | bytes, ...]) -> RecordedEvent | None:
        events: list[RecordedEvent] = []
        rows = fetch(self._connection, sql, parameters)
        self._decoder.decode(self._connection, rows, events, maxsize)
        return events[0] if events else None
