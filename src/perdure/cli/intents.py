"""``perdure intents list`` and ``show``: what is still to be delivered, and what it is about.

``mending`` has the commands that change something.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import click
import msgspec

from perdure.cli.deliveries import (
    Delivery,
    content,
    describe,
    moment_text,
    parked,
    parked_among,
)
from perdure.cli.finding import find_all, ids_argument, opened_for, split
from perdure.cli.options import app_argument, context_option, json_option, with_settings
from perdure.cli.output import Output
from perdure.cli.paging import intents as pages_of
from perdure.core.parcels import KINDS
from perdure.ports.engine import Log
from perdure.runtime.config import Settings
from perdure.runtime.undelivered import Undelivered
from perdure.vocabulary.commits import Intent


@click.command("list")
@app_argument
@context_option
@click.option("--kind", type=click.Choice(KINDS), help="Only intents of this kind.")
@click.option("--parked", "only_parked", is_flag=True, help="Only what stands still.")
@json_option
@with_settings
def list_(
    app: str | None,
    context_name: str | None,
    kind: str | None,
    only_parked: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    """List what is still to be delivered, in the order in which it is due: an intent a line.

    Waiting: not due yet. Due: a server carries it out, when what stands before it in its order is done.
    Parked: it failed as often as it may; it and what comes after it stand still.
    """
    kinds = KINDS if kind is None else (kind,)
    answer = Output(as_json=as_json)
    asyncio.run(_list(app, context_name, settings, kinds, answer, only_parked=only_parked))


@click.command()
@ids_argument
@context_option
@json_option
@with_settings
def show(
    words: tuple[str, ...], context_name: str | None, as_json: bool, settings: Settings
) -> None:
    """Show intents whole: what they hold, who gave them out, and the traceback of parked ones."""
    asyncio.run(_show(words, context_name, settings, Output(as_json=as_json)))


async def _list(
    app: str | None,
    context_name: str | None,
    settings: Settings,
    kinds: Sequence[str],
    answer: Output,
    *,
    only_parked: bool,
) -> None:
    is_empty = True
    async with opened_for(app, context_name, settings) as opened_app:
        now = opened_app.environment.clock.now()
        for live in opened_app.contexts.values():
            choose = _parked_of if only_parked else _open_of
            async for intent, record in choose(live.log, kinds):
                row = describe(live.name, intent, record, now)
                if answer.as_json:
                    answer.record(row)
                else:
                    _print_row(row, answer, first=is_empty)
                is_empty = False
    if is_empty and not answer.as_json:
        answer.text("nothing is parked" if only_parked else "nothing is left to be delivered")


async def _open_of(
    log: Log, kinds: Sequence[str]
) -> AsyncIterator[tuple[Intent, Undelivered | None]]:
    for kind in kinds:
        async for page in pages_of(log, kind):
            still = await parked_among(log, page)
            for intent in page:
                yield intent, still.get(intent.id)


async def _parked_of(log: Log, kinds: Sequence[str]) -> AsyncIterator[tuple[Intent, Undelivered]]:
    async for intent, record in parked(log):
        if intent.kind in kinds:
            yield intent, record


async def _show(
    words: Sequence[str], context_name: str | None, settings: Settings, answer: Output
) -> None:
    app, ids = split(words)
    async with opened_for(app, context_name, settings) as opened_app:
        now = opened_app.environment.clock.now()
        for found in await find_all(opened_app, ids):
            row = describe(found.live.name, found.intent, found.record, now)
            held, metadata = content(found.intent)
            told = found.record.traceback if found.record else ""
            if answer.as_json:
                whole = {"content": held, "metadata": metadata, "traceback": told}
                answer.record(msgspec.structs.asdict(row) | whole)
            else:
                _print_whole(row, held, metadata, told, answer)


def _print_row(row: Delivery, answer: Output, *, first: bool) -> None:
    line = "{:<36}  {:<7}  {:<7}  {:<20}  {:<24}  {}"
    if first:
        answer.text(line.format("id", "kind", "state", "due", "what", "in the order of"), "bold")
    shown = line.format(row.id, row.kind, row.state, moment_text(row.due), _what(row), row.ordering)
    answer.text(shown + _trouble(row), "red" if row.state == "parked" else "")


def _print_whole(
    row: Delivery, held: dict[str, Any], metadata: msgspec.Raw, told: str, answer: Output
) -> None:
    answer.text(f"{row.id}  {row.kind} {_what(row)}  {row.state}", style="bold")
    answer.text(f"due {moment_text(row.due)}  in the order of {row.ordering}")
    if row.state == "parked":
        answer.text(f"parked since {moment_text(row.since)}{_trouble(row)}", style="red")
    for title, value in (("content", held), ("metadata", metadata)):
        text = msgspec.json.format(msgspec.json.encode(value)).decode()
        answer.text(f"{title} {text}")
    if told:
        answer.text(told.rstrip())


def _what(row: Delivery) -> str:
    """Name what is delivered, with the context it goes to where it goes to one."""
    name = row.name or "(unreadable)"
    return f"{row.target}.{name}" if row.kind in ("emit", "command") else name


def _trouble(row: Delivery) -> str:
    """Say why a parked delivery stands still."""
    if row.outcome is None:
        return ""
    times = "attempt" if row.attempts == 1 else "attempts"
    return f"  {row.outcome} after {row.attempts:,} {times}: {row.cause}"
