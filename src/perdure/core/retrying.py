"""How often something is tried again, and how long to wait before each time."""

import msgspec

_BITS = 16


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A policy: ``attempts`` in all, with waits that grow by ``factor`` from ``first_seconds`` on.

    A wait is shortened by up to ``jitter`` of itself, at random, so that those who failed together do not
    come back together; it is never longer than ``seconds_max``.
    """

    attempts: int = 6
    first_seconds: float = 1.0
    factor: float = 4.0
    seconds_max: float = 600.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_seconds < 0 or self.factor < 1:
            raise ValueError("a policy has 1 attempt or more, and waits that do not shrink")
        if self.seconds_max < 0 or not 0 <= self.jitter <= 1:
            raise ValueError("seconds_max is 0 or more, jitter from 0 to 1")

    def wait_seconds(self, failures: int, bits: int) -> float:
        """Say how long to wait after so many failures; ``bits`` are 16 bits of chance."""
        longest = min(self.seconds_max, self.first_seconds * self.factor ** min(failures - 1, 64))
        return longest * (1 - self.jitter * (bits & (1 << _BITS) - 1) / (1 << _BITS))


#: Between the attempts to commit a decision while others are faster.
CONFLICTS = Retry(attempts=12, first_seconds=0.002, factor=2.0, seconds_max=0.25, jitter=1.0)
