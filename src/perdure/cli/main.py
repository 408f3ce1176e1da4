"""``perdure``: the commands by name, and the one place where an error becomes an exit code.

One rule: nothing is imported before it is used. A command's module is loaded when the command runs;
``--help`` lists the commands without loading any.
"""

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from perdure.cli.lazy import Lazy, LazyGroup
from perdure.cli.options import Invocation, debug_option

COMMANDS = (
    Lazy("serve", "perdure.cli.serve:serve", "Serve an application over HTTP."),
    Lazy("send", "perdure.cli.send:send", "Send a command, and print what became of it."),
    Lazy("events", "perdure.cli.main:events", "Append, follow, export and import events."),
    Lazy("model", "perdure.cli.main:model", "Show a model, its history, and what changed in it."),
    Lazy("intents", "perdure.cli.main:intents", "What is to be delivered: look, retry, discard."),
    Lazy("parked", "perdure.cli.main:parked", "Keys that stand still: look, release, discard."),
    Lazy("status", "perdure.cli.status:status", "Show how far the store and its reactors are."),
    Lazy("doctor", "perdure.cli.doctor:doctor", "Check this machine, the store and the code."),
    Lazy("openapi", "perdure.cli.documents:openapi", "Print the OpenAPI document."),
    Lazy("schema", "perdure.cli.main:schema", "Lock the shapes of events, and check them."),
    Lazy("config", "perdure.cli.main:config", "Show the settings in force."),
)

EPILOG = """\b
Exit codes:
  0    done
  1    found what it looks for: a difference, a fault, a rejected line
  2    wrong usage or configuration, or malformed input
  3    not found
  4    conflict, or rejected by the domain
  5    the store or the address is not available
  130  interrupted
  141  whoever read the output went away
"""


class Root(LazyGroup):
    """The group of all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and see that its answer went out."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as closed:
            raise BrokenPipeError from closed  # without its number, which click ends the process for
        return answer


@click.group(
    cls=Root,
    commands=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="perdure", message="perdure %(version)s")
@debug_option
def root() -> None:
    """Perdure: an event store, and models that follow its events.

    Settings come from the command line, then PERDURE_* in the environment, then perdure.toml.
    """


@click.group(
    cls=LazyGroup,
    commands=(
        Lazy("append", "perdure.cli.events:append", "Record one event."),
        Lazy("tail", "perdure.cli.events:tail", "Print the newest events, and follow."),
        Lazy("export", "perdure.cli.exporting:export", "Write events as lines of JSON."),
        Lazy("import", "perdure.cli.importing:import_", "Record events from lines of JSON."),
    ),
)
def events() -> None:
    """Append, follow, export and import events."""


@click.group(
    cls=LazyGroup,
    commands=(
        Lazy("show", "perdure.cli.models:show", "Print a model, or list the models of a domain."),
        Lazy("history", "perdure.cli.models:history", "Print what each event changed in a model."),
        Lazy("diff", "perdure.cli.models:diff", "Print what changed between two places."),
    ),
)
def model() -> None:
    """Show a model, its history, and what changed in it."""


@click.group(
    cls=LazyGroup,
    commands=(
        Lazy("list", "perdure.cli.intents:list_", "List what is still to be delivered."),
        Lazy("show", "perdure.cli.intents:show", "Print an intent whole, with its traceback."),
        Lazy("retry", "perdure.cli.mending:retry", "Let parked deliveries be tried again."),
        Lazy("discard", "perdure.cli.mending:discard", "Give deliveries up for good."),
    ),
)
def intents() -> None:
    """Look at effects, commands and events still to be delivered; mend those that are parked."""


@click.group(
    cls=LazyGroup,
    commands=(
        Lazy("list", "perdure.cli.parked:list_", "List the keys that stand still."),
        Lazy("show", "perdure.cli.parked:show", "Print a parked key whole, with its traceback."),
        Lazy("try", "perdure.cli.parked:try_", "Say whether it would go on with today's code."),
        Lazy("release", "perdure.cli.releasing:release", "Let parked keys be tried again."),
        Lazy("discard", "perdure.cli.releasing:discard", "Leave an event out for ever."),
    ),
)
def parked() -> None:
    """Look at keys of reactors that stand still behind an event that keeps failing; mend them."""


@click.group(
    cls=LazyGroup,
    commands=(
        Lazy("lock", "perdure.cli.schema:lock", "Write the shapes of all events to a file."),
        Lazy("check", "perdure.cli.schema:check", "Compare all events with that file."),
    ),
)
def schema() -> None:
    """Lock the shapes of events, and check that everything recorded can be read."""


@click.group(
    cls=LazyGroup,
    commands=(Lazy("show", "perdure.cli.settings:show", "Print every setting, ready for a file."),),
)
def config() -> None:
    """Show the settings in force."""


def main() -> NoReturn:
    """Run the command line of this process, and end the process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command and give its exit code; errors are told on standard error, never raised."""
    invocation = Invocation()
    try:
        answer = root.main(
            list(arguments), prog_name="perdure", standalone_mode=False, obj=invocation
        )
    except Exception as error:
        from perdure.cli.exits import end

        return end(error, debug=invocation.debug)
    return answer if isinstance(answer, int) else 0
