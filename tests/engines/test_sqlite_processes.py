"""Several processes on one SQLite store, and processes that are killed."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from perdure.engines.sqlite import SqliteEngine
from perdure.runtime.environment import SystemClock
from perdure.testing.conformance.samples import ANN, BEN, Maker, ids, read, store
from tests.engines.children import group

ROOT = Path(__file__).parents[2]
BOUND_SECONDS = 50.0


async def _start(task: str, directory: Path, *numbers: int) -> Process:
    """Start a process, and wait until it has opened the store."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engines.children", task, str(directory), *map(str, numbers),
        cwd=ROOT, stdout=PIPE, limit=1 << 24,
    )  # fmt: skip
    assert await _line(child) == "open"
    return child


async def _line(child: Process) -> str:
    assert child.stdout is not None
    return (await asyncio.wait_for(child.stdout.readline(), BOUND_SECONDS)).decode().strip()


async def test_two_processes_write_and_each_sees_what_the_other_wrote(tmp_path: Path) -> None:
    number, writers = 30, 3
    children = [await _start("race", tmp_path, who, number, writers) for who in range(1, writers)]
    engine = SqliteEngine(tmp_path, SystemClock())
    log, make = await engine.open("shop"), Maker()
    for _ in range(2 * number):
        await store(log, make.event(BEN))

    seen = [(await _line(child)).split() for child in children]

    assert [await child.wait() for child in children] == [0, 0]
    events = await read(log)
    assert [id_.hex() for id_ in ids(events)] == seen[0] == seen[1]
    for entity, written in ((ANN, number * 2), (BEN, number * 4)):
        versions = [event.version for event in events if event.entity == entity]
        assert versions == list(range(1, written + 1))
    assert [damage async for damage in log.verify()] == []
    await engine.close()


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    await _kill_again_and_again(tmp_path, random.Random(1), 4)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
async def test_what_was_acknowledged_survives_many_kills(tmp_path: Path, seed: int) -> None:
    await _kill_again_and_again(tmp_path, random.Random(seed), 40)


async def _kill_again_and_again(directory: Path, chance: random.Random, cycles: int) -> None:
    acknowledged: set[str] = set()
    for who in range(cycles):
        child = await _start("flow", directory, who)
        for _ in range(chance.randrange(300)):
            acknowledged.add(await _line(child))
        child.kill()
        assert child.stdout is not None
        acknowledged.update((await child.stdout.read()).decode().split())
        await child.wait()

    engine = SqliteEngine(directory, SystemClock())
    log = await engine.open("shop")
    records, after = set[str](), ""
    while page := await log.records("group", after=after):
        records |= {record.key for record in page}
        after = page[-1].key
    assert acknowledged
    assert acknowledged <= records
    expected = {event.id for name in records for event in group(*map(int, name.split("/"))).events}
    events = await read(log)
    assert set(ids(events)) == expected
    assert len(await log.intents("emit", limit=10**6)) == len(records)
    for entity in (ANN, BEN):
        versions = [event.version for event in events if event.entity == entity]
        assert versions == list(range(1, len(versions) + 1))
    assert [damage async for damage in log.verify()] == []
    await engine.close()


async def test_a_file_that_may_grow_no_more_refuses_until_it_may(tmp_path: Path) -> None:
    child = await _start("fill", tmp_path)

    assert await _line(child) == "True"
    assert await child.wait() == 0


async def test_a_forked_process_is_refused_and_does_no_harm(tmp_path: Path) -> None:
    child = await _start("fork", tmp_path)

    assert await _line(child) == "2 2"
    assert await child.wait() == 0
