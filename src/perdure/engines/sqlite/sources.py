"""Where the rows of a read come from: the log itself, one entity, or positions picked by an index.

Each source gives its rows page by page, in order, and knows where the last page ended. The two that give
all there is notice when something is missing in between.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from perdure.engines.sqlite.rows import COLUMNS
from perdure.engines.sqlite.selecting import WITHIN, Numbers, Parameters, Selection
from perdure.vocabulary.errors import Corrupt
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import event_ticks
from perdure.vocabulary.reading import Read

_ENTITY = "LEFT JOIN perdure_entities n ON n.no = e.entity"
#: An index may lead to a row that is not there; its position is known all the same.
_PICKED_COLUMNS = COLUMNS.replace("e.position", "p.position")
_TICKS_END = (1 << 63) - 1


class Gap(NamedTuple):
    """Something is missing behind the first so many events of a page."""

    good: int
    damage: Corrupt


class Source(Protocol):
    """Rows in order, page by page."""

    def page(self, limit: int) -> Selection:
        """Select the next rows, of ``COLUMNS``."""
        ...

    def turn(self, events: Sequence[RecordedEvent], *, is_last: bool) -> Gap | None:
        """Go on behind these events, which came of the page; tell when one was missing among them."""
        ...


class Everything:
    """All events within bounds, by position. They are dense, so that a gap is damage."""

    def __init__(self, after: int, upto: int, *, backwards: bool) -> None:
        self._after, self._upto, self._backwards = after, upto, backwards
        order = "DESC" if backwards else "ASC"
        self._sql = (
            f"SELECT {COLUMNS} FROM perdure_events e NOT INDEXED {_ENTITY} "
            f"WHERE e.position > :after AND e.position <= :upto ORDER BY e.position {order} LIMIT :limit"
        )

    def page(self, limit: int) -> Selection:
        """Select the next rows."""
        return Selection(self._sql, {"after": self._after, "upto": self._upto, "limit": limit})

    def turn(self, events: Sequence[RecordedEvent], *, is_last: bool) -> Gap | None:
        """Go on behind these events; tell at which position there is none."""
        step, expected = (-1, self._upto) if self._backwards else (1, self._after + 1)
        for good, event in enumerate(events):
            if event.position != expected:
                return Gap(good, _missing(expected))
            expected += step
        if is_last and self._after < expected <= self._upto:
            return Gap(len(events), _missing(expected))
        if self._backwards:
            self._upto = expected
        else:
            self._after = expected - 1
        return None


class OfEntity:
    """The events of one entity, by position, which is by version. Versions are dense as well."""

    def __init__(self, no: int, after: int, upto: int, *, backwards: bool) -> None:
        self._bounds = {"entity": no, "after": after, "upto": upto}
        self._backwards = backwards
        self._last = 0 if after == 0 and not backwards else None
        sign, order = ("<", "DESC") if backwards else (">", "ASC")
        self._sql = (
            f"SELECT {COLUMNS} FROM perdure_events e INDEXED BY perdure_events_by_entity {_ENTITY} "
            f"WHERE e.entity = :entity AND e.version {sign} :last "
            "AND e.position > :after AND e.position <= :upto "
            f"ORDER BY e.version {order} LIMIT :limit"
        )

    def page(self, limit: int) -> Selection:
        """Select the next rows."""
        start = _TICKS_END if self._backwards else 0
        last = start if self._last is None else self._last
        return Selection(self._sql, {**self._bounds, "last": last, "limit": limit})

    def turn(self, events: Sequence[RecordedEvent], *, is_last: bool) -> Gap | None:
        """Go on behind these events; tell which version there is none of."""
        step = -1 if self._backwards else 1
        for good, event in enumerate(events):
            if self._last is not None and event.version != self._last + step:
                return Gap(good, _missing(event.position, f"version {self._last + step}"))
            self._last = event.version
        return None


class ByPosition:
    """Positions picked by an index, in their order."""

    def __init__(self, picked: Selection, after: int, upto: int, *, backwards: bool) -> None:
        self._parameters: Parameters = {**picked.parameters, "after": after, "upto": upto}
        self._backwards = backwards
        self._sql = _fetch(f"{picked.sql} LIMIT :limit")

    def page(self, limit: int) -> Selection:
        """Select the next rows."""
        return Selection(self._sql, {**self._parameters, "limit": limit})

    def turn(self, events: Sequence[RecordedEvent], *, is_last: bool) -> Gap | None:
        """Go on behind these events; tell where they do not come in order, as an index would."""
        gap = _disorder(events, [event.position for event in events], backwards=self._backwards)
        if gap is not None:
            return gap
        if events and self._backwards:
            self._parameters["upto"] = events[-1].position - 1
        elif events:
            self._parameters["after"] = events[-1].position
        return None


class ByHappened:
    """Positions picked in any way, in the order in which their events happened."""

    def __init__(self, picked: Selection, request: Read, after: int, upto: int) -> None:
        """``picked`` ends in ``WHERE`` and a condition, on rows that have ``ticks`` and ``id``."""
        sign, order = ("<", "DESC") if request.backwards else (">", "ASC")
        mark = request.following
        ticks = _TICKS_END if request.backwards else -1
        self._backwards = request.backwards
        self._parameters: Parameters = {
            **picked.parameters,
            "after": after,
            "upto": upto,
            "ticks": ticks if mark is None else event_ticks(mark),
            "id": mark or b"",
        }
        self._sql = _fetch(
            f"{picked.sql} AND {WITHIN} AND (ticks, id) {sign} (:ticks, :id) "
            f"ORDER BY ticks {order}, id {order} LIMIT :limit"
        )

    def page(self, limit: int) -> Selection:
        """Select the next rows."""
        return Selection(self._sql, {**self._parameters, "limit": limit})

    def turn(self, events: Sequence[RecordedEvent], *, is_last: bool) -> Gap | None:
        """Go on behind these events; tell where they do not come in order, as an index would."""
        gap = _disorder(events, [event.happened for event in events], backwards=self._backwards)
        if gap is not None:
            return gap
        if events:
            self._parameters["ticks"], self._parameters["id"] = events[-1].happened
        return None


def of_entities(numbers: Numbers) -> Selection:
    """Pick the events of some entities."""
    return Selection(
        "SELECT position FROM perdure_events INDEXED BY perdure_events_by_entity "
        "WHERE entity IN (SELECT value FROM json_each(:entities))",
        {"entities": json.dumps(numbers.entities)},
    )


def _disorder(
    events: Sequence[RecordedEvent], places: Sequence[Any], *, backwards: bool
) -> Gap | None:
    """Tell where events do not come in the order of their places, each once."""
    for good, (place, other) in enumerate(pairwise(places), 1):
        if not (place > other if backwards else place < other):
            position = events[good].position
            what = f"an index leads to the event at position {position} from the place of another"
            return Gap(good, Corrupt(f"{what}; restore the log from a copy", position))
    return None


def _fetch(picking: str) -> str:
    return (
        f"SELECT {_PICKED_COLUMNS} FROM ({picking}) p "
        f"LEFT JOIN perdure_events e ON e.position = p.position {_ENTITY}"
    )


def _missing(position: int, before: str = "") -> Corrupt:
    what = f"{before} of its entity is missing before the event" if before else "no event"
    return Corrupt(f"{what} at position {position}; restore the log from a copy", position)
