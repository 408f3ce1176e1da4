"""What the suite writes, and how it reads back: small values with names, and no engine in sight."""

from collections.abc import Iterable
from itertools import count
from typing import NamedTuple

from msgspec.structs import replace

from perdure.ports.engine import Log
from perdure.vocabulary.commits import Commit, Committed, Intent, Record, Verdict
from perdure.vocabulary.criteria import EVERYTHING
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import (
    TICKS_BEFORE_1970,
    TICKS_PER_MILLISECOND,
    entity_named,
    make_event_id,
)
from perdure.vocabulary.reading import Read

#: 2026-01-01 00:00 UTC, in ticks; every sample happens at or after it.
DAWN = TICKS_BEFORE_1970 + 1_767_225_600_000 * TICKS_PER_MILLISECOND

ANN, BEN, CAT, DAN = (entity_named("conformance", name).bytes for name in ("a", "b", "c", "d"))


class Maker:
    """Makes events; each gets an id of its own, one tick after the one before."""

    def __init__(self) -> None:
        self._ticks = count(DAWN)

    def event(
        self,
        entity: bytes = ANN,
        type: str = "noted",  # noqa: A002 - the word of the vocabulary
        data: bytes = b'{"n":1}',
        *,
        id: bytes = b"",  # noqa: A002
        domain: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: bytes = b"",
    ) -> NewEvent:
        """Make an event, of which a test names only what matters to it."""
        return NewEvent(
            type=type,
            entity=entity,
            data=data,
            id=id or id_at(next(self._ticks)),
            domain=domain,
            tags=tags,
            metadata=metadata,
        )

    def events(self, number: int, entity: bytes = ANN) -> tuple[NewEvent, ...]:
        """Make several events of one entity."""
        return tuple(self.event(entity) for _ in range(number))


def id_at(ticks: int, node: int = 1, version: int = 1) -> bytes:
    """Make an event id of UUID version 1, 6 or 7; version 7 keeps whole milliseconds only."""
    if version == 1:
        return make_event_id(ticks, 0, node)
    if version == 6:
        head = ticks >> 12 << 16 | 0x6000 | ticks & 0xFFF
    else:
        head = (ticks - TICKS_BEFORE_1970) // TICKS_PER_MILLISECOND << 16 | 0x7000
    return (head << 64 | 0b10 << 62 | node).to_bytes(16, "big")


def intent(id_: bytes, payload: bytes = b"", kind: str = "emit", due: int = 0) -> Intent:
    """Make an intent of which only its id, and perhaps its payload, kind and due time, matter."""
    return Intent(id=id_, kind=kind, target="target", ordering="ordering", payload=payload, due=due)


def as_given(intents: Iterable[Intent]) -> list[Intent]:
    """Give intents as they were before the log gave them their places."""
    return [replace(intent, place=0) for intent in intents]


def committed(verdict: Verdict) -> Committed:
    """Insist that a commit was written, and give its receipts."""
    assert isinstance(verdict, Committed), f"not written: {verdict}"
    return verdict


async def commit(log: Log, commit: Commit) -> Verdict:
    """Write one commit, and give the one verdict on it."""
    verdicts = await log.commit([commit])
    assert len(verdicts) == 1
    return verdicts[0]


async def store(log: Log, *events: NewEvent) -> Committed:
    """Write events, unconditionally, in one commit."""
    return committed(await commit(log, Commit(events=events)))


async def read(log: Log, request: Read | None = None) -> list[RecordedEvent]:
    """Read to the end, and insist that no batch was empty."""
    events: list[RecordedEvent] = []
    async for batch in log.read(request or Read()):
        assert batch, "an empty batch"
        events += batch
    return events


def ids(events: Iterable[RecordedEvent | NewEvent]) -> list[bytes]:
    """Give the ids of events."""
    return [event.id for event in events]


class Holdings(NamedTuple):
    """Everything a log shows, of the kinds that the suite writes."""

    head: int
    events: list[RecordedEvent]
    domains: list[str]
    entities: list[bytes]
    records: list[Record]
    intents: list[Intent]


async def holdings(log: Log) -> Holdings:
    """Look at everything, to compare it before and after: kinds ``model`` and ``emit``."""
    return Holdings(
        await log.head(),
        await read(log),
        await log.domains(),
        await log.entities(EVERYTHING),
        await log.records("model"),
        await log.intents("emit"),
    )
