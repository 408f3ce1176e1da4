"""Taking turns on a thing, within one process.

Two decisions about one thing at the same time mean that one of them is made again. Taking turns saves
that; what keeps them from doing harm, in this process and among all of them, are the guards of the commit.
"""

from asyncio import CancelledError, Future, get_running_loop
from collections import deque
from collections.abc import Iterable


class Turns:
    """Turns on things by key, first come first served."""

    def __init__(self) -> None:
        # Who waits, for each key that somebody has the turn on.
        self._waiting: dict[str, deque[Future[None]]] = {}

    def take(self, keys: Iterable[str]) -> "Turn":
        """Have the turn on all of these at once, for as long as it is entered."""
        return Turn(self, sorted(set(keys)))

    async def wait(self, key: str) -> None:
        """Take the turn on a key: at once, when nobody has it."""
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return
        turn = get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except CancelledError:
            if not turn.cancelled():  # it was given the turn, and cannot take it
                self.pass_on(key)
            raise

    def pass_on(self, key: str) -> None:
        """Give the turn to whoever has waited longest, and has not gone."""
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[key]


class Turn:
    """The turn on some keys; taken in order of key, so that nobody waits in a circle."""

    def __init__(self, turns: Turns, keys: list[str]) -> None:
        self._turns, self._keys = turns, keys
        self._held = 0

    async def __aenter__(self) -> None:
        try:
            for key in self._keys:
                await self._turns.wait(key)
                self._held += 1
        except BaseException:
            self._release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._release()

    def _release(self) -> None:
        for key in self._keys[: self._held]:
            self._turns.pass_on(key)
