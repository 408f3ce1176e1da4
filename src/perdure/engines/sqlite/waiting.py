"""Who waits for news of a log, in whatever event loop."""

import asyncio
import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Waiters:
    """Futures that are done as soon as the log moves on, or is closed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Future[None]] = set()

    def add(self) -> Future[None]:
        """Begin to wait, in the running loop."""
        news: Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.add(news)
        return news

    def discard(self, news: Future[None]) -> None:
        """Give up waiting."""
        with self._lock:
            self._waiting.discard(news)

    def wake(self) -> None:
        """Wake everybody, from any thread."""
        if not self._waiting:
            return
        with self._lock:
            woken, self._waiting = self._waiting, set()
        for news in woken:
            call_in(news.get_loop(), _tell, news)


def call_in(loop: AbstractEventLoop, function: Callable[[T], None], argument: T) -> None:
    """Call a function in a loop, from any thread. In a loop that is closed nobody waits any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, argument)


def _tell(news: Future[None]) -> None:
    if not news.done():
        news.set_result(None)
