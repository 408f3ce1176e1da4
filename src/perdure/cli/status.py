"""``perdure status``: how much each context holds, and how far its reactors and subscriptions are.

What is shown is read from the records that these keep; so it is the same wherever they run.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import click
import msgspec

from perdure.cli.deliveries import moment, moment_text, parked
from perdure.cli.loading import choose_contexts, opened
from perdure.cli.options import app_argument, context_option, json_option, with_settings
from perdure.cli.output import Output
from perdure.cli.paging import intents, records
from perdure.core.parcels import KINDS, Kind
from perdure.core.reacting import Checkpoint, RecordNames
from perdure.core.reactor import Reactor
from perdure.core.slots import slot_of
from perdure.ports.engine import Log
from perdure.ports.environment import Environment, Node
from perdure.runtime.config import Settings
from perdure.runtime.cursors import KIND as CURSOR
from perdure.runtime.cursors import Cursor, read_cursor, slots_of
from perdure.runtime.groups import lease_key
from perdure.runtime.leases import process_of
from perdure.runtime.live import LiveContext
from perdure.vocabulary.commits import Record
from perdure.vocabulary.reading import Read

#: Count no further than this how many events a reactor has before it.
LAG_COUNTED_MAX = 10_000


class ReactorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far one slot of a reactor is.

    ``lag`` counts the events it has yet to take, up to ``LAG_COUNTED_MAX``; ``None`` when nobody declared
    which those are. ``holder`` is the process that works it: empty when none does.
    """

    name: str
    position: int
    lag: int | None
    parked: int
    degraded: bool
    generation: int
    holder: str


class SubscriptionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a subscription is: the slot that is furthest back, and the processes that read.

    ``lag`` counts the events that its slots have yet to give, up to ``LAG_COUNTED_MAX``.
    """

    name: str
    slots: int
    position: int
    lag: int
    holders: list[str]


class ParkedStatus(msgspec.Struct, frozen=True):
    """The deliveries that stand still: how many, and since when and why the oldest does."""

    count: int = 0
    since: datetime | None = None
    cause: str = ""


class ContextStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How much one context holds.

    ``undelivered`` counts its open intents by kind, and ``due`` those of them that are due, parked ones
    included: each up to ``LAG_COUNTED_MAX``. ``deliverer`` is the process that delivers them: empty when
    none does.
    """

    context: str
    events: int
    entities: int
    bytes: int
    head: int
    undelivered: dict[Kind, int]
    due: dict[Kind, int]
    parked: ParkedStatus
    deliverer: str
    reactors: list[ReactorStatus]
    subscriptions: list[SubscriptionStatus]


@click.command()
@app_argument
@context_option
@json_option
@with_settings
def status(app: str | None, context_name: str | None, as_json: bool, settings: Settings) -> None:
    """Show how much each context holds, and how far its reactors and subscriptions are.

    Those of MODULE:APP, or all in the store. Without MODULE:APP nobody knows which events a reactor
    takes, and so not how many it has before it.
    """
    answer = Output(as_json=as_json)
    for found in asyncio.run(_status(app, context_name, settings)):
        if as_json:
            answer.record(found)
        else:
            _print(found, answer)


async def _status(
    app: str | None, context_name: str | None, settings: Settings
) -> list[ContextStatus]:
    contexts = choose_contexts(app, context_name, settings.store)
    async with opened(contexts, settings) as opened_app:
        environment = opened_app.environment
        return [await context_status(live, environment) for live in opened_app.contexts.values()]


async def context_status(live: LiveContext, environment: Environment) -> ContextStatus:
    """Look at one context."""
    now, node = environment.clock.now(), environment.node
    size, head = await live.size(), await live.log.head()
    leases = {record.key: record async for record in records(live.log, "lease")}
    reactors = [
        await _reactor_status(live, record, head, leases.get(record.key), node)
        async for record in records(live.log, "checkpoint")
    ]
    return ContextStatus(
        context=live.name,
        events=size.events,
        entities=size.entities,
        bytes=size.bytes,
        head=head,
        undelivered={kind: await _count(live.log, kind) for kind in KINDS},
        due={kind: await _count(live.log, kind, now) for kind in KINDS},
        parked=await _parked(live.log),
        deliverer=_holder(leases.get("deliver/0"), node),
        reactors=reactors,
        subscriptions=await _subscriptions(live.log, head, leases, node),
    )


async def _count(log: Log, kind: Kind, due: int | None = None) -> int:
    """Count open intents, up to ``LAG_COUNTED_MAX``."""
    count = 0
    async for page in intents(log, kind, due=due):
        count += len(page)
        if count >= LAG_COUNTED_MAX:
            return LAG_COUNTED_MAX
    return count


async def _parked(log: Log) -> ParkedStatus:
    count, oldest = 0, None
    async for _, record in parked(log):
        count += 1
        if oldest is None or record.at < oldest.at:
            oldest = record
    if oldest is None:
        return ParkedStatus()
    cause = f"{oldest.kind} {oldest.target} {oldest.outcome}: {oldest.cause}"
    return ParkedStatus(count, moment(oldest.at), cause)


async def _reactor_status(
    live: LiveContext, record: Record, head: int, lease: Record | None, node: Node
) -> ReactorStatus:
    name = record.key.rpartition("/")[0]
    checkpoint = msgspec.json.decode(record.value, type=Checkpoint)
    reactor = live.definition.reactors.get(name)
    lag = None if reactor is None else await _lag(live.log, reactor, checkpoint.position, head)
    names = RecordNames(name)
    keys = [
        found
        for source in (False, True)
        async for found in records(live.log, "parked", names.parked("", source=source))
    ]
    return ReactorStatus(
        name=name,
        position=checkpoint.position,
        lag=lag,
        parked=len(keys),
        degraded=checkpoint.degraded,
        generation=checkpoint.generation,
        holder=_holder(lease, node),
    )


async def _lag(log: Log, reactor: Reactor, position: int, head: int) -> int:
    lag = 0
    request = Read(criteria=reactor.criteria, after=position, upto=head, limit=LAG_COUNTED_MAX)
    async for events in log.read(request):
        lag += len(events)
    return lag


async def _subscriptions(
    log: Log, head: int, leases: Mapping[str, Record], node: Node
) -> list[SubscriptionStatus]:
    stored = [record async for record in records(log, CURSOR)]
    found = []
    for name, slots in slots_of(stored).items():
        cursors = [read_cursor(record) for record in slots]
        held = [_holder(leases.get(lease_key(name, slot)), node) for slot in range(len(slots))]
        found.append(
            SubscriptionStatus(
                name=name,
                slots=len(slots),
                position=min(cursor.position for cursor in cursors),
                lag=await _lag_of_slots(log, cursors, head),
                holders=sorted({holder for holder in held if holder}),
            )
        )
    return found


async def _lag_of_slots(log: Log, cursors: Sequence[Cursor], head: int) -> int:
    lag, first = 0, min(cursor.position for cursor in cursors)
    async for events in log.read(Read(criteria=cursors[0].criteria, after=first, upto=head)):
        for event in events:
            lag += event.position > cursors[slot_of(event.entity, len(cursors))].position
        if lag >= LAG_COUNTED_MAX:
            return LAG_COUNTED_MAX
    return lag


def _holder(lease: Record | None, node: Node) -> str:
    """Name the process that holds a lease; empty for one that is given back or has ended."""
    holder = lease.value.decode() if lease else ""
    return "" if node.is_gone(process_of(holder)) else holder


def _print(found: ContextStatus, answer: Output) -> None:
    answer.text(
        f"{found.context}  events {found.events:,}  entities {found.entities:,}  "
        f"size {_size(found.bytes)}  head {found.head:,}",
        style="bold",
    )
    _print_deliveries(found, answer)
    if found.reactors:
        _print_reactors(found, answer)
    else:
        answer.text("  no reactor has worked here yet")
    if found.subscriptions:
        _print_subscriptions(found, answer)


def _print_reactors(found: ContextStatus, answer: Output) -> None:
    answer.table(
        ("  reactor", "position", "lag", "parked", "state", "worked by"),
        [
            (
                f"  {one.name}",
                one.position,
                "?" if one.lag is None else _counted(one.lag),
                one.parked,
                "degraded" if one.degraded else "parked" if one.parked else "ok",
                _process(one.holder),
            )
            for one in found.reactors
        ],
    )


def _print_subscriptions(found: ContextStatus, answer: Output) -> None:
    answer.table(
        ("  subscription", "slots", "position", "lag", "read by"),
        [
            (
                f"  {one.name}",
                one.slots,
                one.position,
                _counted(one.lag),
                ", ".join(dict.fromkeys(map(_process, one.holders))) or "nobody",
            )
            for one in found.subscriptions
        ],
    )


def _print_deliveries(found: ContextStatus, answer: Output) -> None:
    """Say what is still to be delivered, when there is anything."""
    for kind, count in found.undelivered.items():
        if count:
            due = _counted(found.due[kind])
            answer.text(f"  undelivered {kind}s {_counted(count)}, due {due}")
    if any(found.undelivered.values()):
        answer.text(f"  delivered by {_process(found.deliverer)}")
    if found.parked.count:
        answer.text(
            f"  parked deliveries {found.parked.count:,}, the oldest since "
            f"{moment_text(found.parked.since)}: {found.parked.cause}",
            style="red",
        )


def _process(holder: str) -> str:
    """Name the holder of a lease for people: the process id, where the node's name has one."""
    parts = holder.split(":")
    return f"process {parts[1]}" if len(parts) == 3 else holder or "nobody"


def _counted(number: int) -> str:
    return f"{number:,}+" if number >= LAG_COUNTED_MAX else f"{number:,}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"
