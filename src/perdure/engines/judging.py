"""What becomes of a commit: the one meaning of guards, repeats and conflicts, for every engine.

``judge`` decides on a view of the log, without I/O of its own; ``place`` gives the accepted events
their positions and versions. An engine brings the view and writes the outcome down.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    Guard,
    GuardFailed,
    HappenedBefore,
    IdsTaken,
    NothingAfter,
    Receipt,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.jsontext import same_json


class View(Protocol):
    """The log as it stands for the next commit, with all earlier commits of the group in it."""

    def version(self, entity: bytes) -> int:
        """Give how many events the entity has."""
        ...

    def last_ticks(self, entity: bytes) -> int:
        """Give when the entity's last event by happened happened; 0 when it has none."""
        ...

    def stored(self, id_: bytes) -> RecordedEvent | None:
        """Give the event stored under an id."""
        ...

    def first_match(self, criteria: Criteria, after: int) -> int:
        """Give the first position above ``after`` that matches, or 0."""
        ...

    def revision(self, kind: str, key: str) -> int:
        """Give the revision of a record; 0 when there is none."""
        ...


class Accepted(msgspec.Struct, frozen=True):
    """The commit may be written. ``repeats`` are the events, by index, that are stored already."""

    repeats: Mapping[int, Receipt]


class Placed(msgspec.Struct, frozen=True):
    """The fresh events of a commit with their places, and the receipts of all of them."""

    rows: tuple[tuple[NewEvent, Receipt], ...]
    committed: Committed


def judge(commit: Commit, view: View, head: int) -> Accepted | Committed | GuardFailed | IdsTaken:
    """Decide on one commit: accepted, a repeat, or refused with the reason.

    Ids are looked at before guards, so that a repeat gets its first receipts whatever the guards say.
    """
    stored = {i: view.stored(event.id) for i, event in enumerate(commit.events)}
    repeats = {
        i: Receipt(old.position, old.version) for i, old in stored.items() if old is not None
    }
    taken = _taken(commit.events, stored)
    if taken:
        return IdsTaken(taken)
    if commit.events and len(repeats) == len(commit.events):
        return Committed(tuple(repeats[i] for i in range(len(repeats))), head, repeated=True)
    for guard in commit.guards:
        holds, actual = _check(guard, view)
        if not holds:
            return GuardFailed(guard, actual)
    return Accepted(repeats)


def place(commit: Commit, accepted: Accepted, view: View, head: int) -> Placed:
    """Give each fresh event the next position and its entity's next version."""
    rows: list[tuple[NewEvent, Receipt]] = []
    receipts: list[Receipt] = []
    placed: dict[bytes, Receipt] = {}
    versions: dict[bytes, int] = {}
    for index, event in enumerate(commit.events):
        receipt = accepted.repeats.get(index) or placed.get(event.id)
        if receipt is None:
            version = versions.get(event.entity)
            version = (view.version(event.entity) if version is None else version) + 1
            versions[event.entity] = version
            head += 1
            receipt = placed[event.id] = Receipt(head, version)
            rows.append((event, receipt))
        receipts.append(receipt)
    return Placed(tuple(rows), Committed(tuple(receipts), head))


def same_event(new: NewEvent, old: NewEvent | RecordedEvent) -> bool:
    """Tell whether two events under one id say the same thing."""
    return (
        new.type == old.type
        and new.entity == old.entity
        and new.domain == old.domain
        and new.tags == old.tags
        and same_json(new.data, old.data)
    )


def _taken(
    events: tuple[NewEvent, ...], stored: Mapping[int, RecordedEvent | None]
) -> tuple[int, ...]:
    """Give the indices of events that contradict what is stored, or an earlier one of the commit."""
    first: dict[bytes, NewEvent | RecordedEvent] = {}
    return tuple(
        index
        for index, event in enumerate(events)
        if not same_event(event, first.setdefault(event.id, stored[index] or event))
    )


def _check(guard: Guard, view: View) -> tuple[bool, int]:
    if isinstance(guard, EntityAt):
        actual = view.version(guard.entity)
        return actual == guard.version, actual
    if isinstance(guard, NothingAfter):
        actual = view.first_match(guard.criteria, guard.position)
        return actual == 0, actual
    if isinstance(guard, HappenedBefore):
        actual = view.last_ticks(guard.entity)
        return actual < guard.ticks, actual
    actual = view.revision(guard.kind, guard.key)
    return actual == guard.revision, actual
