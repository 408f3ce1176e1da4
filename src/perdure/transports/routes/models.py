"""Reading models: one by its key, a domain's only one, or all of a domain.

A model is answered with the position it stands at. Its ``ETag`` says all that decides the answer: the
generation of the models (they may have been built anew), the position, and the checksum of the text. That of
an entity's state begins with its version instead: a command takes it as ``If-Match``.
"""

from typing import Final
from zlib import crc32

import msgspec

from perdure.runtime.models import ModelView
from perdure.transports.exchange import Answer, Request
from perdure.transports.parameters import (
    AFTER_KEY,
    AS_OF,
    AT,
    KEY,
    LIMIT,
    QUERY,
    READ_AFTER,
    read_integer,
)

MODEL: Final = (READ_AFTER, AS_OF, AT)
KEYED_MODEL: Final = (KEY, *MODEL)
ENTITY_MODEL: Final = (*MODEL, QUERY)
MODELS: Final = (AFTER_KEY, LIMIT, QUERY)


async def get_model(request: Request) -> Answer:
    """Give the model that a domain keeps of an entity; the initial one when nothing happened yet."""
    _, domain, key, _ = request.segments
    return answer(request, await find_model(request, domain, key))


async def get_only_model(request: Request) -> Answer:
    """Give the only model of a domain, or with ``key`` one of a domain that keeps them by a field."""
    key = request.query.one("key") or ""
    return answer(request, await find_model(request, request.segments[1], key))


async def list_models(request: Request) -> Answer:
    """Give the models of a domain, in order of key."""
    query = request.query
    models_max = request.app.settings.page_events_max
    limit = query.integer("limit", 1, models_max) or min(100, models_max)
    behind = query.one("after") or ""
    views = await request.live.models.page(
        request.segments[1], behind=behind, limit=limit + 1, query=query.one("query")
    )
    page = views[:limit]
    links = (request.link_next(after=page[-1].key),) if len(views) > limit else ()
    return Answer(200, b'{"models":[' + b",".join(map(_write, page)) + b"]}", links)


async def find_model(request: Request, domain: str, key: str) -> ModelView:
    """Read the model that is asked for: now, not older than a position, or as it once was."""
    query, models = request.query, request.live.models
    as_of, at = query.integer("as_of"), query.moment("at")
    after, of_state = _after(request), query.one("query")
    if as_of is not None or at is not None:
        return await models.as_of(domain, key, position=as_of, at=at, query=of_state)
    wait = request.app.settings.wait_seconds_max
    return await models.read(domain, key, after=after, wait_seconds=wait, query=of_state)


def answer(request: Request, view: ModelView, *, bare: bool = False) -> Answer:
    """Answer with a model, unless the client holds it already; ``bare`` without its surroundings."""
    etag = b'"%b-%08x"' % (_stand(view), crc32(view.json))
    headers = ((b"etag", etag), (b"perdure-position", b"%d" % view.position))
    if request.has_already(etag):
        return Answer(304, b"", headers)
    return Answer(200, view.json if bare else _write(view), headers)


def _write(view: ModelView) -> bytes:
    key = b',"key":' + msgspec.json.encode(view.key) if view.key else b""
    version = b"" if view.version is None else b',"version":%d' % view.version
    return b'{"model":%b,"position":%d%b%b}' % (view.json, view.position, key, version)


def _stand(view: ModelView) -> bytes:
    if view.version is not None:
        return b"%d" % view.version
    return b"%d-%d" % (view.generation, view.position)


def _after(request: Request) -> int:
    """Give the position that the model must have reached: the later of header and parameter."""
    token = request.headers.get(b"perdure-after")
    given = 0 if token is None else read_integer(token.decode("latin-1"), "Perdure-After")
    return max(given, request.query.integer("after") or 0)
