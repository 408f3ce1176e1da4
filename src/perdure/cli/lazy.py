"""A group whose commands are loaded when they are run, and listed without being loaded."""

import difflib
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click


class Lazy(NamedTuple):
    """A command that is not loaded yet: its name, ``module:attribute``, and its line in the help."""

    name: str
    target: str
    summary: str

    def load(self) -> click.Command:
        """Import the module and give the command."""
        module, _, attribute = self.target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


class LazyGroup(click.Group):
    """A group of ``Lazy`` commands, in the order they were given."""

    def __init__(self, *, commands: Sequence[Lazy], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.lazy = {command.name: command for command in commands}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names, in order."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command; ``None`` for an unknown name."""
        found = self.lazy.get(cmd_name)
        return None if found is None else found.load()

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, and say what is near when there is none."""
        name = args[0]
        if name not in self.lazy and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.lazy, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.lazy)}"
            raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries, loading none."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.summary) for command in self.lazy.values()])
