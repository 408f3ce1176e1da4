"""Figures that several services keep: durations, percentiles, and counts over time.

One rule: a figure is a frozen value of bounded size, and adding to it makes a new one.

``cart_analytics`` and ``product_analytics`` put these into their models.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: How much of the ISO form of a time names the bucket that it falls into.
TEN_MINUTES = len("2024-06-03T10:0")
MINUTE = len("2024-06-03T10:05")
SECOND = len("2024-06-03T10:05:07")


@dataclass(frozen=True, slots=True)
class Durations:
    """How many durations were seen, and how long they were, in seconds."""

    count: int = 0
    total_seconds: float = 0.0
    mean_seconds: float = 0.0
    longest_seconds: float = 0.0
    last_seconds: float = 0.0

    def with_one_more(self, duration: timedelta) -> "Durations":
        """The same durations and this one."""
        seconds = duration.total_seconds()
        count, total = self.count + 1, self.total_seconds + seconds
        return Durations(count, total, total / count, max(self.longest_seconds, seconds), seconds)


@dataclass(frozen=True, slots=True)
class Ages:
    """The ages of some things at one moment, in seconds. Percentiles are by nearest rank."""

    count: int = 0
    mean_seconds: float = 0.0
    p90_seconds: float = 0.0
    p99_seconds: float = 0.0
    at: datetime | None = None


def ages_at(at: datetime, births: Sequence[datetime]) -> Ages:
    """How old, at this moment, are the things that began at these times?"""
    if not births:
        return Ages(at=at)
    ages = sorted((at - birth).total_seconds() for birth in births)
    return Ages(
        count=len(ages),
        mean_seconds=sum(ages) / len(ages),
        p90_seconds=nearest_rank(ages, 90),
        p99_seconds=nearest_rank(ages, 99),
        at=at,
    )


def nearest_rank(ascending: Sequence[float], percent: int) -> float:
    """The smallest of the values that at least ``percent`` per cent of them do not exceed."""
    rank = -(-len(ascending) * percent // 100)
    return ascending[rank - 1]


@dataclass(frozen=True, slots=True)
class Window:
    """How many things were active of late, each counted in the bucket of its latest activity.

    The buckets that lie wholly inside the window count; the one it began in does not. So the
    window is short by less than one bucket, and there are never more buckets than it spans.
    """

    count: int = 0
    buckets: dict[str, int] = field(default_factory=dict)

    def moved(self, before: str, now: str, *, span: timedelta, width: int) -> "Window":
        """The window that ends now, with one thing active now and last active ``before``.

        Both are times in ISO form; ``before`` is empty for a thing that was never active.
        """
        left, entered = before[:width], now[:width]
        if left == entered:
            return self
        if entered in self.buckets:
            buckets = dict(self.buckets)
        else:
            cutoff = (datetime.fromisoformat(now) - span).isoformat()[:width]
            buckets = {when: count for when, count in self.buckets.items() if when > cutoff}
        if left in buckets:
            buckets[left] -= 1
        buckets[entered] = buckets.get(entered, 0) + 1
        return Window(sum(buckets.values()), buckets)
