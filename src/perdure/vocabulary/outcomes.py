"""What became of a command. A rejection is the other outcome: the ``Rejected`` that the function raised."""

from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from perdure.vocabulary.errors import Rejected

M = TypeVar("M")


class Accepted(msgspec.Struct, Generic[M], frozen=True, kw_only=True):
    """The command was carried out, durably.

    ``state`` is what it made of the entity (``None`` for a LOW handler), at ``version``; ``position`` the
    token for reading what follows from it; ``events`` the ids of what happened; ``reply`` what the
    function had to say, as JSON says it. ``repeated``: this is the first outcome of a command that was
    sent again.
    """

    state: M
    version: int
    position: int
    command_id: str
    events: tuple[UUID, ...] = ()
    reply: Any = None
    repeated: bool = False


#: What ``app.send`` gives: match on it.
Outcome: TypeAlias = Accepted[M] | Rejected
