import subprocess
import sys
from importlib.metadata import version

import pytest

from perdure.cli.lazy import Lazy
from perdure.cli.main import COMMANDS, config, events, intents, model, schema
from tests.cli.support import ROOT, Cli, execute

#: What a command line that only prints its help has no use for.
HEAVY = ("uvicorn", "starlette", "apsw", "uvloop", "rich.progress", "perdure.engines")


def every_command() -> list[Lazy]:
    groups = (events, model, intents, config, schema)
    return [*COMMANDS, *(lazy for group in groups for lazy in group.lazy.values())]


def test_help_lists_every_command_and_exit_code(cli: Cli) -> None:
    help_ = cli("--help")

    assert (help_.code, help_.err) == (0, "")
    assert all(f"  {lazy.name} " in help_.out for lazy in COMMANDS)
    assert all(f"\n    {code} " in help_.out for code in (0, 1, 2, 3, 4, 5, 130, 141))


def test_help_imports_neither_the_server_nor_an_engine() -> None:
    script = (
        "import sys; from perdure.cli.main import run; run(['--help'])\n"
        f"sys.exit(', '.join(n for n in sys.modules if n.startswith({HEAVY!r})) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)

    assert (done.stderr, done.returncode) == ("", 0)


@pytest.mark.parametrize("lazy", every_command(), ids=lambda lazy: lazy.target)
def test_every_command_loads_and_has_help_and_debug(lazy: Lazy) -> None:
    command = lazy.load()

    assert command.help
    if not hasattr(command, "lazy"):
        assert "--debug" in {name for option in command.params for name in option.opts}


def test_a_mistyped_command_is_told_what_is_near(cli: Cli) -> None:
    ended = cli("evnts")

    assert (ended.code, ended.out) == (2, "")
    assert "did you mean 'events'?" in ended.err
    assert "`perdure --help`" in ended.err


def test_without_a_command_the_help_is_shown_as_an_error(cli: Cli) -> None:
    ended = cli()

    assert (ended.code, ended.out) == (2, "")
    assert "Commands:" in ended.err


def test_the_version_is_that_of_the_package() -> None:
    ended = execute("--version")

    assert (0, f"perdure {version('perdure')}\n", "") == ended


def test_the_installed_command_is_there() -> None:
    scripts = [point.value for point in _entry_points() if point.name == "perdure"]

    assert scripts == ["perdure.cli.main:main"]


def _entry_points():
    from importlib.metadata import entry_points

    return entry_points(group="console_scripts")
