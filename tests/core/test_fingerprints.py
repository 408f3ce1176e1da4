"""A fingerprint tells a mended function from the same one in another process."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perdure.core.fingerprints import function_fingerprint

ROOT = Path(__file__).parent.parent.parent

SOURCE = """
LIMIT = {limit}
WORDS = frozenset({{'a', 'b', 'c', 'd', 'e'}})

class Model:
    rate = {rate}
    def grow(self, by):
        return by * {factor} + self.rate

def called(x):
    return x + {added}

def decorated(f):
    def inside(*given):
        return f(*given)
    return inside

@decorated
def react(model: Model, event, *, step={step}):
    small = [one for one in event if one in {{'x', 'y', 'z', {constant!r}}}]
    order = lambda one: (one, {inner})
    if step < LIMIT and WORDS:
        return called(len(small)), sorted(event, key=order), model.grow(step)
    return {nothing}
"""
PARTS: dict[str, Any] = {
    "limit": 10, "rate": 2, "factor": 3, "added": 1, "step": 5, "constant": "w", "inner": 0,
    "nothing": None,
}  # fmt: skip


def made(blank_lines: int = 0, **parts: Any) -> Callable[..., Any]:
    """Make the function of ``SOURCE`` as a module of a user would."""
    known: dict[str, Any] = {"__name__": "shop_of_a_user"}
    text = "\n" * blank_lines + SOURCE.format(**PARTS | parts)
    exec(compile(text, "shop_of_a_user.py", "exec"), known)  # noqa: S102  # the text is ours
    function: Callable[..., Any] = known["react"]
    return function


@given(
    part=st.sampled_from(sorted(PARTS)),
    value=st.integers() | st.text(max_size=5) | st.floats() | st.booleans() | st.none(),
)
def test_every_change_of_a_value_changes_it(part: str, value: object) -> None:
    before = PARTS[part]
    changed = {part: value if part == "constant" else Literal(repr(value))}
    assume(type(value) is not type(before) or value != before)
    assume(repr(value) not in {"nan", "inf", "-inf"} and value not in ("x", "y", "z"))

    assert function_fingerprint(made(0, **changed)) != function_fingerprint(made())


class Literal(str):
    """Text that stands in the source as it is."""

    __slots__ = ()


@given(blank_lines=st.integers(0, 50))
def test_where_a_function_stands_does_not_matter(blank_lines: int) -> None:
    assert function_fingerprint(made(blank_lines)) == function_fingerprint(made())


def test_it_is_the_same_in_every_process() -> None:
    program = (
        "from tests.core.test_fingerprints import made\n"
        "from examples.shop.visits import put_in\n"
        "from perdure.core.fingerprints import function_fingerprint as of\n"
        "print(of(made()), of(put_in))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (0, 1, 42)
    }

    assert len(found) == 1


def test_having_run_does_not_change_it() -> None:
    """The interpreter rewrites code that is often run."""
    function = made()
    before = function_fingerprint(function)
    model = inspect.getclosurevars(function).nonlocals["f"].__annotations__["model"]()
    for _ in range(2_000):
        function(model, ["x", "q"])

    assert function_fingerprint(function) == before


def add(x: int) -> int:
    return x + 1


def take(x: int) -> int:
    return x - 1


def recurse(x: int) -> int:
    return recurse(x - 1) if x else again(x)


def again(x: int) -> int:
    return recurse(x)


@dataclass(frozen=True)
class Adder:
    """An object that can be called."""

    by: int

    def __call__(self, x: int) -> int:
        return x + self.by

    @property
    def twice(self) -> int:
        return 2 * self.by

    @staticmethod
    def one(x: int) -> int:
        return x + 1


DIFFERENT: list[Callable[..., Any]] = [
    add, take, partial(add, 1), partial(add, 2), partial(take, 1), lru_cache(add), lru_cache(take),
    recurse, Adder(1), Adder(1).__call__, len, sorted, Adder, lambda x: x + 1,
]  # fmt: skip


@pytest.mark.parametrize("function", DIFFERENT)
def test_whatever_can_be_called_has_one(function: Callable[..., Any]) -> None:
    assert len(function_fingerprint(function)) == 16
    assert function_fingerprint(function) == function_fingerprint(function)


def test_different_functions_have_different_ones() -> None:
    assert len({function_fingerprint(function) for function in DIFFERENT}) == len(DIFFERENT)


def test_what_changes_while_the_process_runs_has_no_part_in_it() -> None:
    seen: list[int] = []

    def remember(x: int) -> int:
        seen.append(x)
        return len(seen)

    before = function_fingerprint(remember)
    remember(1)

    assert function_fingerprint(remember) == before
