"""Time, chance and identity that a test holds in its hands.

One rule: nothing moves by itself. ``now`` and ``monotonic`` stand still until ``advance`` is called, and
the same seed gives the same bits. See ``ports.environment`` for what each stands in for.
"""

import asyncio
import heapq
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count

#: 2026-01-01 00:00 UTC, in microseconds since 1970.
START = 1_767_225_600_000_000


class ManualClock:
    """A clock that goes on only when it is told to.

    ``start`` is the time it shows first, in microseconds since 1970. For use from one event loop.
    """

    def __init__(self, start: int = START) -> None:
        self._start = start
        self._elapsed = 0  # microseconds; whole numbers, so that ten tenths make one second
        self._order = count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        """Give microseconds since 1970, UTC."""
        return self._start + self._elapsed

    def monotonic(self) -> float:
        """Give the seconds this clock was advanced by."""
        return self._elapsed / 1_000_000

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock: what a test looks at before it advances."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    def next_waking(self) -> float | None:
        """Give the seconds to advance by until the next sleeper wakes; ``None`` while nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return (self._sleepers[0][0] - self._elapsed) / 1_000_000 if self._sleepers else None

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by this much; other tasks have a turn in any case."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        due = self._elapsed + max(1, _microseconds(seconds))  # no wait is so short that it is none
        heapq.heappush(self._sleepers, (due, next(self._order), woken))
        await (
            woken
        )  # when the sleeper is cancelled, so is the future, and ``advance`` passes it over

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake those whose time has come, the earliest first.

        They run when the caller next awaits. Whoever then sleeps again, sleeps from the new time on.
        """
        if seconds < 0:
            raise ValueError(
                f"time does not go back by {-seconds} s; use step for the clock's face"
            )
        self._elapsed += _microseconds(seconds)
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    def step(self, seconds: float) -> None:
        """Set ``now`` forward or back, as when the machine's clock is corrected. Wakes nobody."""
        self._start += _microseconds(seconds)


class SeededChance:
    """Randomness that is the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made to be predicted

    def bits(self, count: int) -> int:
        """Give the next integer of this many bits."""
        return self._random.getrandbits(count)


class FixedNode:
    """A process of this name, among others of which ``gone`` have ended."""

    def __init__(self, name: str, gone: Collection[str] = ()) -> None:
        self._name, self._gone = name, frozenset(gone)

    @property
    def name(self) -> str:
        """The name given."""
        return self._name

    def is_gone(self, name: str) -> bool:
        """Tell whether the named process is one of ``gone``."""
        return name in self._gone


@dataclass(frozen=True)
class ManualEnvironment:
    """A clock, chance and a node of a test; each may be given."""

    clock: ManualClock = field(default_factory=ManualClock)
    chance: SeededChance = field(default_factory=lambda: SeededChance(0))
    node: FixedNode = field(default_factory=lambda: FixedNode("test"))


def _microseconds(seconds: float) -> int:
    return round(seconds * 1_000_000)
