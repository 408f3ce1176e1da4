"""The paths of the production Perhap, for clients that speak them: aliases, with its bare answers.

Only the path that records names a context. The others ask the contexts in the order in which they were
declared, and answer from the first that knows what is asked for; with one context there is no question.
"""

from zlib import crc32

import msgspec

from perdure.transports.exchange import Answer, Request
from perdure.transports.routes.append import record
from perdure.transports.routes.events import (
    answer_event,
    limit_of,
    links_of,
    listing,
    make_read,
    take_page,
)
from perdure.transports.routes.models import answer, find_model
from perdure.vocabulary.errors import EventNotFound, ModelNotFound
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import entity_id, event_id, id_text


async def ping(request: Request) -> Answer:
    """Say that the server is there."""
    return _summed(Answer(200, b'{"status":"OK"}'))


async def post_event(request: Request) -> Answer:
    """Record an event under its id, and under a domain."""
    context, domain, entity, type_, id_ = request.segments[2:]
    request.enter(context)
    return await record(request, type_, entity, id_, domain)


async def get_event(request: Request) -> Answer:
    """Give one event by its id."""
    id_ = event_id(request.segments[2])
    for name in request.app.contexts:
        if await request.enter(name).log.events([id_]):
            return _summed(await answer_event(request, id_))
    raise EventNotFound(f"no event {id_text(id_)}")


async def list_ids(request: Request) -> Answer:
    """Give the ids of the events of an entity in a domain, by the time they happened."""
    _, _, domain, text = request.segments
    entity = entity_id(text)
    for name in request.app.contexts:
        live = request.enter(name)
        selected = msgspec.structs.replace(listing(request, domain), entities=(entity,))
        read = await make_read(request, selected, "happened")
        page = await take_page(live, read, limit_of(request), _write_id)
        if page.parts:
            body = b"[" + b",".join(page.parts) + b"]"
            return _summed(Answer(200, body, links_of(request, read, page)))
    raise EventNotFound(f"no event of entity {text} in domain {domain!r}")


async def get_model(request: Request) -> Answer:
    """Give the model that a domain keeps of an entity, bare; it is not found before its first event."""
    _, _, domain, key = request.segments
    for name in request.app.contexts:
        if domain in request.enter(name).definition.models:
            view = await find_model(request, domain, key)
            if view.position:
                return _summed(answer(request, view, bare=True))
    raise ModelNotFound(f"no model of {key} under {domain!r}")


def _summed(given: Answer) -> Answer:
    """Add the checksum under the name that the production Perhap gave it."""
    checksum = (b"x-bigsquid-crc32", b"%d" % crc32(given.body))
    return msgspec.structs.replace(given, headers=(*given.headers, checksum))


def _write_id(event: RecordedEvent) -> bytes:
    return b'"%b"' % id_text(event.id).encode()
