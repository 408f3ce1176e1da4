"""Promise 1 when the disk fails: acknowledged is there, refused is not, and unknown is said.

Every write and every sync of a run of commits fails in turn, once and for ever. What the engine said of each
commit is compared with what a fresh engine without faults finds.
"""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest

from perdure import EngineError, NewEvent, OutcomeUnknown, StorageFull, Unavailable
from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.ports.engine import Capability, Log
from perdure.runtime.environment import SystemClock
from perdure.vocabulary.commits import Commit, Committed
from perdure.vocabulary.ids import make_event_id
from tests.engines.faulty import Fault, FaultyVfs, Plan, disk_full, sync_failed, write_failed

COMMITS = 6
NAMES = count()


@pytest.fixture
def vfs() -> Iterator[FaultyVfs]:
    made = FaultyVfs(f"faulty-{next(NAMES)}", Plan())
    yield made
    made.unregister()


def one_event(number: int) -> Commit:
    id_ = make_event_id(0x1F1_0000_0000_0000 + number, 0, 1)
    return Commit(events=(NewEvent(type="seen", entity=uuid4().bytes, id=id_, data=b"{}"),))


async def commit_some(log: Log, first: int = 0) -> dict[bytes, str]:
    """Commit events one after another; say of each what the engine said."""
    said = {}
    for number in range(first, first + COMMITS):
        commit = one_event(number)
        try:
            (verdict,) = await log.commit([commit])
            said[commit.events[0].id] = "stored" if isinstance(verdict, Committed) else "refused"
        except OutcomeUnknown:
            said[commit.events[0].id] = "unknown"
        except Unavailable:
            said[commit.events[0].id] = "refused"
    return said


async def assert_true(directory: Path, said: dict[bytes, str]) -> None:
    """Open the store without faults, and compare what is there with what was said."""
    engine = SqliteEngine(directory, SystemClock())
    log = await engine.open("shop")
    found = {event.id for event in await log.events(list(said))}
    damage = [damage async for damage in log.verify()]
    await engine.close()

    assert {id_ for id_, word in said.items() if word == "stored"} <= found
    assert not {id_ for id_, word in said.items() if word == "refused"} & found
    assert damage == []


async def faulty_run(vfs: FaultyVfs, directory: Path, *, recovers: bool) -> bool:
    """Run commits with the plan armed; tell whether the fault was reached."""
    engine = SqliteEngine(directory, SystemClock(), vfs=vfs.name)
    log = await engine.open("shop")
    vfs.plan.is_armed = True
    said = await commit_some(log)
    reached = vfs.plan.done >= vfs.plan.at
    if recovers:
        said |= await until_it_takes_commits(log)
    vfs.plan.is_armed = False
    said |= await until_it_takes_commits(log, first=500)
    await engine.close()
    await assert_true(directory, said)
    return reached


async def until_it_takes_commits(log: Log, first: int = 100) -> dict[bytes, str]:
    said: dict[bytes, str] = {}
    while "stored" not in said.values():
        said |= await commit_some(log, first + len(said))
        await asyncio.sleep(0.01)
    return said


@pytest.mark.parametrize("for_ever", [False, True], ids=["once", "for ever"])
@pytest.mark.parametrize(
    ("kind", "fault"),
    [("sync", sync_failed), ("write", write_failed), ("write", disk_full)],
    ids=["sync", "write", "full"],
)
async def test_what_is_said_of_a_commit_is_true_wherever_the_disk_fails(
    vfs: FaultyVfs, tmp_path: Path, kind: str, fault: Fault, for_ever: bool
) -> None:
    for at in count(1):
        vfs.plan.__init__(kind, at, fault, for_ever)  # type: ignore[misc]
        reached = await faulty_run(vfs, tmp_path / f"{at}", recovers=not for_ever)
        if not reached or at >= 24:
            break

    assert at > COMMITS / 2


async def test_a_full_disk_is_a_definite_failure_and_the_store_stays_up(
    vfs: FaultyVfs, tmp_path: Path
) -> None:
    engine = SqliteEngine(tmp_path, SystemClock(), vfs=vfs.name)
    log = await engine.open("shop")
    (before,) = await log.commit([one_event(1)])
    vfs.plan.__init__("write", 1, disk_full, for_ever=True)  # type: ignore[misc]
    vfs.plan.is_armed = True

    with pytest.raises(StorageFull):
        await log.commit([one_event(2), one_event(3)])
    assert await log.head() == 1
    vfs.plan.is_armed = False
    (after,) = await log.commit([one_event(2)])
    await engine.close()

    assert isinstance(before, Committed)
    assert isinstance(after, Committed)
    assert (after.position, after.repeated) == (2, False)


async def test_after_a_failed_sync_nothing_is_answered_until_it_is_certain(
    vfs: FaultyVfs, tmp_path: Path
) -> None:
    engine = SqliteEngine(tmp_path, SystemClock(), vfs=vfs.name)
    log = await engine.open("shop")
    vfs.plan.__init__("sync", 1, sync_failed, for_ever=True)  # type: ignore[misc]
    vfs.plan.is_armed = True

    with pytest.raises(OutcomeUnknown):
        await log.commit([one_event(1)])
    with pytest.raises(EngineError):  # the same again: not even "stored already"
        await log.commit([one_event(1)])
    vfs.plan.is_armed = False
    while True:
        try:
            (verdict,) = await log.commit([one_event(1)])
            break
        except Unavailable:
            await asyncio.sleep(0.01)
    await engine.close()

    assert isinstance(verdict, Committed)
    assert verdict.position == 1


@pytest.mark.parametrize(("synchronous", "synced"), [("full", True), ("normal", False)])
async def test_an_acknowledged_commit_has_been_synced(
    vfs: FaultyVfs, tmp_path: Path, synchronous: str, synced: bool
) -> None:
    """With ``normal`` it has not: the negative control, and the engine does not call itself durable."""
    settings = SqliteSettings(synchronous="full" if synchronous == "full" else "normal")
    engine = SqliteEngine(tmp_path, SystemClock(), vfs=vfs.name, settings=settings)
    log = await engine.open("shop")

    seen = []
    for number in range(20):
        await log.commit([one_event(number)])
        seen.append(not any(name.endswith("-wal") for name in vfs.plan.unsynced))
    await engine.close()

    assert all(seen) is synced
    assert (Capability.DURABLE in engine.capabilities) is synced
