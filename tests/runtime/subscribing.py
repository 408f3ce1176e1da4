"""Nodes that read subscriptions of one store, over cables that can be cut."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from perdure import App, Context, Criteria, RecordedEvent, Settings, Subscription
from perdure.engines.memory import MemoryEngine, MemoryLog
from perdure.ports.engine import Capability
from perdure.runtime.cursors import read_cursor
from perdure.runtime.groups import lease_key
from perdure.runtime.leases import process_of
from perdure.testing import FixedNode, ManualClock, ManualEnvironment, SeededChance
from perdure.vocabulary.commits import Commit, Verdict
from perdure.vocabulary.errors import Unavailable
from perdure.vocabulary.reading import Read

LEASE_SECONDS = 15.0


@dataclass(frozen=True)
class Added:
    number: int


@dataclass(frozen=True)
class Removed:
    number: int


shop = Context("shop")
shop.event(Added)
shop.event(Removed)

ADDED = Criteria(types=("added",))


class Cable:
    """The store as one node sees it, with a way to it that takes some turns.

    Cut, nothing can be asked of it; held, what is written stays on the way. ``events`` counts those read.
    """

    def __init__(self, engine: MemoryEngine, seed: int = 0) -> None:
        self._engine, self._chance = engine, random.Random(seed)
        self.is_cut = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.events = 0

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._engine.capabilities

    async def open(self, context: str, tables: Sequence[str] = ()) -> Any:
        return CabledLog(self, await self._engine.open(context, tables))

    async def close(self) -> None:
        """Leave the store to the other nodes."""

    async def travel(self) -> None:
        for _ in range(self._chance.randrange(4)):
            await asyncio.sleep(0)
        if self.is_cut:
            raise Unavailable("the cable is cut")


class CabledLog:
    """A log at the end of a cable."""

    def __init__(self, cable: Cable, log: MemoryLog) -> None:
        self._cable, self._log = cable, log

    def __getattr__(self, name: str) -> Any:
        if self._cable.is_cut:
            raise Unavailable("the cable is cut")
        return getattr(self._log, name)

    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        await self._cable.travel()
        await self._cable.flowing.wait()
        return await self._log.commit(commits)

    async def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        await self._cable.travel()
        async for events in self._log.read(request):
            await self._cable.travel()
            self._cable.events += len(events)
            yield events


class Nodes:
    """Applications over one store, each with a name and a cable, under one clock that a test holds."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self.clock = ManualClock()
        self.engine = MemoryEngine(self.clock)
        self.gone: set[str] = set()
        self.cables: dict[str, Cable] = {}

    def node(self, name: str) -> App:
        """Make the application of one node."""
        cable = self.cables[name] = Cable(self.engine, self._seed + len(self.cables))
        node = FixedNode(name)
        node.is_gone = self.gone.__contains__  # type: ignore[assignment, method-assign]
        chance = SeededChance(self._seed + len(self.cables))
        environment = ManualEnvironment(clock=self.clock, chance=chance, node=node)
        settings = Settings(lease_seconds=LEASE_SECONDS)
        return App([shop], cable, environment, settings, version="test", react=False)

    def crash(self, name: str) -> None:
        """End a node in the middle of what it does, so that the others can tell."""
        self.cables[name].is_cut = True
        self.gone.add(name)

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass in small steps until a condition holds."""
        for _ in range(10_000):
            if await is_so():
                return
            self.clock.advance(0.05)
            for _ in range(5):
                await asyncio.sleep(0)
        raise AssertionError("it never was so")

    async def pass_time(self, seconds: float) -> None:
        """Let this much time pass in small steps."""
        until = self.clock.monotonic() + seconds

        async def is_past() -> bool:
            return self.clock.monotonic() >= until

        await self.until(is_past)

    async def holders(self, name: str, slots: int) -> dict[str, int]:
        """Give how many slots of a subscription each node holds."""
        keys = [lease_key(name, slot) for slot in range(slots)]
        records = await (await self.engine.open("shop")).records("lease", keys)
        return dict(Counter(process_of(r.value.decode()) for r in records if r.value))

    async def cursor(self, name: str, slot: int = 0) -> int:
        """Give where a cursor stands."""
        record = await (await self.engine.open("shop")).record("cursor", f"{name}/{slot}")
        return read_cursor(record).position if record else 0

    async def next(self, events: Subscription) -> RecordedEvent:
        """Take the next event, letting time pass."""
        asked = asyncio.ensure_future(anext(events))

        async def is_answered() -> bool:
            return asked.done()

        await self.until(is_answered)
        return asked.result()


async def record(app: App, count: int, *entities: UUID, first: int = 0) -> list[int]:
    """Record so many events, one entity after the other; give their positions."""
    new = [shop.new(entities[n % len(entities)], Added(n)) for n in range(first, first + count)]
    return [receipt.position for receipt in (await app.append(*new)).receipts]


async def positions(events: AsyncIterator[RecordedEvent], count: int) -> list[int]:
    """Take so many events, and leave the last one in hand."""
    return [(await anext(events)).position for _ in range(count)]
