"""What somebody changed in the file behind the engine's back is found, and placed."""

from pathlib import Path
from uuid import UUID

import apsw
import pytest

from perdure import NewEvent
from perdure.engines.sqlite import SqliteEngine
from perdure.runtime.environment import SystemClock
from perdure.vocabulary.commits import Commit
from perdure.vocabulary.ids import make_event_id

EVENTS = 30


async def fill(directory: Path) -> None:
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
    await engine.close()


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
