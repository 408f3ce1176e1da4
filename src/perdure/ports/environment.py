"""Time, identity and chance, as arguments. Nothing in Perdure asks the machine for them directly."""

from typing import Protocol


class Clock(Protocol):
    """Time, of two kinds: one to write down and one to wait by."""

    def now(self) -> int:
        """Give microseconds since 1970, UTC. May step in either direction."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait by the monotonic time."""
        ...


class Chance(Protocol):
    """Randomness: for ids that must not collide, and for jitter."""

    def bits(self, count: int) -> int:
        """Give an integer of this many random bits."""
        ...


class Node(Protocol):
    """Which process this is, among all that share a store."""

    @property
    def name(self) -> str:
        """A name no other process has, now or later."""
        ...

    def is_gone(self, name: str) -> bool:
        """Tell whether the named process has certainly ended; ``False`` when that cannot be known."""
        ...


class Environment(Protocol):
    """Everything that is not determined by arguments."""

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def chance(self) -> Chance:
        """Randomness."""
        ...

    @property
    def node(self) -> Node:
        """This process."""
        ...
