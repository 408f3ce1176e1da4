"""What the processes of ``test_sqlite_processes`` do.

``python -m tests.engines.children TASK DIRECTORY NUMBER...``. What was acknowledged they say on standard
output, a line each, at once.
"""

import asyncio
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.ports.engine import Log
from perdure.runtime.environment import SystemClock
from perdure.testing.conformance.samples import ANN, BEN, id_at, intent, read, store
from perdure.vocabulary.commits import Commit, Committed, EntityAt, Put
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import StorageFull, Unavailable
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.reading import Read

BOUND_SECONDS = 40.0
#: Checkpoints and new beginnings of the log come often, so that processes die in the midst of them too.
OFTEN = SqliteSettings(checkpoint_frames=20, restart_frames=60, restart_rest_frames=40)


def event(who: int, number: int, entity: bytes = BEN) -> NewEvent:
    """Make an event that no other process makes."""
    return NewEvent(
        type="noted", entity=entity, data=b'{"who":%d,"n":%d}' % (who, number),
        id=id_at(10**17 + number, node=who + 1), domain="d", tags=(f"by{who}",),
    )  # fmt: skip


def group(who: int, number: int) -> Commit:
    """Make a commit of everything: it is there whole or not at all."""
    return Commit(
        events=(
            event(who, 3 * number, ANN),
            event(who, 3 * number + 1),
            event(who, 3 * number + 2),
        ),
        records=(Put("group", f"{who}/{number}", b"v" * 300),),
        intents=(intent(number.to_bytes(8, "big") + who.to_bytes(8, "big")),),
    )


async def flow(log: Log, who: int) -> None:
    """Write groups, five at a time, until the end."""

    async def write(number: int) -> None:
        await log.commit([group(who, number)])
        print(f"{who}/{number}", flush=True)  # noqa: T201

    for start in range(0, 1_000_000, 5):
        await asyncio.gather(*(write(start + each) for each in range(5)))


async def race(log: Log, who: int, number: int, writers: int) -> None:
    """Write events with and without a condition, then wait for those of all others."""

    async def count_up(each: int) -> None:
        while True:
            guard = EntityAt(ANN, await log.version(ANN))
            (verdict,) = await log.commit(
                [Commit(guards=(guard,), events=(event(who, 10**6 + each, ANN),))]
            )
            if isinstance(verdict, Committed):
                return

    for each in range(number):
        await asyncio.gather(count_up(each), store(log, event(who, each)))
    position = 0
    seen: list[bytes] = []
    async with asyncio.timeout(BOUND_SECONDS):
        while len(seen) < 2 * number * writers:
            await log.advanced(position, BOUND_SECONDS)
            seen += [each.id for each in await read(log, Read(after=position))]
            position = await log.head() if not seen else (await log.events(seen[-1:]))[0].position
    print(" ".join(id_.hex() for id_ in seen), flush=True)  # noqa: T201


async def fill(log: Log) -> None:
    """Write until a file may grow no more, then until it may."""
    number = 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    while True:
        try:
            await store(log, event(1, number), event(1, number + 1, ANN))
        except StorageFull:
            break
        number += 2
    assert len(await read(log)) == number
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store(log, event(1, number), event(1, number + 1, ANN))
    assert [damage async for damage in log.verify()] == []
    print(len(await read(log, Read(criteria=Criteria(entities=(ANN,))))) == number // 2 + 1)  # noqa: T201


async def fork(log: Log) -> None:
    """Find out what a forked process may do with the log of its parent."""
    await store(log, event(1, 1))
    child = os.fork()
    if not child:
        refused = 0
        for call in (lambda: store(log, event(1, 2)), log.head):
            try:
                await call()
            except Unavailable:
                refused += 1
        os._exit(refused)
    _, status = await asyncio.to_thread(os.waitpid, child, 0)
    await store(log, event(1, 3))
    print(os.waitstatus_to_exitcode(status), await log.head())  # noqa: T201


TASKS: dict[str, Callable[..., Awaitable[None]]] = {
    "flow": flow,
    "race": race,
    "fill": fill,
    "fork": fork,
}


async def main(task: str, directory: str, *numbers: str) -> None:
    engine = SqliteEngine(Path(directory), SystemClock(), settings=OFTEN)
    log = await engine.open("shop")
    print("open", flush=True)  # noqa: T201
    await TASKS[task](log, *map(int, numbers))
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
