"""Events as JSON: the payload goes out as the bytes it is stored as, never parsed.

Times are RFC 3339 in UTC with microseconds; the 100 ns below them are in the event id.
"""

from functools import lru_cache

import msgspec

from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import TICKS_BEFORE_1970, id_text, moment_of

_encode = msgspec.json.Encoder().encode


def write_event(event: RecordedEvent) -> bytes:
    """Write an event as one line of JSON."""
    # Names and ids are plain ASCII, so they need no escapes.
    domain = "null" if event.domain is None else f'"{event.domain}"'
    head = (
        f'{{"event_id":"{id_text(event.id)}","type":"{event.type}","domain":{domain},'
        f'"entity_id":"{id_text(event.entity)}","data":'
    )
    tail = (
        f',"position":{event.position},"version":{event.version},'
        f'"happened_at":"{_time((event.ticks - TICKS_BEFORE_1970) // 10)}",'
        f'"recorded_at":"{_time(event.recorded_at)}","metadata":'
    )
    tags = _encode(event.tags) if event.tags else b"[]"
    return b"".join(
        (head.encode(), event.data, b',"tags":', tags, tail.encode(), event.metadata or b"{}", b"}")
    )


def _time(micros: int) -> str:
    """Write microseconds since 1970."""
    return f"{_second(micros // 1_000_000)}.{micros % 1_000_000:06d}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return moment_of(seconds * 10_000_000 + TICKS_BEFORE_1970).isoformat()[:19]
