"""What the tests of delivery share: a domain that gives out what a test says, and a world to act on.

Time stands still unless a test lets it pass, so that what is due is known to the second. Nothing is told
by waiting that something does not happen: a later thing that does happen is the witness.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure import Accepted, After, App, Context, EntityKind, EntityRef, Settings
from perdure.ports.engine import Engine, Log
from perdure.runtime import undelivered
from perdure.runtime.undelivered import EffectOutcome, Undelivered
from perdure.testing import FixedNode, ManualClock, ManualEnvironment, SeededChance
from perdure.vocabulary.ids import parse_id
from tests.runtime.support import OutlivingEngine

PATIENCE_SECONDS = 15


@dataclass(frozen=True)
class Do:
    """A command; what it makes an entity give out is up to the test."""

    what: str


@dataclass(frozen=True)
class Noted:
    what: str


@dataclass(frozen=True)
class Box:
    """An entity's state: what was noted, in order."""

    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mail:
    """An effect."""

    text: str


@dataclass(frozen=True)
class Ring:
    """Another effect."""

    text: str


Give = Callable[[Do], Any]


def boxes(give: Give, name: str = "shop") -> tuple[Context, EntityKind[Box]]:
    """Make a context of boxes, which give out for each command what ``give`` says."""
    context = Context(name)
    context.event(Noted)
    box = context.entity("box", Box)

    @box.handle
    def do(state: Box, command: Do) -> Any:
        return give(command)

    @box.update
    def noted(state: Box, event: Noted) -> Box:
        return Box((*state.notes, event.what))

    return context, box


def mailing(**options: Any) -> tuple[Context, EntityKind[Box]]:
    """Make boxes that note each command and mail it; the effect does what the world says."""
    shop, box = boxes(lambda command: [Noted(command.what), Mail(command.what)])

    @shop.effect(**options)
    async def mail(effect: Mail, *, key: str, attempt: int, config: World) -> None:
        await config.act(effect.text, key, attempt)

    return shop, box


@dataclass(frozen=True)
class Act:
    """One attempt to act, as the world saw it."""

    text: str
    key: str
    attempt: int
    at: float


#: What an attempt meets: it fails, or it waits for something.
Obstacle = Exception | asyncio.Event


@dataclass
class World:
    """What effects act on: it notes every attempt, and puts in its way what the test says."""

    clock: ManualClock
    acts: list[Act] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    now: int = 0
    most: int = 0
    obstacles: defaultdict[str, list[Obstacle]] = field(default_factory=lambda: defaultdict(list))

    async def act(self, text: str, key: str = "", attempt: int = 1) -> None:
        """Take an attempt in."""
        self.acts.append(Act(text, key, attempt, self.clock.monotonic()))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if waiting := self.obstacles[text]:
                obstacle = waiting.pop(0)
                if isinstance(obstacle, Exception):
                    raise obstacle
                await obstacle.wait()
            self.done.append(text)
        finally:
            self.now -= 1

    def texts(self) -> list[str]:
        """Give what was attempted, in order."""
        return [act.text for act in self.acts]


class Store:
    """One store for applications one after another, or beside one another; each under the same clock."""

    def __init__(self, path: Path | None) -> None:
        self.path, self.clock = path, ManualClock()
        self.world = World(self.clock)
        self._memory = OutlivingEngine(self.clock)
        self._seeds = count()

    def engine(self) -> Engine:
        """Make an engine over the store."""
        if self.path is None:
            return self._memory
        from perdure.engines.sqlite import SqliteEngine

        return SqliteEngine(self.path, self.clock)

    def open(
        self,
        *contexts: Context,
        engine: Engine | None = None,
        node: str = "one",
        gone: tuple[str, ...] = (),
        react: bool = True,
        shutdown_seconds_max: float = 0.01,
        **settings: Any,
    ) -> App:
        """Make an application over the store; at its end it waits for nothing that hangs."""
        environment = ManualEnvironment(
            self.clock, SeededChance(next(self._seeds)), FixedNode(node, gone)
        )
        chosen = Settings(shutdown_seconds_max=shutdown_seconds_max, **settings)
        return App(
            contexts, engine or self.engine(), environment, chosen,
            version="test", config=self.world, react=react,
        )  # fmt: skip

    async def until(
        self, holds: Callable[[], bool | Awaitable[bool]], *, step: float = 0.0
    ) -> None:
        """Wait until a condition holds, letting ``step`` seconds pass again and again."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = holds()
                if answer if isinstance(answer, bool) else await answer:
                    return
                if step:
                    self.clock.advance(step)
                await turns()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give an empty store, of each engine in turn."""
    return Store(None if request.param == "memory" else tmp_path / "store")


async def turns() -> None:
    """Let everybody else have turns, the engine's threads too."""
    await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0)


async def accepted(app: App, ref: EntityRef[Any], what: str, **options: Any) -> Accepted[Any]:
    """Send ``Do(what)``, and demand that it is accepted."""
    outcome = await app.send(ref, Do(what), **options)
    assert isinstance(outcome, Accepted), outcome
    return outcome


async def notes(app: App, ref: EntityRef[Box]) -> tuple[str, ...]:
    """Give what an entity has noted."""
    return (await app.model(ref)).notes


async def open_intents(app: App, context: str = "shop") -> int:
    """Count what was given out and is still to be done, whenever it is due."""
    log = app.context(context).log
    pages = [await log.intents(kind) for kind in ("emit", "command", "effect")]
    return sum(map(len, pages))


async def is_done(app: App, context: str = "shop") -> bool:
    """Tell whether nothing is left to be done."""
    return not await open_intents(app, context)


async def standing(app: App, context: str = "shop") -> list[Undelivered]:
    """Give the parked deliveries."""
    return [*(await undelivered.load(app.context(context).log)).values()]


async def outcome(app: App, key: str) -> EffectOutcome | None:
    """Give what became of the effect with this key."""
    return await undelivered.outcome_of(app.context("shop").log, parse_id(key))


def seconds(number: float) -> timedelta:
    """Make a delay."""
    return timedelta(seconds=number)


def timing(give: Give) -> tuple[Context, EntityKind[Box]]:
    """Make boxes with an effect, and a command ``witness N`` that notes ``witness`` in N seconds."""

    def do(command: Do) -> Any:
        if command.what.startswith("witness"):
            return [After(seconds(float(command.what.split()[1])), Noted("witness"))]
        return give(command)

    shop, box = boxes(do)

    @shop.effect()
    async def mail(effect: Mail, *, key: str, config: World) -> None:
        await config.act(effect.text, key)

    return shop, box


async def witness(store: Store, app: App, box: EntityKind[Box], after: float) -> None:
    """Let so much time pass, and wait until whatever was due by then has happened."""
    seen = box[some_id()]
    await accepted(app, seen, f"witness {after}")
    store.clock.advance(after)
    await noted(store, app, seen, "witness", step=0.1)


async def noted(
    store: Store, app: App, ref: EntityRef[Box], *wanted: str, step: float = 0.25
) -> None:
    """Wait until an entity has noted this, letting time pass."""

    async def is_so() -> bool:
        return await notes(app, ref) == wanted

    await store.until(is_so, step=step)


def some_id() -> UUID:
    """Make the id of an entity."""
    return uuid4()


class Through(OutlivingEngine):
    """An engine that lets a test stand between the application and the logs of another."""

    def __init__(self, inner: Engine, between: Callable[[Log], Log]) -> None:
        self._inner, self._between = inner, between

    @property
    def capabilities(self) -> Any:
        return self._inner.capabilities

    async def open(self, context: str, tables: Any = ()) -> Any:
        return self._between(await self._inner.open(context, tables))

    async def close(self) -> None:
        await self._inner.close()


class Between:
    """A log that passes everything on; what a test wants to see or to break, it overrides."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class Counting(Between):
    """A log that counts what is read of its intents: the pages, and what is on them."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.pages = self.rows = 0

    async def intents(self, *args: Any, **options: Any) -> Any:
        page = await self._log.intents(*args, **options)
        self.pages += 1
        self.rows += len(page)
        return page


def counted(store: Store) -> tuple[Engine, list[Counting]]:
    """Make an engine over the store whose logs count; they are listed as they are opened."""
    made: list[Counting] = []

    def between(log: Log) -> Any:
        made.append(Counting(log))
        return made[-1]

    return Through(store.engine(), between), made
