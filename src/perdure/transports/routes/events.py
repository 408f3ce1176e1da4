"""Reading events: one, an entity's, a domain's, a context's; as a page, as lines, or live.

A listing has the same parameters everywhere. A page by position needs no pin, for what lies at or below a
position never changes. A page by happened does: a late event may fall into a page that was read already, so
its links carry the position up to which the whole listing is read (``upto``).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from perdure.runtime.live import LiveContext
from perdure.transports.event_json import write_event
from perdure.transports.exchange import EVENT_STREAM, JSON, NDJSON, Answer, Request, Stream
from perdure.transports.parameters import (
    AFTER,
    AFTER_ENTITY,
    FOLLOWING,
    LIMIT,
    ORDER,
    TAG,
    TYPE,
    UPTO,
    read_integer,
)
from perdure.transports.problems import Headers
from perdure.transports.streams import closing, follow, write_lines
from perdure.vocabulary.criteria import EVERYTHING, Criteria
from perdure.vocabulary.errors import EventNotFound, InvalidInput
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import entity_id, event_id, id_text, id_version, parse_id
from perdure.vocabulary.names import check_name, check_tag
from perdure.vocabulary.reading import Order, Read

#: A page is full with so many bytes, also when it could hold more events.
PAGE_BYTES_MAX: Final = 8 * 1024 * 1024
KEYS: Final = (AFTER_ENTITY, LIMIT)
LISTING: Final = (FOLLOWING, AFTER, UPTO, TYPE, TAG, LIMIT, ORDER)

_IMMUTABLE = b"private, max-age=31536000, immutable"
_VARIES = (b"vary", b"accept")
_TIME_BASED: Final = frozenset({1, 6, 7})
_ORDERS: Final = ("recorded", "happened")
#: Selects nothing, for no event has this type; no types at all would select everything.
_NO_TYPE = ("",)


async def get_event(request: Request) -> Answer:
    """Give one event by its id."""
    return await answer_event(request, event_id(request.segments[1]))


async def get_domain_member(request: Request) -> Answer | Stream:
    """Give one event of a domain, or the events of one entity in it: the kind of the id decides."""
    _, domain, text = request.segments
    criteria = listing(request, domain)
    id_ = parse_id(text)
    if id_version(id_) in _TIME_BASED:
        return await answer_event(request, id_, domain)
    selected = msgspec.structs.replace(criteria, entities=(entity_id(id_),))
    return await _list(request, selected, "happened")


async def list_entity(request: Request) -> Answer | Stream:
    """Give the events of an entity, of all domains, by the time they happened."""
    entity = entity_id(request.segments[1])
    return await _list(request, Criteria(entities=(entity,)), "happened")


async def list_domain(request: Request) -> Answer | Stream:
    """Give the events of a domain, in the order they were recorded."""
    return await _list(request, listing(request, request.segments[1]), "recorded")


async def list_context(request: Request) -> Answer | Stream:
    """Give the events of the context, in the order they were recorded."""
    return await _list(request, EVERYTHING, "recorded")


async def list_domains(request: Request) -> Answer:
    """Give the names of the domains of the context."""
    return Answer(200, msgspec.json.encode(await request.live.domains()))


async def list_entities(request: Request) -> Answer:
    """Give the ids of the entities of a domain, in order."""
    query = request.query
    after = query.one("after")
    limit = limit_of(request)
    entities = await request.live.entities(
        listing(request, request.segments[1]),
        after=b"" if after is None else parse_id(after),
        limit=limit + 1,
    )
    page = [id_text(entity) for entity in entities[:limit]]
    has_more = len(entities) > limit
    links = (request.link_next(after=page[-1]),) if has_more else ()
    return Answer(200, msgspec.json.encode(page), links)


async def answer_event(request: Request, id_: bytes, domain: str = "") -> Answer:
    """Answer with an event; of a domain, when it carries its name or is listed there."""
    event = await request.live.event(id_)
    if domain not in {"", event.domain} and not listing(request, domain).matches(event):
        raise EventNotFound(f"event {id_text(id_)} belongs to another domain than {domain!r}")
    etag = b'"%b"' % id_text(id_).encode()
    headers = ((b"etag", etag),)
    if request.has_already(etag):
        return Answer(304, b"", headers, cache=_IMMUTABLE)
    return Answer(200, write_event(event), headers, cache=_IMMUTABLE)


def listing(request: Request, domain: str) -> Criteria:
    """Select what a domain lists. Raises ``InvalidName`` for what cannot be one."""
    return request.live.listing(check_name(domain, "domain"))


async def _list(request: Request, criteria: Criteria, order: Order) -> Answer | Stream:
    form = request.accepts(JSON, NDJSON, EVENT_STREAM)
    selected = _narrow(criteria, request)
    if form == EVENT_STREAM:
        return await _follow(request, selected)
    read = await make_read(request, selected, order)
    headers = (_VARIES, (b"perdure-position", b"%d" % (read.upto or 0)))
    if form == NDJSON:
        limited = msgspec.structs.replace(read, limit=request.query.integer("limit", 1))
        return Stream(NDJSON, write_lines(request.live, limited), headers)
    page = await take_page(request.live, read, limit_of(request), write_event)
    body = b'{"events":[' + b",".join(page.parts) + b"]}"
    return Answer(200, body, (*headers, *links_of(request, read, page)))


def _narrow(criteria: Criteria, request: Request) -> Criteria:
    """Narrow a selection by the types and tags that are asked for."""
    types = tuple(check_name(name, "event type") for name in request.query.many("type"))
    tags = tuple(check_tag(tag) for tag in request.query.many("tag"))
    if types and criteria.types:
        types = tuple(name for name in types if name in criteria.types) or _NO_TYPE
    return msgspec.structs.replace(criteria, types=types or criteria.types, tags=tags)


async def make_read(request: Request, criteria: Criteria, order: Order) -> Read:
    """Make the read that the parameters ask for, up to where the log is now."""
    query = request.query
    head, upto = await request.live.head(), query.integer("upto")
    read = Read(
        criteria=criteria,
        order="happened" if (query.choice("order", _ORDERS) or order) == "happened" else "recorded",
        after=query.integer("after") or 0,
        upto=head if upto is None else min(upto, head),
    )
    return await _behind(request, read)


async def _behind(request: Request, read: Read) -> Read:
    """Begin a read behind the event that the client knows: later in the order of reading."""
    text = request.query.one("following")
    if text is None:
        return read
    event = await request.live.event(event_id(text))
    if read.order == "happened":
        return msgspec.structs.replace(read, following=event.id)
    return msgspec.structs.replace(read, after=max(read.after, event.position))


async def _follow(request: Request, criteria: Criteria) -> Stream:
    query = request.query
    for name in ("limit", "upto"):
        if query.one(name) is not None:
            raise InvalidInput(f"{name}: a live stream has no end", name)
    if query.choice("order", _ORDERS) == "happened":
        raise InvalidInput("order: a live stream is in the order of recording", "order")
    after = query.integer("after") or 0
    last = request.headers.get(b"last-event-id")
    if last is not None:
        after = read_integer(last.decode("latin-1"), "Last-Event-ID")
    read = await _behind(request, Read(criteria=criteria, after=after))
    return follow(request.live, read, request.app.settings.heartbeat_seconds)


class Page(msgspec.Struct, frozen=True):
    """Some events, written; ``last`` is the last of them when more are to come."""

    parts: list[bytes]
    last: RecordedEvent | None = None


async def take_page(
    live: LiveContext, read: Read, limit: int, write: Callable[[RecordedEvent], bytes]
) -> Page:
    """Take a page of a read: up to ``limit`` events, and about ``PAGE_BYTES_MAX`` bytes."""
    parts: list[bytes] = []
    size, last = 0, None
    async with closing(live.read(msgspec.structs.replace(read, limit=limit + 1))) as batches:
        async for events in batches:
            for event in events:
                if len(parts) == limit or size > PAGE_BYTES_MAX:
                    return Page(parts, last)
                parts.append(write(event))
                size, last = size + len(parts[-1]), event
    return Page(parts)


def links_of(request: Request, read: Read, page: Page) -> Headers:
    """Link to the page behind this one, when there is one."""
    last = page.last
    if last is None:
        return ()
    if read.order == "happened":
        return (request.link_next(following=id_text(last.id), upto=read.upto),)
    return (request.link_next(after=last.position, following=None),)


def limit_of(request: Request) -> int:
    """Give how many events a page may have."""
    events_max = request.app.settings.page_events_max
    return request.query.integer("limit", 1, events_max) or events_max
