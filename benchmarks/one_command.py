"""What one cached command costs when it is alone: the processor's time, and syncs.

The time is that of the event loop's thread on the engine in memory, so all that Perdure does and nothing of
a disk. The syncs are counted by a VFS beneath SQLite.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import thread_time
from typing import Any

import apsw

import perdure
from benchmarks import workload
from benchmarks.measure import Run
from benchmarks.sending import Sender, Shop
from benchmarks.stores import Stores
from perdure import App, Settings
from perdure.engines.sqlite import SqliteEngine
from perdure.engines.sqlite.settings import SqliteSettings
from perdure.runtime.environment import SystemEnvironment

ENTITIES = 100
COMMANDS = 1_000
SYNCED = 60
#: No checkpoint comes in between, which syncs too.
SETTINGS = SqliteSettings(checkpoint_frames=1_000_000)


class CountingDisk(apsw.VFS):
    """Passes everything on to the real files, and counts the syncs."""

    name = "perdure-benchmarks-counting"

    def __init__(self) -> None:
        super().__init__(self.name, "")
        self.syncs = 0

    def xOpen(self, name: Any, flags: list[int]) -> "CountedFile":
        """Open a file."""
        return CountedFile(self, name, flags)


class CountedFile(apsw.VFSFile):
    """An open file of a ``CountingDisk``."""

    def __init__(self, disk: CountingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:
        """Sync it."""
        self._disk.syncs += 1
        super().xSync(flags)


@contextmanager
def costs(stores: Stores, runner: asyncio.Runner) -> Iterator[tuple[Run, Run]]:
    """Open what one command is measured on: gives ``cpu`` in microseconds, and ``syncs``."""
    entities = workload.entities(ENTITIES, seed=4)
    with ExitStack() as stack:
        shop = Shop()
        in_memory = perdure.open(shop.context, store="memory://", react=False)
        runner.run(in_memory.__aenter__())
        stack.callback(lambda: runner.run(in_memory.close()))
        sender = Sender(in_memory, shop)

        def cpu() -> dict[str, float]:
            count = stores.amount(COMMANDS)
            seconds = runner.run(
                _thread_seconds(sender, [entities[i % ENTITIES] for i in range(count)])
            )
            return {"cpu": seconds / count * 1e6}

        disk = CountingDisk()
        stack.callback(disk.unregister)
        counted = stack.enter_context(_counted(stores, runner, disk))

        def syncs() -> dict[str, float]:
            runner.run(counted.send(entities[:SYNCED]))
            before = disk.syncs
            runner.run(counted.send(entities[:SYNCED]))
            return {"syncs": (disk.syncs - before) / SYNCED}

        yield cpu, syncs


async def _thread_seconds(sender: Sender, entities: list[bytes]) -> float:
    began = thread_time()
    await sender.send(entities)
    return thread_time() - began


@contextmanager
def _counted(stores: Stores, runner: asyncio.Runner, disk: CountingDisk) -> Iterator[Sender]:
    """Open a store on a disk that counts; nothing reacts, for leases are written down too."""
    shop, environment = Shop(), SystemEnvironment()
    engine = SqliteEngine(
        stores.new("commands-syncs"), environment.clock, vfs=disk.name, settings=SETTINGS
    )
    app = App([shop.context], engine, environment, Settings(), version="", react=False)
    runner.run(app.__aenter__())
    try:
        yield Sender(app, shop)
    finally:
        runner.run(app.close())
