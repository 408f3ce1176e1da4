"""Each benchmark runs, a hundredth of its size, and reports figures; none of them is judged here."""

from pathlib import Path

import pytest

from benchmarks import workload
from benchmarks.__main__ import BENCHMARKS, run
from benchmarks.measure import Benchmark, Row, measure, table
from benchmarks.stores import Stores

FILL = 1_000


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_reports_a_figure_for_each_of_its_rows(name: str, tmp_path: Path) -> None:
    results = run([name], Stores(tmp_path, FILL, scale=0.01), rounds=1)

    assert results
    assert all(result.figure.low > 0 for result in results)
    assert all(result.ratio is None or result.ratio.low > 0 for result in results)


def test_a_ratio_is_taken_within_its_round() -> None:
    noise = iter((1, 1, 100))  # the first round warms up
    factor = 1

    def first() -> dict[str, float]:
        nonlocal factor
        factor = next(noise)
        return {"first": 2.0 * factor}

    def second() -> dict[str, float]:
        return {"second": 1.0 * factor}

    rows = (Row(label="first to second", figure="first", against="second", at_least=2),)
    (result,) = measure([Benchmark("noise", (first, second), rows)], rounds=2)

    assert result.ratio is not None
    assert (result.ratio.low, result.ratio.high) == (2, 2)
    assert result.is_met


def test_an_aim_that_is_missed_is_said_so_in_the_table() -> None:
    rows = (
        Row(label="slow", figure="x", unit="ms", at_most=1),
        Row(label="fast", figure="x", unit="ms", at_most=3),
    )
    report = table(measure([Benchmark("Waits", (lambda: {"x": 2.0},), rows)], rounds=1))

    assert report.splitlines()[0] == "Waits"
    assert "aim <= 1: NOT MET" in report
    assert "aim <= 3: met" in report


def test_late_carts_are_the_same_events_in_another_order() -> None:
    in_order = [event.id for event in workload.carts(5_000)]
    late = [event.id for event in workload.carts(5_000, late=0.1)]

    assert late != in_order
    assert sorted(late) == sorted(in_order)
    assert len(set(in_order)) == len(in_order)


def test_every_payload_is_about_as_long_as_is_said() -> None:
    assert {len(payload) // 10 for payload in workload.payloads()} == {21}
