"""What the server itself does, as events like any other.

They are recorded in a context only when one of its services reacts to them, under an entity that
belongs to the context. Declare nothing: annotate a reaction with the class.
"""

from typing import Any
from uuid import UUID

import msgspec

from perdure.core.codec import Codec
from perdure.core.context import EventType
from perdure.vocabulary.ids import entity_named
from perdure.vocabulary.names import SYSTEM_PREFIX


class ServerStarted(msgspec.Struct, frozen=True):
    """A node opened the context and serves it."""

    node: str
    version: str


class ServerStopping(msgspec.Struct, frozen=True):
    """A node is about to stop serving the context, in good order."""

    node: str


class CaughtUp(msgspec.Struct, frozen=True):
    """A reactor has worked through what was recorded before the node started."""

    reactor: str
    position: int
    events: int


class KeyParked(msgspec.Struct, frozen=True):
    """A key stands still behind an event that keeps failing."""

    reactor: str
    key: str
    position: int
    cause: str


class KeyReleased(msgspec.Struct, frozen=True):
    """A parked key works again; its events were taken in order."""

    reactor: str
    key: str
    position: int


def system_entity(context: str) -> UUID:
    """Give the entity that a context's system events are about."""
    return entity_named("perdure.context", context)


def _declared(name: str, cls: type[Any]) -> EventType:
    return EventType(SYSTEM_PREFIX + name, cls, Codec(cls), 1)


#: Every system event by wire name.
SYSTEM_EVENTS: dict[str, EventType] = {
    declared.name: declared
    for declared in (
        _declared("server_started", ServerStarted),
        _declared("server_stopping", ServerStopping),
        _declared("caught_up", CaughtUp),
        _declared("key_parked", KeyParked),
        _declared("key_released", KeyReleased),
    )
}
