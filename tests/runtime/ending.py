"""What stands for the end of the process in tests of what ends it."""

import asyncio
import threading
from dataclasses import dataclass, field

#: How long a function may take in these tests: long enough for a busy machine to do what is quick.
SECONDS = 0.4


class ProcessEndedError(BaseException):
    """Stands for the end of the process: nothing of ours may take it for a failure of the function."""


@dataclass(frozen=True)
class Ending:
    """What the watchdog does instead of ending the process: it frees the function, which then dies."""

    codes: list[int] = field(default_factory=list)
    came: threading.Event = field(default_factory=threading.Event)

    def end(self, code: int) -> None:
        self.codes.append(code)
        self.came.set()

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.came.wait, 30)

    def spin(self) -> None:
        while not self.came.is_set():
            pass
        raise ProcessEndedError
