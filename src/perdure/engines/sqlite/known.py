"""What the writer remembers between two groups, so that most commits are decided without a look-up.

One rule: it is true of the last committed transaction. ``Draft`` builds on it and hands over what it found
out only after its own ``COMMIT``; when another process has written, all of it is read anew.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import apsw

from perdure.engines.sqlite.connection import fetch, fetch_value
from perdure.engines.sqlite.rows import COLUMNS, Decoder

#: An entity: its number, its version, when its last event by happened happened (``UNKNOWN`` until somebody
#: asks), and the number of the domain it was last listed under (0: none). It gets its number with its
#: first event; until then that is 0.
Head: TypeAlias = tuple[int, int, int, int]
UNKNOWN = -1
UNHEARD: Head = (0, 0, 0, 0)

#: Names of tags are many; beyond this they are looked up again.
_NAMES_MAX = 100_000
_LABELS_MAX = 10_000


class Numbered(NamedTuple):
    """A type and a domain, as numbers and as content."""

    type: int
    domain: int | None
    content: bytes


Labels: TypeAlias = dict[tuple[str, str | None], Numbered]


class Known:
    """The end of the log, the numbers of names, and the heads of the entities last written to."""

    def __init__(self, heads_max: int) -> None:
        self._heads_max = heads_max
        self.recent: dict[bytes, Head] = {}  # of the entities last written to
        self._older: dict[bytes, Head] = {}
        self.names: dict[str, int] = {}
        self.labels: Labels = {}
        self.position = self.recorded_at = self.entities = self.named = 0
        self.chain = b""

    def head(self, entity: bytes) -> Head | None:
        """Give the head of an entity, when it is remembered."""
        return self.recent.get(entity) or self._older.get(entity)

    def load(self, connection: apsw.Connection, decoder: Decoder) -> None:
        """Forget everything, and read the end of the log."""
        self.recent.clear()
        self._older.clear()
        self.names.clear()
        self.labels.clear()
        self.entities = _highest(connection, "no", "perdure_entities")
        self.named = _highest(connection, "no", "perdure_names")
        self.position = self.recorded_at = 0
        self.chain = b""
        for *row, chain in fetch(
            connection,
            f"SELECT {COLUMNS}, e.chain FROM perdure_events e "
            "LEFT JOIN perdure_entities n ON n.no = e.entity ORDER BY e.position DESC LIMIT 1",
        ):
            self.position, self.chain = row[0], chain or b""
            if decoder.content(connection, tuple(row)) is not None:
                self.recorded_at = row[3]  # else it is damaged, and the clock has to do

    def adopt(
        self,
        heads: Mapping[bytes, Head],
        names: Mapping[str, int],
        labels: Labels,
    ) -> None:
        """Take over what a committed draft found out."""
        self.recent.update(heads)
        if len(self.recent) > self._heads_max // 2:  # what was not touched since the last time goes
            self._older, self.recent = self.recent, {}
        if names:
            if len(self.names) > _NAMES_MAX:
                self.names.clear()
            self.names.update(names)
        if labels:
            if len(self.labels) > _LABELS_MAX:
                self.labels.clear()
            self.labels.update(labels)


def _highest(connection: apsw.Connection, column: str, table: str) -> int:
    return fetch_value(connection, f"SELECT max({column}) FROM {table}") or 0
