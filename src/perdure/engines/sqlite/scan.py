"""A read on its way through the log: which source serves it, batch by batch.

One rule: each batch is one short transaction and remembers where it ended, so nothing is held open while
the caller thinks. The head is pinned at the first batch: later events are for the next read.
"""

import apsw

from perdure.engines.sqlite.rows import Decoder
from perdure.engines.sqlite.selecting import (
    FEW,
    Numbers,
    Selection,
    conditions,
    is_few,
    look_up,
    positions,
)
from perdure.engines.sqlite.sources import (
    ByHappened,
    ByPosition,
    Entity,
    Log,
    Source,
    of_entities,
)
from perdure.vocabulary.criteria import EVERYTHING
from perdure.vocabulary.errors import Corrupt
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read

#: How many pages may be looked through for one batch when nothing in them matches.
_PAGES_MAX = 20


class Scan:
    """The state of one read."""

    def __init__(
        self,
        connection: apsw.Connection,
        request: Read,
        decoder: Decoder,
        *,
        events_max: int,
        bytes_max: int,
    ) -> None:
        self._decoder, self._events_max, self._bytes_max = decoder, events_max, bytes_max
        self._left = request.limit
        criteria = request.criteria
        self._matches = None if criteria == EVERYTHING else criteria.matches
        self.damage: Corrupt | None = None
        source = None if request.limit == 0 else _choose(connection, request)
        self.is_done = source is None
        if source is not None:
            self._source, self._is_narrow = source

    def next_batch(self, connection: apsw.Connection) -> list[RecordedEvent]:
        """Give the next events. None may be found; ``is_done`` and ``damage`` tell how it stands then."""
        for _ in range(_PAGES_MAX):
            if self.is_done:
                break
            events = self._page(connection)
            if events:
                return events
        return []

    def _page(self, connection: apsw.Connection) -> list[RecordedEvent]:
        limit = self._events_max
        if self._left is not None and self._is_narrow:
            limit = min(limit, self._left)
        page = self._source.page(limit)
        events: list[RecordedEvent] = []
        is_whole = True
        try:
            rows = connection.execute(page.sql, page.parameters)
            is_whole = self._decoder.decode(connection, rows, events, self._bytes_max)
            rows.close(force=True)
        except Corrupt as damage:
            self._stop(damage)
        except apsw.CorruptError as error:
            self._stop(Corrupt(f"the file of the log is damaged: {error}"))
        is_last = is_whole and len(events) < limit and self.damage is None
        missing = self._source.turn(events, is_last=is_last)
        if missing is not None:
            self._stop(missing)
            events = [event for event in events if self._is_before(event, missing)]
        self.is_done |= is_last
        return self._select(events)
