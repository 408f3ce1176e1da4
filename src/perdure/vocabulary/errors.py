"""Every error Perdure raises, and whose fault it is.

::

    PerdureError                       catch-all; never raised itself
      ConcurrencyError                 someone else wrote first; load again and retry
        WrongVersion                   entity, expected, actual
        ConditionFailed                an event matches the criteria after the position
        RecordMoved                    a record is at another revision
        HappenedEarlier                the entity has an event that happened later
        Contended                      others were faster each time, as often as it was tried
      EventIdTaken                     an id is stored with other content; nothing was written
      RequestKeyReused                 a request key or command id is used already, for something else
      NotFound
        ContextNotFound, EventNotFound, ModelNotFound, CommandNotFound, QueryNotFound, IntentNotFound,
        ParkedNotFound
      Rejected                         the domain said no; carries its reason
      InvalidInput                     the caller's fault; says where
        InvalidId, InvalidName
        InvalidData                    not the JSON that is due
          PayloadMismatch              sound JSON that does not fit the declared type
        LimitExceeded                  too deep, too many
          TooLarge                     too many bytes, or events in one batch
      HandlerFailed                    a user's function raised, or gave nonsense; nothing was written
      EffectFailed                     raised by an effect: it failed for good, do not try again
      Parked                           a key stands still behind an event that keeps failing
      NotCaughtUp                      the models have not reached the position in time
      EngineError                      the store failed
        Unavailable                    nothing was written; may work later
          StorageFull                  no room; nothing was written
        OutcomeUnknown                 written or not: ask again under the same id
        Corrupt                        stored data contradicts itself; it is not served
      ConfigurationError               wrong before anything ran
        DefinitionError                a function or a declaration that cannot work; names it

Messages say what, where and what to do. Status codes live in ``transports.problems`` alone.
"""


class PerdureError(Exception):
    """Base of every error Perdure raises on purpose."""


class ConcurrencyError(PerdureError):
    """Someone else wrote first. Nothing was written; load again and retry."""


class WrongVersion(ConcurrencyError):
    """An entity is not at the version the caller expected."""

    def __init__(self, entity: str, expected: int, actual: int) -> None:
        super().__init__(f"entity {entity} is at version {actual}, not {expected}")
        self.entity, self.expected, self.actual = entity, expected, actual


class ConditionFailed(ConcurrencyError):
    """An event that matches the criteria exists after the position."""

    def __init__(self, after: int, position: int) -> None:
        super().__init__(f"an event at position {position} matches the condition after {after}")
        self.after, self.position = after, position


class RecordMoved(ConcurrencyError):
    """A record is not at the revision the caller expected."""

    def __init__(self, kind: str, key: str, expected: int, actual: int) -> None:
        super().__init__(f"{kind} {key!r} is at revision {actual}, not {expected}")
        self.kind, self.key, self.expected, self.actual = kind, key, expected, actual


class HappenedEarlier(ConcurrencyError):
    """An entity already has an event that happened at or after the given time."""

    def __init__(self, entity: str, ticks: int, actual: int) -> None:
        super().__init__(f"entity {entity} has an event at tick {actual}, not before {ticks}")
        self.entity, self.ticks, self.actual = entity, ticks, actual


class Contended(ConcurrencyError):
    """Others wrote first each time it was tried. Nothing was written; it may be sent again."""

    def __init__(self, what: str, attempts: int) -> None:
        super().__init__(
            f"{what}: what it was decided on had changed each of {attempts} times; send it again"
        )
        self.attempts = attempts


class EventIdTaken(PerdureError):
    """Event ids are stored already, with other content. Nothing was written."""

    def __init__(self, ids: list[str], indices: list[int]) -> None:
        super().__init__(
            f"{', '.join(ids)} stored already with other content; an event never changes: "
            "use a new event id"
        )
        self.ids, self.indices = ids, indices


class RequestKeyReused(PerdureError):
    """A request key, or a command id, is used already for something else. Nothing was written."""

    def __init__(self, key: str, what: str = "request key", used_for: str = "other events") -> None:
        super().__init__(f"{what} {key!r} was used for {used_for}; use a new one")
        self.key = key


class NotFound(PerdureError):
    """What was asked for does not exist."""


class ContextNotFound(NotFound):
    """No such context in this application."""


class EventNotFound(NotFound):
    """No event is stored under this id."""


class ModelNotFound(NotFound):
    """No declared domain keeps a model under this name."""


class CommandNotFound(NotFound):
    """Nobody declared a handler for this command."""


class QueryNotFound(NotFound):
    """Nobody declared a query of this name for a state."""


class IntentNotFound(NotFound):
    """No intent is open under this id: it was delivered, discarded, or never given out."""


class ParkedNotFound(NotFound):
    """No key stands still under this id: it goes on, or stands at another event."""


class Rejected(PerdureError):
    """The domain said no. Raised by a user's function with the reason; nothing was written."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidInput(PerdureError):
    """Malformed input: the caller's fault. Nothing was written.

    ``where`` is a JSON pointer into the body, or the name of the parameter; empty when it is the
    whole of it. ``index`` says which of several events is meant, when there are several.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where
        self.index: int | None = None


class InvalidId(InvalidInput):
    """Not a UUID, or not of the kind that is due here."""


class InvalidName(InvalidInput):
    """Not a name of a context, a domain, a type or a tag."""


class InvalidData(InvalidInput):
    """Not the JSON that is due here: malformed, not strict, or not an object."""


class PayloadMismatch(InvalidData):
    """Sound JSON that does not fit the type declared for it."""


class LimitExceeded(InvalidInput):
    """Bigger, deeper or more than is taken in."""


class TooLarge(LimitExceeded):
    """More bytes, or more events, than are taken in at once."""


class HandlerFailed(PerdureError):
    """A user's function raised, or gave what cannot be carried out. Nothing was written.

    ``__cause__`` is what it raised.
    """

    def __init__(self, label: str, cause: str) -> None:
        super().__init__(f"{label} failed: {cause}. Nothing was written; mend the function")
        self.label = label


class EffectFailed(PerdureError):
    """Raised by an effect that has failed for good: its outcome is ``failed``, and it is not tried again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Parked(PerdureError):
    """The key stands still behind an event that keeps failing; its model would be stale."""

    def __init__(self, reactor: str, key: str, position: int, cause: str) -> None:
        super().__init__(
            f"{reactor} {key!r} is parked at position {position}: {cause}. "
            "Mend the function, then release or discard the event"
        )
        self.reactor, self.key, self.position, self.cause = reactor, key, position, cause


class NotCaughtUp(PerdureError):
    """The models have not reached the position that the reader asked for, in the time it gave."""

    def __init__(self, reactor: str, wanted: int, reached: int) -> None:
        super().__init__(f"{reactor} is at position {reached}, not yet at {wanted}; ask again")
        self.reactor, self.wanted, self.reached = reactor, wanted, reached


class EngineError(PerdureError):
    """The store failed."""


class Unavailable(EngineError):
    """The store cannot do this now. Nothing was written; it may work later."""


class StorageFull(Unavailable):
    """No room is left for the write. Nothing was written; reads go on."""


class OutcomeUnknown(EngineError):
    """The write may or may not be stored. Ask again under the same ids before anything else."""


class Corrupt(EngineError):
    """Stored data contradicts its checksum. It is not served; the rest stays readable."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class ConfigurationError(PerdureError):
    """Something was wrong before anything ran."""


class DefinitionError(ConfigurationError):
    """A declaration or a function that cannot work. The message names it."""
