"""Taking turns on a thing, within one process.

Two decisions about one thing at the same time mean that one of them is made again. Taking turns saves
that; what keeps them from doing harm, in this process and among all of them, are the guards of the commit.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager


class Turns:
    """Turns on things by key, first come first served."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Have the turn on all of these at once; in order of key, so that nobody waits in a circle."""
        async with AsyncExitStack() as held:
            for key in sorted(set(keys)):
                await held.enter_async_context(self._on(key))
            yield

    @asynccontextmanager
    async def _on(self, key: str) -> AsyncIterator[None]:
        lock, waiting = self._locks.get(key) or (asyncio.Lock(), 0)
        self._locks[key] = lock, waiting + 1
        try:
            async with lock:
                yield
        finally:
            _, waiting = self._locks[key]
            if waiting == 1:
                del self._locks[key]
            else:
                self._locks[key] = lock, waiting - 1
