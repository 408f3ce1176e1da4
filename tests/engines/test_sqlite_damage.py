"""Promise 1's other half: a damaged event is never served as good, and damage is found and placed."""

import random
from pathlib import Path
from uuid import UUID

import apsw
import pytest

from perdure import NewEvent, PerdureError, RecordedEvent
from perdure.engines.sqlite import SqliteEngine
from perdure.runtime.environment import SystemClock
from perdure.vocabulary.commits import Commit
from perdure.vocabulary.ids import make_event_id
from perdure.vocabulary.reading import Read

EVENTS = 300


async def fill(directory: Path) -> list[RecordedEvent]:
    engine = SqliteEngine(directory, SystemClock())
    log = await engine.open("shop")
    for number in range(EVENTS):
        event = NewEvent(
            type=f"type_{number % 7}",
            entity=UUID(int=number % 20, version=4).bytes,
            id=make_event_id(0x1F1_0000_0000_0000 + number, 0, 1),
            data=b'{"number":%d,"filler":"%b"}' % (number, b"x" * 40),
            domain="desk" if number % 3 else None,
            tags=("a", f"t{number % 5}") if number % 4 else (),
        )
        await log.commit([Commit(events=(event,))])
    events = [event async for batch in log.read(Read()) for event in batch]
    await engine.close()
    return events


async def read_all(directory: Path) -> tuple[list[RecordedEvent], bool]:
    """Read what is served; tell whether an error came instead of the rest."""
    served: list[RecordedEvent] = []
    engine = SqliteEngine(directory, SystemClock())
    try:
        log = await engine.open("shop")
        async for batch in log.read(Read()):
            served += batch
    except PerdureError:
        return served, True
    finally:
        await engine.close()
    return served, False


async def flip_and_read(directory: Path, good: bytes, bit: int) -> tuple[list[RecordedEvent], bool]:
    path = directory / "shop.db"
    damaged = bytearray(good)
    damaged[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(damaged))
    for suffix in ("-wal", "-shm"):
        (directory / f"shop.db{suffix}").unlink(missing_ok=True)
    return await read_all(directory)


async def flips(directory: Path, seed: int, count: int) -> None:
    events = await fill(directory)
    good = (directory / "shop.db").read_bytes()
    chance = random.Random(seed)
    noticed = 0
    for _ in range(count):
        served, refused = await flip_and_read(directory, good, chance.randrange(len(good) * 8))
        assert served == events[: len(served)], "a damaged event was served"
        assert refused or len(served) == EVENTS, "events are missing without a word"
        noticed += refused
    assert noticed > 0


async def test_a_flipped_bit_is_never_served_as_an_event(tmp_path: Path) -> None:
    await flips(tmp_path, seed=1, count=60)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_thousands_of_flipped_bits_are_never_served(tmp_path: Path) -> None:
    await flips(tmp_path, seed=2, count=3_000)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE perdure_events SET data = x'7b7d' WHERE position = 7",
        "UPDATE perdure_events SET ticks = ticks + 1 WHERE position = 7",
        "UPDATE perdure_events SET recorded_at = recorded_at + 1 WHERE position = 7",
        "UPDATE perdure_names SET name = 'other' WHERE name = 'type_6'",
        "DELETE FROM perdure_events WHERE position = 7",
        "UPDATE perdure_events SET chain = zeroblob(16) WHERE position = 7",
    ],
)
async def test_what_was_changed_removed_or_relinked_is_found(tmp_path: Path, change: str) -> None:
    await fill(tmp_path)
    with apsw.Connection(str(tmp_path / "shop.db")) as connection:
        connection.execute(change)
    engine = SqliteEngine(tmp_path, SystemClock())
    log = await engine.open("shop")

    damage = [found async for found in log.verify()]
    await engine.close()

    assert any(6 <= found.position <= 8 for found in damage), damage
