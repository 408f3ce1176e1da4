import sys
from pathlib import Path

import pytest

from perdure.cli.main import run
from tests.cli.support import ROOT, Cli, Ended


@pytest.fixture
def cli(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Cli:
    """Run commands in this process, which is quicker than the real executable."""
    monkeypatch.chdir(ROOT)

    def call(*arguments: object, stdin: bytes = b"") -> Ended:
        given = tmp_path / "stdin"
        given.write_bytes(stdin)
        capsysbinary.readouterr()
        with given.open() as opened:
            monkeypatch.setattr(sys, "stdin", opened)
            code = run([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return Ended(code, out.decode(), err.decode())

    return call


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store that does not exist yet."""
    return f"sqlite:///{tmp_path / 'store'}"
