"""Keeping the ticks going: at any time, the next one of each series stands as an intent.

The commit that records a tick puts the next in its place. Ticks that nobody was there for come once, with
the time of the first of them.
"""

from collections.abc import Mapping

from perdure.core.definition import Definition
from perdure.core.ticking import Tick
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime import undelivered
from perdure.vocabulary.commits import Commit, Committed, Intent, Settle, StatementFailed
from perdure.vocabulary.errors import InvalidData

KIND = "tick"


class Ticks:
    """The ticks of one context."""

    def __init__(self, log: Log, definition: Definition, clock: Clock) -> None:
        self._log, self._definition, self._clock = log, definition, clock
        self._by_target: Mapping[str, Tick] = {t.target: t for t in definition.ticks.values()}

    async def begin(self) -> None:
        """See to it that the next tick of each series stands, and none of a series that is no more."""
        standing = await self._log.intents(KIND)
        gone = [intent for intent in standing if intent.target not in self._by_target]
        missing = self._by_target.keys() - {intent.target for intent in standing}
        changes: list[Intent | Settle] = [Settle(intent.id) for intent in gone]
        changes += [self._next(self._by_target[target]) for target in sorted(missing)]
        if changes:
            unparked = tuple(undelivered.remove(intent.id) for intent in gone)
            await self._log.commit([Commit(records=unparked, intents=tuple(changes))])

    async def record(self, intent: Intent) -> None:
        """Record the event of a tick, and put the next in its place. Raises ``HandlerFailed``."""
        tick = self._by_target.get(intent.target)
        if tick is None:
            await self._log.commit([Commit(intents=(Settle(intent.id),))])
            return
        event = tick.event_at(intent.due)
        following = (Settle(intent.id), self._next(tick))
        commit = Commit(
            events=(event,), intents=following, statements=self._definition.statements((event,))
        )
        (verdict,) = await self._log.commit([commit])
        if isinstance(verdict, StatementFailed):
            raise InvalidData(f"statement {verdict.index}: {verdict.reason}")
        if not isinstance(verdict, Committed) or verdict.repeated:  # the clock was set back
            await self._log.commit([Commit(intents=following)])

    def _next(self, tick: Tick) -> Intent:
        due = tick.next_after(self._clock.now())
        return Intent(
            id=tick.id_at(due), kind=KIND, target=tick.target, ordering=tick.declared.name,
            payload=b"", due=due,
        )  # fmt: skip
