"""Event ids and entity ids, as the sixteen bytes they are.

An *event id* is a time-based UUID (version 1, 6 or 7): the time in it is when the event happened,
and events that happened are ordered by ``(ticks, id bytes)``. An *entity id* is a UUID that is not
time-based. Both travel as ``bytes`` of length 16, because a log reads millions of them;
``uuid.UUID`` objects are made where a person or a user's function looks at one.

*Ticks* are steps of 100 ns since 1582-10-15, the epoch of RFC 9562 version 1 and 6 ids.
"""

import re
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from struct import Struct
from uuid import NAMESPACE_URL, UUID, uuid5

from perdure.vocabulary.errors import InvalidId

#: 100 ns steps between 1582-10-15 and 1970-01-01 (RFC 9562, section 5.1).
TICKS_BEFORE_1970 = 0x01B21DD213814000
TICKS_PER_SECOND = 10_000_000
TICKS_PER_MILLISECOND = 10_000
#: The last tick an event id may have (in the year 5236). Version 1 holds 60 bits; the room above is
#: for the ids that follow from it.
TICKS_MAX = (1 << 60) - (1 << 32)

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_FIELDS = Struct(">IHH").unpack_from  # time_low, time_mid, time_hi_and_version of RFC 9562
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_BASED = frozenset({1, 6, 7})
_NAMED_OR_RANDOM = frozenset({3, 4, 5, 8})
_ENTITY_NAMESPACE = uuid5(NAMESPACE_URL, "urn:perdure:entity")


def parse_id(text: str) -> bytes:
    """Read a UUID in its canonical text: 36 characters, lower case, hyphens in place.

    One spelling only, so that two texts never name one thing. Raises ``InvalidId`` otherwise.
    """
    if _CANONICAL.fullmatch(text) is None:
        raise InvalidId(f"{text[:64]!r} is not a UUID in canonical lower-case text")
    return bytes.fromhex(text.replace("-", ""))


def id_text(id_: bytes) -> str:
    """Write an id in its canonical text; the inverse of ``parse_id``."""
    digits = id_.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def id_version(id_: bytes) -> int:
    """Give the UUID version, or 0 when the id is not of the RFC 9562 variant."""
    return id_[6] >> 4 if id_[8] >> 6 == 0b10 else 0


def event_id(value: UUID | str | bytes) -> bytes:
    """Take an event id in any of its forms. Raises ``InvalidId`` unless it is time-based.

    The time in it is at most ``TICKS_MAX``: a version 7 id could hold more than any other clock.
    """
    id_ = value if type(value) is bytes and len(value) == 16 else _id_bytes(value)
    if id_version(id_) not in _TIME_BASED:
        raise InvalidId(
            f"{id_text(id_)} is not an event id: a time-based UUID (version 1, 6 or 7) is needed"
        )
    if event_ticks(id_) > TICKS_MAX:
        raise InvalidId(f"the time in event id {id_text(id_)} is beyond the year 5236")
    return id_


def entity_id(value: UUID | str | bytes) -> bytes:
    """Take an entity id in any of its forms. Raises ``InvalidId`` when it is time-based."""
    id_ = value if type(value) is bytes and len(value) == 16 else _id_bytes(value)
    if id_version(id_) not in _NAMED_OR_RANDOM:
        raise InvalidId(
            f"{id_text(id_)} is not an entity id: a UUID that is not time-based "
            "(version 4, or 5 made from a natural key) is needed"
        )
    return id_


def entity_named(kind: str, natural_key: str) -> UUID:
    """Make the entity id (version 5) that belongs to a natural key, such as an e-mail address."""
    return uuid5(_ENTITY_NAMESPACE, f"{kind}\x00{natural_key}")


def event_ticks(id_: bytes) -> int:
    """Give when an event happened, in ticks, from its time-based id."""
    low, middle, high = _FIELDS(id_)
    version = high >> 12
    if version == 1:
        return (high & 0xFFF) << 48 | middle << 32 | low  # type: ignore[no-any-return]
    number = int.from_bytes(id_[:8], "big")
    if version == 6:
        return (number >> 16 << 12) | (number & 0xFFF)
    return (number >> 16) * TICKS_PER_MILLISECOND + TICKS_BEFORE_1970


def ticks_at(moment: datetime) -> int:
    """Give the ticks of an aware ``datetime``."""
    since = moment - _EPOCH
    micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return micros * 10 + TICKS_BEFORE_1970


def ticks_of(micros: int) -> int:
    """Give the ticks of microseconds since 1970, as a clock tells them."""
    return micros * 10 + TICKS_BEFORE_1970


def micros_of(ticks: int) -> int:
    """Give the microseconds since 1970 of ticks; the 100 ns below are left out."""
    return (ticks - TICKS_BEFORE_1970) // 10


def moment_of(ticks: int) -> datetime:
    """Give the UTC time of ticks; the last digit, 100 ns, is below what ``datetime`` holds."""
    return _EPOCH + timedelta(microseconds=(ticks - TICKS_BEFORE_1970) // 10)


def make_event_id(ticks: int, clock_seq: int, node: int) -> bytes:
    """Lay out a version 1 UUID from ticks (60 bits), a clock sequence (14) and a node (48)."""
    head = (ticks & 0xFFFFFFFF) << 32 | (ticks >> 32 & 0xFFFF) << 16 | 0x1000 | ticks >> 48 & 0xFFF
    tail = (0x8000 | clock_seq & 0x3FFF) << 48 | node & 0xFFFFFFFFFFFF
    return (head << 64 | tail).to_bytes(16, "big")


def emitted_id(reactor: str, key: str, cause: bytes, index: int) -> bytes:
    """Make the id of an event that a reactor gave out: later than its cause, and always the same.

    The same reactor, key, cause and place in the list give the same id, so that giving out twice
    records once.
    """
    seed = b"\x00".join((reactor.encode(), key.encode(), cause, index.to_bytes(4, "big")))
    return _seeded_id(seed, event_ticks(cause) + 1 + index)


def decided_id(command: str, ticks: int, index: int) -> bytes:
    """Make the id of what a command gave out: its place in the list tells it from the others.

    ``ticks`` is when the first of them happened; each happened one tick after the one before.
    """
    return _seeded_id(f"{command}\x00{index}".encode(), ticks + index)


def retimed(id_: bytes, ticks: int) -> bytes:
    """Make the version 1 id that says another time than this one, and is as much its own."""
    tail = int.from_bytes(id_[8:], "big")
    return make_event_id(ticks, tail >> 48, tail)


def _seeded_id(seed: bytes, ticks: int) -> bytes:
    number = int.from_bytes(blake2b(seed, digest_size=8).digest(), "big")
    node = number & 0xFFFFFFFFFFFF | 1 << 40  # the multicast bit: no network card has this address
    return make_event_id(ticks, number >> 48, node)


def _id_bytes(value: UUID | str | bytes) -> bytes:
    if isinstance(value, UUID):
        return value.bytes
    if isinstance(value, str):
        return parse_id(value)
    if len(value) != 16:
        raise InvalidId(f"an id has 16 bytes, not {len(value)}")
    return value
