"""Settled question 9 for commands: what they are told when the disk fails, and what is there afterwards.

The oracle: what was acknowledged is there, once; what was refused is not; what is unknown is told when it
is asked for again under its command id, and then has happened once. The application goes on by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from perdure import Accepted, App, Context, EntityKind, EntityRef, OutcomeUnknown, Send, StorageFull
from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.vocabulary.errors import EngineError, Unavailable
from tests.engines.disks import FailingDisk, full, sync_error, write_error
from tests.runtime.delivering import (
    PATIENCE_SECONDS,
    Box,
    Do,
    Mail,
    Noted,
    Ring,
    Store,
    World,
    accepted,
    boxes,
    is_done,
    notes,
    some_id,
    turns,
)

COMMANDS = 12
#: Checkpoints come early, so that their writes and syncs are among those that fail.
QUICK = SqliteSettings(
    busy_seconds=0.5, checkpoint_frames=20, restart_frames=60, restart_rest_frames=40
)
#: No checkpoint comes in between: the sync that fails is that of a commit.
NO_CHECKPOINT = SqliteSettings(busy_seconds=0.5, checkpoint_frames=100_000)
ONE, LEDGER = some_id(), some_id()


def booking() -> tuple[Context, EntityKind[Box]]:
    """Make boxes that note each command, mail it, and tell the ledger; the ledger only notes."""

    def give(command: Do) -> list[Any]:
        what = command.what.removeprefix("book ")
        if what == command.what:
            return [Noted(what)]
        return [Noted(what), Mail(what), Send(Do(what), to=box[LEDGER])]

    shop, box = boxes(give)

    @shop.effect()
    async def mail(effect: Mail, *, key: str, config: World) -> None:
        await config.act(effect.text, key)

    return shop, box


class Bench:
    """An application on a disk that fails when it is told to."""

    def __init__(self, path: Path, settings: SqliteSettings = QUICK) -> None:
        self.settings = settings
        self.store, self.disk = Store(path), FailingDisk()
        self.shop, self.box = booking()
        self.refused: set[str] = set()
        self.unknown: set[str] = set()
        self.told: dict[str, Accepted[Box]] = {}

    def open(self) -> App:
        engine = SqliteEngine(
            self.path, self.store.clock, vfs=self.disk.name, settings=self.settings
        )
        return self.store.open(self.shop, engine=engine)

    @property
    def path(self) -> Path:
        assert self.store.path is not None
        return self.store.path

    async def book(self, app: App, what: str) -> EngineError | None:
        """Send a command under its own id, and note what came of it."""
        try:
            self.told[what] = await accepted(
                app, self.box[ONE], f"book {what}", command_id=f"id-{what}"
            )
        except OutcomeUnknown as failure:
            self.unknown.add(what)
            return failure
        except Unavailable as failure:
            self.refused.add(what)
            return failure
        return None

    async def begin(self, app: App, what: str) -> None:
        """Let everything get going; afterwards time stands still, and nobody writes by himself."""
        async with time_passing(self):
            await self.book(app, what)
            await self.store.until(lambda: is_done(app))

    async def ask_again(self, app: App, what: str) -> Accepted[Box]:
        return await until_answered(app, self.box[ONE], Do(f"book {what}"), f"id-{what}")

    async def check_answers(self, app: App, all_of_them: list[str]) -> None:
        """Insist that asking again tells what was told, and otherwise does it now, once."""
        for what in all_of_them:
            again = await self.ask_again(app, what)
            if what in self.told:
                first = self.told[what]
                assert again.repeated
                assert (again.events, again.version) == (first.events, first.version)
                assert again.state == first.state
            elif what in self.refused:
                assert not again.repeated, f"{what} was refused, and is there"
        noted = await notes(app, self.box[ONE])
        assert sorted(noted) == sorted(all_of_them)
        versions = [(await self.ask_again(app, what)).version for what in noted]
        assert versions == list(range(1, len(noted) + 1))

    async def check_deliveries(self, app: App, all_of_them: list[str]) -> None:
        """Insist that effects were carried out, each under one key, and commands handled once."""
        await self.store.until(lambda: is_done(app))
        acts = {(act.text, act.key) for act in self.store.world.acts}
        assert sorted(text for text, _ in acts) == sorted(all_of_them)
        assert await notes(app, self.box[LEDGER]) == await notes(app, self.box[ONE])

    async def check_restart(self, app: App) -> None:
        """Insist that a fresh application on a sound disk sees what this one shows."""
        shown = await notes(app, self.box[ONE]), await notes(app, self.box[LEDGER])
        await app.close()
        self.disk.mend()
        async with self.store.open(self.shop) as fresh:
            there = await notes(fresh, self.box[ONE]), await notes(fresh, self.box[LEDGER])
            assert there == shown
            assert [damage async for damage in fresh.context("shop").log.verify()] == []


async def until_answered(
    app: App, ref: EntityRef[Box], command: Any, command_id: str
) -> Accepted[Box]:
    """Send a command again under its id until there is an answer."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                outcome = await app.send(ref, command, command_id=command_id)
            except EngineError:
                await turns()
            else:
                assert isinstance(outcome, Accepted)
                return outcome


@asynccontextmanager
async def time_passing(bench: Bench) -> AsyncIterator[None]:
    """Let time pass by itself, fast."""

    async def pass_time() -> None:
        while True:
            bench.store.clock.advance(0.05)
            await turns()

    passing = asyncio.create_task(pass_time())
    try:
        yield
    finally:
        passing.cancel()


async def sweep(path: Path, error: Callable[[], Exception], lasting: bool, at: int) -> bool:
    """Send commands while the n-th change fails; tell whether there were so many changes."""
    bench = Bench(path)
    kinds = ("sync",) if error is sync_error else ("write", "truncate")
    names = [str(number) for number in range(COMMANDS)]
    async with time_passing(bench), bench.open() as app:
        bench.disk.fail(error, *kinds, at=at, lasting=lasting)
        for first in range(0, COMMANDS, 3):
            await asyncio.gather(*(bench.book(app, what) for what in names[first : first + 3]))
        has_failed = bench.disk.failures > 0
        bench.disk.mend()
        await bench.check_answers(app, names)
        await bench.check_deliveries(app, names)
        await bench.check_restart(app)
    return has_failed


ERRORS = pytest.mark.parametrize("error", [full, write_error, sync_error])
LASTING = pytest.mark.parametrize("lasting", [False, True], ids=["once", "for ever"])


@ERRORS
@LASTING
@pytest.mark.parametrize("at", [1, 2, 4, 9, 25, 40])
async def test_no_answer_is_false_whichever_change_fails(
    tmp_path: Path, error: Callable[[], Exception], lasting: bool, at: int
) -> None:
    await sweep(tmp_path / "store", error, lasting, at)


@pytest.mark.slow
@pytest.mark.timeout(600)
@ERRORS
@LASTING
async def test_no_answer_is_false_whichever_of_many_changes_fails(
    tmp_path: Path, error: Callable[[], Exception], lasting: bool
) -> None:
    for at in range(1, 10_000, 3):
        if not await sweep(tmp_path / str(at), error, lasting, at):
            break
    else:
        pytest.fail("the sweep has no end")
    assert at > 10


async def test_a_full_disk_says_so_and_nothing_is_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "store")
    async with time_passing(bench), bench.open() as app:
        await bench.book(app, "before")
        await bench.store.until(lambda: is_done(app))
        bench.disk.fail(full, "write", lasting=True)

        answers = [await bench.book(app, f"full-{number}") for number in range(5)]

        assert {type(answer) for answer in answers} == {StorageFull}
        assert await notes(app, bench.box[ONE]) == ("before",)
        assert bench.store.world.texts() == ["before"]
        bench.disk.mend()
        assert await bench.book(app, "after") is None
        assert await notes(app, bench.box[ONE]) == ("before", "after")


async def test_what_is_unknown_is_told_when_it_is_asked_for_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "store", NO_CHECKPOINT)
    async with bench.open() as app:
        await bench.begin(app, "before")
        bench.disk.fail(sync_error, "sync")

        answer = await bench.book(app, "unknown")
        assert isinstance(answer, OutcomeUnknown)
        assert "send it again under the command id 'id-unknown'" in str(answer)
        async with time_passing(bench):
            await bench.check_answers(app, ["before", "unknown"])
            await bench.check_deliveries(app, ["before", "unknown"])


async def test_at_most_once_nothing_is_started_for_a_commit_that_is_unknown(
    tmp_path: Path,
) -> None:
    """Whether it is stored or not: nobody can tell, and starting it later might be a second time."""
    bench = Bench(tmp_path / "store", NO_CHECKPOINT)

    @bench.shop.effect(delivery="at_most_once")
    async def ring(effect: Ring, *, config: World) -> None:
        await config.act(f"ring {effect.text}")

    @bench.box.handle
    def call(state: Box, command: Call) -> list[Any]:
        return [Noted(command.what), Ring(command.what)]

    async with bench.open() as app:
        await bench.begin(app, "before")
        bench.disk.fail(sync_error, "sync")
        with pytest.raises(OutcomeUnknown):
            await app.send(bench.box[ONE], Call("a"), command_id="a")
        async with time_passing(bench):
            again = await until_answered(app, bench.box[ONE], Call("a"), "a")
            await app.send(bench.box[ONE], Call("b"))
            await bench.store.until(lambda: "ring b" in bench.store.world.done)

        assert bench.store.world.texts().count("ring a") == (not again.repeated)


@dataclass(frozen=True)
class Call:
    what: str
