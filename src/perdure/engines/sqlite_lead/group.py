"""One transaction's worth of commits: judged one after another, written together.

The quick way trusts that event ids are new, which the unique index confirms when the rows go in; if one was
not, the whole group is done again the exact way, each commit under a savepoint of its own.
"""

from collections.abc import Sequence
from typing import Any

import apsw

from perdure.engines.judging import Accepted, judge, place
from perdure.engines.sqlite_lead.heads import Heads
from perdure.engines.sqlite_lead.rows import Chain, event_checksum, value_checksum, write_tags
from perdure.engines.sqlite_lead.statements import StatementRunner
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    HappenedBefore,
    Intent,
    NothingAfter,
    Put,
    Receipt,
    StatementFailed,
    Verdict,
)
from perdure.vocabulary.events import NewEvent

_INSERT_EVENT = (
    "INSERT INTO events (position, ticks, id, entity, version, type, domain, recorded_at, tags, data, "
    "metadata, checksum) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)
_PUT = (
    "INSERT INTO records (kind, key, revision, value, checksum) VALUES (?1, ?2, 1, ?3, ?4) "
    "ON CONFLICT (kind, key) DO UPDATE SET revision = revision + 1, value = ?3, checksum = ?4"
)
_INSERT_INTENT = (
    "INSERT INTO intents (id, kind, target, ordering, due, payload, checksum) VALUES (?,?,?,?,?,?,?) "
    "ON CONFLICT (id) DO NOTHING"
)


class NotNew(Exception):
    """The quick way does not do for this group: the exact one must."""


class Group:
    """Writes the commits of one transaction."""

    def __init__(
        self, connection: apsw.Connection, heads: Heads, statements: StatementRunner, now: int
    ) -> None:
        self._connection, self._heads, self._statements = connection, heads, statements
        self._now = max(now, heads.recorded_at)
        self._chain = Chain(heads.chain)
        self._position = heads.position
        self._rows: list[tuple[Any, ...]] = []
        self._tags: list[tuple[int, int]] = []
        self._puts: list[tuple[Any, ...]] = []

    def write_quickly(self, commits: Sequence[Commit]) -> list[Verdict]:
        """Write commits whose ids are believed to be new. Raises ``NotNew`` when that will not do."""
        try:
            verdicts = [self._write_quickly(commit) for commit in commits]
            self._flush()
        except apsw.ConstraintError as taken:
            raise NotNew from taken
        return verdicts

    def _write_quickly(self, commit: Commit) -> Verdict:
        if commit.statements or not self._guards_hold(commit):
            raise NotNew
        receipts = tuple(self._add(event) for event in commit.events)
        self._add_records(commit)
        return Committed(receipts, self._position)

    def write_exactly(self, commit: Commit) -> Verdict:
        """Judge one commit and write it, under a savepoint; nothing of a refused one stays."""
        verdict = judge(commit, self._heads, self._position)
        if not isinstance(verdict, Accepted):
            return verdict
        placed = place(commit, verdict, self._heads, self._position)
        failed = self._statements.run(commit.statements) if commit.statements else None
        if isinstance(failed, StatementFailed):
            return failed
        for event, receipt in placed.rows:
            if self._add(event) != receipt:
                raise AssertionError(f"{event.type} was placed at {receipt} and stored elsewhere")
        self._add_records(commit)
        self._flush()
        return placed.committed

    def close(self) -> None:
        """Close the chain over what was written, and remember the end of the log."""
        heads = self._heads
        if self._position > heads.position:
            heads.chain = self._chain.close()
            self._connection.execute(
                "UPDATE events SET chain = ? WHERE position = ?", (heads.chain, self._position)
            )
            heads.position, heads.recorded_at = self._position, self._now

    def _guards_hold(self, commit: Commit) -> bool:
        """Check guards on the heads and on what was flushed. A false one needs the exact way."""
        for guard in commit.guards:
            if isinstance(guard, EntityAt):
                holds = self._heads.version(guard.entity) == guard.version
            elif isinstance(guard, HappenedBefore):
                holds = self._heads.last_ticks(guard.entity) < guard.ticks
            else:
                self._flush()
                if isinstance(guard, NothingAfter):
                    holds = not self._heads.first_match(guard.criteria, guard.position)
                else:
                    holds = self._heads.revision(guard.kind, guard.key) == guard.revision
            if not holds:
                return False
        return True

    def _add(self, event: NewEvent) -> Receipt:
        """Give an event its place and keep its row for the next flush."""
        heads = self._heads
        head = heads.head(event.entity)
        if not head.no:
            heads.number_entity(event.entity, head)
        head.version += 1
        self._position += 1
        ticks = event.ticks
        if head.ticks >= 0:
            head.ticks = max(head.ticks, ticks)
        tags, metadata = write_tags(event), event.metadata or None
        checksum = event_checksum(
            self._position, head.version, ticks, self._now, event.type, event.entity, event.id,
            event.data, event.domain, tags, metadata,
        )  # fmt: skip
        self._rows.append(
            (
                self._position, ticks, event.id, head.no, head.version, heads.number(event.type),
                None if event.domain is None else heads.number(event.domain),
                self._now, tags, event.data, metadata, checksum,
            )
        )  # fmt: skip
        self._chain.add(event.id, checksum)
        for tag in set(event.tags):
            self._tags.append((heads.number(tag), self._position))
        return Receipt(self._position, head.version)

    def _add_records(self, commit: Commit) -> None:
        for put in commit.records:
            self._add_put(put)
        for intent in commit.intents:
            if isinstance(intent, Intent):
                sum_ = value_checksum(
                    intent.id,
                    intent.kind,
                    intent.target,
                    intent.ordering,
                    intent.due,
                    intent.payload,
                )
                self._connection.execute(
                    _INSERT_INTENT,
                    (intent.id, intent.kind, intent.target, intent.ordering, intent.due,
                     intent.payload, sum_),
                )  # fmt: skip
            else:
                self._connection.execute("DELETE FROM intents WHERE id = ?", (intent.id,))

    def _add_put(self, put: Put) -> None:
        if put.value is None:
            self._flush()
            self._connection.execute(
                "DELETE FROM records WHERE kind = ? AND key = ?", (put.kind, put.key)
            )
        else:
            sum_ = value_checksum(put.kind, put.key, put.value)
            self._puts.append((put.kind, put.key, put.value, sum_))

    def _flush(self) -> None:
        """Put the rows that wait into the tables."""
        if self._rows:
            self._connection.executemany(_INSERT_EVENT, self._rows)
            self._rows = []
        if self._tags:
            self._connection.executemany("INSERT INTO event_tags VALUES (?, ?)", self._tags)
            self._tags = []
        if self._puts:
            self._connection.executemany(_PUT, self._puts)
            self._puts = []
