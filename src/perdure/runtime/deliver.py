"""The deliver loop: carry out what was given out, from the intents it was frozen in.

An event to record in the same context goes into one commit with the settling of its intent. One for
another context is recorded there under its own id, then settled here: done twice, it is recorded once.
"""

import asyncio
from collections.abc import Mapping, Sequence

from perdure.core.reacting import read_emitted
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.logs import logger as make_logger
from perdure.vocabulary.commits import Commit, Committed, Intent, Settle
from perdure.vocabulary.errors import EngineError

BATCH = 256
IDLE_SECONDS = 1.0
BACK_OFF_SECONDS_MAX = 10.0

logger = make_logger("perdure.deliver")


class DeliverLoop:
    """Delivers the intents of one context."""

    def __init__(self, context: str, logs: Mapping[str, Log], clock: Clock) -> None:
        self._context, self._logs, self._clock = context, logs, clock
        self._log = logs[context]
        self._given = asyncio.Event()
        self.delivered = 0
        self.trouble = ""

    def wake(self) -> None:
        """Say that something was given out on this node; what others give out is found by looking."""
        self._given.set()

    async def run(self) -> None:
        """Deliver until cancelled. Failures of the store are waited out; nothing is skipped."""
        wait = 0.1
        while True:
            try:
                self._given.clear()
                while intents := await self._log.intents("emit", BATCH):
                    await self._emit(intents)
                self.trouble, wait = "", 0.1
                await self._rest()
            except EngineError as failure:
                self.trouble = str(failure)
                logger.warning("delivery waits", context=self._context, cause=str(failure))
                await self._clock.sleep(wait)
                wait = min(wait * 2, BACK_OFF_SECONDS_MAX)

    async def _rest(self) -> None:
        """Wait until something is given out, or for a while."""
        waiting = [
            asyncio.ensure_future(self._given.wait()),
            asyncio.ensure_future(self._clock.sleep(IDLE_SECONDS)),
        ]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _emit(self, intents: Sequence[Intent]) -> None:
        """Record emitted events, in order, and settle their intents."""
        here = [i for i in intents if i.target == self._context]
        away = [i for i in intents if i.target != self._context]
        await self._write(self._log, here, settle=True)
        for target in dict.fromkeys(i.target for i in away):
            await self._write(self._logs[target], [i for i in away if i.target == target])
        if away:
            await self._log.commit([_settled(i) for i in away])
        self.delivered += len(intents)
        await asyncio.sleep(0)

    async def _write(self, log: Log, intents: Sequence[Intent], *, settle: bool = False) -> None:
        if not intents:
            return
        verdicts = await log.commit(
            [
                Commit(events=(read_emitted(i),), intents=(Settle(i.id),) if settle else ())
                for i in intents
            ]
        )
        for intent, verdict in zip(intents, verdicts, strict=True):
            if isinstance(verdict, Committed) and not verdict.repeated:
                continue
            if not isinstance(verdict, Committed):
                # Ids are made from reactor, key, cause and index: only a changed function can
                # say another thing under the same id. What was recorded first stands.
                logger.error("emitted event contradicts a recorded one", intent=intent.id.hex())
            if settle:
                await log.commit([_settled(intent)])


def _settled(intent: Intent) -> Commit:
    return Commit(intents=(Settle(intent.id),))
