"""An event, a record, an intent as a row, and the checksum by which a damaged row is known.

One rule: nothing is given out of a row before its checksum was compared. The checksum of an event is over
its content with every number of the dictionaries resolved to what it stands for, so a row that was read by
way of a damaged index or dictionary is found out too.
"""

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple
from zlib import crc32

import apsw
import msgspec

from perdure.engines.sqlite.connection import fetch
from perdure.engines.sqlite.settings import SqliteSettings
from perdure.vocabulary.commits import Intent, Record
from perdure.vocabulary.errors import Corrupt
from perdure.vocabulary.events import RecordedEvent

#: What ``Decoder`` needs of a row, in its order; ``e`` is the event, ``n`` its entity.
COLUMNS = (
    "e.position, e.version, e.ticks, e.recorded_at, e.type, e.domain, n.id, e.id, "
    "CAST(e.tags AS BLOB), e.data, e.metadata, e.checksum"
)
#: What ``read_record`` and ``read_intent`` need. Text is read as bytes: damaged, it may be no text at all.
RECORD_COLUMNS = "CAST(kind AS BLOB), CAST(key AS BLOB), value, revision, checksum"
INTENT_COLUMNS = (
    "id, CAST(kind AS BLOB), CAST(target AS BLOB), CAST(ordering AS BLOB), payload, due, checksum, "
    "seq"
)
EventRow = tuple[Any, ...]

_pack_event = Struct(">qqqqIII").pack
_pack_label = Struct(">II").pack
_pack_record = Struct(">II").pack
_pack_intent = Struct(">qIIII").pack
_encode_tags = msgspec.json.Encoder().encode
_decode_tags = msgspec.json.Decoder(tuple[str, ...]).decode

#: Length of a link of the chain.
CHAIN_BYTES = 16
#: Added to a record's checksum once for each revision: SQL can keep it up without reading the row.
REVISION_STEP = 0x9E3779B1
#: Labels kept in memory; there are as many as pairs of type and domain.
_LABELS_MAX = 10_000

#: What goes wrong when a row is not even of the form that was written.
_MALFORMED = (StructError, TypeError, ValueError, AttributeError, OverflowError)


class Label(NamedTuple):
    """The type and domain of an event, and how they stand in its content."""

    type: str
    domain: str | None
    content: bytes


def label(type_: str, domain: str | None) -> Label:
    """Make the label of a type and a domain."""
    first, second = type_.encode(), b"" if domain is None else domain.encode()
    lengths = _pack_label(len(first), 0 if domain is None else len(second) + 1)
    return Label(type_, domain, b"".join((lengths, first, second)))


def event_content(
    position: int,
    version: int,
    ticks: int,
    recorded_at: int,
    label_content: bytes,
    entity: bytes,
    id_: bytes,
    tags: bytes,
    data: bytes,
    metadata: bytes,
) -> bytes:
    """Lay out everything an event is, unambiguously: what its checksum and the chain are over."""
    head = _pack_event(position, version, ticks, recorded_at, len(tags), len(data), len(metadata))
    return b"".join((head, id_, entity, label_content, tags, data, metadata))


def write_tags(tags: tuple[str, ...]) -> bytes:
    """Write tags as they are stored: a JSON array."""
    return _encode_tags(tags)


def read_tags(text: bytes | None) -> tuple[str, ...]:
    """Read tags as they are stored."""
    return _decode_tags(text) if text else ()


def record_checksum(kind: str, key: str, value: bytes) -> int:
    """Give the checksum of a record at revision 1."""
    first, second = kind.encode(), key.encode()
    content = b"".join((_pack_record(len(first), len(second)), first, second, value))
    return crc32(content) + REVISION_STEP


def intent_checksum(intent: Intent) -> int:
    """Give the checksum of an intent, wherever its place is."""
    texts = [text.encode() for text in (intent.kind, intent.target, intent.ordering)]
    lengths = _pack_intent(intent.due, *map(len, texts), len(intent.id))
    return crc32(b"".join((lengths, *texts, intent.id, intent.payload)))


def read_record(row: EventRow) -> Record:
    """Make a record of a row of ``RECORD_COLUMNS``, or raise ``Corrupt``."""
    raw_kind, raw_key, value, revision, checksum = row
    try:
        kind, key = raw_kind.decode(), raw_key.decode()
        expected = record_checksum(kind, key, value) + (revision - 1) * REVISION_STEP
        if checksum == expected:
            return Record(kind, key, value, revision)
    except _MALFORMED:
        pass
    raise Corrupt(
        f"the record {raw_kind!r} {raw_key!r} is damaged; write it anew, or restore a copy"
    )


def read_intent(row: EventRow) -> Intent:
    """Make an intent of a row of ``INTENT_COLUMNS``, or raise ``Corrupt``."""
    id_, raw_kind, raw_target, raw_ordering, payload, due, checksum, place = row
    try:
        intent = Intent(
            id=id_,
            kind=raw_kind.decode(),
            target=raw_target.decode(),
            ordering=raw_ordering.decode(),
            payload=payload,
            due=due,
            place=place,
        )
        if checksum == intent_checksum(intent):
            return intent
    except _MALFORMED:
        pass
    raise Corrupt(f"the intent {id_!r} of kind {raw_kind!r} is damaged; restore a copy")


class Decoder:
    """Makes events of rows. Shared by all readers of a log: what it keeps never changes."""

    def __init__(self, settings: SqliteSettings) -> None:
        self.settings = settings
        self._labels: dict[tuple[int, int | None], Label] = {}

    def decode(
        self,
        connection: apsw.Connection,
        rows: Iterable[EventRow],
        events: list[RecordedEvent],
        bytes_max: int,
    ) -> bool:
        """Add the events of rows to a list, up to some size, and tell whether all of them went in.

        Raises ``Corrupt`` at the first damaged one; those before it are in the list then.
        """
        labels, room = self._labels, bytes_max
        row: EventRow = ()
        try:
            for row in rows:
                (position, version, ticks, recorded_at, type_, domain, entity, id_,
                 tags, data, metadata, checksum) = row  # fmt: skip
                named = labels.get((type_, domain)) or self._label(connection, type_, domain)
                raw_tags = tags or b""
                content = event_content(
                    position, version, ticks, recorded_at, named.content, entity, id_,
                    raw_tags, data, metadata or b"",
                )  # fmt: skip
                if crc32(content) != checksum:
                    raise _damaged(row)
                events.append(
                    RecordedEvent(
                        position=position,
                        version=version,
                        ticks=ticks,
                        recorded_at=recorded_at,
                        type=named.type,
                        entity=entity,
                        id=id_,
                        data=data,
                        domain=named.domain,
                        tags=_decode_tags(raw_tags) if raw_tags else (),
                        metadata=metadata or b"",
                    )
                )
                room -= len(content)
                if room < 0:
                    return False
        except _MALFORMED as error:
            raise _damaged(row) from error
        return True

    def content(self, connection: apsw.Connection, row: EventRow) -> bytes | None:
        """Give the content of a row of ``COLUMNS``, or ``None`` when it is damaged."""
        (position, version, ticks, recorded_at, type_, domain, entity, id_,
         tags, data, metadata, checksum) = row  # fmt: skip
        try:
            content = event_content(
                position, version, ticks, recorded_at,
                self._label(connection, type_, domain).content, entity, id_,
                tags or b"", data, metadata or b"",
            )  # fmt: skip
        except _MALFORMED:
            return None
        return content if crc32(content) == checksum else None

    def _label(self, connection: apsw.Connection, type_: int, domain: int | None) -> Label:
        known = self._labels.get((type_, domain))
        if known is not None:
            return known
        sql = "SELECT no, CAST(name AS BLOB) FROM perdure_names WHERE no IN (?, ?)"
        found = fetch(connection, sql, (type_, domain))
        names = {no: name.decode(errors="replace") for no, name in found}
        if len(self._labels) >= _LABELS_MAX:
            self._labels.clear()
        # a name that is gone or damaged becomes one that no checksum fits
        made = label(names.get(type_, ""), None if domain is None else names.get(domain, ""))
        self._labels[type_, domain] = made
        return made


def _damaged(row: EventRow) -> Corrupt:
    position = row[0] if row and isinstance(row[0], int) else 0
    return Corrupt(
        f"the event at position {position} is damaged; it is not served. Restore it from a copy",
        position,
    )
