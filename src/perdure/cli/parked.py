"""``perdure parked list``, ``show`` and ``try``: which keys stand still, why, and whether they would go on.

One rule: nothing is changed here. ``releasing`` has the commands that ask for something.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import UUID

import click
import msgspec

from perdure.cli.exits import ExitCode
from perdure.cli.finding import ids_argument, opened_for, split
from perdure.cli.options import app_argument, context_option, json_option, with_settings
from perdure.cli.output import Output
from perdure.runtime.app import App
from perdure.runtime.config import Settings
from perdure.runtime.discards import Discarded
from perdure.runtime.parked import ParkedView
from perdure.runtime.trial import Trial
from perdure.vocabulary.errors import ParkedNotFound
from perdure.vocabulary.ids import parse_id

reactor_option = click.option("--reactor", metavar="NAME", help="Only keys of this reactor.")
cause_option = click.option("--cause", metavar="TEXT", help="Only where the cause has this in it.")


@click.command("list")
@app_argument
@context_option
@reactor_option
@cause_option
@click.option("--discarded", is_flag=True, help="List what was discarded instead.")
@json_option
@with_settings
def list_(
    app: str | None,
    context_name: str | None,
    reactor: str | None,
    cause: str | None,
    discarded: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    """List the keys of reactors that stand still behind an event that keeps failing: a key a line.

    With MODULE:APP, also how many events wait behind each. Deliveries that stand still are listed by
    `perdure intents list --parked`.
    """

    def wanted(entry: ParkedView | Discarded) -> bool:
        return reactor in (None, entry.reactor) and (cause or "") in entry.cause

    answer = Output(as_json=as_json)
    asyncio.run(_list(app, context_name, settings, wanted, answer, discarded=discarded))


@click.command()
@ids_argument
@context_option
@json_option
@with_settings
def show(
    words: tuple[str, ...], context_name: str | None, as_json: bool, settings: Settings
) -> None:
    """Show parked keys whole: where they stand, and the traceback."""
    asyncio.run(_show(words, context_name, settings, Output(as_json=as_json)))


@click.command("try")
@ids_argument
@context_option
@json_option
@with_settings
def try_(
    words: tuple[str, ...], context_name: str | None, as_json: bool, settings: Settings
) -> int:
    """Fold what waits behind parked keys with the code of MODULE:APP, and write nothing.

    Exit code 1 when one of them would fail again.
    """
    app, ids = split(words)
    if app is None:
        raise click.UsageError("name the application whose code is to be tried: MODULE:APP ID...")
    return asyncio.run(_try(app, ids, context_name, settings, Output(as_json=as_json)))


async def find_parked(app: App, ids: Sequence[str]) -> list[ParkedView]:
    """Find all parked keys before anything is done to one. Raises ``InvalidId``, ``ParkedNotFound``."""
    if not ids:
        raise click.UsageError("name the parked keys by their ids")
    return [await _find(app, UUID(bytes=parse_id(text))) for text in dict.fromkeys(ids)]


def name_of(parked: ParkedView) -> str:
    """Name a parked key, for people."""
    what = f"entity {parked.key}" if parked.source else parked.key or "(single)"
    return f"{parked.id}  {parked.context}.{parked.reactor} {what}"


async def _find(app: App, id_: UUID) -> ParkedView:
    for live in app.contexts.values():
        try:
            return await live.parked.find(id_)
        except ParkedNotFound:
            continue
    raise ParkedNotFound(f"no key is parked under {id_}: list the parked keys again")


async def _list(
    app: str | None,
    context_name: str | None,
    settings: Settings,
    wanted: Callable[[ParkedView | Discarded], bool],
    answer: Output,
    *,
    discarded: bool,
) -> None:
    is_empty = True
    async with opened_for(app, context_name, settings) as opened_app:
        entries: AsyncIterator[ParkedView | Discarded] = (
            opened_app.discarded() if discarded else opened_app.parked()
        )
        async for entry in entries:
            if wanted(entry):
                is_empty = False
                _list_one(entry, answer)
    if is_empty and not answer.as_json:
        answer.text("nothing was discarded" if discarded else "nothing is parked")


def _list_one(entry: ParkedView | Discarded, answer: Output) -> None:
    if isinstance(entry, Discarded):
        if answer.as_json:
            answer.record(entry)
        else:
            answer.text(_told(entry))
    elif answer.as_json:
        answer.record(msgspec.structs.replace(entry, traceback=""))
    else:
        answer.text(f"{name_of(entry)}  {_standing(entry)}", style="red")


async def _show(
    words: Sequence[str], context_name: str | None, settings: Settings, answer: Output
) -> None:
    app, ids = split(words)
    async with opened_for(app, context_name, settings) as opened_app:
        for parked in await find_parked(opened_app, ids):
            if answer.as_json:
                answer.record(parked)
                continue
            answer.text(name_of(parked), style="bold")
            answer.text(_standing(parked), style="red")
            answer.text(f"event {parked.event_id}  attempts {parked.attempts:,}")
            answer.text(parked.traceback.rstrip())


async def _try(
    app: str, ids: Sequence[str], context_name: str | None, settings: Settings, answer: Output
) -> int:
    code = ExitCode.OK
    async with opened_for(app, context_name, settings) as opened_app:
        for parked in await find_parked(opened_app, ids):
            trial = await opened_app.would_succeed(parked)
            code = code if trial else ExitCode.FOUND
            if answer.as_json:
                answer.record({"id": parked.id, "succeeds": bool(trial)} | _asdict(trial))
            elif trial:
                answer.text(f"{name_of(parked)}  would go on: {_events(trial.events)}")
            else:
                failing = f"would fail at position {trial.position:,}: {trial.cause}"
                answer.text(f"{name_of(parked)}  {failing}", style="red")
    return code


def _asdict(trial: Trial) -> dict[str, object]:
    return msgspec.structs.asdict(trial)


def _standing(parked: ParkedView) -> str:
    waiting = "" if parked.waiting is None else f"  {_events(parked.waiting)} waiting"
    asked = f"  {parked.asked} is asked for" if parked.asked else ""
    return f"position {parked.position:,}: {parked.cause}{waiting}{asked}"


def _events(count: int) -> str:
    return f"{count:,} event" if count == 1 else f"{count:,} events"


def _told(one: Discarded) -> str:
    """Say what was left out of which key, by whom, and why."""
    what = f"entity {one.key}" if one.source else one.key or "(single)"
    who = f" by {one.by}" if one.by else ""
    why = f": {one.why}" if one.why else ""
    return (
        f"{one.context}.{one.reactor} {what}  position {one.position:,}  {one.cause}  "
        f"discarded {one.at:%Y-%m-%dT%H:%M:%SZ}{who}{why}"
    )
