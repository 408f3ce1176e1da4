"""Stores on the disk of the project, filled alike: every side of a comparison starts from the same data.

The fill is recorded once, through the library, and copied. All of it is removed at the end.
"""

import asyncio
import shutil
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from pathlib import Path

import perdure
from benchmarks import workload
from perdure import Context, NewEvent

BATCH_EVENTS = 1_000


def store_url(directory: Path) -> str:
    """The URL of the SQLite store in a directory."""
    return f"sqlite:///{directory.resolve()}"


async def record(directory: Path, context: Context, events: Iterable[NewEvent]) -> None:
    """Append events through the library, a batch a commit, with nothing reacting."""
    async with perdure.open(context, store=store_url(directory), react=False) as app:
        rest = iter(events)
        while batch := list(islice(rest, BATCH_EVENTS)):
            await app.append(*batch)


class Stores:
    """Makes stores under one directory: ``fill`` events, ten to an entity, in scattered order.

    ``scale`` multiplies how much a round does; the tests of the benchmarks do a hundredth of it.
    """

    def __init__(self, directory: Path, fill: int, scale: float = 1.0) -> None:
        self.directory, self.fill, self.scale = directory, fill, scale
        self.entities = workload.entities(max(fill // 10, 1))

    def amount(self, full: int) -> int:
        """How much to do in a round, of what a full one does."""
        return max(int(full * self.scale), 1)

    def new(self, name: str) -> Path:
        """An empty directory."""
        path = self.directory / name
        path.mkdir()
        return path

    def filled(self, name: str) -> Path:
        """A directory with a store of its own that holds the fill."""
        path = self.directory / name
        shutil.copytree(self._original, path)
        return path

    def fill_events(self) -> Iterable[NewEvent]:
        """The events of the fill, for a store that is not ours."""
        return workload.scattered(self.entities, self.fill)

    @cached_property
    def _original(self) -> Path:
        path = self.new("original")
        asyncio.run(record(path, workload.context(), self.fill_events()))
        return path
