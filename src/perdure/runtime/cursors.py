"""The cursors of a subscription: how far each of its slots has come, as records of the log's own store.

A cursor is moved by compare-and-set, and whoever begins to work a slot writes its cursor first: so a
reader that was frozen meanwhile cannot move it when it wakes up.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from perdure.ports.engine import Log
from perdure.vocabulary.commits import Commit, Committed, Put, Record, RecordAt
from perdure.vocabulary.criteria import EVERYTHING, Criteria
from perdure.vocabulary.errors import ConfigurationError, InvalidInput

KIND = "cursor"

#: Where a name that is new begins: at the first event, behind the last, or behind a position.
Start: TypeAlias = Literal["beginning", "now"] | int


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a slot has come: everything up to ``position`` is done.

    Of how many slots it is one, and what was last asked for, is there for whoever looks on.
    """

    position: int
    slots: int = 1
    criteria: Criteria = EVERYTHING


def cursor_key(name: str, slot: int) -> str:
    """The key of the cursor of a subscription's slot."""
    return f"{name}/{slot}"


def read_cursor(record: Record) -> Cursor:
    """Read a cursor as stored."""
    return msgspec.json.decode(record.value, type=Cursor)


class Cursors:
    """The cursors of one subscription; those that were claimed can be moved."""

    def __init__(self, log: Log, name: str, slots: int, criteria: Criteria, start: Start) -> None:
        self._log, self._name, self._start = log, name, start
        self._slots, self._criteria = slots, criteria
        self._claimed: dict[int, Record] = {}

    async def register(self) -> None:
        """Write the first cursors of a name that is new, all at one place.

        Raises ``ConfigurationError`` when it was begun with another number of slots, ``InvalidInput`` for
        a start that is not recorded yet.
        """
        while not (records := await self._log.records(KIND, prefix=f"{self._name}/", limit=1)):
            self._claimed.clear()
            first = Cursor(await self._first(), self._slots, self._criteria)
            await self._log.commit([self._write(dict.fromkeys(range(self._slots), first))])
        begun = read_cursor(records[0]).slots
        if begun != self._slots:
            raise ConfigurationError(
                f"subscription {self._name!r} was begun with {begun} slots, not {self._slots}; "
                "keep their number, or take another name"
            )

    async def claim(self, slot: int) -> int:
        """Make a cursor this reader's to move, and give where it stands."""
        while True:
            record = await self._log.record(KIND, cursor_key(self._name, slot))
            if record is None:
                await self.register()
                continue
            self._claimed[slot] = record
            stored = read_cursor(record)
            if not await self._move({slot: stored.position}):
                return stored.position

    async def save(self, positions: Mapping[int, int]) -> set[int]:
        """Move cursors that were claimed; give the slots that another reader has claimed since."""
        moved = {
            slot: position
            for slot, position in positions.items()
            if position > read_cursor(self._claimed[slot]).position
        }
        return await self._move(moved)

    async def _move(self, positions: Mapping[int, int]) -> set[int]:
        """Write cursors, each for itself; give those that could not be written."""
        moved = {
            slot: Cursor(position, self._slots, self._criteria)
            for slot, position in positions.items()
        }
        commits = [self._write({slot: cursor}) for slot, cursor in moved.items()]
        verdicts = await self._log.commit(commits) if commits else []
        lost: set[int] = set()
        for (slot, cursor), verdict in zip(moved.items(), verdicts, strict=True):
            if isinstance(verdict, Committed):
                self._claimed[slot] = self._after(slot, cursor)
            else:
                lost.add(slot)
        return lost

    def _write(self, cursors: Mapping[int, Cursor]) -> Commit:
        """Make the commit that writes all of these, or none."""
        written = [self._after(slot, cursor) for slot, cursor in cursors.items()]
        return Commit(
            guards=tuple(RecordAt(KIND, r.key, r.revision - 1) for r in written),
            records=tuple(Put(KIND, r.key, r.value) for r in written),
        )

    def _after(self, slot: int, cursor: Cursor) -> Record:
        """Give the record as it stands when it is written next."""
        before = self._claimed.get(slot)
        revision = before.revision + 1 if before else 1
        return Record(KIND, cursor_key(self._name, slot), msgspec.json.encode(cursor), revision)

    async def _first(self) -> int:
        head = await self._log.head()
        if isinstance(self._start, str):
            return 0 if self._start == "beginning" else head
        if not 0 <= self._start <= head:
            raise InvalidInput(f"position {self._start} is not recorded yet", "start")
        return self._start


def slots_of(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Sort cursors by the subscription they belong to, in order of slot."""
    found: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: int(r.key.rpartition("/")[2])):
        found.setdefault(record.key.rpartition("/")[0], []).append(record)
    return found
