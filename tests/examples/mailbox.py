"""What the tests of effects share: a mailer to look into, and waiting for what was given out."""

import asyncio
from collections.abc import Mapping
from typing import Any

from perdure import Accepted, App, EntityRef

PATIENCE_SECONDS = 10


class Mailbox:
    """A mailer that keeps what it is to send."""

    def __init__(self) -> None:
        self._sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __call__(self, message: Mapping[str, Any]) -> None:
        self._sent.put_nowait(dict(message))

    async def next(self) -> dict[str, Any]:
        """Wait for the next message."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._sent.get()

    def is_empty(self) -> bool:
        """Tell whether all that was sent has been looked at."""
        return self._sent.empty()


async def accepted(app: App, ref: EntityRef[Any], command: Any, **options: Any) -> Accepted[Any]:
    """Send a command, and demand that it is accepted."""
    outcome = await app.send(ref, command, **options)
    assert isinstance(outcome, Accepted), outcome
    return outcome


async def all_is_delivered(app: App) -> None:
    """Wait until nothing that was given out is still to be done."""
    log = app.context("counters").log
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await log.intents("effect", limit=1):
            await asyncio.sleep(0.01)
