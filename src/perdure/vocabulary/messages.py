"""What a user's function may ask for beyond the plain event, and what it may give out beside it."""

from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

E = TypeVar("E")


class Envelope(msgspec.Struct, Generic[E], frozen=True):
    """An event with its surroundings, for a function that annotates ``Envelope[ItemAdded]``.

    ``data`` is the event itself; ``at`` when it happened, in UTC.
    """

    data: E
    type: str
    entity: UUID
    event_id: UUID
    at: datetime
    position: int
    domain: str | None
    tags: tuple[str, ...]


class Emit(msgspec.Struct, frozen=True, kw_only=True):
    """Give out an event about another entity, or into another context.

    A bare event given out is about the entity of its cause, in the same context: ``Emit`` says what
    differs. ``event`` is an instance of a type declared in the context it goes to.
    """

    event: Any
    entity: UUID | None = None
    context: str | None = None
    domain: str | None = None
    tags: tuple[str, ...] = ()
