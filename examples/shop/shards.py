"""A dict in 256 pieces, cheap to change without touching the one that came in.

One rule: nothing is changed in place. To put one value in is to copy its piece, which stays small
however many values there are; a plain dict would have to be copied whole.

``Circulation`` keeps carts in one, and ``Products`` the figures of the catalogue.
"""

from collections.abc import Iterator
from typing import TypeVar
from uuid import UUID

V = TypeVar("V")

#: Values by key, in pieces by the last byte of the key.
Shards = dict[str, dict[UUID, V]]


def find(shards: Shards[V], key: UUID) -> V | None:
    """The value of a key, if there is one."""
    piece = shards.get(_piece_of(key))
    return None if piece is None else piece.get(key)


def get(shards: Shards[V], key: UUID) -> V:
    """The value of a key that is known to be there.

    Raises:
        KeyError: it is not.
    """
    return shards[_piece_of(key)][key]


def put(shards: Shards[V], key: UUID, value: V) -> Shards[V]:
    """The same values with this one under the key."""
    name = _piece_of(key)
    return {**shards, name: {**shards.get(name, {}), key: value}}


def drop(shards: Shards[V], key: UUID) -> Shards[V]:
    """The same values without the key's."""
    name = _piece_of(key)
    if key not in shards.get(name, {}):
        return shards
    piece = {other: value for other, value in shards[name].items() if other != key}
    if piece:
        return {**shards, name: piece}
    return {other: rest for other, rest in shards.items() if other != name}


def items(shards: Shards[V]) -> Iterator[tuple[UUID, V]]:
    """All keys and values, in no order that means anything."""
    return (item for piece in shards.values() for item in piece.items())


def _piece_of(key: UUID) -> str:
    return f"{key.int & 0xFF:02x}"
