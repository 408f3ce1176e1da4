"""What a log should answer, worked out the plainest way, apart from every engine.

Reads are a filter and a sort over ``Criteria.matches``. ``ExpectedLog`` knows the rules of a commit in its
own words and shares no line with ``engines.judging``, so that a mistake there has a witness. Positions
are the engine's to give: here it is only checked that they grow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from perdure.testing.conformance.samples import committed
from perdure.vocabulary.commits import (
    Commit,
    EntityAt,
    Guard,
    GuardFailed,
    HappenedBefore,
    IdsTaken,
    Intent,
    NothingAfter,
    Receipt,
    Record,
    Settle,
    Verdict,
)
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import event_ticks
from perdure.vocabulary.reading import Read


def expected_ids(events: Iterable[RecordedEvent], request: Read) -> list[bytes]:
    """Give the ids that a read should give, in order, from all the events there are."""
    chosen = [
        event
        for event in events
        if event.position > request.after
        and (request.upto is None or event.position <= request.upto)
        and request.criteria.matches(event)
    ]
    if request.order == "recorded":
        chosen.sort(key=lambda event: event.position, reverse=request.backwards)
    else:
        chosen.sort(key=lambda event: (event.ticks, event.id), reverse=request.backwards)
        if request.following is not None:
            mark = event_ticks(request.following), request.following
            chosen = [
                event
                for event in chosen
                if ((event.ticks, event.id) < mark if request.backwards else event.happened > mark)
            ]
    return [event.id for event in chosen[: request.limit]]


@dataclass
class ExpectedLog:
    """What a log should hold after the commits that ``follow`` was told of."""

    events: list[RecordedEvent] = field(default_factory=list)
    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    intents: list[Intent] = field(default_factory=list)  # by place, which is a count of its own
    given: int = 0

    def version(self, entity: bytes) -> int:
        """Give how many events the entity should have."""
        return sum(event.entity == entity for event in self.events)

    def revision(self, kind: str, key: str) -> int:
        """Give the revision a record should have."""
        return self.records[kind, key].revision if (kind, key) in self.records else 0

    def records_of(self, kind: str) -> list[Record]:
        """Give the records there should be of a kind, in order of key."""
        return sorted((r for r in self.records.values() if r.kind == kind), key=lambda r: r.key)

    def intents_of(self, kind: str, due: int, after: tuple[int, int]) -> list[Intent]:
        """Give the open intents there should be of a kind, up to a due time and behind a turn."""
        chosen = [i for i in self.intents if i.kind == kind and i.due <= due]
        return sorted((i for i in chosen if turn(i) > after), key=turn)

    @property
    def head(self) -> int:
        """The highest position that was given."""
        return max((event.position for event in self.events), default=0)

    def follow(self, commit: Commit, verdict: Verdict) -> None:
        """Insist that the verdict is the right one, and hold what should have been written."""
        taken = self._taken(commit.events)
        if taken:
            assert verdict == IdsTaken(taken)
            return
        known = {event.id for event in self.events}
        repeated = bool(commit.events) and all(event.id in known for event in commit.events)
        if not repeated:
            for guard in commit.guards:
                holds, actual = self._holds(guard)
                if not holds:
                    assert verdict == GuardFailed(guard, actual)
                    return
        receipts = committed(verdict).receipts
        assert committed(verdict).repeated == repeated
        assert len(receipts) == len(commit.events)
        for event, receipt in zip(commit.events, receipts, strict=True):
            self._follow_event(event, receipt)
        assert committed(verdict).position >= max((r.position for r in receipts), default=0)
        if not repeated:
            self._apply(commit)

    def _taken(self, events: Sequence[NewEvent]) -> tuple[int, ...]:
        content = {event.id: _content(event) for event in self.events}
        return tuple(
            index
            for index, event in enumerate(events)
            if content.setdefault(event.id, _content(event)) != _content(event)
        )

    def _holds(self, guard: Guard) -> tuple[bool, int]:
        match guard:
            case EntityAt(entity, version):
                return self.version(entity) == version, self.version(entity)
            case NothingAfter(criteria, after):
                found = [e.position for e in self.events if criteria.matches(e)]
                late = [position for position in found if position > after]
                return not late, min(late, default=0)
            case HappenedBefore(entity, ticks):
                last = max((e.ticks for e in self.events if e.entity == entity), default=0)
                return last < ticks, last
        revision = self.revision(guard.kind, guard.key)
        return revision == guard.revision, revision

    def _follow_event(self, event: NewEvent, receipt: Receipt) -> None:
        for stored in self.events:
            if stored.id == event.id:
                assert receipt == Receipt(stored.position, stored.version)
                return
        assert receipt.version == self.version(event.entity) + 1
        assert receipt.position > self.head
        self.events.append(
            RecordedEvent(
                position=receipt.position,
                version=receipt.version,
                ticks=event_ticks(event.id),
                recorded_at=0,
                type=event.type,
                entity=event.entity,
                id=event.id,
                data=event.data,
                domain=event.domain,
                tags=event.tags,
                metadata=event.metadata,
            )
        )

    def _apply(self, commit: Commit) -> None:
        for put in commit.records:
            revision = self.revision(put.kind, put.key) + 1
            if put.value is None:
                self.records.pop((put.kind, put.key), None)
            else:
                self.records[put.kind, put.key] = Record(put.kind, put.key, put.value, revision)
        for change in commit.intents:
            ids = [intent.id for intent in self.intents]
            if isinstance(change, Settle):
                self.intents = [intent for intent in self.intents if intent.id != change.id]
            elif change.id not in ids:
                self.given += 1
                self.intents.append(replace(change, place=self.given))


def turn(intent: Intent) -> tuple[int, int]:
    """Give when it is the turn of an intent, among those of its kind."""
    return intent.due, intent.place


def _content(event: NewEvent | RecordedEvent) -> tuple[object, ...]:
    data = msgspec.json.decode(event.data)
    return event.type, event.entity, event.domain, event.tags, data
