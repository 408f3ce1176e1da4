"""``perdure send``: one command, decided here on the store, beside whatever serves it.

One rule: the decision is all that happens in this process. What it gives out is in the commit, and a server
carries it out; only what is to be carried out at most once, which is written nowhere, runs here.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click
import msgspec

from perdure.cli.exits import ExitCode
from perdure.cli.loading import choose_context, load_contexts, load_object, opened
from perdure.cli.options import context_option, hand_option, json_option, with_settings
from perdure.cli.output import Output, complain
from perdure.core.context import Context
from perdure.runtime.app import App
from perdure.runtime.commands import Caller
from perdure.runtime.config import Settings
from perdure.runtime.live import LiveContext
from perdure.vocabulary.errors import HandlerFailed, InvalidId, Rejected
from perdure.vocabulary.ids import entity_id, entity_named
from perdure.vocabulary.jsontext import DATA_BYTES_MAX
from perdure.vocabulary.outcomes import Accepted


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent, and to whom: without a ``domain`` to a LOW handler."""

    command: str
    data: bytes
    domain: str = ""
    entity: bytes = b""
    command_id: str | None = None
    version: int | None = None
    query: str | None = None


@click.command()
@click.argument("app", metavar="MODULE:APP")
@click.argument("words", nargs=-1, required=True, metavar="[DOMAIN/ENTITY] COMMAND [JSON]")
@click.option("--data", "file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
              help="Read the JSON from a file; - is standard input.")  # fmt: skip
@click.option("--named", is_flag=True, help="ENTITY is a natural key, such as an account number.")
@click.option("--id", "command_id", help="The command id: the same again gives the first outcome.")
@click.option("--if-version", "version", type=click.IntRange(0),
              help="Only when the entity is at this version.")  # fmt: skip
@click.option("--query", metavar="NAME", help="Print this query of the state, not the state.")
@context_option
@hand_option
@json_option
@with_settings
def send(
    app: str,
    words: tuple[str, ...],
    file: Path | None,
    named: bool,
    command_id: str | None,
    version: int | None,
    query: str | None,
    context_name: str | None,
    hand: str | None,
    as_json: bool,
    settings: Settings,
) -> int:
    """Send a command to an entity, or without DOMAIN/ENTITY to the LOW handler that takes it.

    JSON is an object, - reads it from standard input; without it the command has no fields. ENTITY is a
    UUID, or with --named a natural key. A server may be working on the same store.

    Prints the outcome. Exit code 4 when the command is rejected or others were faster, 3 when nobody
    takes it, 2 when it is malformed. Under the same --id the first outcome stands for ever.

    Decides here, and does nothing else: effects, commands and timers that are given out are stored, and
    carried out by a server on this store, now or when there is one. Effects that are carried out at most
    once are started here, and waited for.
    """
    domain, entity, command, data = _read_words(words, file, named=named)
    if not domain and (version is not None or query is not None or named):
        raise click.UsageError("--if-version, --query and --named go with DOMAIN/ENTITY")
    order = Order(
        command=command,
        data=data,
        domain=domain,
        entity=entity,
        command_id=command_id,
        version=version,
        query=query,
    )
    contexts = load_contexts(app)
    context = choose_context(app, context_name, settings.store)
    config = None if hand is None else load_object(hand, "object")
    # All contexts are opened: what is decided in one may send into another.
    opening = opened(contexts, settings, make=True, config=config)
    return asyncio.run(_send(opening, context, order, Output(as_json=as_json)))


async def _send(
    opening: AbstractAsyncContextManager[App], context: Context, order: Order, answer: Output
) -> ExitCode:
    async with opening as app:
        live = app.context(context.name)
        live.commands.handler(order.domain, order.command)
        if order.query is not None:
            live.models.query(order.domain, order.query)
        command_id = order.command_id
        if command_id is None:
            command_id = f"{app.environment.chance.bits(128):032x}"
        outcome = await live.commands.send_json(
            order.command,
            order.data,
            Caller(command_id=command_id),
            domain=order.domain,
            entity=order.entity,
            expected_version=order.version,
        )
        if isinstance(outcome, Rejected):
            return _print_rejected(outcome, command_id, answer)
        return _print_accepted(live, order, outcome, answer)


# -- what is sent ------------------------------------------------------------------------------


def _read_words(
    words: Sequence[str], file: Path | None, *, named: bool
) -> tuple[str, bytes, str, bytes]:
    """Tell the words apart: only a target has a slash in it, and only JSON comes behind the command."""
    domain, entity, rest = "", b"", list(words)
    if "/" in rest[0]:
        domain, _, key = rest.pop(0).partition("/")
        entity = entity_named(domain, key).bytes if named else _entity(key)
    if len(rest) not in (1, 2):
        raise click.UsageError("say [DOMAIN/ENTITY] COMMAND [JSON]")
    if file is not None and len(rest) == 2:
        raise click.UsageError("give the JSON as an argument, or by --data, not both")
    source = str(file) if file is not None else rest[1] if rest[1:] else "{}"
    if source == "-":
        data = sys.stdin.buffer.read(DATA_BYTES_MAX + 1)
    elif file is not None:
        with file.open("rb") as opened_file:
            data = opened_file.read(DATA_BYTES_MAX + 1)
    else:
        data = source.encode()
    return domain, entity, rest[0], data


def _entity(key: str) -> bytes:
    try:
        return entity_id(key)
    except InvalidId as fault:
        fault.add_note("Add --named when it is a natural key.")
        raise


# -- what became of it -------------------------------------------------------------------------


def _print_accepted(
    live: LiveContext, order: Order, outcome: Accepted[Any], answer: Output
) -> ExitCode:
    """Print the outcome; when its state cannot be told, all the rest, and that."""
    code, state = ExitCode.OK, None
    if order.domain:
        try:
            state = msgspec.Raw(live.models.shown(order.domain, outcome.state, order.query))
        except HandlerFailed as failure:
            code = ExitCode.FOUND
            cause = failure.__cause__
            complain(
                "perdure: error: the command was accepted, but what was asked for of the state "
                f"cannot be told: {type(cause).__name__}: {cause}.",
                style="red",
            )
    if answer.as_json:
        row: dict[str, Any] = {"outcome": "accepted", "command_id": outcome.command_id}
        row |= {"version": outcome.version} if order.domain else {}
        row |= {"position": outcome.position, "events": outcome.events, "reply": outcome.reply}
        row |= {"repeated": outcome.repeated}
        answer.record(row if state is None else row | {"state": state})
        return code
    version = f"  version {outcome.version:,}" if order.domain else ""
    before = "  (handled before)" if outcome.repeated else ""
    answer.text(
        f"accepted{version}  position {outcome.position:,}  command {outcome.command_id}{before}",
        style="green",
    )
    for title, value in (("reply", outcome.reply), ("state", state)):
        if value is not None:
            text = msgspec.json.encode(value)
            answer.text(f"{title} {msgspec.json.format(text).decode()}")
    return code


def _print_rejected(outcome: Rejected, command_id: str, answer: Output) -> ExitCode:
    if answer.as_json:
        row = {"outcome": "rejected", "command_id": command_id, "reason": outcome.reason}
        answer.record(row)
    else:
        answer.text(f"rejected: {outcome.reason}", style="red")
    return ExitCode.CONFLICT
