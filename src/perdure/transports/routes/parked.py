"""Parked keys: which stand still and why; trying one again, or leaving its event out for ever.

What is asked here is durable when it is answered; the server that works the reactor follows it within a
second. An id names a key as it stands at one event: where the key has gone on, the id leads nowhere.
"""

from typing import Annotated, Final
from uuid import UUID

import msgspec

from perdure.runtime.parked import ParkedView
from perdure.transports.batches import Envelope
from perdure.transports.exchange import Answer, Request
from perdure.transports.parameters import AFTER_PARKED, LIMIT
from perdure.vocabulary.ids import parse_id

PARKED: Final = (AFTER_PARKED, LIMIT)
_BODY_BYTES_MAX: Final = 16 * 1024

_Text = Annotated[str, msgspec.Meta(max_length=1000)]


class Discard(msgspec.Struct, forbid_unknown_fields=True):
    """Who discards an event, and why."""

    by: _Text | msgspec.UnsetType = msgspec.UNSET
    why: _Text | msgspec.UnsetType = msgspec.UNSET


class Release(Discard, forbid_unknown_fields=True):
    """Who lets a key be tried again; ``hung``: although its function did not return."""

    hung: bool | msgspec.UnsetType = msgspec.UNSET


_discard, _release = Envelope(Discard), Envelope(Release)


async def list_parked(request: Request) -> Answer:
    """Give the keys that stand still, in order of reactor and key; without their tracebacks."""
    query, parked = request.query, request.live.parked
    limit = query.integer("limit", 1, request.app.settings.page_events_max) or 100
    found = await parked.page(after=query.one("after") or "", limit=limit + 1)
    page = found[:limit]
    links = (request.link_next(after=page[-1][0]),) if len(found) > limit else ()
    views = [msgspec.structs.replace(view, traceback="") for _, view in page]
    return Answer(200, msgspec.json.encode({"parked": views}), links)


async def get_parked(request: Request) -> Answer:
    """Give one key that stands still, whole."""
    return _answer(await _find(request))


async def release(request: Request) -> Answer:
    """Have a parked key tried again, with all that waits behind it, in order."""
    asked = _release.open(await request.body_or_nothing(_BODY_BYTES_MAX))
    parked = await _find(request)
    hung = asked.hung is True
    await request.live.parked.release(parked, hung=hung, by=asked.by or "", why=asked.why or "")
    return _answer(msgspec.structs.replace(parked, asked="release"))


async def discard(request: Request) -> Answer:
    """Leave the event out that a key stands at, for this key and for ever."""
    asked = _discard.open(await request.body_or_nothing(_BODY_BYTES_MAX))
    parked = await _find(request)
    await request.live.parked.discard(parked, by=asked.by or "", why=asked.why or "")
    return _answer(msgspec.structs.replace(parked, asked="discard"))


async def _find(request: Request) -> ParkedView:
    return await request.live.parked.find(UUID(bytes=parse_id(request.segments[2])))


def _answer(parked: ParkedView) -> Answer:
    return Answer(200, msgspec.json.encode(parked))
