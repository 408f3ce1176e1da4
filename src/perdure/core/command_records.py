"""The record of a command: what it was, and its first outcome for ever.

It is written in the commit that carries the command out, or that rejects it. Idempotency, audit and the
comparison of changed functions with history rest on it.
"""

import re
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

import msgspec

from perdure.core.codec import Codec
from perdure.core.handling import Message
from perdure.vocabulary.errors import InvalidData, InvalidInput, RequestKeyReused
from perdure.vocabulary.jsontext import same_json

#: The kind of these records.
KIND = "command"
_ID = re.compile(r"[!-.0-~]{1,200}")


class CommandRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command and its outcome. ``events`` are their ids, ``target`` is the entity's (LOW: none)."""

    name: str
    target: str = ""
    data: msgspec.Raw
    at: int
    verdict: Literal["accepted", "rejected"]
    reason: str = ""
    events: tuple[UUID, ...] = ()
    version: int = 0
    reply: Any = None
    principal: str | None = None
    correlation_id: str | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CommandRecord)


class CommandIds:
    """Makes ids for commands that come without one: not to be guessed, and never the same twice.

    They begin with the time, so that the records of a day lie side by side and not all over the store.
    """

    def __init__(self, secret: int) -> None:
        self._secret, self._count = secret.to_bytes(32, "big"), 0

    def make(self, now: int) -> str:
        """Make an id at this moment, in microseconds since 1970."""
        self._count += 1
        seed = self._count.to_bytes(8, "big")
        return f"{now:014x}{blake2b(seed, key=self._secret, digest_size=9).hexdigest()}"


def record_key(name: str, command_id: str, principal: str | None) -> str:
    """Give the key of a command's record: the id counts for one command of one principal."""
    return f"{name}/{command_id}" if principal is None else f"{name}/{command_id}/{principal}"


def delivered_key(name: str, intent_id: str) -> str:
    """Give the key of the record of a command that came by an intent: no sender's id can be taken for it."""
    return f"{name}//{intent_id}"


def check_command_id(command_id: str) -> str:
    """Return a command id, or raise ``InvalidInput``: 1 to 200 visible ASCII characters, no slash."""
    if _ID.fullmatch(command_id) is None:
        raise InvalidInput(
            f"{command_id[:64]!r} is not a command id: 1 to 200 visible ASCII characters, no '/'",
            "command_id",
        )
    return command_id


def write_record(
    message: Message,
    target: str,
    *,
    events: tuple[UUID, ...] = (),
    version: int = 0,
    reply: Any = None,
    rejection: str | None = None,
) -> bytes:
    """Write the record of a command that was accepted, or rejected for a reason."""
    return _encoder.encode(
        CommandRecord(
            name=message.name,
            target=target,
            data=msgspec.Raw(message.data),
            at=message.received_at,
            verdict="accepted" if rejection is None else "rejected",
            reason=rejection or "",
            events=events,
            version=version,
            reply=reply,
            principal=message.principal,
            correlation_id=message.correlation_id,
        )
    )


def read_record(value: bytes, message: Message, target: str, codec: Codec[Any]) -> CommandRecord:
    """Read the record under a command's key. Raises ``RequestKeyReused`` when it is of another command."""
    record = _decoder.decode(value)
    if record.target != target or not _is_same(bytes(record.data), message, codec):
        raise RequestKeyReused(message.id, "command id", "another command")
    return record


def _is_same(recorded: bytes, message: Message, codec: Codec[Any]) -> bool:
    """Tell whether what was sent before is what is sent now: as JSON, or as the class of today reads it.

    So a field that the class was given since, with a default, makes no other command of it.
    """
    if same_json(recorded, message.data):
        return True
    try:
        return bool(codec.decode(recorded) == codec.decode(message.data))
    except InvalidData:
        return False
