"""How a command ends: the exit code of every error, and the paragraph that tells it.

One rule: an exit code belongs to a class of error, here and nowhere else. A paragraph says what went
wrong, why, and what to do; ``--debug`` adds the traceback.
"""

import os
import sys
import traceback
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

import click

from perdure.cli.output import complain
from perdure.vocabulary.errors import (
    ConcurrencyError,
    ConfigurationError,
    Corrupt,
    EffectFailed,
    EngineError,
    EventIdTaken,
    HandlerFailed,
    InvalidInput,
    NotCaughtUp,
    NotFound,
    OutcomeUnknown,
    Parked,
    Rejected,
    RequestKeyReused,
    Unavailable,
)


class ExitCode(IntEnum):
    """What a command says to the shell. The names are the meanings; ``--help`` lists them."""

    OK = 0
    FOUND = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    INTERNAL = 70
    INTERRUPTED = 130
    READER_GONE = 141


#: The exit code of each class of error, and of its subclasses that are not named.
EXIT_CODES: Mapping[type[BaseException], ExitCode] = MappingProxyType(
    {
        ConcurrencyError: ExitCode.CONFLICT,
        EventIdTaken: ExitCode.CONFLICT,
        RequestKeyReused: ExitCode.CONFLICT,
        Rejected: ExitCode.CONFLICT,
        Parked: ExitCode.CONFLICT,
        HandlerFailed: ExitCode.CONFLICT,
        EffectFailed: ExitCode.CONFLICT,
        NotFound: ExitCode.NOT_FOUND,
        FileNotFoundError: ExitCode.NOT_FOUND,
        InvalidInput: ExitCode.USAGE,
        ConfigurationError: ExitCode.USAGE,
        NotCaughtUp: ExitCode.UNAVAILABLE,
        EngineError: ExitCode.UNAVAILABLE,
        OSError: ExitCode.UNAVAILABLE,
        BrokenPipeError: ExitCode.READER_GONE,
        click.ClickException: ExitCode.USAGE,
        click.Abort: ExitCode.INTERRUPTED,
    }
)

#: What to do, where the message of the error cannot know it.
ADVICE: Mapping[type[BaseException], str] = MappingProxyType(
    {
        ConcurrencyError: "Nothing was written: look again, then retry.",
        NotCaughtUp: "The models move while a server runs on this store.",
        OutcomeUnknown: "Run the same command again: under the same ids nothing is stored twice.",
        Corrupt: "Run `perdure doctor` to see how far it goes.",
        Unavailable: "Nothing was written; try again later.",
    }
)


def exit_code(error: BaseException) -> ExitCode:
    """Give the exit code of an error; ``INTERNAL`` for one that nobody foresaw."""
    for cls in type(error).__mro__:
        if cls in EXIT_CODES:
            return EXIT_CODES[cls]
    return ExitCode.INTERNAL


def end(error: Exception, *, debug: bool) -> ExitCode:
    """Say on standard error what went wrong, in one paragraph, and give the exit code."""
    code = exit_code(error)
    if debug:
        complain("".join(traceback.format_exception(error)).rstrip(), style="dim")
    if code is ExitCode.READER_GONE:
        _silence_stdout()
    elif code is ExitCode.INTERRUPTED:
        complain("perdure: interrupted")
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        complain(f"perdure: error: {_paragraph(error, code)}", style="red")
    return code


def _paragraph(error: Exception, code: ExitCode) -> str:
    if code is ExitCode.INTERNAL:
        what = f"{type(error).__name__}: {error}"
        return _sentences(what, "This is a fault of Perdure: report it, with what --debug shows")
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        place = context.command_path if context else "perdure"
        return _sentences(error.format_message(), f"See `{place} --help`")
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return _sentences(f"{place}{error.strerror}")
    advice = (ADVICE[cls] for cls in type(error).__mro__ if cls in ADVICE)
    return _sentences(str(error), *getattr(error, "__notes__", ()), next(advice, ""))


def _sentences(*parts: str) -> str:
    ended = (part if part.endswith((".", "!", "?")) else f"{part}." for part in parts if part)
    return " ".join(ended)


def _silence_stdout() -> None:
    """Let the interpreter flush what is left at exit into nothing, instead of complaining."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
