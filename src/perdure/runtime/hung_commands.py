"""Commands whose function did not return: refused at the next start, until the code has changed.

The watchdog ended the process that was in such a call. To take the same command for the same entity again
would end this one as well.
"""

from perdure.core.deciding import Decider
from perdure.core.handling import Message
from perdure.ports.engine import Log
from perdure.runtime.watchdog import Hung, Stack, Watchdog, forget, marks
from perdure.vocabulary.commits import Commit
from perdure.vocabulary.errors import HandlerFailed

LOOP = "decide"


class HungCommands:
    """What hung while one context was deciding."""

    def __init__(self, log: Log, context: str, code: str, watchdog: Watchdog) -> None:
        self._log, self._context, self._code, self._watchdog = log, context, code, watchdog
        self._marks: dict[str, Hung] | None = None

    async def check(self, decider: Decider, message: Message) -> None:
        """Raise ``HandlerFailed`` for a command that hung before, with the code of today."""
        if self._marks is None:
            await self._load()
        hung = (self._marks or {}).get(_key(decider, message))
        if hung is not None:
            cause = f"it did not return within {hung.seconds:g} s when it was last called"
            raise HandlerFailed(hung.label, cause)

    def describe(self, decider: Decider, message: Message, stack: Stack) -> Hung:
        """Say what hangs, for the watchdog."""
        return Hung(
            context=self._context,
            loop=LOOP,
            key=_key(decider, message),
            label=decider.handler.label,
            code=self._code,
        )

    async def _load(self) -> None:
        """See what hung; what was mended since is forgotten."""
        found = await marks(self._log, LOOP)
        limit = self._watchdog.seconds
        standing = [h for h in found if h.code == self._code and 0 < limit <= h.seconds]
        mended = [hung for hung in found if hung not in standing]
        if mended:
            await self._log.commit([Commit(records=tuple(forget(hung) for hung in mended))])
        self._marks = {hung.key: hung for hung in standing}


def _key(decider: Decider, message: Message) -> str:
    return f"{message.name} {decider.target}".rstrip()
