"""Under which conditions figures were taken: without them they say nothing."""

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import apsw


@dataclass(frozen=True, slots=True)
class Conditions:
    """When, on what, with what, next to how much other work."""

    date: str
    machine: str
    python: str
    libraries: str
    filesystem: str
    load: str
    fill: int
    rounds: int

    def __str__(self) -> str:
        """Two lines for people."""
        return (
            f"{self.date}; {self.machine}; {self.filesystem}; load {self.load}\n"
            f"{self.python}; {self.libraries}; {self.fill:,} events stored; "
            f"median [min .. max] of {self.rounds} rounds"
        )


def conditions(directory: Path, fill: int, rounds: int) -> Conditions:
    """Look at this machine as it is now."""
    packages = ("eventsourcing", "msgspec", "uvicorn", "uvloop")
    libraries = [f"SQLite {apsw.sqlite_lib_version()}", f"apsw {apsw.apsw_version()}"]
    libraries += [f"{name} {version(name)}" for name in packages]
    return Conditions(
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        libraries=", ".join(libraries),
        filesystem=_filesystem(directory),
        load=f"{os.getloadavg()[0]:.1f}",
        fill=fill,
        rounds=rounds,
    )


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(directory: Path) -> str:
    """The file system a directory is on: a tmpfs would make every sync free."""
    here = directory.resolve()
    found = ("", "unknown file system")
    for line in _lines("/proc/mounts"):
        _, mount, kind, *_ = line.split()
        if here.is_relative_to(mount) and len(mount) >= len(found[0]):
            found = (mount, kind)
    return found[1]


def _lines(file: str) -> list[str]:
    path = Path(file)
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
