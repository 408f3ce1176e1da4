"""What may be asked of a log: which events, in which order, from where."""

from typing import Literal

import msgspec

from perdure.vocabulary.criteria import EVERYTHING, Criteria

Order = Literal["recorded", "happened"]


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """Which events, in which order, from where.

    ``after`` (exclusive) and ``upto`` (inclusive) bound positions in either order. ``following`` is an
    event id: reading by happened starts behind its place, in the direction of reading, whether or not
    it is stored; reading by position does not look at it. A page by happened is
    stable when ``upto`` pins it.
    """

    criteria: Criteria = EVERYTHING
    order: Order = "recorded"
    backwards: bool = False
    after: int = 0
    upto: int | None = None
    following: bytes | None = None
    limit: int | None = None


class Size(msgspec.Struct, frozen=True):
    """How much a log holds; ``bytes`` on its medium, where it has one."""

    events: int
    entities: int
    domains: int
    bytes: int
