"""Slots: how keys are divided among them, and they among readers.

A slot is a share of a subscription's entities, by a hash that is the same on every machine and in every
version: what one reader has begun, another goes on with.
"""

from zlib import crc32

#: More would be worked by nobody, and each costs a lease and a cursor.
SLOTS_MAX = 1024


def slot_of(entity: bytes, slots: int) -> int:
    """Give the slot that an entity belongs to, of so many."""
    return crc32(entity) % slots if slots > 1 else 0


def fair_share(slots: int, readers: int, place: int) -> int:
    """Give how many slots are the part of the reader at this place, from 0, among so many.

    The parts add up to ``slots`` and differ by one at most; the first readers have the bigger ones.
    """
    return slots // readers + (place < slots % readers)
