"""Recording events: Perhap's form, perhap-poc's form, batches.

The first is on the path of every event, so it makes nothing that it does not need.

An event in Perhap's form is its own request key: asked again under the same event id, it gets its first
receipt. Where the server makes the ids, ``Idempotency-Key`` does the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from perdure.runtime.requests import append_once
from perdure.transports.batches import (
    Batch,
    BatchEvent,
    Condition,
    Envelope,
    Wrapped,
    expected_versions,
    guard_of,
    new_events,
    read_lines,
)
from perdure.transports.exchange import JSON, NDJSON, Answer, Request
from perdure.transports.problems import Headers
from perdure.vocabulary.commits import Committed, Guard
from perdure.vocabulary.errors import (
    InvalidData,
    InvalidId,
    InvalidInput,
    LimitExceeded,
    TooLarge,
)
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import entity_id, id_text, parse_id
from perdure.vocabulary.jsontext import DATA_BYTES_MAX

#: What a payload's wrapper may take besides it.
_WRAPPER_BYTES_MAX = 1024
#: The words of perhap-poc, kept; and what follows them, for who meant the other form.
_BAD_ARGUMENT = (
    "Bad argument. Publish expects POST /[realm]/[domain]/[entity's v4 UUID]/[event_type] "
    "with a json element 'event'; or, to name the event yourself, "
    "POST /[context]/[event_type]/[entity's v4 UUID]/[event's v1 UUID] with the data alone"
)

_wrapped = Envelope(Wrapped)
_batch = Envelope(Batch)


async def post_event(request: Request) -> Answer:
    """Record an event under the id that the client made when it happened; the body is its data."""
    _, type_, entity, id_ = request.segments
    return await record(request, type_, entity, id_)


async def record(
    request: Request, type_: str, entity: str, id_: str, domain: str | None = None
) -> Answer:
    """Record the event that the path names; the body is its data."""
    request.content_type(JSON)
    event = NewEvent(
        type=type_,
        entity=parse_id(entity),
        id=parse_id(id_),
        domain=domain,
        data=await request.body(DATA_BYTES_MAX),
        metadata=request.metadata(),
    )
    request.is_at_stake = True
    committed, _ = await request.live.append((event,))
    return Answer(204, b"", _receipt(request, committed.receipts[0].position))


async def publish_event(request: Request) -> Answer:
    """Record an event under an id that the server makes; the body is ``{"event": data}``."""
    _, domain, entity, type_ = request.segments
    request.content_type(JSON)
    body = await request.body(DATA_BYTES_MAX + _WRAPPER_BYTES_MAX)
    key, metadata = request.request_key(), request.metadata()
    with _explained_as_before():
        data = bytes(_wrapped.open(body).event)
        entity_bytes = entity_id(entity)
    event = NewEvent(type=type_, entity=entity_bytes, domain=domain, data=data, metadata=metadata)
    with _placed("", "/event"):
        committed, (named,) = await _append(request, key and f"publish:{key}", [event])
    position = committed.receipts[0].position
    answer = {"event_id": id_text(named.id), "position": position}
    return Answer(200, msgspec.json.encode(answer), _receipt(request, position))


async def post_batch(request: Request) -> Answer:
    """Record a batch of events, all or none, on condition of the versions and events it names."""
    batch, guards, place = await _read_batch(request)
    if not batch:
        raise InvalidInput("the batch holds no event")
    key, metadata = request.request_key(), request.metadata()
    with _placed(place, "/data"):
        events = new_events(batch, metadata)
        committed, named = await _append(request, key and f"batch:{key}", events, guards)
    receipts = committed.receipts
    position = max(receipt.position for receipt in receipts)
    answer = {
        "events": [
            {
                "event_id": id_text(event.id),
                "position": receipt.position,
                "version": receipt.version,
            }
            for event, receipt in zip(named, receipts, strict=True)
        ],
        "position": position,
    }
    return Answer(200, msgspec.json.encode(answer), _receipt(request, position))


async def _read_batch(request: Request) -> tuple[Sequence[BatchEvent], list[Guard], str]:
    """Read the body: its events, its guards, and the pointer to its events (none for lines)."""
    settings = request.app.settings
    if request.content_type(JSON, NDJSON) == NDJSON:
        parts = request.body_parts(settings.body_bytes_max)
        lines = await read_lines(parts, settings.batch_events_max)
        return lines, expected_versions(lines), ""
    read = _batch.open(await request.body(settings.body_bytes_max))
    events_max = settings.batch_events_max
    if len(read.events) > events_max:
        raise TooLarge(f"a batch may have {events_max} events, not {len(read.events)}", "/events")
    guards = expected_versions(read.events)
    if isinstance(read.condition, Condition):
        guards.append(guard_of(read.condition))
    return read.events, guards, "/events"


async def _append(
    request: Request, key: str | None, events: Sequence[NewEvent], guards: Sequence[Guard] = ()
) -> tuple[Committed, tuple[NewEvent, ...]]:
    request.is_at_stake = True
    if key is None:
        return await request.live.append(events, guards=guards)
    return await append_once(request.live, key, events, guards=guards)


def _receipt(request: Request, position: int) -> Headers:
    return (
        (b"perdure-position", b"%d" % position),
        (b"perdure-durability", request.site.durability),
    )


@contextmanager
def _explained_as_before() -> Iterator[None]:
    """Say in the words of perhap-poc what is wrong with the entity, or with the wrapper."""
    try:
        yield
    except (InvalidData, LimitExceeded):
        raise
    except InvalidId as fault:
        raise InvalidId(f"{_BAD_ARGUMENT} ({fault})") from None
    except InvalidInput as fault:
        raise InvalidInput(f"{_BAD_ARGUMENT} ({fault})", fault.where) from None


@contextmanager
def _placed(events_at: str, data_at: str) -> Iterator[None]:
    """Say where in the body a fault is, when it is known only where in the event, or its data."""
    try:
        yield
    except InvalidInput as fault:
        if isinstance(fault, InvalidData | LimitExceeded):
            fault.where = data_at + fault.where
        elif fault.where:
            fault.where = "/" + fault.where.lstrip("/")
        if events_at:
            fault.where = f"{events_at}/{fault.index or 0}{fault.where}"
        raise
