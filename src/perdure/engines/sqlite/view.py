"""What the writer has to look up in the file: inside its transaction, with all that was written before."""

from sys import maxsize

import apsw

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
        for (no,) in self._connection.execute(
            "SELECT no FROM perdure_entities WHERE id = ?", (entity,)
        ).fetchall():
            last = self._event(LAST_OF_ENTITY, (no,))
            return no, last.version if last else 0, UNKNOWN, 0
        return UNHEARD

    def name(self, name: str) -> int | None:
        """Give the number of a name, or ``None`` when it has none."""
        found = self._connection.execute("SELECT no FROM perdure_names WHERE name = ?", (name,))
        return next((no for (no,) in found.fetchall()), None)

    def last_ticks(self, no: int) -> int:
        """Give when the last event by happened of an entity happened, 0 when it has none."""
        ((ticks,),) = self._connection.execute(
            "SELECT max(ticks) FROM perdure_events WHERE entity = ?", (no,)
        ).fetchall()
        return ticks or 0

    def stored(self, id_: bytes) -> RecordedEvent | None:
        """Give the event stored under an id."""
        return self._event(EVENT_BY_ID, (event_ticks(id_), id_))

    def first_match(self, criteria: Criteria, after: int, upto: int) -> int:
        """Give the first position in this range that matches, or 0."""
        return first_match(self._connection, self._decoder, criteria, after, upto)

    def revision(self, kind: str, key: str) -> int:
        """Give the revision of a record; 0 when there is none."""
        found = self._connection.execute(
            "SELECT revision FROM perdure_records WHERE kind = ? AND key = ?", (kind, key)
        )
        return next((revision for (revision,) in found.fetchall()), 0)

    def _event(self, sql: str, parameters: tuple[object, ...]) -> RecordedEvent | None:
        events: list[RecordedEvent] = []
        rows = self._connection.execute(sql, parameters).fetchall()
        self._decoder.decode(self._connection, rows, events, maxsize)
        return events[0] if events else None
