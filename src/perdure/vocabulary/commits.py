"""What is written together, on which conditions, and what became of it.

One ``Commit`` happens whole or not at all, and never changes the verdict on its neighbour.

A commit all of whose events are stored already, with equal content, is a *repeat*: it answers the
first receipts and applies nothing, whatever its guards say now.
"""

from typing import TypeAlias

import msgspec

from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import NewEvent


class EntityAt(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Holds while the entity is at this version; 0: it has no events."""

    entity: bytes
    version: int


class NothingAfter(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Holds while no event that matches the criteria exists after the position."""

    criteria: Criteria
    position: int


class HappenedBefore(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Holds while all events of the entity happened before these ticks."""

    entity: bytes
    ticks: int


class RecordAt(msgspec.Struct, frozen=True, tag=True, gc=False):
    """Holds while the record is at this revision; 0: there is none."""

    kind: str
    key: str
    revision: int


Guard: TypeAlias = EntityAt | NothingAfter | HappenedBefore | RecordAt


class Record(msgspec.Struct, frozen=True, gc=False):
    """A small keyed value as stored; ``revision`` grows by one with each write, from 1."""

    kind: str
    key: str
    value: bytes
    revision: int


class Put(msgspec.Struct, frozen=True, gc=False):
    """Write a record; ``value=None`` removes it. Guard it with ``RecordAt`` for compare-and-set."""

    kind: str
    key: str
    value: bytes | None


class Intent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something to be delivered later. The first under an id stays; a second is a no-op.

    ``kind`` says what (``emit``), ``target`` where to, ``ordering`` which intents go one after another
    in the order they were given out, ``due`` when, in microseconds since 1970 (0: at once). ``place`` is
    its place in the order of giving out, given by the log; 0 before it is stored.
    """

    id: bytes
    kind: str
    target: str
    ordering: str
    payload: bytes
    due: int = 0
    place: int = 0


class Settle(msgspec.Struct, frozen=True, gc=False):
    """The intent with this id is done with, and is removed. An unknown id is a no-op."""

    id: bytes


class Statement(msgspec.Struct, frozen=True, gc=False):
    """One SQL statement on the user's own tables, with the rows it must change (``None``: any)."""

    sql: str
    parameters: tuple[object, ...] = ()
    rows: int | None = None


class Commit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All or nothing: on condition of ``guards``, write the rest in this order."""

    guards: tuple[Guard, ...] = ()
    events: tuple[NewEvent, ...] = ()
    records: tuple[Put, ...] = ()
    intents: tuple[Intent | Settle, ...] = ()
    statements: tuple[Statement, ...] = ()


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Where an event stands: its position in the context and its version in the entity."""

    position: int
    version: int


class Committed(msgspec.Struct, frozen=True, gc=False):
    """It is stored, durably. ``position`` is the token for reading one's own write.

    ``repeated``: every event was stored already by an earlier commit, and nothing was applied now.
    """

    receipts: tuple[Receipt, ...]
    position: int
    repeated: bool = False


class GuardFailed(msgspec.Struct, frozen=True, gc=False):
    """A guard was false; nothing was written. ``actual`` is what stood in its place.

    The version for ``EntityAt``, the first matching position for ``NothingAfter``, the last ticks for
    ``HappenedBefore``, the revision for ``RecordAt``.
    """

    guard: Guard
    actual: int


class IdsTaken(msgspec.Struct, frozen=True, gc=False):
    """Events at these indices are stored under their ids with other content; nothing was written."""

    indices: tuple[int, ...]


class StatementFailed(msgspec.Struct, frozen=True, gc=False):
    """A statement failed, was not allowed, or changed another number of rows; nothing was written.

    ``integrity``: a constraint, or a number of rows, said no: as against SQL that cannot be run.
    """

    index: int
    reason: str
    integrity: bool = False


Verdict: TypeAlias = Committed | GuardFailed | IdsTaken | StatementFailed
