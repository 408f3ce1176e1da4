"""What the SQLite engine says when the disk fails, and what is there afterwards.

The oracle is the same everywhere: what was acknowledged is there, what was refused is not, what is unknown
is there whole or not at all, and nothing is damaged.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.ports.engine import Log
from perdure.runtime.environment import SystemClock
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    CAT,
    Maker,
    as_given,
    committed,
    intent,
    read,
    store,
)
from perdure.vocabulary.commits import Commit, Committed, Put
from perdure.vocabulary.errors import (
    EngineError,
    OutcomeUnknown,
    StorageFull,
    Unavailable,
)
from tests.engines.disks import (
    FailingDisk,
    JournalDisk,
    files_of,
    full,
    sync_error,
    write_error,
)

BOUND_SECONDS = 15.0
#: Checkpoints come early here, so that their writes and syncs are among those that fail.
QUICK = SqliteSettings(
    busy_seconds=0.5, checkpoint_frames=20, restart_frames=60, restart_rest_frames=40
)


def engine_on(directory: Path, disk: str | None = None) -> SqliteEngine:
    return SqliteEngine(directory, SystemClock(), vfs=disk, settings=QUICK)


@dataclass
class History:
    """What was asked for, and what was answered; commit ``n`` is known by its record ``n``."""

    commits: dict[str, Commit] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    async def write(self, log: Log, name: str, commit: Commit) -> EngineError | None:
        """Write a commit, note the answer, and give the error when it was one."""
        self.commits[name] = commit
        try:
            committed((await log.commit([commit]))[0])
        except OutcomeUnknown as error:
            self.unknown.add(name)
            return error
        except Unavailable as error:
            self.refused.add(name)
            return error
        self.acknowledged.add(name)
        return None

    async def holds(self, directory: Path) -> None:
        """Insist that a store, opened on a disk without faults, is what the answers say."""
        engine = engine_on(directory)
        log = await engine.open("faults")
        events = await read(log)
        stored = {event.id for event in events}
        names = {record.key for record in await log.records("name")}
        assert self.acknowledged <= names
        assert not self.refused & names
        for name, commit in self.commits.items():
            assert {event.id in stored for event in commit.events} == {name in names}
            given = await log.intent(commit.intents[0].id)
            assert (given is not None) == (name in names)
        for entity in {event.entity for event in events}:
            versions = [event.version for event in events if event.entity == entity]
            assert versions == list(range(1, len(versions) + 1))
        assert [damage async for damage in log.verify()] == []
        await engine.close()
        assert _integrity(directory / "faults.db") == [("ok",)]


def numbered(make: Maker, number: int) -> Commit:
    """Make a commit of two events, a record and an intent, that can be told from all others."""
    return Commit(
        events=(make.event((ANN, BEN, CAT)[number % 3], domain="d", tags=("t",)), make.event(BEN)),
        records=(Put("name", f"{number:04}", b"v" * 500),),
        intents=(intent(number.to_bytes(16, "big")),),
    )


@pytest.fixture
def disk() -> FailingDisk:
    return FailingDisk()


@pytest.fixture
async def log(tmp_path: Path, disk: FailingDisk) -> AsyncIterator[Log]:
    engine = engine_on(tmp_path / "store", disk.name)
    yield await engine.open("faults")
    disk.mend()
    await engine.close()


@pytest.mark.parametrize("error", [full, write_error, sync_error])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize("at", range(1, 60, 7))
async def test_no_answer_is_false_whichever_change_fails(
    tmp_path: Path, error: Callable[[], Exception], lasting: bool, at: int
) -> None:
    await _sweep(tmp_path, error, lasting, at)


@pytest.mark.slow
@pytest.mark.parametrize("error", [full, write_error, sync_error])
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for ever"])
async def test_no_answer_is_false_whichever_of_all_changes_fails(
    tmp_path: Path, error: Callable[[], Exception], lasting: bool
) -> None:
    for at in range(1, 10_000):
        (tmp_path / str(at)).mkdir()
        if not await _sweep(tmp_path / str(at), error, lasting, at):
            break
    else:
        pytest.fail("the sweep has no end")
    assert at > 10


async def _sweep(tmp_path: Path, error: Callable[[], Exception], lasting: bool, at: int) -> bool:
    """Write while the n-th change fails; tell whether there were so many changes."""
    disk, make, history = FailingDisk(), Maker(), History()
    engine = engine_on(tmp_path / "store", disk.name)
    log = await engine.open("faults")
    disk.fail(error, *(("sync",) if error is sync_error else ("write", "truncate")),
              at=at, lasting=lasting)  # fmt: skip
    for number in range(0, 36, 3):
        some = (numbered(make, number + each) for each in range(3))
        await asyncio.gather(*(history.write(log, c.records[0].key, c) for c in some))
    has_failed = disk.failures > 0
    if not lasting:
        await _writes_again(log, make, history)
    await engine.close()
    disk.mend()
    await history.holds(tmp_path / "store")
    return has_failed


async def _writes_again(log: Log, make: Maker, history: History) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        for number in range(1000, 10_000):
            if await history.write(log, str(number), numbered(make, number)) is None:
                return


@pytest.mark.parametrize("at", [1, 2, 5])
async def test_a_full_disk_refuses_and_the_store_stays_up(
    log: Log, disk: FailingDisk, at: int
) -> None:
    make = Maker()
    first = await store(log, make.event())
    disk.fail(full, "write", at=at, lasting=True)

    for _ in range(3):
        with pytest.raises(StorageFull):
            await store(log, make.event())

    assert len(await read(log)) == 1
    disk.mend()
    assert (await store(log, make.event())).position == first.position + 1


async def test_one_full_disk_refuses_the_whole_group(log: Log, disk: FailingDisk) -> None:
    make = Maker()
    disk.fail(full, "write", at=1, lasting=True)

    answers = await asyncio.gather(
        *(store(log, make.event()) for _ in range(20)), return_exceptions=True
    )

    assert {type(answer) for answer in answers} == {StorageFull}
    disk.mend()
    assert (await store(log, make.event())).receipts[0].version == 1


async def test_a_failed_sync_leaves_the_outcome_unknown_and_the_same_id_settles_it(
    log: Log, disk: FailingDisk
) -> None:
    make = Maker()
    await store(log, make.event())
    event = make.event()
    disk.fail(sync_error, "sync")

    with pytest.raises(OutcomeUnknown):
        await store(log, event)

    verdict = await _until_it_is_taken(log, Commit(events=(event,)))
    assert verdict.receipts[0].version == 2
    assert [stored.id for stored in await read(log)].count(event.id) == 1


async def test_while_nothing_can_be_synced_writes_are_refused_and_reads_go_on(
    log: Log, disk: FailingDisk
) -> None:
    make = Maker()
    first = make.event()
    await store(log, first)
    disk.fail(sync_error, "sync", lasting=True)
    with pytest.raises(OutcomeUnknown):
        await store(log, make.event())

    for _ in range(3):
        with pytest.raises(Unavailable):  # not even a repeat is answered from uncertain data
            await store(log, first)
    assert [event.id for event in await read(log)] == [first.id]
    disk.mend()

    again = await _until_it_is_taken(log, Commit(events=(first,)))
    assert again.repeated


async def test_a_checkpoint_that_fails_fails_no_commit(log: Log, disk: FailingDisk) -> None:
    make = Maker()
    await store(log, make.event())
    disk.fail(write_error, "write", "sync", lasting=True, suffix=".db")

    async with asyncio.timeout(BOUND_SECONDS):
        number = 0
        while not disk.failures:
            committed((await log.commit([numbered(make, number)]))[0])
            number += 1

    assert len(await read(log)) == 2 * number + 1


async def test_many_commits_share_one_sync(log: Log, disk: FailingDisk) -> None:
    make = Maker()
    await store(log, make.event())
    disk.seen.clear()

    await asyncio.gather(*(store(log, make.event()) for _ in range(100)))

    syncs = [change for change in disk.seen if change.kind == "sync" and "-wal" in change.path]
    assert 1 <= len(syncs) < 50


async def test_a_process_that_cannot_sync_opens_nothing(tmp_path: Path) -> None:
    disk, make = FailingDisk(), Maker()
    engine = engine_on(tmp_path / "store", disk.name)
    log = await engine.open("faults")
    await store(log, make.event())
    disk.fail(sync_error, "sync", lasting=True)
    with pytest.raises(OutcomeUnknown):
        await store(log, make.event())
    await engine.close()

    with pytest.raises(Unavailable):  # what the log holds may be on no disk at all
        await engine_on(tmp_path / "store", disk.name).open("faults")

    disk.mend()
    again = engine_on(tmp_path / "store", disk.name)
    assert 1 <= len(await read(await again.open("faults"))) <= 2
    await again.close()


POWER_CUTS = 200
OFTEN = SqliteSettings(checkpoint_frames=10, restart_frames=40, restart_rest_frames=30)


async def test_nothing_acknowledged_is_lost_when_the_power_is(tmp_path: Path) -> None:
    lost, broken = await _lose_power(tmp_path, OFTEN, POWER_CUTS)

    assert (lost, broken) == (0, 0)


async def test_the_same_finds_losses_when_nothing_is_synced_at_a_commit(tmp_path: Path) -> None:
    careless = replace(OFTEN, synchronous="normal")

    lost, broken = await _lose_power(tmp_path, careless, POWER_CUTS // 2)

    assert lost > 0
    assert broken == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
async def test_nothing_acknowledged_is_lost_at_any_of_many_power_cuts(
    tmp_path: Path, seed: int
) -> None:
    lost, broken = await _lose_power(tmp_path, OFTEN, 2000, seed)

    assert (lost, broken) == (0, 0)


async def _lose_power(
    tmp_path: Path, settings: SqliteSettings, cuts: int, seed: int = 0
) -> tuple[int, int]:
    """Write, then cut the power at many points; give how often something was lost, and broken."""
    disk, make, chance = JournalDisk(), Maker(), random.Random(seed)
    engine = SqliteEngine(tmp_path / "store", SystemClock(), vfs=disk.name, settings=settings)
    log = await engine.open("faults")
    acknowledged = [disk.now]  # after how many changes so many commits were
    commits: list[Commit] = []
    start = disk.now

    async def write(commit: Commit) -> None:
        committed((await log.commit([commit]))[0])
        acknowledged.append(disk.now)

    while len(commits) < 120:
        some = [numbered(make, len(commits) + each) for each in range(chance.randrange(1, 5))]
        commits += some
        await asyncio.gather(*map(write, some))
    await engine.close()

    lost = broken = 0
    points = range(start, disk.now, max(1, (disk.now - start) // cuts))
    for point, images in disk.after_power_cuts(points, chance):
        with files_of(images, tmp_path / "survived") as directory:
            durable = sum(point >= at for at in acknowledged[1:])
            kept = await _kept(directory, commits)
            lost += kept < durable
            broken += kept < 0
    return lost, broken


async def _kept(directory: Path, commits: list[Commit]) -> int:
    """Give how many of the first commits a store holds, whole; -1 when it holds anything else."""
    engine = engine_on(directory)
    try:
        log = await engine.open("faults")
        ids = [event.id for event in await read(log)]
        kept = len(ids) // 2
        names = [record.key for record in await log.records("name")]
        intents = as_given(await log.intents("emit"))
        damage = [each async for each in log.verify()]
    except EngineError:
        return -1
    finally:
        await engine.close()
    first = commits[:kept]
    is_prefix = (
        ids == [event.id for commit in first for event in commit.events]
        and names == [commit.records[0].key for commit in first]
        and intents == [commit.intents[0] for commit in first]
        and not damage
    )
    return kept if is_prefix else -1


async def _until_it_is_taken(log: Log, commit: Commit) -> Committed:
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            try:
                return committed((await log.commit([commit]))[0])
            except Unavailable:
                await asyncio.sleep(0.01)


def _integrity(path: Path) -> list[object]:
    connection = apsw.Connection(str(path))
    try:
        return list(connection.execute("PRAGMA integrity_check"))
    finally:
        connection.close()
