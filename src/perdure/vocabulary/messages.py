"""What a user's function may ask for beyond the plain event, and what it may give out.

A function can only act by returning. What it returns is frozen in the commit that it returns it for.
"""

from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.references import EntityRef

C = TypeVar("C")
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

    @classmethod
    def of(cls, event: RecordedEvent, data: E) -> "Envelope[E]":
        """Put a recorded event's payload, as it was read, into its surroundings."""
        return cls(
            data,
            event.type,
            event.entity_id,
            event.event_id,
            event.happened_at,
            event.position,
            event.domain,
            event.tags,
        )


class Emit(msgspec.Struct, frozen=True, kw_only=True):
    """Give out an event about another entity, or into another context.

    A bare event given out is about the entity of its cause, in the same context: ``Emit`` says what
    differs. ``event`` is an instance of a type declared in the context it goes to. A LOW handler records
    it in its own commit; with ``fresh`` the command is rejected where the entity has events. Whoever
    decides on one entity, or reacts, gives it out to be recorded afterwards.
    """

    event: Any
    entity: UUID | None = None
    context: str | None = None
    domain: str | None = None
    tags: tuple[str, ...] = ()
    fresh: bool = False


class Send(msgspec.Struct, frozen=True):
    """Send a command to an entity, or without ``to`` to the LOW handler that takes its class.

    It is delivered after the commit, and handled exactly once, in the receiver's own commit.
    """

    command: Any
    to: EntityRef[Any] | None = None


class After(msgspec.Struct, frozen=True):
    """Do it when this much time has gone by: an event, ``Emit``, ``Send``, an effect.

    A command of the entity's own kind is sent to the entity itself. A ``name`` makes it replaceable:
    the next under the same name of the same entity takes its place, and ``Cancel`` takes it away.
    """

    delay: timedelta
    what: Any
    name: str = ""


class At(msgspec.Struct, frozen=True):
    """Do it at this time (aware, or it is an error), like ``After``. A time gone by means at once."""

    moment: datetime
    what: Any
    name: str = ""


class Cancel(msgspec.Struct, frozen=True):
    """Take back what was to be done under this name of this entity. Nothing there is no error."""

    name: str


class Reply(msgspec.Struct, frozen=True):
    """Tell the sender of the command something: a value that JSON can say.

    It belongs to the outcome, and is told again when the same command is sent again.
    """

    value: Any


class Stop(msgspec.Struct, frozen=True):
    """Let the entity go from memory, with a last snapshot when its kind keeps any.

    It exists on: the next message brings it back.
    """


class Complete(msgspec.Struct, frozen=True):
    """The saga is finished: whatever comes later for its key is passed over."""


class Done(msgspec.Struct, Generic[C], frozen=True):
    """A command that the saga sent was carried out; ``reply`` is what its function had to say."""

    command: C
    command_id: str
    reply: Any = None


class Refused(msgspec.Struct, Generic[C], frozen=True):
    """A command that the saga sent was rejected, for this reason."""

    command: C
    command_id: str
    reason: str
