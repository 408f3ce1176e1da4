"""Request keys: what is asked again under the same key is answered as it was the first time.

The first outcome under a key stays for ever. It is a record in the commit of the events themselves, and it
names them: so asking twice at once, or again after a restart, finds the very events of the first time, with
the ids that the server made then. What is refused is no outcome, and may be asked again under its key.
"""

from collections.abc import Sequence

from perdure.runtime.live import LiveContext
from perdure.vocabulary.commits import Committed, Guard, Put, Receipt, RecordAt
from perdure.vocabulary.errors import Corrupt, RecordMoved, RequestKeyReused
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.jsontext import read_object, same_json

KIND = "request"


async def append_once(
    live: LiveContext, key: str, events: Sequence[NewEvent], *, guards: Sequence[Guard] = ()
) -> tuple[Committed, tuple[NewEvent, ...]]:
    """Record events under a request key, or give the outcome that stands under it already.

    Like ``LiveContext.append``; raises ``RequestKeyReused`` besides, when other events stand there.
    """
    if outcome := await _first_outcome(live, key, events):
        return outcome
    try:
        return await live.append(
            events,
            guards=(*guards, RecordAt(KIND, key, 0)),
            beside=lambda named: (Put(KIND, key, b"".join(event.id for event in named)),),
        )
    except RecordMoved:  # another request under this key was faster
        outcome = await _first_outcome(live, key, events)
        if outcome is None:
            raise
        return outcome


async def _first_outcome(
    live: LiveContext, key: str, events: Sequence[NewEvent]
) -> tuple[Committed, tuple[NewEvent, ...]] | None:
    record = await live.log.record(KIND, key)
    if record is None:
        return None
    ids = [record.value[at : at + 16] for at in range(0, len(record.value), 16)]
    stored = {event.id: event for event in await live.log.events(ids)}
    if len(stored) != len(set(ids)):
        raise Corrupt(f"request key {key!r} names events that are not stored")
    firsts = [stored[id_] for id_ in ids]
    if len(events) != len(firsts) or not all(map(_is_same, events, firsts)):
        raise RequestKeyReused(key)
    receipts = tuple(Receipt(event.position, event.version) for event in firsts)
    position = max(receipt.position for receipt in receipts)
    return Committed(receipts, position, repeated=True), tuple(map(_as_asked, events, firsts))


def _is_same(asked: NewEvent, stored: RecordedEvent) -> bool:
    """Tell whether what is asked is what was asked; the id may be one that the server made."""
    return (
        asked.type == stored.type
        and asked.entity == stored.entity
        and asked.domain == stored.domain
        and asked.tags == stored.tags
        and asked.id in {b"", stored.id}
        and same_json(read_object(asked.data)[1], stored.data)
    )


def _as_asked(asked: NewEvent, stored: RecordedEvent) -> NewEvent:
    return NewEvent(
        type=asked.type, entity=asked.entity, data=stored.data, id=stored.id,
        domain=asked.domain, tags=asked.tags,
    )  # fmt: skip
