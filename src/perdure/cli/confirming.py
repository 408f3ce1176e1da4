"""Asking before what cannot be undone; where nobody can be asked, it must have been said beforehand."""

import sys
from collections.abc import Callable, Sequence

import click

from perdure.cli.output import complain, is_terminal

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(names: Callable[[], Sequence[str]], question: str) -> None:
    """Show what it is about, and ask. Raises ``click.Abort`` for a no, ``UsageError`` without a terminal."""
    if not is_terminal(sys.stdin):
        raise click.UsageError("nobody is here to be asked: add --yes")
    for name in names():
        complain(name)
    click.confirm(question, abort=True, err=True)
