"""A function that never returns costs one restart, and then only its own key."""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid1, uuid4

import pytest

from tests.system.serving import ROOT, Served


class Guarded(Served):
    """A server whose functions have a second, and whose standard error is kept."""

    def __init__(self, folder: Path) -> None:
        settings = folder / "perdure.toml"
        settings.write_text("function_seconds_max = 1\n")
        self._errors = folder / "stderr"
        super().__init__(
            folder / "store", "--config", str(settings), app="tests.system.hanging:app"
        )

    def start(self) -> Self:
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "http://127.0.0.1:" in line, self._errors.read_text()
        self.port = int(line.rsplit(":", 1)[1].split("/")[0])
        return self

    def ended(self) -> tuple[int, str]:
        """Wait for the process to end by itself; give its exit code and what it said."""
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(timeout=30)
        self._process.stdout.close()
        self._process = None
        return code, self._errors.read_text()

    def note(self, journal: str, text: str) -> str:
        """Record a note, and give the position."""
        body = {"text": text}
        status, headers, answer = self.ask("POST", f"/notes/noted/{journal}/{uuid1()}", body)
        assert status == 204, answer
        return headers["perdure-position"]

    def journal(self, journal: str, position: str) -> tuple[int, Any]:
        """Read a model that has caught up with a position; give its texts, or where it stands still."""
        path, headers = f"/notes/journal/{journal}/model", {"perdure-after": position}
        status, _, answer = self.ask("GET", path, headers=headers)
        return status, answer["model"]["texts"] if status == 200 else answer["position"]


def test_a_function_that_never_returns_ends_the_process_and_parks_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ill, well = str(uuid4()), str(uuid4())
    with Guarded(tmp_path) as served:
        served.note(ill, "first")
        with suppress(ConnectionError):  # the loop may hang before it has answered
            served.note(ill, "endless")
        code, said = served.ended()
    assert code == 70
    assert "notes.journal: noted" in said
    assert ill in said
    assert 'tests/system/hanging.py", line' in said

    with Guarded(tmp_path) as served:
        position = served.note(well, "here we are")
        assert served.journal(well, position) == (200, ["here we are"])
        assert served.journal(ill, position) == (409, 2)
        assert served.stop() == 0

    monkeypatch.setenv("HANGING_IS_MENDED", "1")
    with Guarded(tmp_path) as served:
        position = served.note(ill, "last")
        while (found := served.journal(ill, position))[0] == 409:
            pass  # it is being tried again
        assert found == (200, ["first", "endless", "last"])
