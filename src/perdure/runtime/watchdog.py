"""The watchdog: a user's function that never returns ends the process, and is told apart at the next start.

One event loop does everything, so a function that never returns would stop all of it for ever, silently. A
thread looks at the loop's stack every half second. When the *same call* of a user's function is there for
``seconds`` it names the function in the log with the stack, marks in the store what must not be tried again,
and ends the process. Whoever reads the mark at the next start (a react loop, the decide executor) parks or
refuses that one thing, and everything else goes on.

One rule: the loop pays next to nothing, the thread does the work. Time is the machine's own and not the
environment's clock, because this guards the process and is no part of any domain. A function that keeps the
interpreter to itself without running Python (one endless call into C) cannot be seen from within.
"""

import asyncio
import faulthandler
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from itertools import dropwhile
from types import FrameType, TracebackType
from typing import TypeAlias

import msgspec

from perdure.ports.engine import Log
from perdure.runtime.logs import logger as make_logger
from perdure.vocabulary.commits import Commit, Put

KIND = "hung"
#: The exit code: an internal software error, as in sysexits.h.
EXIT_CODE = 70
LOOK_SECONDS = 0.5
#: How long the mark may take, and the mark and the last words together.
MARK_SECONDS = 3.0
FAREWELL_SECONDS = 6.0
_STANDARD_ERROR = 2
_STACK_CHARS_MAX = 8_000
_PAGE = 1000

logger = make_logger("perdure.watchdog")

#: The frames of a call that does not return, inwards from the block that is watched.
Stack: TypeAlias = Sequence[FrameType]


class Hung(msgspec.Struct, frozen=True, kw_only=True):
    """A call that did not return: which, and what to keep from being tried again.

    ``loop`` says whose mark it is (``decide``, or ``react/`` and the reactor), ``key`` what must wait;
    ``source``: it is an entity whose events cannot be read. ``position`` and ``event_id`` are of the
    event the call was about, of ``type``; ``since`` is the first position that waits with it. ``code`` is
    the function's fingerprint. ``seconds`` and ``stack`` are filled in by the watchdog.
    """

    context: str
    loop: str
    key: str
    label: str
    source: bool = False
    type: str = ""
    position: int = 0
    since: int = 0
    event_id: str = ""
    code: str = ""
    seconds: float = 0
    stack: str = ""


#: Says what hangs, from the stack; asked only when something does, in the watchdog's thread.
Describe: TypeAlias = Callable[[Stack], Hung]


async def marks(log: Log, loop: str = "") -> list[Hung]:
    """Give what hung when a process was ended: all, or what one loop was doing."""
    prefix, after = f"{loop}/" if loop else "", ""
    found: list[Hung] = []
    while records := await log.records(KIND, prefix=prefix, after=after, limit=_PAGE):
        found += (msgspec.json.decode(record.value, type=Hung) for record in records)
        after = records[-1].key
    return found


def mark(hung: Hung) -> Put:
    """Give the record that keeps a mark."""
    return Put(KIND, _name(hung), msgspec.json.encode(hung))


def forget(hung: Hung) -> Put:
    """Give the removal of a mark, for the commit that parks or refuses what it names."""
    return Put(KIND, _name(hung), None)


def users_call(stack: Stack) -> FrameType | None:
    """Give the outermost frame of the user's code; ``None`` while only ours are at work."""
    return next((frame for frame in stack if not _is_ours(frame)), None)


class Watching:
    """What the loop is busy with, from ``with`` to the end of it."""

    __slots__ = ("subject",)

    def __init__(self) -> None:
        self.subject: tuple[Log | None, Describe, FrameType] | None = None

    def __enter__(self) -> None:
        """Be watched: the watchdog has set the subject."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Not be watched any more."""
        self.subject = None


class Watchdog:
    """Watches one event loop, between ``start`` and ``stop``.

    ``seconds``: how long one call may take; 0 turns it off. ``end`` ends the process with an exit code; it
    may return in a test, and then nothing is watched any more.
    """

    def __init__(self, seconds: float, *, end: Callable[[int], object]) -> None:
        self._seconds, self._end = seconds, end
        self._rest = min(LOOK_SECONDS, seconds / 4)
        self._watching = Watching()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched = 0
        self._call: FrameType | None = None
        self._elapsed = 0.0

    @property
    def seconds(self) -> float:
        """How long one call may take; 0: for ever."""
        return self._seconds

    def start(self) -> None:
        """Watch the calling thread, which is the event loop's."""
        if self._seconds <= 0 or self._thread is not None:
            return
        self._watched = threading.get_ident()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="perdure-watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more, and return when the thread has ended. Idempotent."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None:
            thread.join()

    def watching(self, log: Log | None, describe: Describe) -> Watching:
        """Watch the calls made in a ``with`` block, which must neither await nor hold another such block.

        ``describe`` says what to mark in ``log``; without a log nothing is marked, it is only named.
        """
        if self._thread is not None:
            self._watching.subject = (log, describe, sys._getframe(1))  # noqa: SLF001
        return self._watching

    # -- in the watchdog's thread --------------------------------------------------------------

    def _run(self) -> None:
        looked = time.monotonic()
        while not self._stopping.wait(self._rest):
            now = time.monotonic()
            # A process that was stopped, or a machine that was asleep, is no function that hangs.
            hanging = self._look(min(now - looked, 2 * self._rest))
            looked = now
            if hanging is not None:
                self._fire(*hanging)
                break
        self._call = None

    def _look(self, passed: float) -> tuple[Log | None, Describe, Stack] | None:
        """Look whether the same call is still there; give it once that has been for too long.

        Each call has a frame of its own, so that many quick calls are never taken for a long one.
        """
        subject = self._watching.subject
        stack = self._stack(subject[2]) if subject is not None else ()
        call = users_call(stack)
        self._elapsed = self._elapsed + passed if call is self._call else 0.0
        self._call = call  # held, so that no other frame can be taken for it
        if subject is None or call is None or self._elapsed < self._seconds:
            return None
        return subject[0], subject[1], stack

    def _stack(self, block: FrameType) -> Stack:
        """Give the frames within the block that is watched; none when it has ended meanwhile."""
        inwards: list[FrameType] = []
        frame = sys._current_frames().get(self._watched)  # noqa: SLF001
        while frame is not None and frame is not block:
            inwards.append(frame)
            frame = frame.f_back
        return inwards[::-1] if frame is not None else ()

    def _fire(self, log: Log | None, describe: Describe, stack: Stack) -> None:
        """Mark and say what hangs, then end the process, whatever becomes of the first two.

        They have a thread of their own, because whatever the loop holds (the lock of a log handler,
        say) it will never let go.
        """
        farewell = threading.Thread(
            target=self._take_leave, args=(log, describe, stack), name="perdure-hung", daemon=True
        )
        farewell.start()
        farewell.join(FAREWELL_SECONDS)
        self._end(EXIT_CODE)

    def _take_leave(self, log: Log | None, describe: Describe, stack: Stack) -> None:
        try:
            hung = msgspec.structs.replace(
                describe(stack), seconds=self._seconds, stack=_text(stack)
            )
            is_marked = log is not None and _mark(log, hung)
            logger.critical(
                "a function does not return: the process ends",
                function=hung.label,
                context=hung.context,
                loop=hung.loop,
                key=hung.key,
                position=hung.position,
                seconds=hung.seconds,
                marked=is_marked,
                stack=hung.stack,
            )
            _dump()
        except Exception:
            logger.exception("a function does not return, and what it is cannot be said")


def _name(hung: Hung) -> str:
    return f"{hung.loop}/{hung.key}"


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "perdure"


def _text(stack: Stack) -> str:
    """Write the stack as in a traceback, from the user's call inwards."""
    inwards = dropwhile(_is_ours, stack)
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in inwards)
    return "".join(summary.format())[-_STACK_CHARS_MAX:]


def _mark(log: Log, hung: Hung) -> bool:
    """Make the mark durable, by an event loop of this thread; ``False``: the engine could not."""

    async def write() -> None:
        async with asyncio.timeout(MARK_SECONDS):
            await log.commit([Commit(records=(mark(hung),))])

    try:
        asyncio.run(write())
    except Exception as failure:  # an engine may know one event loop only; what is said is all then
        logger.warning("what hangs is not marked", key=hung.key, cause=repr(failure))
        return False
    return True


def _dump() -> None:
    """Write the stacks of all threads to standard error.

    By way of a file: ``faulthandler`` writes while nobody else can run, and would stop all for ever at a
    pipe that is full.
    """
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        os.write(_STANDARD_ERROR, file.read())
