"""The right to work a slot: held by one node at a time, as a record in the log's own store.

A lease is taken when it is free, when its holder has certainly ended, or when it has not moved for
``seconds`` of *our* monotonic time: no two clocks are compared. It is only there to save double work;
what keeps two workers from doing harm is the compare-and-set on the checkpoint.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from perdure.ports.engine import Log
from perdure.ports.environment import Environment
from perdure.runtime.logs import logger as make_logger
from perdure.vocabulary.commits import Commit, Committed, Put, Record, RecordAt
from perdure.vocabulary.errors import EngineError

Work: TypeAlias = Callable[[], Awaitable[None]]
KIND = "lease"

logger = make_logger("perdure.leases")


def holder_of(environment: Environment, token: str = "") -> str:
    """Give the name of a holder of leases; tokens tell those of one process apart."""
    return f"{environment.node.name} {token}".rstrip()


def process_of(holder: str) -> str:
    """Give the name of the process in the name of a lease's holder."""
    return holder.partition(" ")[0]


class Lease:
    """One slot's lease, as seen from this node.

    ``token`` tells the holders of one process apart, where an application is open there twice. Either
    ``work`` does all; or whoever holds several looks after them: ``see``, ``claim``, ``give_back``.
    """

    def __init__(
        self, log: Log, environment: Environment, key: str, seconds: float, *, token: str = ""
    ) -> None:
        self._log, self._environment = log, environment
        self._holder = holder_of(environment, token)
        self.key, self._seconds = key, seconds
        self._revision = 0
        self._seen = (-1, 0.0)
        self.held = False
        self.trouble = ""

    async def work(self, work: Work) -> None:
        """Do the work whenever the lease is held, until cancelled; give it back at the end."""
        clock = self._environment.clock
        try:
            while True:
                if await self._take():
                    await self._hold(work)
                await clock.sleep(self._seconds / 10)
        finally:
            await self.give_back()

    async def _hold(self, work: Work) -> None:
        """Work and renew side by side; stop working when the lease is lost."""
        working = asyncio.ensure_future(work())
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            self.held = not renewing.done()
        finally:
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
        if working.done() and not working.cancelled() and working.exception() is not None:
            raise working.exception()  # type: ignore[misc]  # just seen not to be None

    async def _renew(self) -> None:
        while True:
            await self._environment.clock.sleep(self._seconds / 3)
            try:
                if not await self.claim():
                    return
            except EngineError as failure:
                self._fail("lease not renewed", failure)

    async def _take(self) -> bool:
        try:
            return self.see(await self._log.record(KIND, self.key)) and await self.claim()
        except EngineError as failure:
            self._fail("lease not taken", failure)
            return False

    def see(self, record: Record | None) -> bool:
        """Take note of how a lease that is not held is stored, and tell whether it may be claimed."""
        self._revision = record.revision if record else 0
        return self._is_free(record.value.decode() if record else "")

    async def claim(self) -> bool:
        """Take a lease that was seen to be free, or renew one; tell whether it is held now.

        Cut off, it ends what it began: a lease taken unawares would not be given back.
        """
        writing = asyncio.ensure_future(self._write(self._holder))
        try:
            self.held = await asyncio.shield(writing)
        except asyncio.CancelledError:
            with suppress(EngineError):  # it is not known then whose it is, and it runs out
                self.held = await writing
            raise
        return self.held

    async def give_back(self) -> None:
        """Let others have it."""
        if self.held:
            self.held = False
            try:
                await self._write("")
            except EngineError as failure:
                self._fail("lease not given back", failure)

    def _fail(self, what: str, failure: EngineError) -> None:
        self.trouble = f"{what}: {failure}"
        logger.warning(what, key=self.key, cause=str(failure))

    def _is_free(self, holder: str) -> bool:
        now = self._environment.clock.monotonic()
        if self._seen[0] != self._revision:
            self._seen = (self._revision, now)
        node = self._environment.node
        stale = now - self._seen[1] >= self._seconds
        is_own = holder == self._holder
        return not holder or is_own or node.is_gone(process_of(holder)) or stale

    async def _write(self, holder: str) -> bool:
        commit = Commit(
            guards=(RecordAt(KIND, self.key, self._revision),),
            records=(Put(KIND, self.key, holder.encode()),),
        )
        (verdict,) = await self._log.commit([commit])
        self.trouble = ""
        if isinstance(verdict, Committed):
            self._revision += 1
            return True
        return False
