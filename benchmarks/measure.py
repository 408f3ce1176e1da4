"""Interleaved rounds, and the table that comes of them.

One rule: a figure of one run means little on a machine that others use too, so each is measured next to
what it is compared with, round by round (A B C, A B C), and the ratio is taken within the round. A first
round warms up and is thrown away.

A benchmark says what to run and which rows to report; ``__main__`` drives it.
"""

import gc
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

#: One thing that is measured, once: gives its figures by name.
Run = Callable[[], Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the report: a figure, or its ratio to another figure of the same round.

    ``at_least`` and ``at_most`` are the aim: for the ratio when there is ``against``, else for the figure.
    """

    label: str
    figure: str
    unit: str = "events/s"
    against: str = ""
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What is run in each round, in this order, and what is said about it."""

    title: str
    runs: tuple[Run, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """Minimum, median and maximum over the rounds."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row: its figure, its ratio where it has one, and whether the aim is met."""

    title: str
    row: Row
    figure: Spread
    ratio: Spread | None

    @property
    def is_met(self) -> bool | None:
        """Whether the median meets the aim; ``None`` where there is none."""
        value = (self.ratio or self.figure).median
        if self.row.at_least is not None:
            return value >= self.row.at_least
        if self.row.at_most is not None:
            return value <= self.row.at_most
        return None


def measure(
    benchmarks: Sequence[Benchmark], rounds: int, tell: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Run everything in turn, round after round, and give a result a row."""
    samples: list[Mapping[str, float]] = []
    gc.collect()
    gc.freeze()  # what setting up left behind is no part of anybody's round
    try:
        for number in range(rounds + 1):
            tell(f"round {number} of {rounds}" if number else "warming up")
            figures: dict[str, float] = {}
            for benchmark in benchmarks:
                for run in benchmark.runs:
                    figures.update(run())
            if number:
                samples.append(figures)
    finally:
        gc.unfreeze()
    return [
        _result(benchmark.title, row, samples) for benchmark in benchmarks for row in benchmark.rows
    ]


def _result(title: str, row: Row, samples: Sequence[Mapping[str, float]]) -> Result:
    figure = spread(sample[row.figure] for sample in samples)
    ratio = None
    if row.against:
        ratio = spread(sample[row.figure] / sample[row.against] for sample in samples)
    return Result(title, row, figure, ratio)


def spread(values: Iterable[float]) -> Spread:
    """Sum values up."""
    known = sorted(values)
    return Spread(known[0], statistics.median(known), known[-1])


def table(results: Sequence[Result]) -> str:
    """Lay the results out for people: a line a row, under the title of its benchmark."""
    lines: list[str] = []
    title = ""
    for result in results:
        if result.title != title:
            title = result.title
            lines += ["", title]
        row = result.row
        ratio = f"{_spread(result.ratio)} x" if result.ratio else ""
        figure = f"{_spread(result.figure)} {row.unit}"
        lines.append(f"  {row.label:<44} {figure:<43} {ratio:<28} {_aim(result)}".rstrip())
    return "\n".join(lines[1:])


def _spread(spread: Spread) -> str:
    return f"{_number(spread.median)} [{_number(spread.low)} .. {_number(spread.high)}]"


def _number(value: float) -> str:
    places = 0 if value >= 100 else 2 if value >= 1 else 3
    return f"{value:,.{places}f}"


def _aim(result: Result) -> str:
    if result.is_met is None:
        return ""
    row = result.row
    bound = f">= {row.at_least:,g}" if row.at_least is not None else f"<= {row.at_most:,g}"
    return f"aim {bound}: {'met' if result.is_met else 'NOT MET'}"
