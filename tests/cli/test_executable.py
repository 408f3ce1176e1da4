"""What only the real executable shows: its streams, its signals, its end."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import NOTES, ROOT, Cli, command, execute, id_at, line

MANY = 1000


@contextmanager
def running(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run the executable meanwhile, and end it however the test went."""
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process: subprocess.Popen[bytes]
    with subprocess.Popen(command(*arguments), cwd=ROOT, **(streams | options)) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def filled(cli: Cli, store: str) -> str:
    """A store with many notes."""
    lines = b"".join(map(line, range(1, MANY + 1)))
    importing = ["events", "import", "-", "--context", "notes", "--store", store]
    assert cli(*importing, stdin=lines).code == 0
    return store


def on_terminal(*arguments: object, **environment: str) -> str:
    """Run the executable with standard error on a terminal; give what that shows."""
    ours, theirs = pty.openpty()
    shown = b""
    with running(*arguments, stderr=theirs, env={**os.environ, **environment}) as process:
        os.close(theirs)
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:  # the other end is closed
            pass
        process.wait(10)
    os.close(ours)
    return shown.decode()


def test_the_answer_is_all_there_is_on_standard_output(filled: str, tmp_path: Path) -> None:
    export = tmp_path / "export"
    streams = [
        execute("events", "export", NOTES, "--store", filled),
        execute("events", "tail", NOTES, "--store", filled, "--json"),
        execute("model", "history", NOTES, "totals", "--store", filled, "--json"),
        execute("status", NOTES, "--store", filled, "--json"),
        execute("doctor", NOTES, "--store", filled, "--json"),
        execute("config", "show", "--json"),
        execute("events", "export", NOTES, "--store", filled, "-o", export, "--json"),
        execute("events", "import", export, "--app", NOTES, "--store", filled, "--json"),
    ]

    assert [(0, "")] * len(streams) == [(ended.code, ended.err) for ended in streams]
    assert all(ended.rows for ended in streams)
    assert export.read_text() == streams[0].out


def test_an_error_is_all_there_is_on_standard_error(store: str) -> None:
    ended = execute("events", "export", "--context", "notes", "--store", store)

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("perdure: error: there is no store at")
    assert ended.err.count("\n") == 1


def test_a_reader_that_goes_away_ends_an_export_quietly(filled: str) -> None:
    with running("events", "export", "--context", "notes", "--store", filled) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()

        assert (process.wait(20), process.stderr.read()) == (141, b"")
    assert json.loads(first)["position"] == 1


def test_an_import_that_was_killed_is_run_again(store: str, tmp_path: Path) -> None:
    lines = [line(number) for number in range(1, 3001)]
    file = tmp_path / "notes.ndjson"
    file.write_bytes(b"".join(lines))
    with running("events", "import", "-", "--context", "notes", "--store", store) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(lines[:2000]) + lines[2000][:50])
        process.stdin.flush()
        wait_for_events(store, 2000)
        process.kill()
        process.wait(10)

    again = execute("events", "import", file, "--context", "notes", "--store", store, "--json")
    found = execute("events", "export", "--context", "notes", "--store", store)

    assert again.rows == [{"lines": 3000, "stored": 1000, "repeated": 2000, "rejected": 0}]
    assert [row["event_id"] for row in found.rows] == [str(id_at(n)) for n in range(1, 3001)]


def test_an_import_that_is_interrupted_says_how_to_go_on(store: str) -> None:
    with running("events", "import", "-", "--context", "notes", "--store", store) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(line(1) + line(2)[:-9])
        process.stdin.flush()
        wait_for_events(store, 1)
        process.send_signal(signal.SIGINT)

        assert process.wait(10) == 130
        assert b"1 events are stored; run the same command again" in process.stderr.read()


def test_tail_follows_what_another_process_records(filled: str) -> None:
    following = ["events", "tail", NOTES, "-f", "-n", "1", "--store", filled, "--json"]
    with running(*following) as process:
        assert process.stdout is not None
        newest = json.loads(process.stdout.readline())
        more = b"".join(line(MANY + n, domain="mine" if n == 2 else "other") for n in (1, 2))
        execute("events", "import", "-", "--context", "notes", "--store", filled, input=more)
        followed = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)

        assert process.wait(10) == 130
    assert newest["position"] == MANY
    assert [row["event_id"] for row in followed] == [str(id_at(MANY + n)) for n in (1, 2)]


def test_progress_is_shown_on_a_terminal_and_nowhere_else(filled: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.ndjson"
    file.write_bytes(b"".join(map(line, range(1, 3001))))
    importing = ["events", "import", file, "--context", "notes", "--store", filled]

    shown = on_terminal(*importing)
    silent = execute(*importing)

    assert "import" in shown
    assert "100%" in shown
    assert "3,000 events" in shown
    assert "/s" in shown
    assert silent.err == ""


def test_colours_are_for_terminals_without_no_color() -> None:
    coloured = on_terminal("evnts")
    plain = on_terminal("evnts", NO_COLOR="1")

    assert "\x1b[31m" in coloured
    assert "\x1b[" not in plain
    assert "did you mean 'events'" in plain
    assert "\x1b" not in execute("evnts").err


def test_python_dash_m_and_the_installed_command_are_the_same() -> None:
    installed = Path(sys.executable).with_name("perdure")

    done = subprocess.run([installed, "--help"], capture_output=True, text=True, check=True)

    assert done.stdout == execute("--help").out


def wait_for_events(store: str, count: int) -> None:
    """Wait until so many events are recorded, as another process sees it."""
    looking = ["status", "--context", "notes", "--store", store, "--json"]
    for _ in range(40):
        seen = execute(*looking)
        if seen.code == 0 and seen.rows[0]["events"] >= count:
            return
    raise AssertionError(f"there are never {count} events in {store}")
