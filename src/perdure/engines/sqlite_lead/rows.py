"""What a row holds, and how damage shows.

The checksum of an event covers what the row *means*: its numbers, its ids, and the names that its
dictionary numbers stand for. So damage in a dictionary shows as well. It is compared at every read.
"""

from collections.abc import Mapping
from hashlib import blake2b
from struct import Struct
from typing import Any
from zlib import crc32

import msgspec

from perdure.vocabulary.errors import Corrupt
from perdure.vocabulary.events import NewEvent, RecordedEvent

_NUMBERS = Struct(">qqqq").pack
_CHAIN_BYTES = 16

#: The columns of a whole event, in the order that ``read_event`` takes them.
EVENT_COLUMNS = (
    "e.position, e.version, e.ticks, e.recorded_at, e.type, n.id, e.id, e.data, e.domain, e.tags, "
    "e.metadata, e.checksum"
)
EVENT_TABLES = "events e JOIN entities n ON n.no = e.entity"


def event_checksum(
    position: int,
    version: int,
    ticks: int,
    recorded_at: int,
    type_: str,
    entity: bytes,
    id_: bytes,
    data: bytes,
    domain: str | None,
    tags: str | None,
    metadata: bytes | None,
) -> int:
    """Compute the checksum of an event from what its row means."""
    head = _NUMBERS(position, version, ticks, recorded_at) + entity + id_ + type_.encode()
    sum_ = crc32(data, crc32(head))
    if domain is not None:
        sum_ = crc32(b"\x01" + domain.encode(), sum_)
    if tags is not None:
        sum_ = crc32(b"\x02" + tags.encode(), sum_)
    if metadata is not None:
        sum_ = crc32(b"\x03" + metadata, sum_)
    return sum_


def read_event(row: tuple[Any, ...], names: Mapping[int, str]) -> RecordedEvent:
    """Make an event of a row of ``EVENT_COLUMNS``. Raises ``Corrupt`` when it is damaged."""
    (
        position,
        version,
        ticks,
        recorded_at,
        type_no,
        entity,
        id_,
        data,
        domain_no,
        tags,
        meta,
        sum_,
    ) = row
    type_, domain = "", None
    try:
        type_ = names[type_no]
        domain = None if domain_no is None else names[domain_no]
        good = sum_ == event_checksum(
            position, version, ticks, recorded_at, type_, entity, id_, data, domain, tags, meta
        )
    except (KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise Corrupt(f"the event at position {position} is damaged; it is not served", position)
    return RecordedEvent(
        position=position,
        version=version,
        ticks=ticks,
        recorded_at=recorded_at,
        type=type_,
        entity=entity,
        id=id_,
        data=data,
        domain=domain,
        tags=() if tags is None else read_tags(tags),
        metadata=meta or b"",
    )


def write_tags(event: NewEvent) -> str | None:
    """Write tags as they stand in a row."""
    return msgspec.json.encode(event.tags).decode() if event.tags else None


def read_tags(tags: str) -> tuple[str, ...]:
    """Read the tags of a row."""
    return msgspec.json.decode(tags, type=tuple[str, ...])


def value_checksum(*parts: bytes | str | int) -> int:
    """Compute the checksum of a record or an intent."""
    sum_ = 0
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        sum_ = crc32(b"\x00" + data, sum_)
    return sum_


class Chain:
    """The running digest over all rows, closed at the last row of each transaction."""

    def __init__(self, before: bytes) -> None:
        self._digest = blake2b(before, digest_size=_CHAIN_BYTES)

    def add(self, id_: bytes, checksum: int) -> None:
        """Take a row in."""
        self._digest.update(id_ + checksum.to_bytes(4, "big"))

    def close(self) -> bytes:
        """Give the digest for the last row of the transaction."""
        return self._digest.digest()
