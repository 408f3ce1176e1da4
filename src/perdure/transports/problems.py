"""What every error is on HTTP: the one table from error classes to statuses.

Each row gives the status, the last part of the problem's ``type`` (stable: clients decide by it), the
title, and the attributes of the error that go into the document beside the standard members. A row with a
``detail`` of its own hides the error's message, which may name files or SQL: that goes to the log.

Errors that only HTTP can make (no such path, a method too many, a body of the wrong kind) are the classes
at the end. What the server refuses before the application sees it is in ``limits``.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import msgspec

from perdure.vocabulary import errors

Headers = tuple[tuple[bytes, bytes], ...]

CONTENT_TYPE: Final = b"application/problem+json"
TYPE_PREFIX: Final = "urn:perdure:problem:"
#: When to ask again after what may pass by itself.
RETRY_AFTER: Final[Headers] = ((b"retry-after", b"1"),)


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem: what all documents of one ``type`` have in common."""

    status: int
    slug: str
    title: str
    members: tuple[str, ...] = ()
    detail: str = ""
    headers: Headers = ()


INTERNAL: Final = Kind(
    500, "internal-error", "Internal error", detail="Something went wrong here; it is logged."
)

_NOTHING = "There is nothing at this path."
_NOT_NOW = "The store cannot do this now. Nothing was written; ask again."
_IS_UNKNOWN = (
    "The write may or may not be stored. Ask again under the same ids, or the same Idempotency-Key, "
    "before anything else."
)

#: Every error of the vocabulary, most general last within its family.
KINDS: Final[Mapping[type[errors.PerdureError], Kind]] = MappingProxyType(
    {
        errors.WrongVersion: Kind(
            412, "wrong-version", "The entity has moved on", ("entity", "expected", "actual")
        ),
        errors.ConditionFailed: Kind(
            412, "condition-failed", "A matching event exists", ("after", "position")
        ),
        errors.RecordMoved: Kind(409, "conflict", "Someone else wrote first"),
        errors.HappenedEarlier: Kind(409, "conflict", "Someone else wrote first", ("entity",)),
        errors.Contended: Kind(
            409, "contended", "Others were faster each time", headers=RETRY_AFTER
        ),
        errors.ConcurrencyError: Kind(409, "conflict", "Someone else wrote first"),
        errors.EventIdTaken: Kind(
            409, "event-id-taken", "Stored already with other content", ("ids", "indices")
        ),
        errors.RequestKeyReused: Kind(
            422,
            "idempotency-key-reused",
            "The key was used for another request",
            detail="Something else was done under this Idempotency-Key; use a new one.",
        ),
        errors.ContextNotFound: Kind(404, "not-found", "Not found", detail=_NOTHING),
        errors.EventNotFound: Kind(404, "event-not-found", "No such event"),
        errors.ModelNotFound: Kind(404, "model-not-found", "No such model"),
        errors.CommandNotFound: Kind(404, "command-not-found", "No such command"),
        errors.QueryNotFound: Kind(404, "query-not-found", "No such query"),
        errors.IntentNotFound: Kind(404, "intent-not-found", "No such intent"),
        errors.ParkedNotFound: Kind(404, "parked-not-found", "No such parked key"),
        errors.NotFound: Kind(404, "not-found", "Not found"),
        errors.Rejected: Kind(422, "rejected", "Rejected", ("reason",)),
        errors.HandlerFailed: Kind(
            500,
            "handler-failed",
            "The function failed",
            detail="The function that handles this failed. Nothing was written; the log says why.",
        ),
        errors.EffectFailed: Kind(500, "effect-failed", "The effect failed"),
        errors.InvalidId: Kind(400, "invalid-id", "Not an id of the kind that is due"),
        errors.InvalidName: Kind(400, "invalid-name", "Not a name that can be used"),
        errors.PayloadMismatch: Kind(
            422, "invalid-payload", "The payload does not fit its declared type"
        ),
        errors.InvalidData: Kind(400, "invalid-json", "Not the JSON that is due"),
        errors.TooLarge: Kind(413, "too-large", "Too large"),
        errors.LimitExceeded: Kind(400, "limit-exceeded", "Over a limit"),
        errors.InvalidInput: Kind(400, "invalid-input", "Invalid input"),
        errors.Parked: Kind(
            409,
            "parked",
            "The model stands still",
            ("reactor", "key", "position"),
            "An event at this position keeps failing, so the model would be stale. Mend the function, "
            "then release or discard the event.",
        ),
        errors.NotCaughtUp: Kind(
            503,
            "not-caught-up",
            "The model has not got there yet",
            ("reactor", "wanted", "reached"),
            headers=RETRY_AFTER,
        ),
        errors.StorageFull: Kind(
            507,
            "storage-full",
            "No room left",
            detail="There is no room left for the write. Nothing was written; reads go on.",
        ),
        errors.Unavailable: Kind(
            503, "unavailable", "Unavailable", detail=_NOT_NOW, headers=RETRY_AFTER
        ),
        errors.OutcomeUnknown: Kind(
            503, "outcome-unknown", "Outcome unknown", detail=_IS_UNKNOWN, headers=RETRY_AFTER
        ),
        errors.Corrupt: Kind(
            500,
            "corrupt",
            "Damaged data",
            ("position",),
            "What is stored contradicts its checksum, and is not served. The rest stays readable.",
        ),
        errors.EngineError: INTERNAL,
        errors.DefinitionError: INTERNAL,
        errors.ConfigurationError: INTERNAL,
        errors.PerdureError: INTERNAL,
    }
)


class HttpError(Exception):
    """Something that is wrong with a request as HTTP. Raised by the routes; one class a problem."""

    kind: ClassVar[Kind] = INTERNAL

    def __init__(self, detail: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(detail)
        self.headers = headers


class RouteNotFound(HttpError):
    """Nothing at this path; an unknown context looks the same."""

    kind = Kind(404, "not-found", "Not found")

    def __init__(self) -> None:
        super().__init__(_NOTHING)


class MalformedTarget(HttpError):
    """A path that two readers could understand differently."""

    kind = Kind(400, "malformed-request", "Malformed request")


class MethodNotAllowed(HttpError):
    """There is something at this path, but not for this method."""

    kind = Kind(405, "method-not-allowed", "Method not allowed")

    def __init__(self, allowed: bytes) -> None:
        super().__init__(f"Allowed here: {allowed.decode()}.", (b"allow", allowed))


class UnsupportedMediaType(HttpError):
    """A body of a kind, or in an encoding, that is not taken here."""

    kind = Kind(415, "unsupported-media-type", "Unsupported media type")


class ServicesBehind(HttpError):
    """A command was carried out, and the services that were to be waited for have not taken it yet."""

    kind = msgspec.structs.replace(
        KINDS[errors.NotCaughtUp], members=("reactor", "wanted", "reached", "outcome")
    )

    def __init__(
        self, cause: errors.NotCaughtUp, outcome: bytes, detail: str, *headers: tuple[bytes, bytes]
    ) -> None:
        super().__init__(detail, *headers)
        self.reactor, self.wanted, self.reached = cause.reactor, cause.wanted, cause.reached
        self.outcome = msgspec.Raw(outcome)


class AnswerFailed(HttpError):
    """A command was carried out, and what was asked for of its state cannot be told."""

    kind = Kind(500, "answer-failed", "The answer could not be made", ("outcome",))

    def __init__(self, outcome: bytes, detail: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(detail, *headers)
        self.outcome = msgspec.Raw(outcome)


class Disconnected(Exception):
    """The client went away before its request was whole. Nobody is left to answer."""


def kind_of(failure: Exception) -> Kind:
    """Give the kind of a failure: that of its nearest class in the table."""
    if isinstance(failure, HttpError):
        return failure.kind
    for cls in type(failure).__mro__:
        if cls in KINDS:
            return KINDS[cls]
    return INTERNAL


def headers_of(failure: Exception, kind: Kind) -> Headers:
    """Give the header fields that belong to a failure."""
    return failure.headers if isinstance(failure, HttpError) else kind.headers


def document(failure: Exception, kind: Kind, request_id: str) -> bytes:
    """Write the problem document (RFC 9457) of a failure."""
    content: dict[str, Any] = {
        "type": TYPE_PREFIX + kind.slug,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail or str(failure),
        "instance": request_id,
    }
    content |= {name: getattr(failure, name) for name in kind.members if hasattr(failure, name)}
    if isinstance(failure, errors.InvalidInput):
        if failure.where:
            content["pointer" if failure.where[0] == "/" else "parameter"] = failure.where
        if failure.index is not None:
            content["index"] = failure.index
    return msgspec.json.encode(content)
