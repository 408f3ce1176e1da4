"""The decide loop: look up, run a pure function, commit on condition that nothing looked up has changed.

One executor for entities and for LOW handlers. Who is faster wins; the other decides again on what is
there now, after a short wait, a bounded number of times. Every decision, rejections included, is committed
with the record of its command: the first outcome under a command id stays for ever.
"""

from collections.abc import Callable, Sequence
from typing import Any

from perdure.core.command_records import KIND, read_record
from perdure.core.deciding import Decider
from perdure.core.handling import Message
from perdure.core.outputs import Momentary
from perdure.core.retrying import CONFLICTS
from perdure.ports.environment import Environment
from perdure.runtime.attempts import AlreadyDone, Attempt, Beside, Desk, answered
from perdure.runtime.telemetry import Meter
from perdure.runtime.turns import Turns
from perdure.vocabulary.commits import Commit
from perdure.vocabulary.errors import (
    Contended,
    Corrupt,
    EngineError,
    PerdureError,
    Rejected,
    Unavailable,
)
from perdure.vocabulary.outcomes import Accepted, Outcome


class DecideLoop:
    """Carries out the commands of one context."""

    def __init__(
        self,
        desk: Desk,
        environment: Environment,
        meter: Meter,
        *,
        in_flight_max: int,
        gave_out: Callable[[Sequence[Momentary]], None],
    ) -> None:
        self._desk = desk
        self._clock, self._chance, self._meter = environment.clock, environment.chance, meter
        self._in_flight_max, self._gave_out = in_flight_max, gave_out
        self._turns = Turns()
        self.in_flight = 0

    async def handle(
        self,
        decider: Decider,
        message: Message,
        *,
        expected_version: int | None = None,
        beside: Beside | None = None,
    ) -> Outcome[Any]:
        """Carry a command out, or give the first outcome that stands under its id.

        Raises ``Contended``, ``WrongVersion``, ``HandlerFailed``, ``RequestKeyReused`` or ``EngineError``:
        none of these is an outcome, and nothing is written; only after ``OutcomeUnknown`` it must be sent
        again.
        """
        if self.in_flight >= self._in_flight_max:
            raise Unavailable(
                f"{self.in_flight} commands are being handled in context {self._desk.context!r}; "
                "nothing was written, send it again"
            )
        self.in_flight += 1
        try:
            attempt = Attempt(self._desk, decider, message, expected_version, beside or Beside())
            async with self._turns.take(attempt.turns):
                await self._desk.hung.check(decider, message)
                return await self._handle(attempt)
        except AlreadyDone:
            return await self._again(decider, message, beside)
        except PerdureError as failure:
            if isinstance(failure, EngineError):
                raise
            if await self._desk.log.record(KIND, message.key) is None:
                raise
            return await self._again(decider, message, beside)
        finally:
            self.in_flight -= 1

    async def _handle(self, attempt: Attempt) -> Outcome[Any]:
        for count in range(CONFLICTS.attempts):
            if count:
                self._meter.counters["command_conflicts"] += 1
                wait = CONFLICTS.wait_seconds(count, self._chance.bits(16))
                await self._clock.sleep(wait)
            decided = await attempt.make()
            if decided is not None:
                break
        else:
            raise Contended(attempt.what, CONFLICTS.attempts)
        if decided.gave_out or decided.momentary:
            self._gave_out(decided.momentary)
        return decided.outcome

    async def _again(
        self, decider: Decider, message: Message, beside: Beside | None
    ) -> Outcome[Any]:
        """Give the first outcome to whoever sent the command again, and settle what it came by."""
        outcome = await self._first_outcome(decider, message)
        if beside is not None and beside.intents:
            told = answered(beside.answer, outcome)
            await self._desk.log.commit([Commit(events=told, intents=beside.intents)])
        return outcome

    async def _first_outcome(self, decider: Decider, message: Message) -> Outcome[Any]:
        """Give the outcome that stands under a command's id. Raises ``RequestKeyReused``."""
        stored = await self._desk.log.record(KIND, message.key)
        if stored is None:
            raise Corrupt(f"command {message.key} is told to be done, and has no record")
        codec = decider.handler.command.codec
        record = read_record(stored.value, message, decider.target, codec)
        if record.verdict == "rejected":
            return Rejected(record.reason)
        events = await self._desk.log.events([event.bytes for event in record.events])
        state = None
        if decider.kind:
            kind = self._desk.definition.kinds[decider.kind]
            version = record.version
            known = await self._desk.entities.as_of(kind, decider.entity, version=version)
            state = known.state
        return Accepted(
            state=state,
            version=record.version,
            position=max((e.position for e in events), default=await self._desk.log.head()),
            command_id=message.id,
            events=record.events,
            reply=record.reply,
            repeated=True,
        )
