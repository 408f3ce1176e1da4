"""How each kind of intent is carried out: events recorded, commands sent, effects run.

Whatever can be is done in one commit with the settling of its intent. What goes to another context is done
there first, under an id that makes a second time a no-op, and settled here afterwards.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from perdure.core.answers import answer
from perdure.core.definition import Definition
from perdure.core.effect import Effect
from perdure.core.parcels import Parcel, unpack
from perdure.core.retrying import Retry
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime import ticks, undelivered
from perdure.runtime.attempts import Beside, Withdrawn, answered
from perdure.runtime.commands import Commands
from perdure.runtime.effects import Effects
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.timers import fired
from perdure.runtime.undelivered import EffectOutcome
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    GuardFailed,
    IdsTaken,
    Intent,
    Put,
    Settle,
    StatementFailed,
    Verdict,
)
from perdure.vocabulary.errors import (
    CommandNotFound,
    EffectFailed,
    EngineError,
    InvalidData,
    InvalidInput,
)
from perdure.vocabulary.events import NewEvent

#: For commands and events, which fail only where a function or the user's own table does.
DELIVERIES = Retry(attempts=6, first_seconds=0.5, factor=4.0, seconds_max=60)
#: Between the attempts to write down what became of an effect.
UNRECORDED_SECONDS = 1.0

logger = make_logger("perdure.deliver")


class NotCarried(Exception):
    """A delivery failed. Not ``is_known``: it may have happened; ``is_final``: trying again is of no use."""

    def __init__(
        self,
        cause: Exception,
        retry: Retry = DELIVERIES,
        *,
        is_known: bool = True,
        is_final: bool = False,
    ) -> None:
        super().__init__(str(cause))
        self.cause, self.retry = cause, retry
        self.is_known, self.is_final = is_known, is_final


class Carriers:
    """Carries out the intents of one context."""

    def __init__(
        self,
        context: str,
        definitions: Mapping[str, Definition],
        logs: Mapping[str, Log],
        commands: Mapping[str, Commands],
        effects: Effects,
        clock: Clock,
    ) -> None:
        self._context, self._definitions, self._logs = context, definitions, logs
        self._log, self._commands, self._effects = logs[context], commands, effects
        self._clock = clock
        self._ticks = ticks.Ticks(self._log, definitions[context], clock)

    async def begin(self) -> None:
        """See to it that the ticks of the context go on."""
        await self._ticks.begin()

    def lane(self, intent: Intent) -> tuple[str, str]:
        """Give what an intent is carried out in order with; contexts have no order among them."""
        if intent.kind in ("command", "emit"):
            return f"{intent.kind}/{intent.target}", intent.ordering
        effect = self._effect(intent) if intent.kind == "effect" else None
        if effect is not None and not effect.declared.ordered:
            return intent.kind, intent.id.hex()
        return intent.kind, intent.ordering

    def has_room(self, intent: Intent, running: int) -> bool:
        """Tell whether one more of its target may run."""
        effect = self._effect(intent) if intent.kind == "effect" else None
        return effect is None or running < effect.declared.concurrency

    def may_fail(self, intent: Intent) -> bool:
        """Tell whether an event may be refused: the user's own tables have a say in it."""
        definition = self._definitions.get(intent.target)
        return definition is None or bool(definition.writers)

    def code(self, kind: str, target: str) -> str:
        """Give the fingerprint of what carries this out, as far as it is the user's."""
        abroad = kind in ("emit", "command")
        definition = self._definitions.get(target if abroad else self._context)
        if definition is None:
            return ""
        if kind == "effect":
            effect = definition.effects.get(target)
            return effect.code if effect else ""
        return definition.code

    async def carry(self, intent: Intent, attempt: int) -> None:
        """Send a command, or run an effect. Raises ``NotCarried``, ``EngineError``."""
        try:
            if intent.kind == ticks.KIND:
                await self._ticks.record(intent)
            elif intent.kind == "command":
                await self._send(intent, unpack(intent))
            else:
                await self._run(intent, unpack(intent), attempt)
        except Withdrawn:
            await self._settle(intent)
        except (EngineError, NotCarried):
            raise
        except Exception as failure:
            is_final = isinstance(failure, InvalidInput | CommandNotFound)
            raise NotCarried(failure, is_final=is_final) from failure

    async def _send(self, intent: Intent, parcel: Parcel) -> None:
        commands = self._commands.get(intent.target)
        if commands is None:
            raise CommandNotFound(f"context {intent.target!r} is not open here")
        guards, puts = fired(parcel)
        tells = partial(answer, parcel, intent.id) if parcel.saga else None
        if intent.target == self._context:
            beside = Beside(guards, puts, (Settle(intent.id),), tells)
            await commands.receive(intent, parcel, beside)
        else:
            await self._check_standing(parcel)
            outcome = await commands.receive(intent, parcel)
            await self._settle(intent, parcel, events=answered(tells, outcome))

    async def _run(self, intent: Intent, parcel: Parcel, attempt: int) -> None:
        effect = self._effect(intent)
        if effect is None:
            raise CommandNotFound(f"nobody declared how to carry out {intent.target!r}")
        await self._check_standing(parcel)
        outcome, failure = await self._effects.carry_out(effect, intent, parcel, attempt)
        if failure is None:
            await self._finish(intent, parcel, effect, attempt, "succeeded")
        elif isinstance(failure, EffectFailed):
            await self._finish(intent, parcel, effect, attempt, "failed", failure.reason)
        else:
            raise NotCarried(failure, effect.declared.retry, is_known=outcome != "unknown")

    async def _finish(
        self,
        intent: Intent,
        parcel: Parcel,
        effect: Effect,
        attempts: int,
        outcome: Literal["succeeded", "failed"],
        cause: str = "",
    ) -> None:
        became = EffectOutcome(
            effect=effect.name,
            outcome=outcome,
            attempts=attempts,
            at=self._clock.now(),
            cause=cause,
        )
        records = (
            undelivered.put_outcome(intent.id, became),
            *self._effects.finished(effect, intent),
        )
        while True:
            try:
                return await self._settle(intent, parcel, records)
            except EngineError as failure:  # what is done is not done again for want of a note
                logger.warning("outcome not recorded", effect=effect.name, cause=str(failure))
                await self._clock.sleep(UNRECORDED_SECONDS)

    async def _check_standing(self, parcel: Parcel) -> None:
        """Raise ``Withdrawn`` when the timer it came by was replaced, or taken back."""
        for guard in fired(parcel)[0]:
            record = await self._log.record(guard.kind, guard.key)
            if record is None or record.revision != guard.revision:
                raise Withdrawn

    async def _settle(
        self,
        intent: Intent,
        parcel: Parcel | None = None,
        records: tuple[Put, ...] = (),
        events: tuple[NewEvent, ...] = (),
    ) -> None:
        """Be done with an intent, and with its timer unless that was set anew meanwhile."""
        guards, puts = fired(parcel) if parcel else ((), ())
        done = (Settle(intent.id),)
        commit = Commit(guards=guards, events=events, records=(*records, *puts), intents=done)
        (verdict,) = await self._log.commit([commit])
        if isinstance(verdict, GuardFailed):
            await self._log.commit([Commit(events=events, records=records, intents=done)])

    # -- events ---------------------------------------------------------------------------------

    async def record(self, intents: Sequence[Intent]) -> dict[bytes, NotCarried | EngineError]:
        """Record emitted events, in order, and settle their intents; give those that failed, by id.

        Those for other contexts are recorded there under their own ids, then settled here: done twice, each
        is recorded once; the failure of a store there is theirs alone. Raises ``EngineError``.
        """
        failures: dict[bytes, NotCarried | EngineError] = {}
        by_target: dict[str, list[tuple[Intent, Commit]]] = {}
        for intent in intents:
            try:
                commit = await self._event(intent)
            except Withdrawn:
                await self._settle(intent)
            except (EngineError, NotCarried):
                raise
            except Exception as failure:
                failures[intent.id] = NotCarried(failure)
            else:
                by_target.setdefault(intent.target, []).append((intent, commit))
        for target, pairs in by_target.items():
            try:
                verdicts = await self._logs[target].commit([commit for _, commit in pairs])
            except EngineError as failure:
                if target == self._context:
                    raise
                failures |= {intent.id: failure for intent, _ in pairs}
                continue
            for (intent, _), verdict in zip(pairs, verdicts, strict=True):
                fault = await self._recorded(intent, verdict)
                if fault is not None:
                    failures[intent.id] = NotCarried(fault)
        return failures

    async def _event(self, intent: Intent) -> Commit:
        parcel = unpack(intent)
        definition = self._definitions.get(intent.target)
        if definition is None or parcel.event is None:
            raise InvalidData(f"there is no event for a context {intent.target!r} in it")
        statements = definition.statements((parcel.event,))
        if intent.target != self._context:
            await self._check_standing(parcel)
            return Commit(events=(parcel.event,), statements=statements)
        guards, puts = fired(parcel)
        return Commit(
            guards=guards,
            events=(parcel.event,),
            records=puts,
            intents=(Settle(intent.id),),
            statements=statements,
        )

    async def _recorded(self, intent: Intent, verdict: Verdict) -> Exception | None:
        """See what became of an emitted event."""
        if isinstance(verdict, StatementFailed):
            return InvalidData(f"statement {verdict.index}: {verdict.reason}")
        if isinstance(verdict, IdsTaken):
            # Ids are made from reactor, key, cause and index: only a changed function can
            # say another thing under the same id. What was recorded first stands.
            logger.error("emitted event contradicts a recorded one", intent=intent.id.hex())
        is_new = isinstance(verdict, Committed) and not verdict.repeated
        if not is_new or intent.target != self._context:
            await self._settle(intent, None if isinstance(verdict, GuardFailed) else unpack(intent))
        return None

    def _effect(self, intent: Intent) -> Effect | None:
        return self._definitions[self._context].effects.get(intent.target)
