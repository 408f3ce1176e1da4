"""Counting what the server does: the figures of ``/stats`` and ``/metrics``.

A ``Meter`` belongs to one application, never to the process. A timing keeps an exponential histogram: each
bucket is 5 % wider than the one before, so that a quantile is off by 2.5 % at most, in constant memory.
"""

import math
from collections import defaultdict, deque
from collections.abc import Mapping

import msgspec

from perdure.ports.environment import Clock

_GROWTH = math.log(1.05)
_SMALLEST_SECONDS = 1e-6
QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)


class Figures(msgspec.Struct, frozen=True):
    """What a timing has seen: seconds, and how many in the last minute."""

    count: int
    one_minute: int
    mean: float
    min: float
    max: float
    quantiles: Mapping[float, float]


class Timing:
    """A counter with a histogram of seconds and a count over the last minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.count = 0
        self.total = 0.0
        self._min, self._max = math.inf, 0.0
        self._buckets: defaultdict[int, int] = defaultdict(int)
        self._seconds: deque[list[int]] = deque()

    def add(self, seconds: float) -> None:
        """Count one that took this long."""
        self.count += 1
        self.total += seconds
        self._min = min(self._min, seconds)
        self._max = max(self._max, seconds)
        self._buckets[int(math.log(max(seconds, _SMALLEST_SECONDS)) / _GROWTH)] += 1
        now = int(self._clock.monotonic())
        if self._seconds and self._seconds[-1][0] == now:
            self._seconds[-1][1] += 1
        else:
            self._seconds.append([now, 1])
            self._forget(now)

    def figures(self) -> Figures:
        """Give the figures as they stand."""
        self._forget(int(self._clock.monotonic()))
        return Figures(
            self.count,
            sum(count for _, count in self._seconds),
            self.total / self.count if self.count else 0.0,
            self._min if self.count else 0.0,
            self._max,
            {q: self._quantile(q) for q in QUANTILES},
        )

    def _forget(self, now: int) -> None:
        while self._seconds and self._seconds[0][0] <= now - 60:
            self._seconds.popleft()

    def _quantile(self, q: float) -> float:
        wanted, seen = math.ceil(q * self.count), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted > 0:
                return min(max(math.exp((bucket + 0.5) * _GROWTH), self._min), self._max)
        return 0.0


class Meter:
    """All timings and counters of one application, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.timings: dict[str, Timing] = {}
        self.counters: defaultdict[str, int] = defaultdict(int)

    def timing(self, name: str) -> Timing:
        """Give the timing of this name, making it at first use."""
        timing = self.timings.get(name)
        if timing is None:
            timing = self.timings[name] = Timing(self._clock)
        return timing
