"""One context at work: appending to it, reading it, its models and its loops."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.definition import Definition
from perdure.core.outputs import Momentary
from perdure.core.system import ServerStarted, ServerStopping, system_entity
from perdure.ports.engine import Log
from perdure.ports.environment import Environment
from perdure.runtime.append import Appender, Beside
from perdure.runtime.attempts import Desk
from perdure.runtime.carriers import Carriers
from perdure.runtime.commands import Commands
from perdure.runtime.config import Settings
from perdure.runtime.decide import DecideLoop
from perdure.runtime.deliver import DeliverLoop
from perdure.runtime.effects import Effects
from perdure.runtime.entities import Entities
from perdure.runtime.hung_commands import HungCommands
from perdure.runtime.leases import Lease
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.lookups import Lookups
from perdure.runtime.models import Models
from perdure.runtime.pacing import Pacer
from perdure.runtime.parked import ParkedKeys
from perdure.runtime.react import ReactLoop
from perdure.runtime.snapshots import Snapshots
from perdure.runtime.subscriptions import Subscriptions
from perdure.runtime.telemetry import Meter
from perdure.runtime.timers import Timers
from perdure.runtime.watchdog import Watchdog
from perdure.vocabulary.commits import (
    Committed,
    Guard,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import (
    EventNotFound,
    PerdureError,
)
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import (
    id_text,
)
from perdure.vocabulary.reading import Read, Size

#: How often idle entities are looked for.
PASSIVATION_SECONDS = 10.0

logger = make_logger("perdure.context")


class LiveContext:
    """A context over its log, with its reactors running between ``start`` and ``stop``."""

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        name: str,
        log: Log,
        environment: Environment,
        settings: Settings,
        pacer: Pacer,
        *,
        version: str,
        meter: Meter,
        watchdog: Watchdog,
        config: Any = None,
    ) -> None:
        definition = definitions[name]
        self.definition, self.log = definition, log
        self._definitions = definitions
        self._environment, self._settings, self._version = environment, settings, version
        self._pacer, self._watchdog = pacer, watchdog
        self._appender = Appender(definition, log, environment, settings.ahead_seconds_max)
        self._token = f"{environment.chance.bits(32):08x}"
        self.subscriptions = Subscriptions(log, environment, self._token, settings.lease_seconds)
        self._tasks: list[asyncio.Task[None]] = []
        self._leases: dict[str, Lease] = {}
        self.loops: dict[str, ReactLoop] = {}
        self.deliver: DeliverLoop | None = None
        clock = environment.clock
        self._states = Entities(
            log, Snapshots(log, meter), clock, watchdog, settings.cached_entities
        )
        self.models = Models(log, definition, self.loops, self._states, clock)
        self.parked = ParkedKeys(definitions, name, log, clock, watchdog)
        self.effects = Effects(log, definition, config, clock, meter)
        lookups = Lookups(log, definition, self._states, self.models)
        decide = DecideLoop(
            Desk(
                log,
                definitions,
                name,
                self._states,
                lookups,
                Timers(log),
                HungCommands(log, name, definition.code, watchdog),
                watchdog,
            ),
            environment,
            meter,
            in_flight_max=settings.commands_in_flight_max,
            gave_out=self._gave_out,
        )
        self.commands = Commands(definitions, name, decide, environment)

    @property
    def name(self) -> str:
        """The context's name."""
        return self.definition.name

    # -- writing -------------------------------------------------------------------------------

    async def append(
        self,
        events: Sequence[NewEvent],
        *,
        guards: Sequence[Guard] = (),
        beside: Beside | None = None,
    ) -> tuple[Committed, tuple[NewEvent, ...]]:
        """Record events, all or none, on condition of the guards; see ``Appender.append``."""
        return await self._appender.append(events, guards=guards, beside=beside)

    async def announce(self, event: msgspec.Struct) -> None:
        """Record a system event, when a service of this context reacts to its type."""
        declared = self.definition.by_class[type(event)]
        if not any(declared.name in loop.reactor.reactions for loop in self.loops.values()):
            return
        entity = system_entity(self.name).bytes
        data = declared.codec.encode_strictly(event)
        await self._appender.append_unchecked(
            [NewEvent(type=declared.name, entity=entity, data=data)]
        )

    # -- reading -------------------------------------------------------------------------------

    def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        """Give events in batches, in constant memory; see ``Read``."""
        return self.log.read(request)

    async def event(self, id_: bytes) -> RecordedEvent:
        """Give one event. Raises ``EventNotFound``."""
        for event in await self.log.events([id_]):
            return event
        raise EventNotFound(f"no event {id_text(id_)} in context {self.name!r}")

    def listing(self, domain: str) -> Criteria:
        """Select what a domain lists: the events its service takes, or those that carry its name."""
        found = self.definition.models.get(domain)
        return Criteria(domains=(domain,)) if found is None else found[0].criteria

    async def entities(
        self, criteria: Criteria, *, after: bytes = b"", limit: int = 1000
    ) -> list[bytes]:
        """Give the entities that have a matching event, in order of id, behind ``after``."""
        return await self.log.entities(criteria, after, limit)

    async def head(self) -> int:
        """Give the highest position; 0 while nothing is recorded."""
        return await self.log.head()

    async def advanced(self, position: int, timeout_seconds: float) -> int:
        """Wait until the head is above the position, and give the head; or give it at the time-out."""
        return await self.log.advanced(position, timeout_seconds)

    async def domains(self) -> list[str]:
        """Give the domains of the context: those that events carry, and those that keep models."""
        return sorted({*await self.log.domains(), *self.definition.models})

    async def size(self) -> Size:
        """Count what is stored."""
        return await self.log.size()

    # -- running -------------------------------------------------------------------------------

    async def start(self, peers: Mapping[str, "LiveContext"]) -> None:
        """Start the react and deliver loops, each under its lease."""
        clock = self._environment.clock
        carriers = Carriers(
            self.name,
            self._definitions,
            {name: peer.log for name, peer in peers.items()},
            {name: peer.commands for name, peer in peers.items()},
            self.effects,
            clock,
        )
        self.deliver = DeliverLoop(
            self.name,
            self.log,
            carriers,
            self._environment,
            self._settings.shutdown_seconds_max,
        )
        for name, reactor in self.definition.reactors.items():
            self.loops[name] = ReactLoop(
                self.log,
                self._definitions,
                self.name,
                reactor,
                clock,
                self._pacer,
                self._settings,
                self.announce,
                self._gave_out,
                self._watchdog,
            )
        for loop in self.loops.values():
            await loop.register()
        for loop in self.loops.values():
            self._spawn(loop.names.slot_key, loop.run)
        self._spawn("deliver/0", self.deliver.run)
        self._tasks.append(asyncio.create_task(self._passivate(), name=f"{self.name}/entities"))
        await self.announce(ServerStarted(self._environment.node.name, self._version))

    def troubles(self) -> dict[str, str]:
        """Say which loops stand still, and why."""
        loops: dict[str, ReactLoop | DeliverLoop] = dict(self.loops)
        if self.deliver is not None:
            loops["deliver"] = self.deliver
        found = {slot: lease.trouble for slot, lease in self._leases.items() if lease.trouble}
        found |= {name: loop.trouble for name, loop in loops.items() if loop.trouble}
        ended = {task.get_name(): "ended" for task in self._tasks if task.done()}
        return found | ended | self.subscriptions.troubles()

    async def stop(self) -> None:
        """Stop the loops and give their leases back. What was appended stays; nothing is lost."""
        await self.subscriptions.close()
        if self._tasks:
            await self._say_goodbye()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.effects.finish(self._settings.shutdown_seconds_max)

    async def _say_goodbye(self) -> None:
        try:
            await self.announce(ServerStopping(self._environment.node.name))
        except PerdureError as failure:
            logger.warning("stopping was not recorded", context=self.name, cause=str(failure))

    def _gave_out(self, momentary: Sequence[Momentary]) -> None:
        """Start what is carried out at most once, and tell the deliver loop of the rest."""
        self.effects.start(momentary)
        if self.deliver is not None:
            self.deliver.wake()

    async def _passivate(self) -> None:
        """Let idle entities go from memory, also while nothing is sent to any."""
        while True:
            await self._environment.clock.sleep(PASSIVATION_SECONDS)
            self._states.sweep()

    def _spawn(self, key: str, work: object) -> None:
        seconds, token = self._settings.lease_seconds, self._token
        lease = Lease(self.log, self._environment, key, seconds, token=token)
        self._leases[key] = lease
        task = asyncio.create_task(lease.work(work), name=f"{self.name}/{key}")  # type: ignore[arg-type]
        task.add_done_callback(_report_death)
        self._tasks.append(task)


def _report_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        logger.critical("a loop ended", loop=task.get_name(), exc_info=failure)
