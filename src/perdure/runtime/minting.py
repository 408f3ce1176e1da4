"""Ids for events that the server makes: never the same twice, never back within an entity.

A version 1 layout whose node and clock sequence are drawn once for the process, so that two processes
of one machine do not meet. Ticks follow the clock; when it stands or steps back by less than a second
they go on by one, and by more they follow it under the next clock sequence (RFC 9562, section 6.1).

That an id is later than all its entity has is guarded by the append. Where an entity is ahead of the
clock, the guard tells, and the mint goes on from there for this entity.
"""

from perdure.ports.environment import Chance, Clock
from perdure.vocabulary.ids import TICKS_BEFORE_1970, TICKS_PER_SECOND, make_event_id

_AHEAD_MAX = 10_000


class Mint:
    """Makes event ids for one process."""

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._node = chance.bits(48) | 1 << 40  # the multicast bit: no network card's address
        self._sequence = chance.bits(14)
        self._last = 0
        self._ahead: dict[bytes, int] = {}

    def make(self, entity: bytes) -> bytes:
        """Make an id that happened now, and later than what is known of the entity."""
        ticks = self._clock.now() * 10 + TICKS_BEFORE_1970
        ahead = self._ahead.get(entity, 0)
        if ticks <= ahead:
            ticks = self._ahead[entity] = ahead + 1
        else:
            self._ahead.pop(entity, None)
        if ticks <= self._last:
            if ticks < self._last - TICKS_PER_SECOND:
                self._sequence = (self._sequence + 1) & 0x3FFF
            else:
                ticks = self._last + 1
        self._last = ticks
        return make_event_id(ticks, self._sequence, self._node)

    def learn(self, entity: bytes, ticks: int) -> None:
        """Remember that an entity has an event that happened at these ticks."""
        if len(self._ahead) >= _AHEAD_MAX:
            self._ahead.clear()
        self._ahead[entity] = max(ticks, self._ahead.get(entity, 0))
