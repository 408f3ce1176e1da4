"""The real environment: this machine's clock, its randomness, this process."""

import asyncio
import os
import secrets
import time
from pathlib import Path


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        """Give microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SystemChance:
    """The machine's randomness."""

    def bits(self, count: int) -> int:
        """Give an integer of this many random bits."""
        return secrets.randbits(count)


class ProcessNode:
    """This process, named so that another on the same machine can tell when it has ended.

    The name holds the boot of the machine, the process id and when it started, so that a process id
    used again is not taken for the old process.
    """

    def __init__(self) -> None:
        self._boot = _read("/proc/sys/kernel/random/boot_id") or os.uname().nodename
        self.name = f"{self._boot}:{os.getpid()}:{_started(os.getpid())}"

    def is_gone(self, name: str) -> bool:
        """Tell whether the named process has certainly ended."""
        boot, _, rest = name.partition(":")
        pid, _, started = rest.partition(":")
        if boot != self._boot or not pid.isdigit():
            return False
        if name == self.name:
            return False
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return started != _started(int(pid))


class SystemEnvironment:
    """Clock, chance and node of this machine."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.chance = SystemChance()
        self.node = ProcessNode()


def _started(pid: int) -> str:
    """Give when a process started, in the kernel's own ticks; empty where that cannot be read."""
    return (
        _read(f"/proc/{pid}/stat").rpartition(")")[2].split(" ")[20:21][0] if _has_proc(pid) else ""
    )


def _has_proc(pid: int) -> bool:
    return bool(_read(f"/proc/{pid}/stat"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
