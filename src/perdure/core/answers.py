"""What became of a command that a saga sent, told to the saga: as an event of its own log.

It is recorded in the commit that carries the command out, or that rejects it, so that the saga hears of it
exactly once, whatever stops in between.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from perdure.core.codec import Codec
from perdure.core.event_type import EventType
from perdure.core.parcels import Parcel
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import emitted_id, entity_named
from perdure.vocabulary.names import SYSTEM_PREFIX


class CommandAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """A command that the saga of this key sent was carried out, or rejected for a reason.

    ``data`` is the command as it was sent.
    """

    key: str
    domain: str
    command: str
    command_id: str
    accepted: bool
    reason: str = ""
    reply: Any = None
    data: Mapping[str, Any]


class SagaStatus(msgspec.Struct, frozen=True):
    """Where a saga stands, beside its own model: under the domain ``NAME.status``."""

    is_complete: bool = False
    began_at: datetime | None = None
    moved_at: datetime | None = None


_codec = Codec(CommandAnswered)


def answered_type(saga: str) -> EventType:
    """Give the type of the events that tell a saga what became of its commands."""
    return EventType(f"{SYSTEM_PREFIX}answered.{saga}", CommandAnswered, _codec, 1)


def answer(parcel: Parcel, intent_id: bytes, rejection: str | None, reply: Any = None) -> NewEvent:
    """Make the event that tells the saga which sent a parcel what became of it."""
    told = CommandAnswered(
        key=parcel.saga_key,
        domain=parcel.domain,
        command=parcel.name,
        command_id=intent_id.hex(),
        accepted=rejection is None,
        reason=rejection or "",
        reply=reply,
        data=msgspec.json.decode(parcel.data),
    )
    return NewEvent(
        type=answered_type(parcel.saga).name,
        entity=entity_named("perdure.saga", f"{parcel.saga}\x00{parcel.saga_key}").bytes,
        id=emitted_id(parcel.saga, parcel.saga_key, intent_id, 0),
        data=_codec.encode_strictly(told),
        metadata=parcel.metadata,
    )
