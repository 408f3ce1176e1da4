"""``perdure events append`` and ``tail``: one event in, the newest events out."""

import asyncio
import sys
from collections.abc import Callable, Sequence

import click

from perdure.cli.loading import opened_one
from perdure.cli.options import (
    app_argument,
    app_option,
    json_option,
    with_context,
    with_criteria,
)
from perdure.cli.output import Output
from perdure.cli.template import compile_template
from perdure.core.context import Context
from perdure.ports.engine import Log
from perdure.runtime.config import Settings
from perdure.transports.event_json import write_event
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import entity_id, event_id, id_text
from perdure.vocabulary.jsontext import DATA_BYTES_MAX
from perdure.vocabulary.reading import Read

#: How long to wait for news at a time; the engine wakes the reader before.
FOLLOW_SECONDS = 1.0

Show = Callable[[Sequence[RecordedEvent]], None]


@click.command()
@click.argument("type_", metavar="TYPE")
@click.argument("entity")
@click.argument("data")
@app_option
@with_context
@click.option("--id", "id_", help="The event id: a time-based UUID. Made here when left out.")
@click.option("--domain", help="The domain the event carries.")
@click.option("--tag", "tags", multiple=True, help="A tag the event carries; may be repeated.")
@json_option
def append(
    type_: str,
    entity: str,
    data: str,
    context: Context,
    id_: str | None,
    domain: str | None,
    tags: tuple[str, ...],
    as_json: bool,
    settings: Settings,
) -> None:
    """Record that an event of TYPE happened to ENTITY, with DATA: a JSON object, or - to read it.

    Prints where it stands. The same --id again with the same content stores nothing and prints the same.
    """
    body = sys.stdin.buffer.read(DATA_BYTES_MAX + 1) if data == "-" else data.encode()
    event = NewEvent(
        type=type_,
        entity=entity_id(entity),
        data=body,
        id=event_id(id_) if id_ else b"",
        domain=domain,
        tags=tags,
    )
    asyncio.run(_append(context, settings, event, Output(as_json=as_json)))


async def _append(context: Context, settings: Settings, event: NewEvent, answer: Output) -> None:
    async with opened_one(context, settings, make=True) as live:
        committed, (named,) = await live.append([event])
    (receipt,) = committed.receipts
    stored = id_text(named.id)
    if answer.as_json:
        answer.record(
            {
                "event_id": stored,
                "position": receipt.position,
                "version": receipt.version,
                "repeated": committed.repeated,
            }
        )
        return
    before = " (stored before)" if committed.repeated else ""
    answer.text(f"{stored}  position {receipt.position}  version {receipt.version}{before}")


@click.command()
@app_argument
@with_context
@with_criteria
@click.option("-n", "--last", type=click.IntRange(0), default=10, show_default=True,
              help="Begin with this many of the newest.")  # fmt: skip
@click.option("--after", type=click.IntRange(0), help="Begin behind this position instead.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is recorded from now on.")
@click.option("--format", "template", help="Such as '{position} {type} {data.sku}'.")
@json_option
def tail(
    context: Context,
    criteria: Criteria,
    last: int,
    after: int | None,
    follow: bool,
    template: str | None,
    as_json: bool,
    settings: Settings,
) -> None:
    """Print the newest events in the order they were recorded, and with -f those that come.

    A line shows position, time, type, entity and data. --format takes the names of an event's JSON, and
    what is inside it by dots; --json prints all of it.
    """
    answer = Output(as_json=as_json)
    show = _shower(answer, template)
    asyncio.run(_tail(context, settings, criteria, last, after, show, follow=follow))


async def _tail(
    context: Context,
    settings: Settings,
    criteria: Criteria,
    last: int,
    after: int | None,
    show: Show,
    *,
    follow: bool,
) -> None:
    async with opened_one(context, settings) as live:
        head = await live.log.head()
        if after is None:
            after = await _position_before(live.log, criteria, last, head) if last else head
        await _show_between(live.log, criteria, after, head, show)
        while follow:
            reached, head = head, await live.log.advanced(head, FOLLOW_SECONDS)
            if head > reached:
                await _show_between(live.log, criteria, reached, head, show)


async def _position_before(log: Log, criteria: Criteria, last: int, head: int) -> int:
    """Give the position behind which the newest ``last`` events stand."""
    before = head
    async for events in log.read(Read(criteria=criteria, backwards=True, upto=head, limit=last)):
        before = events[-1].position - 1
    return before


async def _show_between(log: Log, criteria: Criteria, after: int, head: int, show: Show) -> None:
    async for events in log.read(Read(criteria=criteria, after=after, upto=head)):
        show(events)


def _shower(answer: Output, template: str | None) -> Show:
    """Choose how events are shown."""
    if answer.as_json:
        return lambda events: answer.lines(b"".join(write_event(event) + b"\n" for event in events))
    fill = compile_template(template or "{position}  {happened_at}  {type}  {entity_id}  {data}")

    def show(events: Sequence[RecordedEvent]) -> None:
        for event in events:
            answer.text(fill(write_event(event)))

    return show
