"""What an intent holds: an event to record, a command to send, an effect to carry out."""

from typing import Literal, TypeAlias, get_args

import msgspec

from perdure.vocabulary.commits import Intent
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.events import NewEvent

#: The kinds of intent there are. A ``tick`` holds nothing: its target says which.
Kind: TypeAlias = Literal["emit", "command", "effect", "tick"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Parcel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of an intent, as it was when it was given out.

    ``emit``: ``event``. ``command``: the kind of entity (none for a LOW handler), the entity, the command's
    ``name`` and ``data``. ``effect``: its ``name`` and ``data``. ``metadata`` is who and why. ``timer`` names
    the record of a named timer, and ``revision`` what it must be at: or this was cancelled or replaced.
    ``saga`` and ``saga_key`` are who sent the command, and is told what became of it.
    """

    event: NewEvent | None = None
    domain: str = ""
    entity: bytes = b""
    name: str = ""
    data: bytes = b""
    metadata: bytes = b""
    timer: str = ""
    revision: int = 0
    saga: str = ""
    saga_key: str = ""


_decoder = msgspec.msgpack.Decoder(Parcel)
_encoder = msgspec.msgpack.Encoder()


def pack(parcel: Parcel) -> bytes:
    """Write a parcel."""
    return _encoder.encode(parcel)


def unpack(intent: Intent) -> Parcel:
    """Read what an intent holds. Raises ``InvalidData`` for what no version of Perdure wrote."""
    try:
        return _decoder.decode(intent.payload)
    except msgspec.MsgspecError as fault:
        raise InvalidData(f"intent {intent.id.hex()} cannot be read: {fault}") from fault
