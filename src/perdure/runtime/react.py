"""The react loop: follow the log, fold models, commit them with the checkpoint.

One ``ReactLoop`` works one reactor's slot, under its lease. Each round reads a batch, sorts it by key,
folds each key, and writes models, kept states, ledger, intents and checkpoint in *one* commit, on
condition that the checkpoint has not moved: so stopping at any point, or two nodes at once, gives each
event its effect exactly once. A key that fails is parked in that same commit, and the rest goes on. What an
operator asks for such a key is done here too, within a second.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from perdure.core.definition import Definition
from perdure.core.outputs import Momentary
from perdure.core.reacting import Checkpoint, ParkedKey, RecordNames, Routed, Unreadable
from perdure.core.reactor import Reactor
from perdure.core.system import CaughtUp
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.asking import Asked, asked_of, forget
from perdure.runtime.config import Settings
from perdure.runtime.discards import Discards, discarded, load_discards, put_discarded
from perdure.runtime.folder import Folder, Writes
from perdure.runtime.hanging import Waiting, hangs_still, loop_name
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.pacing import Pacer
from perdure.runtime.parking import Parking
from perdure.runtime.routing import Router
from perdure.runtime.shelf import Shelf
from perdure.runtime.timers import Timers
from perdure.runtime.watchdog import Watchdog, marks
from perdure.runtime.watchdog import forget as forget_mark
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    Guard,
    Intent,
    Put,
    Record,
    RecordAt,
    Settle,
)
from perdure.vocabulary.errors import EngineError, InvalidData, RecordMoved
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read

BACK_OFF_SECONDS_MAX = 10.0
PAUSE_SECONDS_MAX = 0.1
ROUTED_AT_A_TIME = 250
#: How often it is looked whether an operator asks for something.
HEED_SECONDS = 1.0

Announce = Callable[[msgspec.Struct], Awaitable[None]]
logger = make_logger("perdure.react")


class ReactLoop:
    """Works one reactor's slot."""

    def __init__(
        self,
        log: Log,
        definitions: Mapping[str, Definition],
        context: str,
        reactor: Reactor,
        clock: Clock,
        pacer: Pacer,
        settings: Settings,
        announce: Announce,
        gave_out: Callable[[Sequence[Momentary]], None],
        watchdog: Watchdog,
    ) -> None:
        self._log, self._clock, self._pacer, self._settings = log, clock, pacer, settings
        self._announce, self._gave_out = announce, gave_out
        self._context, self._watchdog = context, watchdog
        self.reactor = reactor
        self.names = RecordNames(reactor.name)
        self._shelf = Shelf(log, reactor, self.names, settings.cached_models)
        self.parking = Parking(log, reactor.name, self.names, clock, settings.retries_max)
        self._discards = Discards()
        self._router = Router(log, context, reactor, self._discards, watchdog)
        self._folder = Folder(
            log,
            definitions,
            context,
            reactor,
            self._shelf,
            self.parking.sources,
            self._discards,
            pacer,
            watchdog,
        )
        self._timers = Timers(log)
        self.checkpoint = Checkpoint()
        self._revision = 0
        self._heeded: float | None = None
        self.reached = 0
        self.folded = 0
        self.trouble = ""

    @property
    def refolds(self) -> int:
        """How many times a late event made a key fold again."""
        return self._folder.refolds

    async def run(self) -> None:
        """React until cancelled. Failures of the store are waited out; nothing is skipped."""
        wait = 0.1
        while True:
            try:
                await self._load()
                await self._catch_up()
                wait = 0.1
                await self._follow()
            except InvalidData as failure:  # a stored model that the class of today cannot read
                logger.warning(
                    "models are built anew", reactor=self.reactor.name, cause=str(failure)
                )
                await self._start_over()
            except (EngineError, RecordMoved) as failure:
                self.trouble = str(failure)
                logger.warning("reactor waits", reactor=self.reactor.name, cause=str(failure))
                await self._clock.sleep(wait)
                wait = min(wait * 2, BACK_OFF_SECONDS_MAX)

    async def register(self) -> Record:
        """Give the stored checkpoint, writing the first: what is recorded from now on is live.

        Called before the application takes events, so that none of those counts as history.
        """
        key = self.names.slot_key
        while (record := await self._log.record("checkpoint", key)) is None:
            first = Checkpoint(live_from=await self._log.head())
            guards = (RecordAt("checkpoint", key, 0),)
            records = (Put("checkpoint", key, msgspec.json.encode(first)),)
            await self._log.commit([Commit(guards=guards, records=records)])
        return record

    async def _load(self) -> None:
        """Start from what is stored."""
        self._shelf.clear()
        record = await self.register()
        self.checkpoint = msgspec.json.decode(record.value, type=Checkpoint)
        self._revision = record.revision
        self._shelf.generation = self.checkpoint.generation
        self.reached = self.checkpoint.position
        self._discards.clear()
        await load_discards(self._log, self.names, self._discards)
        await self.parking.load()

    async def _start_over(self) -> None:
        """Build all models anew under the next generation, giving out nothing."""
        old = self.checkpoint
        after = Checkpoint(live_from=await self._log.head(), generation=old.generation + 1)
        gone = [self.parking.release(p) for p in self.parking.due(everything=True)]
        await self._commit(Writes(puts=[put for puts in gone for put in puts]), after)
        for kind, prefix in self.names.of_generation(old.generation):
            while records := await self._log.records(kind, prefix=prefix):
                await self._commit(Writes(puts=[Put(kind, r.key, None) for r in records]))

    async def _catch_up(self) -> None:
        """Work through what is there, then say so."""
        before = self.folded
        await self._park_hung()
        await self._heed()
        await self._retry(everything=True)
        await self._work()
        self.trouble = ""
        await self._announce(CaughtUp(self.reactor.name, self.reached, self.folded - before))

    async def _park_hung(self) -> None:
        """Park what did not return when a process was ended, unless it was processed since."""
        for hung in await marks(self._log, loop_name(self.reactor)):
            writes, after = Writes(puts=[forget_mark(hung)]), self.checkpoint
            is_parked = self.parking.find(hung.key, source=hung.source) is not None
            if hung.since > after.position or is_parked:
                writes.puts.append(self.parking.park_hung(hung, after.position + 1))
                degraded = after.degraded or hung.source
                after = msgspec.structs.replace(after, degraded=degraded)
            await self._commit(writes, after)
            await self._tell()

    async def _follow(self) -> None:
        """Take what comes, when it comes.

        A round is followed by a pause as long as itself, in which more gathers: so that a reactor with
        large models, each write of which is dear, takes at most half of the time there is.
        """
        while True:
            await self._log.advanced(self.reached, self.parking.wait_seconds())
            began = self._clock.monotonic()
            await self._work()
            await self._heed()
            await self._retry()
            took = self._clock.monotonic() - began
            await self._clock.sleep(min(took, PAUSE_SECONDS_MAX))

    async def _work(self) -> None:
        """Take everything between the checkpoint and the head."""
        head = await self._log.head()
        if head <= self.reached:
            return
        size = self._settings.batch_events
        after = max(self.checkpoint.position, self.reached)
        waiting: list[RecordedEvent] = []
        async for batch in self._log.read(Read(criteria=self.reactor.criteria, after=after)):
            waiting += batch
            while len(waiting) >= size:
                await self._take(waiting[:size])
                del waiting[:size]
        if waiting:
            await self._take(waiting)
        self.reached = max(head, self.checkpoint.position)

    async def _take(self, events: Sequence[RecordedEvent]) -> None:
        """React to a batch behind the checkpoint, and move the checkpoint over it."""
        writes = Writes()
        before = self.checkpoint
        async with self._pacer:
            routed = await self._route(events)
            writes.puts += [self.parking.park_source(one) for one in routed.unreadable]
            by_key = {k: d for k, d in routed.by_key.items() if k not in self.parking.keys}
            await self._folder.fold(by_key, before.position, writes)
            writes.puts += [self.parking.park_key(one) for one in writes.failed]
        after = msgspec.structs.replace(
            before,
            position=events[-1].position,
            degraded=before.degraded or bool(routed.unreadable),
        )
        await self._commit(writes, after)
        self.folded += len(events)
        self.reached = max(self.reached, after.position)
        await self._tell()

    async def _route(self, events: Sequence[RecordedEvent]) -> Routed:
        """Sort a batch out, a part at a time."""
        routed = Routed({}, [])
        for start in range(0, len(events), ROUTED_AT_A_TIME):
            part = events[start : start + ROUTED_AT_A_TIME]
            self._router.add(
                part, self.parking.sources, routed, live_from=self.checkpoint.live_from
            )
            if self._pacer.is_due:
                await self._pacer.breathe()
        return routed

    async def _heed(self) -> None:
        """Do what an operator asked for; what is done is no longer asked, so that nothing is tried twice."""
        now = self._clock.monotonic()
        is_soon = self._heeded is not None and now < self._heeded + HEED_SECONDS
        if is_soon or not (self.parking.keys or self.parking.sources):
            return
        self._heeded = now
        for asked in await asked_of(self._log, self.names):
            parked = self.parking.find(asked.key, source=asked.source)
            puts = [forget(self.names, asked.key, source=asked.source)]
            if parked is None or parked.event_id != asked.event_id:
                await self._commit(Writes(puts=puts))
                continue
            puts += (
                self._discard(parked, asked)
                if asked.verb == "discard"
                else [self.parking.try_again(parked)]
            )
            await self._commit(Writes(puts=puts))
            await self._retry_one(self.parking.find(parked.key, source=parked.source) or parked)
            await self._tell()

    def _discard(self, parked: ParkedKey, asked: Asked) -> list[Put]:
        """Leave the event out that a key stands at; give the records to write."""
        one = discarded(self._context, self.reactor.name, parked, asked)
        self._discards.add(one)
        logger.warning(
            "event discarded",
            reactor=one.reactor,
            key=one.key,
            position=one.position,
            by=one.by,
            why=one.why,
        )
        return [put_discarded(self.names, one), self.parking.leave_out(parked)]

    async def _retry(self, *, everything: bool = False) -> None:
        """Try parked keys again: those that are due, or all but what would hang once more."""
        for parked in self.parking.due(everything=everything):
            if hangs_still(self.reactor, parked, self._watchdog.seconds):
                continue
            await self._retry_one(parked)
            await self._tell()

    async def _retry_one(self, parked: ParkedKey) -> None:
        """Fold a parked key's waiting events in order, batch by batch, until it fails or is free."""
        if parked.left_out:
            writes = Writes()
            await self._folder.refold(parked, writes)
            if not await self._advance(parked, parked.since, writes, []):
                return
        upto = self.checkpoint.position
        retried = Waiting(parked.key, parked.since, parked.source)
        waiting = dict(self.parking.sources)
        if parked.source:
            waiting.pop(parked.key, None)
        async for events, last in self._router.queued(parked, upto):
            writes, routed = Writes(), Routed({}, [])
            live_from = self.checkpoint.live_from
            self._router.add(events, waiting, routed, live_from=live_from, retried=retried)
            by_key = routed.by_key
            if parked.source:
                if any(key in self.parking.keys for key in by_key):
                    return  # its key stands still for another reason; that comes first
                unreadable = routed.unreadable
            else:
                by_key = {parked.key: by_key[parked.key]} if parked.key in by_key else {}
                unreadable = []
            if not unreadable:
                async with self._pacer:  # what queues behind this batch is not history yet
                    processed = upto if parked.source else last
                    await self._folder.fold(by_key, processed, writes, retried)
            if not await self._advance(parked, last + 1, writes, unreadable):
                return
        degraded = self.checkpoint.degraded and bool(waiting)
        after = msgspec.structs.replace(self.checkpoint, degraded=degraded)
        await self._commit(Writes(puts=self.parking.release(parked)), after)

    async def _advance(
        self, parked: ParkedKey, since: int, writes: Writes, unreadable: Sequence[Unreadable]
    ) -> bool:
        """Write what a parked key's events came to, up to ``since``; or else park again."""
        again = [self.parking.park_source(one) for one in unreadable]
        again += [self.parking.park_key(one) for one in writes.failed]
        if again:
            self._shelf.clear()  # it may hold what other keys came to, which is not written
            await self._commit(Writes(puts=again))
            return False
        writes.puts.append(self.parking.move(parked, since))
        await self._commit(writes)
        return True

    async def _tell(self) -> None:
        for news in self.parking.news():
            await self._announce(news)

    async def _commit(self, writes: Writes, checkpoint: Checkpoint | None = None) -> None:
        """Write, on condition that the checkpoint is where this loop left it."""
        after = checkpoint or self.checkpoint
        key = self.names.slot_key
        guards: list[Guard] = [RecordAt("checkpoint", key, self._revision)]
        intents: list[Intent | Settle] = [*writes.intents]
        if writes.timers:
            await self._timers.set(writes.timers, guards, writes.puts, intents)
        record = Put("checkpoint", key, msgspec.json.encode(after))
        commit = Commit(
            guards=tuple(guards), records=(*writes.puts, record), intents=tuple(intents)
        )
        (verdict,) = await self._log.commit([commit])
        if not isinstance(verdict, Committed):
            raise RecordMoved("checkpoint", key, self._revision, -1)
        self._revision += 1
        self.checkpoint = after
        self._shelf.trim()
        if intents or writes.momentary:
            self._gave_out(writes.momentary)
