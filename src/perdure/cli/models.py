"""``perdure model``: a model now or at an earlier place, how it came to be, and what changed."""

import asyncio
from datetime import UTC, datetime
from functools import partial

import click
import msgspec

from perdure.cli.difference import Change, differences
from perdure.cli.exits import ExitCode
from perdure.cli.loading import opened_one
from perdure.cli.options import (
    Place,
    json_option,
    read_place,
    read_time,
    with_context,
)
from perdure.cli.output import Output, complain
from perdure.core.context import Context
from perdure.runtime.config import Settings
from perdure.runtime.live import LiveContext
from perdure.runtime.models import ModelView, Step
from perdure.vocabulary.errors import NotCaughtUp
from perdure.vocabulary.ids import id_text

_PAGE = 100

_app = click.argument("app", metavar="MODULE:APP")
_domain = click.argument("domain")
_key = click.argument("key", default="")


@click.command()
@_app
@_domain
@_key
@with_context
@click.option("--as-of", type=click.IntRange(0), help="As it was known at this position.")
@click.option("--at", help="Of what had happened at this time, such as 2026-11-20T14:00Z.")
@click.option("--limit", type=click.IntRange(1), default=_PAGE, show_default=True,
              help="At most this many, when models are listed.")  # fmt: skip
@json_option
def show(
    domain: str,
    key: str,
    context: Context,
    as_of: int | None,
    at: str | None,
    limit: int,
    as_json: bool,
    settings: Settings,
) -> None:
    """Print the model of DOMAIN under KEY; without a key, list the models of the domain.

    A domain with a single model has no keys. The server keeps models up to date; --as-of and --at
    fold the events here instead.
    """
    place = Place(as_of, read_time(at) if at else None)
    answer = Output(as_json=as_json)
    asyncio.run(_show(context, settings, domain, key, place, limit, answer))


@click.command()
@_app
@_domain
@_key
@with_context
@click.option("--as-of", type=click.IntRange(0), help="Only what was known at this position.")
@click.option("--at", help="Only what had happened at this time.")
@json_option
def history(
    domain: str,
    key: str,
    context: Context,
    as_of: int | None,
    at: str | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Print a line for each event of a model, with what it changed; folded here, in order."""
    place = Place(as_of, read_time(at) if at else None)
    asyncio.run(_history(context, settings, domain, key, place, Output(as_json=as_json)))


@click.command()
@_app
@_domain
@click.argument("places", nargs=-1, metavar="[KEY] FROM TO")
@with_context
@json_option
def diff(
    domain: str,
    places: tuple[str, ...],
    context: Context,
    as_json: bool,
    settings: Settings,
) -> int:
    """Print what changed in a model from one place to another; exit code 1 when something did.

    FROM and TO are positions, or times such as 2026-11-20T14:00Z.
    """
    if len(places) not in (2, 3):
        raise click.UsageError("name the model's key, unless it is single, then FROM and TO")
    key = places[0] if len(places) == 3 else ""
    earlier, later = map(read_place, places[-2:])
    answer = Output(as_json=as_json)
    changes = asyncio.run(_diff(context, settings, domain, key, earlier, later))
    if as_json:
        answer.record({"from": places[-2], "to": places[-1], "changes": changes})
    else:
        for change in changes:
            answer.text(str(change))
    return ExitCode.FOUND if changes else ExitCode.OK


async def _show(
    context: Context,
    settings: Settings,
    domain: str,
    key: str,
    place: Place,
    limit: int,
    answer: Output,
) -> None:
    async with opened_one(context, settings) as live:
        reactor, _ = live.models.find(domain)
        if not key and reactor.keying != "single":
            await _list(live, domain, limit, answer)
        elif place == Place():
            await _warn_behind(live, domain)
            _print_model(domain, await live.models.read(domain, key), answer)
        else:
            view = await live.models.as_of(domain, key, position=place.position, at=place.at)
            _print_model(domain, view, answer)


async def _list(live: LiveContext, domain: str, limit: int, answer: Output) -> None:
    rows: list[tuple[str, int, str]] = []
    behind, left = "", limit
    while left and (views := await live.models.page(domain, behind=behind, limit=min(left, _PAGE))):
        behind, left = views[-1].key, left - len(views)
        for view in views:
            if answer.as_json:
                _print_model(domain, view, answer)
            else:
                rows.append((view.key, view.position, view.json.decode()))
    if not answer.as_json:
        answer.table(("key", "position", "model"), rows)


async def _history(
    context: Context, settings: Settings, domain: str, key: str, place: Place, answer: Output
) -> None:
    async with opened_one(context, settings) as live:
        reactor, index = live.models.find(domain)
        before = reactor.codecs[index].encode(reactor.initial[index])
        story = partial(live.models.story, position=place.position, at=place.at)
        async for step in story(domain, key):
            changes = differences(before, step.json)
            before, event = step.json, step.event
            if answer.as_json:
                answer.record(
                    {
                        "position": event.position,
                        "happened_at": event.happened_at,
                        "type": event.type,
                        "event_id": id_text(event.id),
                        "changes": changes,
                        **({"discarded": step.discarded} if step.discarded else {}),
                    }
                )
                continue
            shown = "  ".join(map(str, changes)) or _nothing(step)
            moment = _moment(event.happened_at)
            answer.text(f"{event.position:>8}  {moment}  {event.type:<20}  {shown}")


async def _diff(
    context: Context, settings: Settings, domain: str, key: str, earlier: Place, later: Place
) -> list[Change]:
    async with opened_one(context, settings) as live:
        as_of = live.models.as_of
        first = await as_of(domain, key, position=earlier.position, at=earlier.at)
        second = await as_of(domain, key, position=later.position, at=later.at)
    return differences(first.json, second.json)


async def _warn_behind(live: LiveContext, domain: str) -> None:
    """Say when the stored model is older than the log: then no server has folded the rest yet."""
    head = await live.log.head()
    try:
        await live.models.wait(live.models.find(domain)[0], head, 0)
    except NotCaughtUp as behind:
        complain(
            f"perdure: {domain} has taken the events up to position {behind.reached}, of {head}; "
            f"--as-of {head} folds the rest here",
            style="yellow",
        )


def _print_model(domain: str, view: ModelView, answer: Output) -> None:
    if answer.as_json:
        answer.record(
            {
                "domain": domain,
                "key": view.key,
                "position": view.position,
                "model": msgspec.Raw(view.json),
            }
        )
        return
    answer.text(f"{domain} {view.key}".rstrip() + f"  position {view.position}", style="bold")
    answer.text(msgspec.json.format(view.json).decode())


def _nothing(step: Step) -> str:
    """Say why an event changed nothing, where that is known."""
    if step.discarded is None:
        return "(nothing)"
    who = f" by {step.discarded.by}" if step.discarded.by else ""
    return f"(discarded{who})"


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
