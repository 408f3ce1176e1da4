"""A type checker catches a wrong model, a wrong event, a forgotten return."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISTAKES = HERE / "mistakes.py"
ROOT = HERE.parent.parent


@pytest.mark.parametrize("checker", [["mypy", "--strict"], ["pyright"]])
def test_each_mistake_is_caught_where_it_is_made(checker: list[str]) -> None:
    lines = MISTAKES.read_text().splitlines()
    wanted = {n for n, line in enumerate(lines, start=1) if line.endswith("# caught")}

    answer = subprocess.run(
        [sys.executable, "-m", *checker, str(MISTAKES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    found = {
        int(n) for n in re.findall(r"mistakes\.py:(\d+)(?::\d+)?(?: -)?:? error", answer.stdout)
    }
    assert found == wanted, answer.stdout
