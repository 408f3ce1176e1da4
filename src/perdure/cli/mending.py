"""``perdure intents retry`` and ``discard``: try again what failed for good, or give it up.

One rule: nothing is delivered here. These commands change records; the server that works on the store sees
that within a second.
"""

import asyncio
from collections.abc import Sequence

import click

from perdure.cli.confirming import confirm, yes_option
from perdure.cli.deliveries import parked
from perdure.cli.finding import Found, find_all, ids_argument, opened_for, split
from perdure.cli.options import context_option, json_option, with_settings
from perdure.cli.output import Output
from perdure.runtime import undelivered
from perdure.runtime.config import Settings
from perdure.vocabulary.ids import id_text


@click.command()
@click.argument("words", nargs=-1, metavar="[MODULE:APP] [ID...]")
@click.option("--all", "all_parked", is_flag=True, help="Everything that is parked.")
@click.option("--target", help="With --all: only this effect, or what goes to this context.")
@context_option
@json_option
@with_settings
def retry(
    words: tuple[str, ...],
    all_parked: bool,
    target: str | None,
    context_name: str | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Let parked deliveries be tried again, from their first attempt, under the same keys.

    Mend first what they failed of. A server takes them up within a second, or at its next start.
    """
    if all_parked == bool(split(words)[1]):
        raise click.UsageError("name the intents by their ids, or give --all")
    if target is not None and not all_parked:
        raise click.UsageError("--target goes with --all")
    answer = Output(as_json=as_json)
    if all_parked:
        asyncio.run(_retry_all(words, context_name, settings, target, answer))
    else:
        asyncio.run(_retry(words, context_name, settings, answer))


@click.command()
@ids_argument
@yes_option
@context_option
@json_option
@with_settings
def discard(
    words: tuple[str, ...],
    yes: bool,
    context_name: str | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Give deliveries up for good, parked or not; what waits behind them goes on.

    Asks before it does; where nobody can be asked, it needs --yes. One that is being carried out at this
    very moment may still happen.
    """
    if not yes:
        confirm(lambda: asyncio.run(_names(words, context_name, settings)), "Give up for good?")
    asyncio.run(_discard(words, context_name, settings, Output(as_json=as_json)))


async def _retry(
    words: Sequence[str], context_name: str | None, settings: Settings, answer: Output
) -> None:
    app, ids = split(words)
    async with opened_for(app, context_name, settings) as opened_app:
        for found in await find_all(opened_app, ids):
            was_parked = found.record is not None
            if was_parked:
                await undelivered.retry(found.live.log, found.intent.id)
            verb = "is tried again" if was_parked else "is not parked: nothing to be done"
            _tell(found, "retried", verb, answer, done=was_parked)


async def _retry_all(
    words: Sequence[str],
    context_name: str | None,
    settings: Settings,
    target: str | None,
    answer: Output,
) -> None:
    count = 0
    async with opened_for(split(words)[0], context_name, settings) as opened_app:
        for live in opened_app.contexts.values():
            async for intent, record in parked(live.log):
                if target not in (None, intent.target):
                    continue
                count += 1
                await undelivered.retry(live.log, intent.id)
                _tell(Found(live, intent, record), "retried", "is tried again", answer, done=True)
    if not count and not answer.as_json:
        answer.text("nothing is parked" + (f" of {target}" if target else ""))


async def _names(words: Sequence[str], context_name: str | None, settings: Settings) -> list[str]:
    app, ids = split(words)
    async with opened_for(app, context_name, settings) as opened_app:
        return [found.what for found in await find_all(opened_app, ids)]


async def _discard(
    words: Sequence[str], context_name: str | None, settings: Settings, answer: Output
) -> None:
    app, ids = split(words)
    async with opened_for(app, context_name, settings) as opened_app:
        for found in await find_all(opened_app, ids):
            now = opened_app.environment.clock.now()
            await undelivered.discard(found.live.log, found.intent.id, at=now)
            _tell(found, "discarded", "is given up", answer, done=True)


def _tell(found: Found, name: str, verb: str, answer: Output, *, done: bool) -> None:
    if not answer.as_json:
        answer.text(f"{found.what}  {verb}")
        return
    intent = found.intent
    answer.record(
        {
            "context": found.live.name,
            "id": id_text(intent.id),
            "kind": intent.kind,
            "target": intent.target,
            name: done,
        }
    )
