"""One context at work: appending to it, reading it, its models and its loops."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from perdure.core.definition import Definition
from perdure.core.system import ServerStarted, ServerStopping, system_entity
from perdure.ports.engine import Log
from perdure.ports.environment import Environment
from perdure.runtime.config import Settings
from perdure.runtime.deliver import DeliverLoop
from perdure.runtime.leases import Lease
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.minting import Mint
from perdure.runtime.models import Models
from perdure.runtime.pacing import Pacer
from perdure.runtime.react import ReactLoop
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    Guard,
    GuardFailed,
    HappenedBefore,
    IdsTaken,
    NothingAfter,
    Put,
    StatementFailed,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import (
    ConcurrencyError,
    ConditionFailed,
    EventIdTaken,
    EventNotFound,
    HappenedEarlier,
    InvalidData,
    InvalidId,
    InvalidInput,
    InvalidName,
    PerdureError,
    RecordMoved,
    WrongVersion,
)
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import (
    TICKS_BEFORE_1970,
    TICKS_PER_SECOND,
    entity_id,
    event_id,
    event_ticks,
    id_text,
)
from perdure.vocabulary.jsontext import read_object
from perdure.vocabulary.names import SYSTEM_PREFIX, check_name, check_tags
from perdure.vocabulary.reading import Read, Size

#: An id the server made is made again this often when the entity has moved on meanwhile.
MINTING_ATTEMPTS = 8
_NAMES_REMEMBERED_MAX = 10_000

#: Makes the records to write beside events, once these have their ids.
Beside = Callable[[Sequence[NewEvent]], Sequence[Put]]

logger = make_logger("perdure.context")


class LiveContext:
    """A context over its log, with its reactors running between ``start`` and ``stop``."""

    def __init__(
        self,
        definition: Definition,
        log: Log,
        environment: Environment,
        settings: Settings,
        pacer: Pacer,
        *,
        version: str,
    ) -> None:
        self.definition, self.log = definition, log
        self._environment, self._settings, self._version = environment, settings, version
        self._pacer = pacer
        self._mint = Mint(environment.clock, environment.chance)
        self._known_names: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._leases: dict[str, Lease] = {}
        self.loops: dict[str, ReactLoop] = {}
        self.deliver: DeliverLoop | None = None
        self.models = Models(log, definition, self.loops, environment.clock)

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
        """Record events, all or none, on condition of the guards; give their receipts and ids.

        Events without an id get one, later than all their entity has. ``beside`` makes records to write
        in the same commit, from the events with their ids. Raises ``InvalidInput`` for what is
        malformed, ``EventIdTaken`` for ids stored with other content, ``ConcurrencyError`` for a guard that
        is false, ``EngineError`` for a store that fails; nothing is written then, except that after
        ``OutcomeUnknown`` it must be asked again under the same ids.
        """
        checked: list[NewEvent] = []
        try:
            for event in events:
                checked.append(self._check(event))  # noqa: PERF401  # its length says which failed
        except InvalidInput as fault:
            fault.index = len(checked) if len(events) > 1 else None
            raise
        return await self._append(checked, guards, beside)

    async def announce(self, event: msgspec.Struct) -> None:
        """Record a system event, when a service of this context reacts to its type."""
        declared = self.definition.by_class[type(event)]
        if not any(declared.name in loop.reactor.reactions for loop in self.loops.values()):
            return
        entity = system_entity(self.name).bytes
        data = declared.codec.encode_strictly(event)
        await self._append([NewEvent(type=declared.name, entity=entity, data=data)])

    async def _append(
        self,
        events: Sequence[NewEvent],
        guards: Sequence[Guard] = (),
        beside: Beside | None = None,
    ) -> tuple[Committed, tuple[NewEvent, ...]]:
        if all(event.id for event in events):
            commit = _commit(events, guards, beside)
            (verdict,) = await self.log.commit([commit])
            if isinstance(verdict, Committed):
                return verdict, commit.events
            raise refusal(verdict, commit)
        return await self._append_minting(events, guards, beside)

    async def _append_minting(
        self, events: Sequence[NewEvent], guards: Sequence[Guard], beside: Beside | None
    ) -> tuple[Committed, tuple[NewEvent, ...]]:
        """Make the missing ids, each later than its entity's last; again when that has moved on."""
        commit = Commit()
        verdict: object = None
        for _ in range(MINTING_ATTEMPTS):
            named, before = self._name(events)
            commit = _commit(named, (*guards, *before), beside)
            (verdict,) = await self.log.commit([commit])
            if isinstance(verdict, Committed):
                return verdict, commit.events
            if isinstance(verdict, GuardFailed) and isinstance(verdict.guard, HappenedBefore):
                self._mint.learn(verdict.guard.entity, verdict.actual)
            elif not self._made_here(verdict, events):
                break
        raise refusal(verdict, commit)

    def _name(self, events: Sequence[NewEvent]) -> tuple[list[NewEvent], list[Guard]]:
        named: list[NewEvent] = []
        guards: dict[bytes, Guard] = {}
        for event in events:
            if not event.id:
                event = msgspec.structs.replace(event, id=self._mint.make(event.entity))
                guards.setdefault(event.entity, HappenedBefore(event.entity, event.ticks))
            named.append(event)
        return named, list(guards.values())

    @staticmethod
    def _made_here(verdict: object, events: Sequence[NewEvent]) -> bool:
        """Tell whether only ids that we made were taken: then others are made."""
        return isinstance(verdict, IdsTaken) and all(not events[i].id for i in verdict.indices)

    def _check(self, event: NewEvent) -> NewEvent:
        """Check all of an event, and give it with its payload as it will be stored."""
        declared = self.definition.event_types.get(event.type)
        if declared is None:
            self._check_undeclared(event.type)
        elif event.type.startswith(SYSTEM_PREFIX):
            raise InvalidName(f"{event.type!r}: the server alone records what it does")
        entity_id(event.entity)
        if event.id:
            self._check_time(event_id(event.id))
        if event.domain is not None and event.domain not in self._known_names:
            self._remember(check_name(event.domain, "domain"))
        if event.tags:
            check_tags(event.tags)
        _, data = read_object(event.data)
        if declared is not None:
            declared.codec.decode(data)
        return event if data is event.data else msgspec.structs.replace(event, data=data)

    def _check_undeclared(self, name: str) -> None:
        if self.definition.strict:
            known = ", ".join(
                n for n in self.definition.event_types if not n.startswith(SYSTEM_PREFIX)
            )
            raise InvalidName(
                f"{name!r} is not declared in the strict context {self.name!r}: {known}"
            )
        if name not in self._known_names:
            if name.startswith(SYSTEM_PREFIX):
                raise InvalidName(f"{name!r}: names under {SYSTEM_PREFIX!r} belong to the server")
            self._remember(check_name(name, "event type"))

    def _remember(self, name: str) -> None:
        if len(self._known_names) < _NAMES_REMEMBERED_MAX:
            self._known_names.add(name)

    def _check_time(self, id_: bytes) -> None:
        now = self._environment.clock.now() * 10 + TICKS_BEFORE_1970
        ahead = (event_ticks(id_) - now) / TICKS_PER_SECOND
        if ahead > self._settings.ahead_seconds_max:
            raise InvalidId(
                f"the time in event id {id_text(id_)} is {ahead:,.0f} s ahead of the server's clock; "
                f"at most {self._settings.ahead_seconds_max:,.0f} s are taken",
                "event_id",
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
        definitions = {name: peer.definition for name, peer in peers.items()}
        clock = self._environment.clock
        self.deliver = DeliverLoop(
            self.name, {name: peer.log for name, peer in peers.items()}, clock
        )
        for name, reactor in self.definition.reactors.items():
            self.loops[name] = ReactLoop(
                self.log,
                definitions,
                self.name,
                reactor,
                clock,
                self._pacer,
                self._settings,
                self.announce,
                self.deliver.wake,
            )
        for loop in self.loops.values():
            await loop.register()
        for loop in self.loops.values():
            self._spawn(loop.names.slot_key, loop.run)
        self._spawn("deliver/0", self.deliver.run)
        await self.announce(ServerStarted(self._environment.node.name, self._version))

    def troubles(self) -> dict[str, str]:
        """Say which loops stand still, and why."""
        loops: dict[str, ReactLoop | DeliverLoop] = dict(self.loops)
        if self.deliver is not None:
            loops["deliver"] = self.deliver
        found = {slot: lease.trouble for slot, lease in self._leases.items() if lease.trouble}
        found |= {name: loop.trouble for name, loop in loops.items() if loop.trouble}
        ended = {task.get_name(): "ended" for task in self._tasks if task.done()}
        return found | ended

    async def stop(self) -> None:
        """Stop the loops and give their leases back. What was appended stays; nothing is lost."""
        if self._tasks:
            await self._say_goodbye()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def _say_goodbye(self) -> None:
        try:
            await self.announce(ServerStopping(self._environment.node.name))
        except PerdureError as failure:
            logger.warning("stopping was not recorded", context=self.name, cause=str(failure))

    def _spawn(self, key: str, work: object) -> None:
        lease = Lease(self.log, self._environment, key, self._settings.lease_seconds)
        self._leases[key] = lease
        task = asyncio.create_task(lease.work(work), name=f"{self.name}/{key}")  # type: ignore[arg-type]
        task.add_done_callback(_report_death)
        self._tasks.append(task)


def _commit(events: Sequence[NewEvent], guards: Sequence[Guard], beside: Beside | None) -> Commit:
    records = tuple(beside(events)) if beside else ()
    return Commit(guards=tuple(guards), events=tuple(events), records=records)


def refusal(verdict: object, commit: Commit) -> PerdureError:
    """Turn a verdict that refuses into the error that says it."""
    if isinstance(verdict, IdsTaken):
        ids = [id_text(commit.events[i].id) for i in verdict.indices]
        return EventIdTaken(ids, list(verdict.indices))
    if isinstance(verdict, StatementFailed):
        return InvalidData(f"statement {verdict.index}: {verdict.reason}")
    if isinstance(verdict, GuardFailed):
        guard, actual = verdict.guard, verdict.actual
        if isinstance(guard, EntityAt):
            return WrongVersion(id_text(guard.entity), guard.version, actual)
        if isinstance(guard, NothingAfter):
            return ConditionFailed(guard.position, actual)
        if isinstance(guard, HappenedBefore):
            return HappenedEarlier(id_text(guard.entity), guard.ticks, actual)
        return RecordMoved(guard.kind, guard.key, guard.revision, actual)
    return ConcurrencyError(f"refused: {verdict!r}")


def _report_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        logger.critical("a loop ended", loop=task.get_name(), exc_info=failure)
