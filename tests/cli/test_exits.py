from collections.abc import Iterator

import click
import pytest

from perdure.cli.exits import ADVICE, EXIT_CODES, ExitCode, end, exit_code
from perdure.vocabulary import errors
from tests.cli.support import Cli


def leaves(cls: type[errors.PerdureError]) -> Iterator[type[errors.PerdureError]]:
    below = [c for c in cls.__subclasses__() if c.__module__ == errors.__name__]
    for one in below:
        yield from leaves(one)
    if not below:
        yield cls


@pytest.mark.parametrize("cls", list(leaves(errors.PerdureError)), ids=lambda cls: cls.__name__)
def test_every_error_of_ours_has_an_exit_code(cls: type[errors.PerdureError]) -> None:
    assert any(known in EXIT_CODES for known in cls.__mro__)
    assert exit_code(cls.__new__(cls)) is not ExitCode.INTERNAL


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.WrongVersion("e", 1, 2), 4),
        (errors.EventIdTaken(["e"], [0]), 4),
        (errors.Rejected("no"), 4),
        (errors.Parked("r", "k", 1, "why"), 4),
        (errors.EventNotFound("e"), 3),
        (FileNotFoundError(2, "No such file", "f"), 3),
        (errors.InvalidData("bad"), 2),
        (errors.DefinitionError("bad"), 2),
        (click.UsageError("bad"), 2),
        (errors.NotCaughtUp("r", 2, 1), 5),
        (errors.StorageFull("full"), 5),
        (errors.OutcomeUnknown("who knows"), 5),
        (errors.Corrupt("row 7"), 5),
        (click.Abort(), 130),
        (BrokenPipeError(), 141),
        (KeyError("a fault of our own"), 70),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_most_special_class_decides(error: Exception, code: int) -> None:
    assert code == exit_code(error)


def test_advice_is_only_given_for_errors_that_have_a_code() -> None:
    assert all(cls in EXIT_CODES or issubclass(cls, errors.EngineError) for cls in ADVICE)


def test_an_error_is_one_paragraph_of_what_and_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    end(errors.OutcomeUnknown("the disk did not answer"), debug=False)

    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "perdure: error: the disk did not answer. Run the same command again: "
        "under the same ids nothing is stored twice.\n"
    )


def test_debug_shows_the_traceback(cli: Cli) -> None:
    quiet = cli("events", "tail", "nowhere:app")
    loud = cli("events", "tail", "nowhere:app", "--debug")

    assert (quiet.code, quiet.out) == (2, "")
    assert "Traceback" not in quiet.err
    assert "Traceback" in loud.err
    assert loud.err.endswith(quiet.err)


def test_an_error_nobody_foresaw_is_not_taken_for_a_finding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = end(ZeroDivisionError("division by zero"), debug=False)

    assert code == 70
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err
