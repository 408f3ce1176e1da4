"""What a storage engine promises: one write verb and a handful of reads.

An ``Engine`` is a store; it opens one ``Log`` a context. Engines keep bytes and values of the
vocabulary, never a user's class. The conformance suite in ``perdure.testing`` holds every engine to the
sentences written here.
"""

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Protocol

from perdure.vocabulary.commits import Commit, Intent, Record, Verdict
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import Corrupt
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read as Read
from perdure.vocabulary.reading import Size as Size


class Capability(StrEnum):
    """What an engine can do beyond the common promise. Declared, checked at open, never guessed."""

    DURABLE = "durable"  #: a commit survives kill -9 and power loss
    SHARED = "shared"  #: several processes may open the same store
    STATEMENTS = "statements"  #: a commit may carry SQL on the user's own tables


class Log(Protocol):
    """The storage of one context."""

    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        """Write each commit whole or not at all, in order, and say what became of each.

        When this returns, what is ``Committed`` is stored with the durability of the engine and
        visible to every read that starts from now on. Positions grow in commit order; a reader that
        has seen position P has seen everything at or below P that will ever exist. No commit changes
        the verdict on its neighbour. Commits of concurrent callers are taken one after another.

        Raises:
            StorageFull: no room; none of them was written, the store stays up.
            Unavailable: none of them was written.
            OutcomeUnknown: each may or may not be stored, whole; repeat it under the same event ids.
        """
        ...

    def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        """Give the selected events in batches, none empty, in constant memory.

        By position, or by ``(ticks, id bytes)`` with ``order="happened"``. Holds no transaction open
        between batches. Raises ``Corrupt`` at the first damaged event, having given those before it.
        """
        ...

    async def events(self, ids: Sequence[bytes]) -> list[RecordedEvent]:
        """Give the events stored under these ids, by position; unknown ids are left out."""
        ...

    async def head(self) -> int:
        """Give the highest position, 0 when the log is empty."""
        ...

    async def version(self, entity: bytes) -> int:
        """Give how many events the entity has; 0 when it was never heard of."""
        ...

    async def advanced(self, position: int, timeout_seconds: float) -> int:
        """Wait until the head is above the position, and give the head; or give it at the time-out.

        A hint, for waiting without polling: commits of other processes may be noticed later, but
        within a second.
        """
        ...

    async def domains(self) -> list[str]:
        """Give the domains that events carry, in order of name."""
        ...

    async def entities(
        self, criteria: Criteria, after: bytes = b"", limit: int = 1000
    ) -> list[bytes]:
        """Give the entities that have a matching event, in order of id, behind ``after``."""
        ...

    async def record(self, kind: str, key: str) -> Record | None:
        """Give one record, or ``None``. Raises ``Corrupt`` when it is damaged."""
        ...

    async def records(
        self, kind: str, keys: Sequence[str] | None = None, *, prefix: str = "", after: str = "",
        limit: int = 1000,
    ) -> list[Record]:  # fmt: skip
        """Give the records under these keys, or a page of those with the prefix, in order of key."""
        ...

    async def intent(self, id_: bytes) -> Intent | None:
        """Give the open intent with this id, or ``None``. Raises ``Corrupt`` when it is damaged."""
        ...

    async def intents(
        self, kind: str, *, due: int | None = None, after: tuple[int, int] | None = None,
        limit: int = 1000,
    ) -> list[Intent]:  # fmt: skip
        """Give a page of the open intents of a kind, in the order of ``(due, place)``.

        So those with due 0 come first, in the order they were given out. With ``due``, in microseconds
        since 1970, only those due at or before it; with ``after``, only those behind that
        ``(due, place)``, whether or not an intent is open there still. A place is given once and
        never again: whoever pages while others give out and settle sees no intent twice, and misses
        none that was open all the while.

        Raises ``Corrupt`` when one of them is damaged.
        """
        ...

    async def size(self) -> Size:
        """Count what is stored."""
        ...

    def verify(self, after: int = 0) -> AsyncIterator[Corrupt]:
        """Check every row and the chain over them, and give each damage found."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, and let go of everything. Idempotent."""
        ...


class Engine(Protocol):
    """A store that opens a log for each context."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this engine can do beyond the common promise."""
        ...

    async def open(self, context: str, tables: Sequence[str] = ()) -> Log:
        """Open the log of a context, making it where there is none.

        ``tables`` are the user's own ``CREATE TABLE IF NOT EXISTS`` statements, for commits that
        carry SQL. Raises ``ConfigurationError`` for a store this version cannot read.
        """
        ...

    async def close(self) -> None:
        """Close every log. Idempotent."""
        ...
