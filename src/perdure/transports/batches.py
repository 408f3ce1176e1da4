"""The bodies that hold events: one in a wrapper, a batch in JSON, a batch of lines.

The payloads are not parsed here: each is cut out as it was written and goes through the one strict pass of
``jsontext`` when it is appended. What is around them is checked as strictly, down to keys given twice.
"""

from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterator, Sequence
from typing import Annotated, Generic, TypeVar

import msgspec

from perdure.core.codec import Codec
from perdure.vocabulary.commits import EntityAt, Guard, NothingAfter
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import (
    InvalidData,
    InvalidInput,
    LimitExceeded,
    PayloadMismatch,
    TooLarge,
)
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import entity_id, event_id
from perdure.vocabulary.jsontext import DATA_BYTES_MAX, DEPTH_MAX, count_members
from perdure.vocabulary.names import check_name, check_tag

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")

#: A line of a batch holds one payload and what is around it.
LINE_BYTES_MAX = DATA_BYTES_MAX + 16 * 1024

_Position = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Wrapped(msgspec.Struct, forbid_unknown_fields=True):
    """One payload in the wrapper of perhap-poc."""

    event: msgspec.Raw


class BatchEvent(msgspec.Struct, forbid_unknown_fields=True):
    """One event of a batch. ``expected_version`` is that of its entity just before it."""

    type: str
    entity_id: str
    data: msgspec.Raw
    event_id: str | msgspec.UnsetType = msgspec.UNSET
    domain: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    expected_version: _Position | msgspec.UnsetType = msgspec.UNSET


class Condition(msgspec.Struct, forbid_unknown_fields=True):
    """What must not have happened after a position: any event that the criteria select."""

    after: _Position
    types: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    domains: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    entities: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    tags: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Batch(msgspec.Struct, forbid_unknown_fields=True):
    """Events to record together, on a condition."""

    events: tuple[BatchEvent, ...]
    condition: Condition | msgspec.UnsetType | None = msgspec.UNSET


class Envelope(Generic[T]):
    """Reads bodies of one form, without parsing the payloads in them."""

    def __init__(self, cls: type[T]) -> None:
        self._codec = Codec(cls)

    def open(self, body: bytes) -> T:
        """Read a body. Raises ``InvalidInput`` for what is not of this form, saying where."""
        try:
            read = self._codec.decode(body)
        except PayloadMismatch as fault:
            raise InvalidInput(str(fault), fault.where) from None
        except msgspec.DecodeError as fault:
            raise InvalidData(f"not JSON: {fault}") from None
        except RecursionError:
            raise LimitExceeded(f"nested deeper than {DEPTH_MAX}") from None
        if sum(_members(read)) != count_members(body):
            raise InvalidData("a key that is there twice")
        return read


def _members(value: object) -> Iterator[int]:
    """Count the members of the objects in a body as it was read."""
    if isinstance(value, msgspec.Raw):
        yield count_members(bytes(value))
    elif isinstance(value, tuple):
        for item in value:
            yield from _members(item)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            member = getattr(value, name)
            if member is not msgspec.UNSET:
                yield 1
                yield from _members(member)


_line = Envelope(BatchEvent)


async def read_lines(parts: AsyncIterable[bytes], events_max: int) -> Sequence[BatchEvent]:
    """Read a batch of lines, as it comes in; empty lines are nothing."""
    events: list[BatchEvent] = []
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        _read_into(events, lines, events_max)
        if len(rest) > LINE_BYTES_MAX:
            raise TooLarge(f"a line may have {LINE_BYTES_MAX} bytes")
    _read_into(events, [rest], events_max)
    return events


def _read_into(events: list[BatchEvent], lines: Sequence[bytes], events_max: int) -> None:
    for line in lines:
        if not line.strip():
            continue
        if len(events) == events_max:
            raise TooLarge(f"a batch may have {events_max} events")
        try:
            events.append(_line.open(line))
        except InvalidInput as fault:
            fault.index = len(events)
            raise


def new_events(batch: Sequence[BatchEvent], metadata: bytes) -> list[NewEvent]:
    """Make the events of a batch. Raises ``InvalidInput`` with the index, and where in the event."""
    events: list[NewEvent] = []
    for item in batch:
        try:
            events.append(_new_event(item, metadata))
        except InvalidInput as fault:
            fault.index = len(events)
            raise
    return events


def _new_event(item: BatchEvent, metadata: bytes) -> NewEvent:
    given = item.event_id
    return NewEvent(
        type=item.type,
        entity=_placed(item.entity_id, "/entity_id", entity_id),
        id=b"" if given is msgspec.UNSET else _placed(given, "/event_id", event_id),
        data=bytes(item.data),
        domain=None if item.domain is msgspec.UNSET else item.domain,
        tags=item.tags or (),
        metadata=metadata,
    )


def expected_versions(batch: Sequence[BatchEvent]) -> list[Guard]:
    """Make the guards of the versions that a batch expects, each just before its event."""
    guards: dict[Guard, None] = {}
    before: Counter[str] = Counter()
    for index, item in enumerate(batch):
        if item.expected_version is not msgspec.UNSET:
            version = item.expected_version - before[item.entity_id]
            if version < 0:
                raise InvalidInput(
                    f"expected_version {item.expected_version} cannot hold: "
                    f"{before[item.entity_id]} events of the entity stand before it in the batch",
                    f"/events/{index}/expected_version",
                )
            guards[EntityAt(entity_id(item.entity_id), version)] = None
        before[item.entity_id] += 1
    return list(guards)


def guard_of(condition: Condition) -> Guard:
    """Make the guard of a batch's condition. Raises ``InvalidInput`` saying where."""
    return NothingAfter(
        Criteria(
            types=_each(condition.types, "/condition/types", check_name),
            domains=_each(condition.domains, "/condition/domains", check_name),
            entities=_each(condition.entities, "/condition/entities", entity_id),
            tags=_each(condition.tags, "/condition/tags", check_tag),
        ),
        condition.after,
    )


def _each(
    items: tuple[str, ...] | msgspec.UnsetType, where: str, read: Callable[[str], R]
) -> tuple[R, ...]:
    return tuple(_placed(item, f"{where}/{index}", read) for index, item in enumerate(items or ()))


def _placed(text: str, where: str, read: Callable[[str], R]) -> R:
    """Read a part of a body, and say where it stands when it cannot be read."""
    try:
        return read(text)
    except InvalidInput as fault:
        fault.where = where
        raise
