"""Which carts a service still has in mind: a memory of bounded size for services of all carts.

A cart is *in use* from its first item on. It goes *quiet* when ``QUIET_AFTER`` has passed without
an event of it, or at once when the service says so, and it is *forgotten* ``FORGOTTEN_AFTER`` after
its latest event. So the memory grows with the carts of a day, never with the carts ever seen.

One rule: time is event time. The newest event says what time it is, and the carts are looked over
once a minute, the quiet ones once an hour: a cart may be found quiet up to a minute late, and
forgotten up to an hour late.

``Carts``, ``Products`` and ``Coupons`` each hold a ``Circulation`` of what they need per cart.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from examples.shop import shards
from examples.shop.shards import Shards

QUIET_AFTER = timedelta(hours=1)
FORGOTTEN_AFTER = timedelta(days=1)
LOOK_EVERY = timedelta(minutes=1)


class Remembered(Protocol):
    """What a service remembers of one cart; it says when it last heard of it."""

    @property
    def last_at(self) -> datetime:
        """When the latest event of the cart happened."""
        ...


R = TypeVar("R", bound=Remembered)


@dataclass(frozen=True, slots=True)
class Circulation(Generic[R]):
    """The carts in use, the quiet ones, and when they were last looked over."""

    looked_at: datetime | None = None
    in_use: Shards[R] = field(default_factory=dict)
    quiet: Shards[R] = field(default_factory=dict)

    def find(self, cart: UUID) -> R | None:
        """What is remembered of the cart, in use or quiet."""
        return shards.find(self.in_use, cart) or shards.find(self.quiet, cart)

    def is_quiet(self, cart: UUID) -> bool:
        """Is the cart one of the quiet ones?"""
        return shards.find(self.quiet, cart) is not None

    def keep(self, cart: UUID, remembered: R, *, quiet: bool = False) -> "Circulation[R]":
        """Remember this of the cart, as of a cart in use or of a quiet one."""
        place, other = (self.quiet, self.in_use) if quiet else (self.in_use, self.quiet)
        place, other = shards.put(place, cart, remembered), shards.drop(other, cart)
        if quiet:
            return Circulation(self.looked_at, in_use=other, quiet=place)
        return Circulation(self.looked_at, in_use=place, quiet=other)

    def close(self, cart: UUID) -> "Circulation[R]":
        """Forget the cart now: its story is over."""
        in_use, quiet = shards.drop(self.in_use, cart), shards.drop(self.quiet, cart)
        return Circulation(self.looked_at, in_use, quiet)

    def look_over(self, at: datetime) -> tuple["Circulation[R]", list[R] | None]:
        """Look for carts gone quiet by now; None found means that it was not yet time to look."""
        before = self.looked_at
        if before is not None and at - before < LOOK_EVERY:
            return self, None
        in_use, found = _parted(self.in_use, at - QUIET_AFTER)
        quiet = self.quiet
        for cart, remembered in found.items():
            quiet = shards.put(quiet, cart, remembered)
        if before is None or before.hour != at.hour:
            quiet, _ = _parted(quiet, at - FORGOTTEN_AFTER)
        return Circulation(at, in_use, quiet), list(found.values())


def _parted(carts: Shards[R], before: datetime) -> tuple[Shards[R], dict[UUID, R]]:
    """The carts heard of since, and apart from them those last heard of ``before`` that."""
    gone = {cart: kept for cart, kept in shards.items(carts) if kept.last_at < before}
    for cart in gone:
        carts = shards.drop(carts, cart)
    return carts, gone
