"""The public face is an explicit list: what is promised, and nothing else."""

import subprocess
import sys

import perdure


def test_all_is_sorted_and_names_every_public_thing() -> None:
    public = {name for name in vars(perdure) if not name.startswith("_")}
    modules = {
        "cli",
        "core",
        "engines",
        "opening",
        "ports",
        "runtime",
        "testing",
        "transports",
        "vocabulary",
    }

    assert sorted(perdure.__all__, key=str.lower) == perdure.__all__
    assert public - modules == set(perdure.__all__)


def test_every_public_thing_says_what_it_is() -> None:
    silent = [name for name in perdure.__all__ if not getattr(perdure, name).__doc__]

    assert silent == []


def test_importing_perdure_pulls_in_no_server_engine_or_optional_package() -> None:
    heavy = ("uvicorn", "apsw", "pydantic", "attrs", "click")
    code = f"import sys, perdure; print(sorted(set({heavy!r}) & set(sys.modules)))"

    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert answer.stdout.strip() == "[]"
