import json
import tomllib
from pathlib import Path

import pytest

from perdure import Settings
from tests.cli.support import Cli


def test_the_settings_are_printed_as_the_file_that_would_hold_them(cli: Cli) -> None:
    ended = cli("config", "show")

    assert ended.code == 0
    assert Settings() == Settings(**tomllib.loads(ended.out))


def test_each_setting_says_where_it_came_from(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "perdure.toml"
    file.write_text("port = 1\nlease_seconds = 3\n")
    monkeypatch.setenv("PERDURE_PORT", "2")

    shown = cli("config", "show", "--origin", "--config", file)
    as_json = json.loads(cli("config", "show", "--config", file, "--json").out)

    assert "port = 2  # environment\n" in shown.out
    assert f"lease_seconds = 3.0  # {file}\n" in shown.out
    assert 'host = "127.0.0.1"  # default\n' in shown.out
    assert as_json["port"] == {"value": 2, "origin": "environment"}


def test_a_setting_that_nobody_knows_is_a_usage_error(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "perdure.toml"
    file.write_text("prot = 1\n")

    ended = cli("config", "show", "--config", file)

    assert (ended.code, ended.out) == (2, "")
    assert "no setting is named 'prot'" in ended.err
