"""How long a request may take: one timer for all of them.

A timer a request would cost as much as parsing it. Requests begin in the order of their deadlines, so one
timer that looks at the oldest is enough; while nothing is under way there is none.
"""

import asyncio
from typing import cast


class Deadlines:
    """Cuts off tasks that take longer than ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[asyncio.Task[object], float] = {}  # by when they began, oldest first
        self._cut: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> asyncio.Task[object]:
        """Let the time of the task that is running begin, and give the task."""
        task = cast("asyncio.Task[object]", asyncio.current_task())
        loop = task.get_loop()
        self._running[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look, loop)
        return task

    def end(self, task: asyncio.Task[object]) -> bool:
        """Let a task go; tell whether it was cut off: its cancellation is ours then, and taken back."""
        if self._running.pop(task, None) is not None:
            return False
        if task in self._cut:
            self._cut.discard(task)
            task.uncancel()
            return True
        return False

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for task, began in list(self._running.items()):
            if now - began < self._seconds:
                self._timer = loop.call_later(began + self._seconds - now, self._look, loop)
                return
            del self._running[task]
            self._cut.add(task)
            task.cancel()
