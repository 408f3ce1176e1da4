"""Events before and after they are stored.

``NewEvent`` is what somebody says happened; ``RecordedEvent`` is the same fact with its place in the
log. ``data`` is the payload as one line of strict JSON (an object), already checked; ``metadata`` is
JSON too, or empty. Engines store these bytes and never look inside.

None of these values can hold itself, so the garbage collector need not look at them (``gc=False``): a log
reads millions.
"""

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from perdure.vocabulary.ids import event_ticks, moment_of


class _Event(Protocol):
    @property
    def id(self) -> bytes: ...
    @property
    def entity(self) -> bytes: ...
    @property
    def ticks(self) -> int: ...


class _Named:
    """What an event is called by, for people and for functions of the user."""

    __slots__ = ()

    @property
    def event_id(self: _Event) -> UUID:
        """The id as a ``UUID``."""
        return UUID(bytes=self.id)

    @property
    def entity_id(self: _Event) -> UUID:
        """The entity as a ``UUID``."""
        return UUID(bytes=self.entity)

    @property
    def happened_at(self: _Event) -> datetime:
        """When it happened, in UTC."""
        return moment_of(self.ticks)


class NewEvent(_Named, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact to be recorded: ``type`` happened to ``entity``, under ``id``.

    An empty ``id`` asks the runtime to make one; an engine never sees it empty.
    """

    type: str
    entity: bytes
    data: bytes
    id: bytes = b""
    domain: str | None = None
    tags: tuple[str, ...] = ()
    metadata: bytes = b""

    @property
    def ticks(self) -> int:
        """When it happened, in ticks: the time in its id."""
        return event_ticks(self.id)


class RecordedEvent(_Named, msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact as it stands in the log.

    ``position`` is its place in the context, ``version`` its place in the entity (1 for the first),
    ``ticks`` when it happened, ``recorded_at`` when it was stored (microseconds since 1970).
    """

    position: int
    version: int
    ticks: int
    recorded_at: int
    type: str
    entity: bytes
    id: bytes
    data: bytes
    domain: str | None = None
    tags: tuple[str, ...] = ()
    metadata: bytes = b""

    @property
    def happened(self) -> tuple[int, bytes]:
        """Its place in the order of happening: ``(ticks, id bytes)``."""
        return self.ticks, self.id

    @property
    def is_imported(self) -> bool:
        """Whether it came by import: then it is history, and nothing is given out for it."""
        return (
            b'"imported"' in self.metadata
            and msgspec.json.decode(self.metadata, type=Metadata).imported
        )


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who and why: written beside the payload, never inside it.

    ``imported``: recorded by an import, which is history in this store; it stays behind on export.
    ``schema``: the version of its type's shape that the payload has.
    """

    principal: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    command_id: str | None = None
    traceparent: str | None = None
    imported: bool = False
    schema: int = 1
