"""Carrying out effects: the only place where a user's function acts on the world.

An attempt ends in one of three ways. It *succeeded*; it *failed*; or nobody knows, because it took too long
or the process ended in the middle. An effect that can be asked about (``reconcile``) leaves a mark before
it starts, so that a restart knows to ask.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Literal, TypeAlias

from perdure.core.definition import Definition
from perdure.core.effect import Effect
from perdure.core.outputs import Momentary
from perdure.core.parcels import Parcel
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.telemetry import Meter
from perdure.vocabulary.commits import Commit, Intent, Put
from perdure.vocabulary.errors import EffectFailed, PerdureError
from perdure.vocabulary.ids import id_text

_ATTEMPT = "attempt"

logger = make_logger("perdure.effects")


class TookTooLong(PerdureError):
    """An effect did not return in its time: it may or may not have happened."""


class BrokenOff(PerdureError):
    """An effect was cancelled by something it waited for: it may or may not have happened."""


Result: TypeAlias = tuple[Literal["succeeded", "failed", "unknown"], Exception | None]


class Effects:
    """Carries out the effects of one context."""

    def __init__(
        self, log: Log, definition: Definition, config: Any, clock: Clock, meter: Meter
    ) -> None:
        self._log, self._definition, self._config = log, definition, config
        self._clock, self._meter = clock, meter
        self._ended: dict[bytes, str] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._slots: dict[str, asyncio.Semaphore] = {}

    @property
    def running(self) -> int:
        """How many are under way that are carried out at most once."""
        return len(self._running)

    # -- at least once --------------------------------------------------------------------------

    async def carry_out(
        self, effect: Effect, intent: Intent, parcel: Parcel, attempt: int
    ) -> Result:
        """Make one attempt, and say how it ended. Raises ``EngineError``."""
        value = effect.codec.decode(parcel.data)
        key = id_text(intent.id)
        if effect.declared.reconcile is not None:
            if await self._is_unknown(intent.id):
                known = await self._ask(effect, value, key)
                if known is not None:
                    return known
            await self._begin(intent.id)
        given = {"key": key, "attempt": attempt, "config": self._config}
        kwargs = {name: given[name] for name in effect.wants}
        result = await self._run(effect.declared.function(value, **kwargs), effect)
        if effect.declared.reconcile is not None:
            self._ended[intent.id] = result[0]
        self._meter.counters[f"effects_{result[0]}"] += 1
        return result

    def finished(self, effect: Effect, intent: Intent) -> tuple[Put, ...]:
        """Give what to write besides when an effect is done with."""
        self._ended.pop(intent.id, None)
        asked = effect.declared.reconcile is not None
        return (Put(_ATTEMPT, id_text(intent.id), None),) if asked else ()

    async def _ask(self, effect: Effect, value: Any, key: str) -> Result | None:
        """Ask what became of an attempt that nobody knows the end of; ``None``: try again."""
        reconcile = effect.declared.reconcile
        if reconcile is None:
            return None
        answer: list[Any] = []

        async def ask() -> None:
            given = {"key": key, "attempt": 0, "config": self._config}
            answer.append(await reconcile(value, **{name: given[name] for name in effect.asks}))

        outcome, failure = await self._run(ask(), effect)
        if outcome != "succeeded":
            return "unknown", failure
        if answer[0] == "succeeded":
            return "succeeded", None
        if answer[0] == "failed":
            return "failed", EffectFailed(f"{effect.label} failed, says its reconcile")
        return None

    async def _run(self, work: Awaitable[object], effect: Effect) -> Result:
        """Await work of the user's for as long as its effect may take."""
        running = asyncio.ensure_future(work)
        limit = asyncio.ensure_future(self._clock.sleep(effect.declared.timeout_seconds))
        try:
            await asyncio.wait({running, limit}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                return "unknown", TookTooLong(
                    f"{effect.label} did not return in {effect.declared.timeout_seconds:g} s"
                )
            if running.cancelled():
                return "unknown", BrokenOff(f"{effect.label} was cancelled from within")
            failure = running.exception()
        finally:
            for task in (running, limit):
                task.cancel()
            await asyncio.gather(running, limit, return_exceptions=True)
        if failure is None:
            return "succeeded", None
        if not isinstance(failure, Exception):
            raise failure
        return "failed", failure

    async def _is_unknown(self, id_: bytes) -> bool:
        """Tell whether an attempt was made whose end nobody knows: by this process, or by one before."""
        ended = self._ended.get(id_)
        if ended is not None:
            return ended == "unknown"
        return await self._log.record(_ATTEMPT, id_text(id_)) is not None

    async def _begin(self, id_: bytes) -> None:
        if id_ not in self._ended:
            await self._log.commit([Commit(records=(Put(_ATTEMPT, id_text(id_), b"begun"),))])
            self._ended[id_] = "unknown"

    # -- at most once ---------------------------------------------------------------------------

    def start(self, given: Sequence[Momentary]) -> None:
        """Start what was given out to be carried out at most once; nothing of it is written down."""
        for momentary in given:
            task = asyncio.create_task(self._carry_out_once(momentary))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _carry_out_once(self, momentary: Momentary) -> None:
        effect = momentary.effect
        slots = self._slots.setdefault(effect.name, asyncio.Semaphore(effect.declared.concurrency))
        given = {"key": momentary.key, "attempt": 1, "config": self._config}
        kwargs = {name: given[name] for name in effect.wants}
        async with slots:
            outcome, failure = await self._run(
                effect.declared.function(momentary.value, **kwargs), effect
            )
        self._meter.counters[f"effects_{outcome}"] += 1
        if failure is not None:  # what it was about is not told: it must not be written down
            logger.error("effect not carried out", effect=effect.name, outcome=outcome)

    async def finish(self, seconds: float) -> None:
        """Wait for what was started at most once, for so long; then cut it off."""
        if self._running:
            _, late = await asyncio.wait(set(self._running), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
