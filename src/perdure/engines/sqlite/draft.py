"""A group of commits on its way: each decided on, placed, and turned into rows.

There are two ways for a commit. The quick one takes it that no event id is stored yet, nor a record that
the commit makes on condition that there is none, checks the other guards from memory, and leaves it to
the unique indexes to object. The exact one looks everything up and lets ``engines.judging`` decide. A
commit that the quick way cannot accept goes the exact way; when an index objects, the whole group does.
Both end in the same rows.
"""

from collections.abc import Collection
from hashlib import blake2b
from zlib import crc32

import apsw

from perdure.engines.judging import Accepted, judge, place
from perdure.engines.sqlite.known import UNKNOWN, Head, Known, Labels, Numbered
from perdure.engines.sqlite.rows import CHAIN_BYTES, Decoder, event_content, label, write_tags
from perdure.engines.sqlite.rowset import Rowset
from perdure.engines.sqlite.statements import Statements
from perdure.engines.sqlite.view import RowView
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    Guard,
    HappenedBefore,
    Receipt,
    RecordAt,
    Verdict,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import event_ticks


class Draft:
    """One transaction's worth of commits, on top of what is ``Known``. Also the ``View`` of the exact way."""

    def __init__(
        self,
        connection: apsw.Connection,
        known: Known,
        decoder: Decoder,
        statements: Statements,
        now: int,
        *,
        exact: bool,
    ) -> None:
        self._known, self._statements, self._exact = known, statements, exact
        self._rowset = Rowset(connection)
        self._view = RowView(connection, decoder)
        self._heads: dict[bytes, Head] = {}
        self._names: dict[str, int] = {}
        self._labels: Labels = {}
        self._entities, self._named = known.entities, known.named
        self._recorded_at = max(now, known.recorded_at)
        self._contents: list[bytes] = []
        # short ways, for the path of every event
        self._recent, self._known_labels, self._events = (
            known.recent,
            known.labels,
            self._rowset.events,
        )
        self._chain = known.chain
        self.position = known.position

    def write(self, commit: Commit) -> Verdict:
        """Decide on a commit and, when it is accepted, add its rows."""
        if self._exact or commit.statements:
            return self._write_exactly(commit)
        made: set[tuple[str, str]] = set()
        for guard in commit.guards:
            if isinstance(guard, RecordAt) and self._makes(commit, guard):
                made.add((guard.kind, guard.key))
            elif not self._holds(guard):
                return self._write_exactly(commit)
        events = commit.events
        receipts = (
            (self._place(events[0]),) if len(events) == 1 else tuple(map(self._place, events))
        )
        if commit.records or commit.intents:
            self._carry(commit, made)
        return Committed(receipts, self.position)

    def seal(self) -> None:
        """Write the rows that are still to be written, and close the chain over them."""
        if self._contents:
            chained = blake2b(self._chain, digest_size=CHAIN_BYTES)
            chained.update(b"".join(self._contents))
            self._chain = chained.digest()
            self._rowset.seal(self.position, self._chain)
        else:
            self._rowset.seal(self.position, b"")

    def adopt(self) -> None:
        """Let it be known: this draft is committed."""
        known = self._known
        known.adopt(self._heads, self._names, self._labels)
        known.entities, known.named = self._entities, self._named
        known.position, known.chain = self.position, self._chain
        if self._contents:
            known.recorded_at = self._recorded_at

    # The view of the exact way, with everything in it that was written before.

    def version(self, entity: bytes) -> int:
        """Give how many events the entity has."""
        return self._head(entity)[1]

    def last_ticks(self, entity: bytes) -> int:
        """Give when the entity's last event by happened happened; 0 when it has none."""
        no, version, ticks, listed = self._head(entity)
        if ticks == UNKNOWN:
            self._rowset.write_events()
            ticks = self._view.last_ticks(no)
            self._heads[entity] = no, version, ticks, listed
        return ticks

    def stored(self, id_: bytes) -> RecordedEvent | None:
        """Give the event stored under an id."""
        self._rowset.write_events()
        return self._view.stored(id_)

    def first_match(self, criteria: Criteria, after: int) -> int:
        """Give the first position above ``after`` that matches, or 0."""
        self._rowset.write_events()
        return self._view.first_match(criteria, after, self.position)

    def revision(self, kind: str, key: str) -> int:
        """Give the revision of a record; 0 when there is none."""
        if self._rowset.is_gathered(kind, key):
            self._rowset.write_records()
        return self._view.revision(kind, key)

    def _write_exactly(self, commit: Commit) -> Verdict:
        verdict = judge(commit, self, self.position)
        if not isinstance(verdict, Accepted):
            return verdict
        if commit.statements:
            # First, for nothing of this commit is to be taken back when they fail. They cannot see it.
            failure = self._statements.run(commit.statements)
            if failure is not None:
                return failure
        placed = place(commit, verdict, self, self.position)
        for event, _ in placed.rows:
            self._place(event)
        self._carry(commit)
        return placed.committed

    def _holds(self, guard: Guard) -> bool:
        if isinstance(guard, EntityAt):
            return self._head(guard.entity)[1] == guard.version
        if isinstance(guard, RecordAt):
            return self.revision(guard.kind, guard.key) == guard.revision
        if isinstance(guard, HappenedBefore):
            return self.last_ticks(guard.entity) < guard.ticks
        return self.first_match(guard.criteria, guard.position) == 0

    def _makes(self, commit: Commit, guard: RecordAt) -> bool:
        """Tell whether the commit makes a record if there is none: then its index can object."""
        kind, key = guard.kind, guard.key
        if guard.revision or self._rowset.is_gathered(kind, key):
            return False
        values = [put.value for put in commit.records if put.key == key and put.kind == kind]
        return bool(values) and None not in values

    def _place(self, event: NewEvent) -> Receipt:
        """Give an event its place, and gather its row. On the path of every event: mind each line."""
        entity, id_, tags, data, metadata = (
            event.entity, event.id, event.tags, event.data, event.metadata,
        )  # fmt: skip
        named = (event.type, event.domain)
        no, version, last, listed = (
            self._heads.get(entity) or self._recent.get(entity) or self._head(entity)
        )
        type_, domain, labelled = (
            self._known_labels.get(named) or self._labels.get(named) or self._number(*named)
        )
        if not no:
            self._entities = no = self._entities + 1
            self._rowset.entities.append((no, entity))
        ticks = event_ticks(id_)
        version += 1
        self.position = position = self.position + 1
        raw_tags = write_tags(tags) if tags else b""
        content = event_content(
            position,
            version,
            ticks,
            self._recorded_at,
            labelled,
            entity,
            id_,
            raw_tags,
            data,
            metadata,
        )
        self._contents.append(content)
        self._events.append(
            (position, version, ticks, self._recorded_at, type_, domain, no, id_,
             raw_tags.decode() if tags else None, data, metadata or None, crc32(content), None)
        )  # fmt: skip
        if tags:
            self._rowset.tags += [(self._name(tag), position) for tag in tags]
        if domain is not None and domain != listed:
            self._rowset.listed.append((domain, entity))
            listed = domain
        if last != UNKNOWN and ticks > last:
            last = ticks
        self._heads[entity] = no, version, last, listed
        return Receipt(position, version)

    def _carry(self, commit: Commit, made: Collection[tuple[str, str]] = ()) -> None:
        self._rowset.keep(commit.records, made)
        self._rowset.give(commit.intents)

    def _head(self, entity: bytes) -> Head:
        head = self._heads.get(entity) or self._known.head(entity)
        if head is None:
            head = self._view.head(entity)
        self._heads[entity] = head
        return head

    def _number(self, type_: str, domain: str | None) -> Numbered:
        numbered = Numbered(
            self._name(type_),
            None if domain is None else self._name(domain),
            label(type_, domain).content,
        )
        self._labels[type_, domain] = numbered
        return numbered

    def _name(self, name: str) -> int:
        no = self._known.names.get(name) or self._names.get(name) or self._view.name(name)
        if no is None:
            self._named = no = self._named + 1
            self._rowset.names.append((no, name))
        self._names[name] = no
        return no
