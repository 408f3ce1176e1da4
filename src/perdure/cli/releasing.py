"""``perdure parked release`` and ``discard``: try a key again, or leave its event out for ever.

One rule: nothing is folded here. These commands write what is wanted; the server that works on the store
follows it within a second, or when it starts.
"""

import asyncio
import getpass
from collections.abc import AsyncIterator, Sequence

import click

from perdure.cli.confirming import confirm, yes_option
from perdure.cli.finding import ids_argument, opened_for, split
from perdure.cli.options import Command, context_option, json_option, with_settings
from perdure.cli.output import Output
from perdure.cli.parked import cause_option, find_parked, name_of, reactor_option
from perdure.runtime.app import App
from perdure.runtime.config import Settings
from perdure.runtime.parked import ParkedView


def _with_reason(command: Command) -> Command:
    """Add ``--by`` and ``--why``, which are kept."""
    why = click.option("--why", default="", metavar="TEXT", help="Why: kept with it.")
    by = click.option("--by", metavar="WHO", help="Who; otherwise the user of this machine.")
    return by(why(command))


@click.command()
@click.argument("words", nargs=-1, metavar="[MODULE:APP] [ID...]")
@click.option("--all", "every", is_flag=True, help="Every key that is parked.")
@reactor_option
@cause_option
@click.option("--hung", is_flag=True, help="Also those whose function did not return.")
@_with_reason
@context_option
@json_option
@with_settings
def release(
    words: tuple[str, ...],
    every: bool,
    reactor: str | None,
    cause: str | None,
    hung: bool,
    by: str | None,
    why: str,
    context_name: str | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Let parked keys be tried again, from their first attempt, with all that waits behind them.

    Mend first what they failed of. Where a function did not return, trying it again may end the server:
    that needs --hung. --reactor and --cause choose among --all.
    """
    if every == bool(split(words)[1]):
        raise click.UsageError("name the parked keys by their ids, or give --all")
    if not every and (reactor is not None or cause is not None):
        raise click.UsageError("--reactor and --cause go with --all")
    answer = Output(as_json=as_json)

    async def run() -> None:
        app, ids = split(words)
        async with opened_for(app, context_name, settings) as opened_app:
            if every:
                chosen = _all(opened_app, reactor, cause, hung=hung)
            else:
                chosen = _named(await find_parked(opened_app, ids))
            count = 0
            async for parked in chosen:
                await opened_app.release(parked, hung=hung, by=_who(by), why=why)
                _tell(parked, "released", "is tried again", answer)
                count += 1
        if not count and not as_json:
            answer.text("nothing of that kind is parked")

    asyncio.run(run())


@click.command()
@ids_argument
@yes_option
@_with_reason
@context_option
@json_option
@with_settings
def discard(
    words: tuple[str, ...],
    yes: bool,
    by: str | None,
    why: str,
    context_name: str | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Leave the events that keys stand at out of these keys for ever; what waits behind goes on.

    The events stay recorded, and other keys and reactors keep them. Asks before it does; where nobody can be
    asked, it needs --yes.
    """
    if not yes:
        confirm(lambda: asyncio.run(_names(words, context_name, settings)), "Leave out for ever?")
    answer = Output(as_json=as_json)

    async def run() -> None:
        app, ids = split(words)
        async with opened_for(app, context_name, settings) as opened_app:
            for parked in await find_parked(opened_app, ids):
                await opened_app.discard(parked, by=_who(by), why=why)
                left_out = f"goes on without the event at position {parked.position:,}"
                _tell(parked, "discarded", left_out, answer)

    asyncio.run(run())


async def _all(
    app: App, reactor: str | None, cause: str | None, *, hung: bool
) -> AsyncIterator[ParkedView]:
    for live in app.contexts.values():
        async for parked in live.parked.releasable(reactor, cause, hung=hung):
            yield parked


async def _named(chosen: Sequence[ParkedView]) -> AsyncIterator[ParkedView]:
    for parked in chosen:
        yield parked


async def _names(words: Sequence[str], context_name: str | None, settings: Settings) -> list[str]:
    app, ids = split(words)
    async with opened_for(app, context_name, settings) as opened_app:
        found = await find_parked(opened_app, ids)
    return [f"{name_of(one)}  position {one.position:,}: {one.cause}" for one in found]


def _who(by: str | None) -> str:
    """Give who asks: as they say, or the user of this machine, where it knows one."""
    if by is not None:
        return by
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _tell(parked: ParkedView, name: str, verb: str, answer: Output) -> None:
    if not answer.as_json:
        answer.text(f"{name_of(parked)}  {verb}")
        return
    answer.record(
        {
            "context": parked.context,
            "reactor": parked.reactor,
            "key": parked.key,
            "id": parked.id,
            "position": parked.position,
            name: True,
        }
    )
