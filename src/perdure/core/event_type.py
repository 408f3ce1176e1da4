"""What a context knows of a type of event."""

from typing import Any

import msgspec

from perdure.core.codec import Codec


class EventType(msgspec.Struct, frozen=True):
    """A declared type of event: its wire name, the class of its payload, the version of its shape."""

    name: str
    cls: type[Any]
    codec: Codec[Any]
    version: int
