"""A file system under SQLite that fails when it is told to, and knows what was not synced yet."""

from collections.abc import Callable
from dataclasses import dataclass, field

import apsw

Fault = Callable[[], apsw.Error]


def sync_failed() -> apsw.Error:
    """Make what a failed sync raises."""
    error = apsw.IOError("the sync failed")
    error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
    return error


def write_failed() -> apsw.Error:
    """Make what a failed write raises."""
    error = apsw.IOError("the write failed")
    error.extendedresult = apsw.SQLITE_IOERR_WRITE  # type: ignore[attr-defined]
    return error


def disk_full() -> apsw.Error:
    """Make what a full disk raises."""
    error = apsw.FullError("the disk is full")
    error.extendedresult = apsw.SQLITE_FULL  # type: ignore[attr-defined]
    return error


@dataclass
class Plan:
    """At which operation to fail, how, and whether for ever; and what has been done so far."""

    kind: str = ""
    at: int = 0
    fault: Fault = sync_failed
    for_ever: bool = False
    is_armed: bool = False
    done: int = 0
    unsynced: set[str] = field(default_factory=set)

    def step(self, kind: str, name: str) -> None:
        """Note an operation on a file; raise when it is the one that fails."""
        if self.is_armed and kind == self.kind:
            self.done += 1
            if self.done == self.at or (self.for_ever and self.done > self.at):
                raise self.fault()
        if kind == "write":
            self.unsynced.add(name)
        elif kind == "sync":
            self.unsynced.discard(name)


class FaultyVfs(apsw.VFS):
    """A VFS over the system's own, whose files follow a plan."""

    def __init__(self, name: str, plan: Plan) -> None:
        self.plan = plan
        self.name = name
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Open a file."""
        return FaultyFile(name, flags, self.plan)


class FaultyFile(apsw.VFSFile):
    """A file that follows a plan."""

    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], plan: Plan) -> None:
        self._plan = plan
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write, unless it is to fail."""
        self._plan.step("write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        """Sync, unless it is to fail."""
        self._plan.step("sync", self._name)
        super().xSync(flags)
