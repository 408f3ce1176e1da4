"""``python -m benchmarks``: one interleaved run, as ratios. See the README beside this file."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import msgspec

from benchmarks.appends import appends
from benchmarks.catchup import catchup
from benchmarks.commands import commands
from benchmarks.conditions import conditions
from benchmarks.http_append import http_append
from benchmarks.measure import Benchmark, Result, measure, table
from benchmarks.memory import memory
from benchmarks.reads import reads
from benchmarks.stores import Stores

#: What is run unless something else is asked for.
DEFAULT = {
    "appends": appends,
    "reads": reads,
    "commands": commands,
    "http": http_append,
    "catchup": catchup,
}
BENCHMARKS: dict[str, Callable[[Stores], AbstractContextManager[Benchmark]]] = {
    **DEFAULT,
    "memory": memory,
}
RESULTS = Path(__file__).parent / "results"


def run(names: Sequence[str], stores: Stores, rounds: int) -> list[Result]:
    """Set all of these up, measure them in one interleaved run, and take them down."""
    with ExitStack() as stack:
        opened: list[Benchmark] = []
        for name in names:
            _say(f"setting up {name}")
            opened.append(stack.enter_context(BENCHMARKS[name](stores)))
        return measure(opened, rounds, _say)


@contextmanager
def scratch(beneath: Path) -> Iterator[Path]:
    """A directory that is gone at the end, on the same disk as this one."""
    beneath.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=beneath) as path:
        yield Path(path)


def main() -> None:
    """Measure how fast Perdure is, next to what the machine can do and to a peer."""
    asked = _parser().parse_args()
    fill = asked.fill or (1_000_000 if asked.full else 100_000)
    rounds = asked.rounds or (3 if asked.full else 5)
    names = asked.only or (list(BENCHMARKS) if asked.full else list(DEFAULT))
    with scratch(asked.dir) as directory:
        before = conditions(directory, fill, rounds)
        results = run(names, Stores(directory, fill), rounds)
        after = conditions(directory, fill, rounds)
    sys.stdout.write(f"{before}\n\n{table(results)}\n\nload at the end: {after.load}\n")
    if asked.json:
        report = {"conditions": before, "load_at_the_end": after.load, "results": results}
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(BENCHMARKS), help="run this one (may be repeated)"
    )
    parser.add_argument(
        "--rounds", type=_positive, help="after one that warms up (5; 3 with --full)"
    )
    parser.add_argument("--fill", type=_positive, help="events stored beforehand (100,000)")
    parser.add_argument(
        "--full", action="store_true", help="1,000,000 events over 100,000 entities, and memory"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument(
        "--dir", type=Path, default=RESULTS, help="where the stores go: a disk, not a tmpfs"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above zero")
    return number


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    main()
