"""An event as a line of JSON: what export writes, and import reads.

One rule: reading is the inverse of writing. A line that was exported is read without loss, under the
same strictness as any other input; a line from elsewhere needs ``event_id``, ``type``, ``entity_id`` and
``data``, and may have ``domain``, ``tags`` and ``metadata``. Places and times of storing are given anew.
"""

from typing import Any

import msgspec

from perdure.core.definition import Definition
from perdure.transports.event_json import write_event
from perdure.vocabulary.errors import InvalidData, InvalidId, InvalidName, LimitExceeded
from perdure.vocabulary.events import Metadata, NewEvent, RecordedEvent
from perdure.vocabulary.ids import (
    TICKS_BEFORE_1970,
    TICKS_PER_SECOND,
    entity_id,
    event_id,
    event_ticks,
)
from perdure.vocabulary.jsontext import DATA_BYTES_MAX, read_object
from perdure.vocabulary.names import SYSTEM_PREFIX, check_name, check_tag

#: Bytes of one line: the payload at its largest, with room for what stands around it.
LINE_BYTES_MAX = 2 * DATA_BYTES_MAX
METADATA_BYTES_MAX = 16 * 1024

_IMPORTED = b'{"imported":true}'
_NAMES_REMEMBERED_MAX = 10_000


def write_line(event: RecordedEvent) -> bytes:
    """Write an event as a line of an export, its end included. That it was imported stays behind."""
    if event.is_imported:
        metadata = _without_imported(event.metadata)
        event = msgspec.structs.replace(event, metadata=metadata)
    return write_event(event) + b"\n"


class _Given(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A line as it came in, so that writing it again gives the same text where nothing is odd."""

    event_id: str
    type: str
    domain: str | msgspec.UnsetType | None = msgspec.UNSET
    entity_id: str
    data: msgspec.Raw
    tags: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    position: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    version: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    happened_at: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    recorded_at: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Given).decode


class EventReader:
    """Reads lines into events to be recorded in one context, marked as imported."""

    def __init__(self, definition: Definition, *, ahead_seconds_max: float) -> None:
        self._definition = definition
        self._ahead_seconds_max = ahead_seconds_max
        self._known_names: set[str] = set()
        self._ticks_max = 0

    def set_now(self, now: int) -> None:
        """Say what time it is, in microseconds since 1970: no event happened long after that."""
        ahead = int(self._ahead_seconds_max * TICKS_PER_SECOND)
        self._ticks_max = now * 10 + TICKS_BEFORE_1970 + ahead

    def read(self, line: bytes) -> NewEvent:
        """Read one line. Raises ``InvalidInput`` that says what is wrong and where."""
        given = _read_line(line)
        declared = self._definition.event_types.get(given.type)
        if declared is None:
            self._check_undeclared(given.type)
        id_ = event_id(given.event_id)
        if event_ticks(id_) > self._ticks_max:
            raise InvalidId(
                f"the time in event id {given.event_id} is more than "
                f"{self._ahead_seconds_max:,.0f} s ahead of this machine's clock",
                "/event_id",
            )
        _, data = read_object(bytes(given.data))
        metadata = bytes(given.metadata) if given.metadata else b""
        upcasters = self._definition.upcasters
        if declared is not None or given.type in upcasters.comes_to:
            upcasters.read(given.type, metadata, data)
        return NewEvent(
            type=given.type,
            entity=entity_id(given.entity_id),
            id=id_,
            data=data,
            domain=self._domain(given.domain),
            tags=tuple(map(check_tag, given.tags)) if given.tags else (),
            metadata=_imported(metadata) if metadata else _IMPORTED,
        )

    def _check_undeclared(self, name: str) -> None:
        if self._definition.strict:
            raise InvalidName(
                f"{name!r} is not declared in the strict context {self._definition.name!r}", "/type"
            )
        if name.startswith(SYSTEM_PREFIX):
            raise InvalidName(
                f"{name!r}: names under {SYSTEM_PREFIX!r} belong to the server", "/type"
            )
        self._check_name(name, "event type")

    def _domain(self, name: str | msgspec.UnsetType | None) -> str | None:
        if name is None or name is msgspec.UNSET:
            return None
        return self._check_name(name, "domain")

    def _check_name(self, name: str, what: str) -> str:
        if name not in self._known_names:
            check_name(name, what)
            if len(self._known_names) < _NAMES_REMEMBERED_MAX:
                self._known_names.add(name)
        return name


def _read_line(line: bytes) -> _Given:
    """Read the members of a line; what is inside ``data`` and ``metadata`` is not looked at yet."""
    line = line.strip(b" \t\r\n")
    if len(line) > LINE_BYTES_MAX:
        raise LimitExceeded(f"a line of more than {LINE_BYTES_MAX} bytes")
    try:
        given = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        if len(line) <= DATA_BYTES_MAX:
            read_object(line)  # says better what is wrong, when it is the JSON itself
        raise InvalidData(f"not an event: {fault}") from fault
    # A line that is written as the very text it was read from has no member twice.
    if _encode(given) != line:
        data = bytes(given.data)
        if not data.startswith(b"{"):
            raise InvalidData("data must be an object", "/data")
        read_object(line.replace(data, b"{}", 1))
    return given


def _imported(metadata: bytes) -> bytes:
    """Mark the metadata of an event as imported, keeping the rest of it."""
    value, text = read_object(metadata)
    if len(text) > METADATA_BYTES_MAX:
        raise LimitExceeded(f"{len(text)} bytes of metadata; {METADATA_BYTES_MAX} at most")
    try:
        msgspec.convert(value, Metadata)
    except msgspec.ValidationError as fault:
        raise InvalidData(f"metadata: {fault}", "/metadata") from fault
    if "imported" in value:
        text = _without_imported(text)
    return _IMPORTED if text == b"{}" else text[:-1] + b"," + _IMPORTED[1:]


def _without_imported(metadata: bytes) -> bytes:
    if metadata.endswith(b"," + _IMPORTED[1:]):
        return metadata.removesuffix(b"," + _IMPORTED[1:]) + b"}"
    value: dict[str, Any] = msgspec.json.decode(metadata)
    value.pop("imported", None)
    return _encode(value)
