"""Paths: decoded once, strictly, and found in a table of rows.

One rule: what two readers could take for different paths is refused. After decoding there is no slash,
no control character and no ``..`` left that the server in front, or the one behind, might see differently.

A row names its path as in the documentation: ``/{context}/{domain}/{entity}/model``. Finding it takes one
step a segment: a literal wins, where it leads on; then a segment that looks like an id goes to the slot of
an id, any other to that of a name. Where there is only one of the two slots it takes both, and the handler
says what is wrong. Segments that begin with ``_`` are system routes: never a name.

The table itself is ``routes.table``.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from perdure.transports.parameters import Parameter
from perdure.transports.problems import MalformedTarget
from perdure.vocabulary.names import looks_like_id

SEGMENTS_MAX: Final = 8
#: Slots that hold ids; all others hold names.
ID_SLOTS: Final = frozenset({"{entity}", "{event_id}", "{id}"})

_ENCODED_SLASH = re.compile(rb"%2[fF]")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9a-fA-F]{2})")

#: Takes an ``exchange.Request``, gives an ``exchange.Answer`` or an ``exchange.Stream``.
Handler = Callable[[Any], Awaitable[Any]]


class Row(msgspec.Struct, frozen=True):
    """One line of the table: a method on a path, who handles it, and which parameters it knows.

    ``takes`` and ``gives`` name the schemas of the body and of the answer, for OpenAPI; ``figure`` is the
    name under which ``/stats`` counts it.
    """

    method: str
    path: str
    handler: Handler
    parameters: tuple[Parameter, ...] = ()
    takes: str = ""
    gives: str = ""
    figure: str = ""


class Place:
    """Where a path leads: the rows there by method, and what may follow."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.is_in_context = False
        self.literals: dict[str, Place] = {}
        self.by_id: Place | None = None
        self.by_name: Place | None = None

    @property
    def allowed(self) -> bytes:
        """The methods that are allowed here, as the ``Allow`` field lists them."""
        methods = set(self.rows) | {"OPTIONS"} | ({"HEAD"} if "GET" in self.rows else set())
        return ", ".join(sorted(methods)).encode()

    def step(self, segment: str) -> "Place":
        """Give the place behind a segment of a row's path, making it at first use."""
        if not segment.startswith("{"):
            return self.literals.setdefault(segment, Place())
        if segment in ID_SLOTS:
            self.by_id = self.by_id or Place()
            return self.by_id
        self.by_name = self.by_name or Place()
        return self.by_name


class Paths:
    """All rows, ready to be found."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._root = Place()
        for row in rows:
            place = self._root
            for segment in row.path.split("/")[1:]:
                place = place.step(segment) if segment else place
            if row.method in place.rows:
                raise ValueError(f"two rows answer {row.method} {row.path}")
            place.rows[row.method] = row
            place.is_in_context = row.path.startswith("/{context}")

    def find(self, segments: Sequence[str]) -> Place | None:
        """Give the place of a path; ``None`` when nothing is there."""
        place = self._root
        for segment in segments:
            following = place.literals.get(segment) or _slot(place, segment)
            if following is None:
                return _search(self._root, segments)
            place = following
        return place if place.rows else _search(self._root, segments)


def _slot(place: Place, segment: str) -> Place | None:
    if segment[0] == "_":
        return None
    if place.by_name is None or (place.by_id is not None and looks_like_id(segment)):
        return place.by_id
    return place.by_name


def _search(place: Place, segments: Sequence[str]) -> Place | None:
    """Find a path that has a reserved word where a name is due, so that it can be told so."""
    if not segments:
        return place if place.rows else None
    segment, rest = segments[0], segments[1:]
    for following in (place.literals.get(segment), _slot(place, segment)):
        if following is not None and (found := _search(following, rest)) is not None:
            return found
    return None


def split(raw: bytes) -> list[str]:
    """Decode a raw path into its segments; the root has none. Raises ``MalformedTarget``."""
    if b"%" in raw:
        if _ENCODED_SLASH.search(raw):
            raise MalformedTarget("An encoded slash (%2F) in the path.")
        if _BROKEN_ESCAPE.search(raw):
            raise MalformedTarget("A percent sign in the path without two hexadecimal digits.")
        raw = unquote_to_bytes(raw)
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        raise MalformedTarget("The path is not UTF-8.") from None
    if not path.isprintable() or "\\" in path:
        raise MalformedTarget("A control character or a backslash in the path.")
    if path == "/":
        return []
    segments = path.split("/")
    if segments[0]:
        raise MalformedTarget("The request target is not a path.")
    del segments[0]
    if "" in segments:
        raise MalformedTarget("An empty segment in the path: two slashes, or one at the end.")
    if "." in segments or ".." in segments:
        raise MalformedTarget("A segment '.' or '..' in the path.")
    if len(segments) > SEGMENTS_MAX:
        raise MalformedTarget(f"More than {SEGMENTS_MAX} segments in the path.")
    return segments
