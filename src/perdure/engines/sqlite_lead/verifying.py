"""Walking a whole log: every row, every version, and the chain over them."""

from collections.abc import Iterator

from perdure.engines.sqlite_lead.reader import Source
from perdure.engines.sqlite_lead.rows import EVENT_COLUMNS, EVENT_TABLES, Chain, read_event
from perdure.vocabulary.errors import Corrupt

ROWS = 1_000


class Walk:
    """Checks a log from its beginning, batch by batch."""

    def __init__(self) -> None:
        self.position = 0
        self.done = False
        self._chain = Chain(b"")
        self._versions: dict[bytes, int] = {}

    def step(self, source: Source) -> list[Corrupt]:
        """Check the next rows, and give the damage in them."""
        sql = (
            f"SELECT {EVENT_COLUMNS}, e.chain FROM {EVENT_TABLES} WHERE e.position > ? "
            "ORDER BY e.position LIMIT ?"
        )
        rows = source.execute(sql, (self.position, ROWS)).fetchall()
        self.done = len(rows) < ROWS
        return [damage for row in rows for damage in self._check(row, source)]

    def _check(self, row: tuple[object, ...], source: Source) -> Iterator[Corrupt]:
        position, chain = int(str(row[0])), row[-1]
        if position != self.position + 1:
            yield Corrupt(f"positions {self.position + 1} to {position - 1} are missing", position)
        self.position = position
        try:
            event = read_event(row[:-1], source.names)
        except Corrupt as damage:
            yield damage
        else:
            version = self._versions.get(event.entity, 0) + 1
            if event.version != version:
                yield Corrupt(
                    f"position {position} has version {event.version}, not {version}", position
                )
            self._versions[event.entity] = event.version
        id_, sum_ = row[6], row[11]
        if isinstance(id_, bytes) and isinstance(sum_, int) and 0 <= sum_ < 2**32:
            self._chain.add(id_, sum_)
        if isinstance(chain, bytes):
            if chain != self._chain.close():
                yield Corrupt(f"the chain is broken at position {position}", position)
            self._chain = Chain(chain)
