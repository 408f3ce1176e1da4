"""Ids for events that the server makes: never the same twice, never back within an entity.

A version 1 layout whose node and clock sequence are drawn once for the process, so that two
processes of one machine do not meet. Ticks follow the clock; when it stands or steps back by less than
a second they go on by one, and by more they follow it under the next clock sequence (RFC 9562, 6.1). What
an entity already has is not known here: the append guards it and asks again with ``after``.
"""

from perdure.ports.environment import Chance, Clock
from perdure.vocabulary.ids import TICKS_BEFORE_1970, TICKS_PER_SECOND, make_event_id


class Mint:
    """Makes event ids for one process."""

    def __init__(self, clock: Clock, chance: Chance) -> None:
        self._clock = clock
        self._node = chance.bits(48) | 1 << 40  # the multicast bit: no network card's address
        self._sequence = chance.bits(14)
        self._last = 0

    def make(self, after: int = 0) -> bytes:
        """Make an id that happened now, and later than the ticks ``after``."""
        ticks = self._clock.now() * 10 + TICKS_BEFORE_1970
        if ticks <= self._last:
            if ticks < self._last - TICKS_PER_SECOND:
                self._sequence = (self._sequence + 1) & 0x3FFF
            else:
                ticks = self._last + 1
        self._last = max(ticks, after + 1)
        return make_event_id(self._last, self._sequence, self._node)
