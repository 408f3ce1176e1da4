"""Options that commands share: one spelling, one meaning, one help text.

Each decorator takes what click read and gives the command a value of the framework: settings, a
context, a selection of events, a place in time.
"""

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import click
import msgspec

from perdure.cli.loading import choose_context
from perdure.runtime.config import Settings, load
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import InvalidInput
from perdure.vocabulary.ids import entity_id
from perdure.vocabulary.names import check_name, check_tag

Command: TypeAlias = Callable[..., Any]


class Invocation:
    """What holds for one run of the command line, whichever command it is."""

    def __init__(self) -> None:
        self.debug = False


class Place(msgspec.Struct, frozen=True):
    """A place in a log: a position, or a time that events happened; neither is now."""

    position: int | None = None
    at: datetime | None = None


def _set_debug(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    invocation = ctx.find_object(Invocation)
    if value and invocation is not None:
        invocation.debug = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    help="Show the traceback of an error.",
)
config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read settings from here, not from perdure.toml.",
)
hand_option = click.option(
    "--hand",
    metavar="MODULE:NAME",
    help="Hand this object to the effects that ask for config.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, a value a line.")
context_option = click.option("--context", "context_name", metavar="NAME", help="The context.")
app_argument = click.argument("app", metavar="[MODULE:APP]", required=False)
app_option = click.option("--app", metavar="MODULE:APP", help="Check against its declarations.")


def with_settings(command: Command) -> Command:
    """Add ``--store`` and ``--config``; give the command the ``settings`` in force."""

    @functools.wraps(command)
    def read(*args: Any, store: str | None, config_file: Path | None, **given: Any) -> Any:
        settings, _ = load({"store": store}, file=config_file)
        return command(*args, settings=settings, **given)

    store = click.option(
        "--store", metavar="URL", help="Where events are kept: sqlite:///DIRECTORY."
    )
    return _add(read, store, config_option, debug_option)


def with_context(command: Command) -> Command:
    """Add ``--context``, ``--store`` and ``--config``; give the command ``context`` and ``settings``.

    The context is the one that ``app``, the option or the store names.
    """

    @functools.wraps(command)
    def choose(
        *args: Any, app: str | None, context_name: str | None, settings: Settings, **given: Any
    ) -> Any:
        context = choose_context(app, context_name, settings.store)
        return command(*args, context=context, settings=settings, **given)

    return with_settings(_add(choose, context_option))


def with_criteria(command: Command) -> Command:
    """Add ``--type``, ``--domain``, ``--entity`` and ``--tag``; give the command the ``criteria``."""

    @functools.wraps(command)
    def select(
        *args: Any,
        types: Sequence[str],
        domains: Sequence[str],
        entities: Sequence[str],
        tags: Sequence[str],
        **given: Any,
    ) -> Any:
        criteria = Criteria(
            tuple(check_name(name, "event type") for name in types),
            tuple(check_name(name, "domain") for name in domains),
            tuple(entity_id(text) for text in entities),
            tuple(check_tag(tag) for tag in tags),
        )
        return command(*args, criteria=criteria, **given)

    return _add(
        select,
        _many("--type", "types", "Only events of this type; may be repeated: any of them."),
        _many("--domain", "domains", "Only events of this domain; any of them."),
        _many("--entity", "entities", "Only events of this entity; any of them."),
        _many("--tag", "tags", "Only events with this tag; all of them."),
    )


def read_place(text: str) -> Place:
    """Read a place: digits are a position, anything else an ISO 8601 time with its zone."""
    if text.isascii() and text.isdigit():
        return Place(position=int(text))
    return Place(at=read_time(text))


def read_time(text: str) -> datetime:
    """Read an ISO 8601 time that says its zone. Raises ``InvalidInput``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{text[:64]!r} is neither a position nor a time: write 120, or 2026-11-20T14:00Z"
        ) from None
    if moment.tzinfo is None:
        raise InvalidInput(f"{text!r} does not say its time zone: write {text}Z for UTC")
    return moment


def _many(flag: str, name: str, meaning: str) -> Callable[[Command], Command]:
    return click.option(flag, name, multiple=True, metavar=flag.strip("-").upper(), help=meaning)


def _add(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
