"""The deliver loop: carry out what was given out, from the intents it was frozen in, when it is due.

Intents of one ordering key are carried out one after another, in the order they were given out; others
beside them. One that fails is tried again with back-off, and those behind it wait; when its policy
ends it is parked. ``carriers`` says how each kind is carried out.
"""

import asyncio
from collections import Counter
from functools import partial

import msgspec

from perdure.ports.engine import Log
from perdure.ports.environment import Environment
from perdure.runtime import ticks, undelivered
from perdure.runtime.backlog import Backlog, Lane
from perdure.runtime.carriers import Carriers, NotCarried
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.undelivered import Undelivered
from perdure.vocabulary.commits import Commit, Intent
from perdure.vocabulary.errors import EngineError

PAGE = 256
IN_FLIGHT_MAX = 256
#: Of one target, held in memory.
HELD_MAX = 1000
IDLE_SECONDS = 1.0
BACK_OFF_SECONDS_MAX = 10.0
_LANED = ("command", "effect", ticks.KIND)
_KINDS = ("emit", *_LANED)
#: Behind the place of every intent.
_BEHIND_ALL = 1 << 62

logger = make_logger("perdure.deliver")


class Tried(msgspec.Struct):
    """A delivery that failed: how often in this process, and when it is tried next (monotonic seconds)."""

    failures: int
    next_at: float


class DeliverLoop:
    """Delivers the intents of one context."""

    def __init__(
        self,
        context: str,
        log: Log,
        carriers: Carriers,
        environment: Environment,
        grace_seconds: float,
    ) -> None:
        self._grace_seconds = grace_seconds
        self._context, self._log, self._carriers = context, log, carriers
        self._clock, self._chance = environment.clock, environment.chance
        self._given = asyncio.Event()
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._lanes: set[Lane] = set()
        self._backlog, self._behind = Backlog(HELD_MAX), dict.fromkeys(_LANED, 0)
        self._is_read, self._has_news, self._read_at = False, True, 0.0
        self._tried: dict[bytes, Tried] = {}
        self._loaded_at = -IDLE_SECONDS
        self._parked: dict[bytes, Undelivered] = {}
        self.delivered = 0
        self.trouble = ""

    @property
    def parked(self) -> int:
        """How many deliveries stand still."""
        return len(self._parked)

    @property
    def running(self) -> int:
        """How many deliveries are under way."""
        return len(self._running)

    def wake(self) -> None:
        """Say that something was given out on this node; what others give out is found by looking."""
        self._has_news = True
        self._given.set()

    async def run(self) -> None:
        """Deliver until cancelled. Failures of the store are waited out; nothing is skipped."""
        wait, begun = 0.1, False
        self._loaded_at = -IDLE_SECONDS
        self._is_read = False
        try:
            while True:
                try:
                    if not begun:
                        await self._carriers.begin()
                        begun = True
                    await self._load()
                    self._given.clear()
                    await self._round()
                    self.trouble, wait = "", 0.1
                    await self._rest()
                except EngineError as failure:
                    self.trouble = str(failure)
                    logger.warning("delivery waits", context=self._context, cause=str(failure))
                    await self._clock.sleep(wait)
                    wait = min(wait * 2, BACK_OFF_SECONDS_MAX)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        """Let what runs come to its end, for a while: cut off, it would be done again."""
        if self._running:
            running = set(self._running.values())
            _, late = await asyncio.wait(running, timeout=self._grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _load(self) -> None:
        """See what stands still, once a second, and let go what is carried out by other code now."""
        now = self._clock.monotonic()
        if now < self._loaded_at + IDLE_SECONDS:
            return
        self._loaded_at = now
        before = set(self._parked)
        found = await undelivered.load(self._log)
        since = {id_: each for id_, each in self._parked.items() if id_ not in before}
        self._parked = found | since
        for id_, record in list(self._parked.items()):
            if record.code != self._carriers.code(record.kind, record.target):
                logger.info("parked delivery is tried again", intent=record.id, cause="new code")
                await self._log.commit([Commit(records=(undelivered.remove(id_),))])
                del self._parked[id_]

    async def _rest(self) -> None:
        """Wait until something is given out or falls due, a delivery ends, or one is to be tried again."""
        now = self._clock.monotonic()
        later = [t.next_at - now for t in self._tried.values() if t.next_at > now]
        wait = min([IDLE_SECONDS, *later, *await self._seconds_to_next()])
        given = asyncio.ensure_future(self._given.wait())
        slept = asyncio.ensure_future(self._clock.sleep(wait))
        try:
            await asyncio.wait({given, slept}, return_when=asyncio.FIRST_COMPLETED)
            self._has_news = self._has_news or slept.done()
        finally:
            given.cancel()
            slept.cancel()

    async def _seconds_to_next(self) -> list[float]:
        """Say when the next intent of each kind falls due, unless there is work already."""
        if self._given.is_set():
            return []
        now = self._clock.now()
        pages = [await self._log.intents(k, after=(now, _BEHIND_ALL), limit=1) for k in _KINDS]
        return [(intent.due - now) / 1_000_000 for page in pages for intent in page]

    # -- what is due ----------------------------------------------------------------------------

    async def _round(self) -> None:
        """Record the events that are due; start the other deliveries that nothing stands before."""
        more = True
        while more:
            more = await self._record_events()
            await asyncio.sleep(0)
        if not self._is_read or self._backlog.wants_more:
            await self._read_all()
        elif self._has_news or self._clock.monotonic() >= self._read_at + IDLE_SECONDS:
            await self._read_news()
        self._start()

    async def _read_all(self) -> None:
        """Read what is due from the beginning."""
        self._backlog, self._behind = Backlog(HELD_MAX), dict.fromkeys(_LANED, 0)
        await self._read_news()
        self._is_read = True

    async def _read_news(self) -> None:
        """Read what has come to be due since: given out for at once behind the last, or timers."""
        self._has_news, self._read_at = False, self._clock.monotonic()
        for kind in _LANED:
            for first, until in (((0, self._behind[kind]), 0), ((0, _BEHIND_ALL), None)):
                after = first
                while page := await self._page(kind, after, until):
                    for intent in page:
                        if intent.id not in self._running:
                            self._backlog.add(self._carriers.lane(intent), intent)
                    after = page[-1].due, page[-1].place
                if until == 0:
                    self._behind[kind] = after[1]

    def _start(self) -> None:
        """Start what nothing stands before: nothing of its order, and not the limit of its target."""
        busy = Counter(task.get_name() for task in self._running.values())
        for lane, intent in self._backlog.heads():
            name = f"{intent.kind}/{intent.target}"
            if len(self._running) >= IN_FLIGHT_MAX:
                return
            if lane in self._lanes or self._stands(intent):
                continue
            if not self._carriers.has_room(intent, busy[name]):
                continue
            self._backlog.take(lane)
            self._lanes.add(lane)
            busy[name] += 1
            task = asyncio.create_task(self._deliver(intent), name=name)
            self._running[intent.id] = task
            task.add_done_callback(partial(self._ended, intent, lane))

    async def _page(
        self, kind: str, after: tuple[int, int] | None, until: int | None = None
    ) -> list[Intent]:
        due = self._clock.now() if until is None else until
        return await self._log.intents(kind, due=due, after=after, limit=PAGE)

    async def _record_events(self) -> bool:
        """Record a batch of emitted events, in order; tell whether there may be more."""
        after: tuple[int, int] | None = None
        blocked: set[Lane] = set()
        while page := await self._page("emit", after):
            blocked |= {self._carriers.lane(intent) for intent in page if self._stands(intent)}
            batch: list[Intent] = []
            for intent in page:
                lane = self._carriers.lane(intent)
                if lane not in blocked:
                    batch.append(intent)
                    if self._carriers.may_fail(intent):
                        blocked.add(lane)
            if batch:
                failures = await self._carriers.record(batch)
                for intent in batch:
                    await self._note(intent, failures.get(intent.id))
                return True
            after = page[-1].due, page[-1].place
        return False

    async def _note(self, intent: Intent, failure: NotCarried | EngineError | None) -> None:
        """Take note of how a delivery ended."""
        if failure is None:
            self._tried.pop(intent.id, None)
            self.delivered += 1
        elif isinstance(failure, NotCarried):
            await self._fail(intent, failure)
        else:  # that a store fails is no failure of the delivery: it is put off
            self.trouble = str(failure)
            tried = self._tried.setdefault(intent.id, Tried(0, 0.0))
            tried.next_at = self._clock.monotonic() + IDLE_SECONDS

    def _stands(self, intent: Intent) -> bool:
        """Tell whether an intent is not to be tried now."""
        tried = self._tried.get(intent.id)
        waits = tried is not None and tried.next_at > self._clock.monotonic()
        return waits or intent.id in self._parked

    def _ended(self, intent: Intent, lane: Lane, task: asyncio.Task[None]) -> None:
        self._running.pop(intent.id, None)
        self._lanes.discard(lane)
        is_open = intent.id in self._tried or intent.id in self._parked or task.cancelled()
        if is_open:
            self._backlog.put_back(lane, intent)
        self._given.set()

    # -- one delivery ---------------------------------------------------------------------------

    async def _deliver(self, intent: Intent) -> None:
        tried = self._tried.get(intent.id)
        attempt = 1 + (tried.failures if tried else 0)
        try:
            if (
                await self._log.intent(intent.id) is None
            ):  # discarded, or taken back, while it waited
                self._tried.pop(intent.id, None)
                return
            await self._carriers.carry(intent, attempt)
        except NotCarried as failure:
            await self._settle_failure(intent, failure)
        except EngineError as failure:
            await self._note(intent, failure)
        else:
            await self._note(intent, None)

    async def _settle_failure(self, intent: Intent, failure: NotCarried) -> None:
        """Take note of a failure, however long the store cannot: nothing is tried more often for that."""
        while True:
            try:
                return await self._fail(intent, failure)
            except EngineError as trouble:
                self.trouble = str(trouble)
                self._tried[intent.id].failures -= 1
                await self._clock.sleep(IDLE_SECONDS)

    async def _fail(self, intent: Intent, failure: NotCarried) -> None:
        """Wait before the next attempt, or park when the policy ends."""
        tried = self._tried.setdefault(intent.id, Tried(0, 0.0))
        tried.failures += 1
        cause = failure.cause
        if not failure.is_final and tried.failures < failure.retry.attempts:
            wait = failure.retry.wait_seconds(tried.failures, self._chance.bits(16))
            tried.next_at = self._clock.monotonic() + wait
            logger.warning(
                "delivery failed", kind=intent.kind, target=intent.target,
                attempt=tried.failures, cause=f"{type(cause).__name__}: {cause}",
            )  # fmt: skip
            return
        if await self._log.intent(intent.id) is None:  # discarded, or its timer was taken back
            del self._tried[intent.id]
            return
        record = undelivered.parked(
            intent,
            cause,
            attempts=tried.failures,
            outcome="failed" if failure.is_known else "unknown",
            code=self._carriers.code(intent.kind, intent.target),
            at=self._clock.now(),
        )
        logger.error(
            "delivery parked", kind=intent.kind, target=intent.target,
            attempts=tried.failures, cause=record.cause,
        )  # fmt: skip
        await self._log.commit([Commit(records=(undelivered.put(record),))])
        self._parked[intent.id] = record
        del self._tried[intent.id]
