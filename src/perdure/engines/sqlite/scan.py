"""A read on its way through the log: which source serves it, batch by batch.

One rule: each batch is one short transaction and remembers where it ended, so nothing is held open while
the caller thinks. The head is pinned at the first batch: later events are for the next read.
"""

import apsw

from perdure.engines.sqlite.connection import fetch_value
from perdure.engines.sqlite.rows import Decoder
from perdure.engines.sqlite.selecting import (
    WITHIN,
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
    Everything,
    OfEntity,
    Source,
    of_entities,
)
from perdure.vocabulary.criteria import EVERYTHING, Criteria
from perdure.vocabulary.errors import Corrupt
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read

#: How many pages may be looked through for one batch when nothing in them matches.
_PAGES_MAX = 20


class Scan:
    """The state of one read."""

    def __init__(self, connection: apsw.Connection, request: Read, decoder: Decoder) -> None:
        self._decoder = decoder
        self._left = request.limit
        criteria = request.criteria
        self._matches = None if criteria == EVERYTHING else criteria.matches
        chosen = _choose(connection, request, decoder.settings.sorted_max)
        #: Nothing more will come: the end was reached, or damage.
        self.is_done = chosen is None or request.limit == 0
        #: What ended it, if it was damage.
        self.damage: Corrupt | None = None
        if chosen is not None:
            self._source, self._is_narrow = chosen

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
        settings = self._decoder.settings
        limit = settings.batch_events_max
        if self._left is not None and self._is_narrow:
            limit = min(limit, self._left)
        page = self._source.page(limit)
        events: list[RecordedEvent] = []
        is_whole = True
        rows = connection.cursor()
        try:
            rows.execute(page.sql, page.parameters)
            is_whole = self._decoder.decode(connection, rows, events, settings.batch_bytes_max)
        except Corrupt as damage:
            self._stop(damage)
        except apsw.CorruptError as error:
            self._stop(Corrupt(f"the file of the log is damaged: {error}"))
        finally:
            rows.close(force=True)  # or it would hold its transaction open
        is_last = is_whole and len(events) < limit and self.damage is None
        gap = self._source.turn(events, is_last=is_last)
        if gap is not None:
            self._stop(gap.damage)
            del events[gap.good :]
        self.is_done = self.is_done or is_last
        return self._select(events)

    def _select(self, events: list[RecordedEvent]) -> list[RecordedEvent]:
        if self._matches is not None:
            events = list(filter(self._matches, events))
        if self._left is not None:
            events = events[: self._left]
            self._left -= len(events)
            if (
                self._left == 0
            ):  # damage behind the last one that was asked for is not ours to report
                self.is_done, self.damage = True, None
        return events

    def _stop(self, damage: Corrupt) -> None:
        self.damage, self.is_done = damage, True


def first_match(
    connection: apsw.Connection,
    decoder: Decoder,
    criteria: Criteria,
    after: int,
    upto: int | None = None,
) -> int:
    """Give the first position in this range that matches, or 0. Raises ``Corrupt``."""
    request = Read(criteria=criteria, after=after, upto=upto, limit=1)
    scan = Scan(connection, request, decoder)
    while not scan.is_done:
        if events := scan.next_batch(connection):
            return events[0].position
    if scan.damage is not None:
        raise scan.damage
    return 0


def _choose(
    connection: apsw.Connection, request: Read, sorted_max: int
) -> tuple[Source, bool] | None:
    """Choose where a read gets its rows, and tell whether every one of them is wanted."""
    head: int = fetch_value(connection, "SELECT max(position) FROM perdure_events") or 0
    after, upto = request.after, head if request.upto is None else min(head, request.upto)
    numbers = look_up(connection, request.criteria)
    if numbers is None or after >= upto:
        return None
    is_narrow = numbers.dimensions <= 1
    if request.order == "happened":
        if numbers.entities:
            return ByHappened(of_entities(numbers), request, after, upto), is_narrow
        picked = _by_happened(connection, numbers, after, upto, sorted_max)
        return ByHappened(picked, request, after, upto), True
    backwards = request.backwards
    if len(numbers.entities) == 1:
        return OfEntity(numbers.entities[0], after, upto, backwards=backwards), is_narrow
    by_index = _by_position(numbers, "DESC" if backwards else "ASC")
    if by_index is None:
        return Everything(after, upto, backwards=backwards), numbers.dimensions == 0
    return ByPosition(by_index, after, upto, backwards=backwards), is_narrow


def _by_position(numbers: Numbers, order: str) -> Selection | None:
    if not numbers.entities:
        return positions(numbers, order)
    some = of_entities(numbers)
    return Selection(f"{some.sql} AND {WITHIN} ORDER BY position {order}", some.parameters)


def _by_happened(
    connection: apsw.Connection, numbers: Numbers, after: int, upto: int, sorted_max: int
) -> Selection:
    """Pick events by everything but entities: what is few is sorted, else the index is followed."""
    wanted = conditions(numbers)
    few = positions(numbers, "ASC")
    if upto - after <= sorted_max:
        source = "NOT INDEXED WHERE"
    elif few is not None and is_few(connection, few, {"after": after, "upto": upto}, sorted_max):
        source = f"NOT INDEXED WHERE position IN (SELECT position FROM ({few.sql})) AND"
        wanted.parameters.update(few.parameters)
    else:
        source = "INDEXED BY perdure_events_by_happened WHERE"
    return Selection(
        f"SELECT position FROM perdure_events e {source} {wanted.sql}", wanted.parameters
    )
