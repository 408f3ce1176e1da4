"""Sharing the event loop between folding and everything else.

Folding is computing: while it runs, no request is answered. So one reactor folds at a time, for a slice of
about two milliseconds; then the rest of the process gets at least as much, unless it has nothing to do. On
an idle server folding runs at full speed; on a busy one it takes half at most, however many reactors.
"""

import asyncio
from types import TracebackType

from perdure.ports.environment import Clock

SLICE_SECONDS = 0.002
#: A turn of the loop that took less than this had nothing else to do.
IDLE_SECONDS = 0.0001


class Pacer:
    """The turn to fold, passed among the reactors of an application: ``async with pacer``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._since = 0.0

    async def __aenter__(self) -> "Pacer":
        """Wait for the turn."""
        await self._turn.acquire()
        self._since = self._clock.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Pass the turn on."""
        self._turn.release()

    @property
    def is_due(self) -> bool:
        """The slice is used up: ``breathe``."""
        return self._clock.monotonic() - self._since > SLICE_SECONDS

    async def breathe(self) -> None:
        """Let everything else run, for as long as the slice took or until there is nothing to do."""
        now = self._clock.monotonic()
        owed = now - self._since
        while owed > 0:
            await asyncio.sleep(0)
            before, now = now, self._clock.monotonic()
            if now - before < IDLE_SECONDS:
                break
            owed -= now - before
        self._since = now
