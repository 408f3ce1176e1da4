"""Other processes of the benchmarks, each on a core of its own where there are two.

A child is one of our modules; it says what it found as one line of JSON, and ends when its standard input
does, so that none is left behind.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 600

Side = Literal["server", "client"]


def pin(side: Side) -> None:
    """Keep this process on one core: the first for servers, the last for clients."""
    if hasattr(os, "sched_setaffinity"):  # not everywhere; the report is the less exact without it
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[0] if side == "server" else cores[-1]})


def tell(found: Mapping[str, Any]) -> None:
    """Say a line of JSON to the process that started this one."""
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    sys.stdout.flush()


def ask(module: str, *arguments: object) -> dict[str, Any]:
    """Run a module to its end, and give what it told."""
    done = subprocess.run(
        _command(module, arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


class Child:
    """A module that runs beside this one and answers a line with a line."""

    def __init__(self, module: str, arguments: tuple[object, ...]) -> None:
        self._module = module
        self._process = subprocess.Popen(
            _command(module, arguments), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def hear(self) -> dict[str, Any]:
        """Give the next line it tells."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"benchmarks.{self._module} ended by itself; it says why above")
        found: dict[str, Any] = msgspec.json.decode(line)
        return found

    def ask(self, job: object) -> dict[str, Any]:
        """Send it a line, and give what it tells."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job) + b"\n")
        self._process.stdin.flush()
        return self.hear()

    def end(self) -> None:
        """End its input, and with it the process."""
        try:
            self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


@contextmanager
def running(module: str, *arguments: object) -> Iterator[Child]:
    """Run a module beside this one."""
    child = Child(module, arguments)
    try:
        yield child
    finally:
        child.end()


def _command(module: str, arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
