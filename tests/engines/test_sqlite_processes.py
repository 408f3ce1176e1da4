"""Promise 3 across processes: several write the same files at once, and none loses an update."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from perdure.engines.sqlite import SqliteEngine
from perdure.runtime.environment import SystemClock
from perdure.vocabulary.reading import Read

WRITERS, EACH = 3, 60
WRITER = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from perdure import NewEvent
from perdure.engines.sqlite import SqliteEngine
from perdure.runtime.environment import SystemClock
from perdure.vocabulary.commits import Commit, Committed, EntityAt
from perdure.vocabulary.ids import make_event_id

async def main(directory, node, each):
    engine = SqliteEngine(Path(directory), SystemClock())
    log = await engine.open("shop")
    entities = [UUID(int=n, version=4).bytes for n in range(3)]
    for number in range(each):
        entity = entities[number % 3]
        id_ = make_event_id(0x1F1_0000_0000_0000 + number, 0, node + 1)
        event = NewEvent(type="seen", entity=entity, id=id_, data=b"{}")
        while True:  # an optimistic writer: read the version, write on condition of it, try again
            version = await log.version(entity)
            commit = Commit(guards=(EntityAt(entity, version),), events=(event,))
            (verdict,) = await log.commit([commit])
            if isinstance(verdict, Committed):
                assert verdict.receipts[0].version == version + 1, verdict
                break
    await engine.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


async def test_writers_in_several_processes_lose_no_update(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(node), str(EACH)])
        for node in range(WRITERS)
    ]
    codes = [await asyncio.to_thread(writer.wait, 50) for writer in writers]
    engine = SqliteEngine(tmp_path, SystemClock())
    log = await engine.open("shop")
    events = [event async for batch in log.read(Read()) for event in batch]
    damage = [found async for found in log.verify()]
    await engine.close()
    versions: defaultdict[bytes, list[int]] = defaultdict(list)
    for event in events:
        versions[event.entity].append(event.version)

    assert codes == [0] * WRITERS
    assert [event.position for event in events] == list(range(1, WRITERS * EACH + 1))
    assert [sorted(found) for found in versions.values()] == [
        list(range(1, WRITERS * EACH // 3 + 1))
    ] * 3
    assert damage == []
