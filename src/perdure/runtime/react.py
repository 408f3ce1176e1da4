"""The react loop: follow the log, fold models, commit them with the checkpoint.

One ``ReactLoop`` works one reactor's slot, under its lease. Each round reads a batch, sorts it by key,
folds each key, and writes models, kept states, ledger, intents and checkpoint in *one* commit, on
condition that the checkpoint has not moved: so stopping at any point, or two nodes at once, gives each
event its effect exactly once. A key that fails is parked in that same commit, and the rest goes on.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import msgspec

from perdure.core.definition import Definition
from perdure.core.outputs import Momentary
from perdure.core.reacting import Checkpoint, ParkedKey, RecordNames, Routed, route
from perdure.core.reactor import Reactor
from perdure.core.system import CaughtUp
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.config import Settings
from perdure.runtime.folder import Folder, Writes
from perdure.runtime.hanging import Waiting, code_of, hung_reading, loop_name
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.pacing import Pacer
from perdure.runtime.parking import Parking
from perdure.runtime.shelf import Shelf
from perdure.runtime.timers import Timers
from perdure.runtime.watchdog import Watchdog, forget, marks
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
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import EngineError, InvalidData, RecordMoved
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import parse_id
from perdure.vocabulary.reading import Read

BACK_OFF_SECONDS_MAX = 10.0
PAUSE_SECONDS_MAX = 0.1
ROUTED_AT_A_TIME = 250

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
        self._folder = Folder(
            log, definitions, context, reactor, self._shelf, self.parking, pacer, watchdog
        )
        self._timers = Timers(log)
        self.checkpoint = Checkpoint()
        self._revision = 0
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
        await self.parking.load()

    async def _start_over(self) -> None:
        """Build all models anew under the next generation, giving out nothing."""
        old = self.checkpoint
        after = Checkpoint(live_from=await self._log.head(), generation=old.generation + 1)
        gone = [self.parking.release(p) for p in self.parking.due(everything=True)]
        await self._commit(Writes(puts=gone), after)
        for kind, prefix in self.names.of_generation(old.generation):
            while records := await self._log.records(kind, prefix=prefix):
                await self._commit(Writes(puts=[Put(kind, r.key, None) for r in records]))

    async def _catch_up(self) -> None:
        """Work through what is there, then say so."""
        before = self.folded
        await self._park_hung()
        await self._retry(everything=True)
        await self._work()
        self.trouble = ""
        await self._announce(CaughtUp(self.reactor.name, self.reached, self.folded - before))

    async def _park_hung(self) -> None:
        """Park what did not return when a process was ended, unless it was processed since."""
        for hung in await marks(self._log, loop_name(self.reactor)):
            writes, after = Writes(puts=[forget(hung)]), self.checkpoint
            home = self.parking.sources if hung.source else self.parking.keys
            if hung.since > after.position or hung.key in home:
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
            self._read(part, self.parking.sources, routed)
            if self._pacer.is_due:
                await self._pacer.breathe()
        return routed

    def _read(
        self,
        events: Sequence[RecordedEvent],
        waiting: Mapping[str, ParkedKey],
        routed: Routed,
        retried: Waiting | None = None,
    ) -> None:
        """Route events, watched: reading a payload or finding a key runs the user's code."""
        turn = iter(events)
        describe = partial(hung_reading, self._context, self.reactor, events, turn, retried)
        with self._watchdog.watching(self._log, describe):
            route(self.reactor, turn, waiting, routed, live_from=self.checkpoint.live_from)

    async def _retry(self, *, everything: bool = False) -> None:
        """Try parked keys again: those that are due, or all but what would hang once more."""
        for parked in self.parking.due(everything=everything):
            if self._hangs_still(parked):
                continue
            await self._retry_one(parked)
            await self._tell()

    def _hangs_still(self, parked: ParkedKey) -> bool:
        """Tell whether a call that did not return is still the same code, with no more time."""
        return (
            bool(parked.code)
            and parked.code == code_of(self.reactor, parked.type)
            and self._watchdog.seconds <= parked.seconds
        )

    async def _retry_one(self, parked: ParkedKey) -> None:
        """Fold a parked key's waiting events in order, batch by batch, until it fails or is free."""
        upto = self.checkpoint.position
        retried = Waiting(parked.key, parked.since, parked.source)
        waiting = dict(self.parking.sources)
        if parked.source:
            waiting.pop(parked.key, None)
        request = Read(criteria=self._criteria_of(parked), after=parked.since - 1, upto=upto)
        async for events in self._log.read(request):
            writes = Writes()
            routed = Routed({}, [])
            self._read(events, waiting, routed, retried)
            by_key = routed.by_key
            if parked.source:
                if any(key in self.parking.keys for key in by_key):
                    return  # its key stands still for another reason; that comes first
                again = [self.parking.park_source(one) for one in routed.unreadable]
            else:
                by_key = {parked.key: by_key[parked.key]} if parked.key in by_key else {}
                again = []
            if not again:
                async with self._pacer:
                    await self._folder.fold(by_key, upto, writes, retried)
                again = [put for put in writes.puts if put.kind == "parked"]
            if again:
                await self._commit(Writes(puts=again))
                return
            writes.puts.append(self.parking.move(parked, events[-1].position + 1))
            await self._commit(writes)
        degraded = self.checkpoint.degraded and bool(waiting)
        after = msgspec.structs.replace(self.checkpoint, degraded=degraded)
        await self._commit(Writes(puts=[self.parking.release(parked)]), after)

    def _criteria_of(self, parked: ParkedKey) -> Criteria:
        """Select what may belong to a parked key; a re-keyed one is found by reading."""
        wanted = self.reactor.criteria
        by_entity = parked.source or self.reactor.keying == "entity"
        entities = (parse_id(parked.key),) if by_entity else ()
        return Criteria(wanted.types, wanted.domains, entities)

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
