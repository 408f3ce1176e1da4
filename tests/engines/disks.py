"""Disks that fail and disks that lose power: apsw VFSs to put under the SQLite engine.

Nothing is synced for real here: what counts is what the engine asked for.
"""

import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import apsw

#: Disks are numbered, for SQLite knows them by name and for the whole process.
_numbers = count()


class Change(NamedTuple):
    """What is about to be done to a file: write, truncate, sync or delete."""

    kind: str
    path: str
    offset: int = 0
    data: bytes = b""


class Disk(apsw.VFS):
    """Passes everything on to the real files, and tells ``happens`` of each change before it is made."""

    def __init__(self) -> None:
        self.name = f"disk-{next(_numbers)}"
        super().__init__(self.name, "")

    def happens(self, change: Change) -> None:
        """Take note of a change, or raise what a failing disk would."""

    def xOpen(self, name: Any, flags: list[int]) -> "DiskFile":
        return DiskFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.happens(Change("delete", filename))
        super().xDelete(filename, syncdir)


class DiskFile(apsw.VFSFile):
    """One open file of a ``Disk``."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.happens(Change("write", self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.happens(Change("truncate", self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._disk.happens(Change("sync", self._path))


class FailingDisk(Disk):
    """Fails where it is told to, once or from there on."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._error: Callable[[], Exception] | None = None
        self._kinds: tuple[str, ...] = ()
        self._suffix = ""
        self._left = 0
        self._is_lasting = False
        self.failures = 0
        self.seen: list[Change] = []

    def fail(
        self,
        error: Callable[[], Exception],
        *kinds: str,
        at: int = 1,
        lasting: bool = False,
        suffix: str = "",
    ) -> None:
        """Raise an error at the n-th change of these kinds from now on, or at all from that one on."""
        with self._lock:
            self._error, self._kinds, self._suffix = error, kinds, suffix
            self._left, self._is_lasting = at, lasting
            self.failures = 0

    def mend(self) -> None:
        """Work from now on."""
        with self._lock:
            self._error = None

    def happens(self, change: Change) -> None:
        with self._lock:
            self.seen.append(change._replace(data=b""))
            if self._error is None or change.kind not in self._kinds:
                return
            if not change.path.endswith(self._suffix):
                return
            self._left -= 1
            if self._left == 0 or (self._left < 0 and self._is_lasting):
                self.failures += 1
                raise self._error()


def sync_error() -> Exception:
    """What SQLite makes of a failed fsync."""
    return apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)


def write_error() -> Exception:
    """What SQLite makes of a failed write."""
    return apsw.exception_for(apsw.SQLITE_IOERR_WRITE)


def full() -> Exception:
    """What SQLite makes of a write for which there is no room."""
    return apsw.exception_for(apsw.SQLITE_FULL)


class JournalDisk(Disk):
    """Writes down every change, so that the disk can be made as a power cut at any of them would leave it."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: list[Change] = []

    def happens(self, change: Change) -> None:
        self.journal.append(change)

    @property
    def now(self) -> int:
        """How many changes there were."""
        return len(self.journal)

    def after_power_cuts(
        self, points: Iterable[int], chance: random.Random
    ) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Give the files, by path, as a power cut at each of these points could leave them.

        What was synced is there. Of what was written since: nothing, the first of it, or any of it in any
        order, and some of that only in part.
        """
        durable: dict[str, bytearray] = {}
        pending: dict[str, list[Change]] = {}
        wanted = set(points)
        for number, change in enumerate(self.journal):
            if number in wanted:
                yield number, _survived(durable, pending, chance)
            if change.kind == "delete":
                durable.pop(change.path, None)
                pending.pop(change.path, None)
                continue
            image = durable.setdefault(change.path, bytearray())
            if change.kind == "sync":
                for each in pending.pop(change.path, ()):
                    _apply(image, each)
            else:
                pending.setdefault(change.path, []).append(change)


def _survived(
    durable: dict[str, bytearray], pending: dict[str, list[Change]], chance: random.Random
) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for path, image in durable.items():
        left, changes = bytearray(image), pending.get(path, [])
        match chance.randrange(4):
            case 0:
                changes = []
            case 1:
                changes = changes[: chance.randrange(len(changes) + 1)]
            case _:
                changes = chance.sample(changes, chance.randrange(len(changes) + 1))
        for change in changes:
            _apply(left, _torn(change, chance))
        files[path] = bytes(left)
    return files


def _torn(change: Change, chance: random.Random) -> Change:
    sectors = len(change.data) // 512
    if change.kind != "write" or sectors < 2 or chance.random() > 0.3:
        return change
    return change._replace(data=change.data[: 512 * chance.randrange(1, sectors)])


def _apply(image: bytearray, change: Change) -> None:
    if change.kind == "truncate":
        del image[change.offset :]
        return
    end = change.offset + len(change.data)
    if len(image) < end:
        image.extend(bytes(end - len(image)))
    image[change.offset : end] = change.data


@contextmanager
def files_of(images: dict[str, bytes], directory: Path) -> Iterator[Path]:
    """Put files into a directory of their own, by the last part of their paths."""
    directory.mkdir()
    for path, image in images.items():
        (directory / Path(path).name).write_bytes(image)
    yield directory
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()
