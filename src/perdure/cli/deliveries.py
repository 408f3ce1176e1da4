"""What was given out and is not delivered, as an operator sees it: what it is, and why it stands still.

An intent says what is to be delivered and when; a record beside it, that it is parked. Both are values in
the log: looking at them needs no declaration, and no server.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from perdure.cli.paging import records
from perdure.core.parcels import Parcel, unpack
from perdure.ports.engine import Log
from perdure.runtime.undelivered import KIND, Undelivered
from perdure.vocabulary.commits import Intent, Record
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.ids import id_text, moment_of, parse_id, ticks_of


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An open intent. ``state``: it waits for its time, is due, or is parked.

    ``name`` is that of the effect, of the command with the kind of entity before it, of the event's
    type, or of the tick with its schedule. ``due`` is missing for what is due at once. The rest is of
    parked ones: ``outcome`` ``unknown`` means that the last attempt may have done it all the same.
    """

    context: str
    id: str
    kind: str
    target: str
    name: str
    ordering: str
    state: Literal["waiting", "due", "parked"]
    due: datetime | None
    attempts: int = 0
    outcome: Literal["failed", "unknown"] | None = None
    cause: str = ""
    since: datetime | None = None


async def parked(log: Log) -> AsyncIterator[tuple[Intent, Undelivered]]:
    """Give the deliveries that stand still, in order of id.

    A record that outlived its intent says nothing, and is left out.
    """
    async for record in records(log, KIND):
        intent = await log.intent(parse_id(record.key))
        if intent is not None:
            yield intent, read_parked(record)


async def parked_among(log: Log, intents: list[Intent]) -> dict[bytes, Undelivered]:
    """Give what is parked of these, by the id of the intent."""
    found = await log.records(KIND, [id_text(intent.id) for intent in intents])
    return {parse_id(record.key): read_parked(record) for record in found}


def read_parked(record: Record) -> Undelivered:
    """Read the record of a parked delivery."""
    return msgspec.json.decode(record.value, type=Undelivered)


def describe(context: str, intent: Intent, record: Undelivered | None, now: int) -> Delivery:
    """Say what an intent is, and how it stands at this time (microseconds since 1970)."""
    about = Delivery(
        context=context,
        id=id_text(intent.id),
        kind=intent.kind,
        target=intent.target,
        name=_name(intent),
        ordering=intent.ordering,
        state="waiting" if intent.due > now else "due",
        due=moment(intent.due) if intent.due else None,
    )
    if record is None:
        return about
    return msgspec.structs.replace(
        about,
        state="parked",
        attempts=record.attempts,
        outcome=record.outcome,
        cause=record.cause,
        since=moment(record.at),
    )


def content(intent: Intent) -> tuple[dict[str, Any], msgspec.Raw]:
    """Give what an intent holds, and its metadata: who gave it out, and why. Raises ``InvalidData``."""
    if intent.kind == "tick":
        return {"name": intent.target}, msgspec.Raw(b"{}")
    parcel = unpack(intent)
    if parcel.event is None:
        held: dict[str, Any] = {"name": parcel.name, "data": msgspec.Raw(parcel.data)}
        if parcel.domain:
            held |= {"domain": parcel.domain, "entity_id": id_text(parcel.entity)}
        return _with_timer(held, parcel), msgspec.Raw(parcel.metadata or b"{}")
    event = parcel.event
    held = {
        "event_id": id_text(event.id),
        "type": event.type,
        "domain": event.domain,
        "entity_id": id_text(event.entity),
        "data": msgspec.Raw(event.data),
        "tags": event.tags,
    }
    return _with_timer(held, parcel), msgspec.Raw(event.metadata or b"{}")


def moment(micros: int) -> datetime:
    """Give the UTC time of microseconds since 1970."""
    return moment_of(ticks_of(micros))


def moment_text(when: datetime | None) -> str:
    """Write a time to the second; ``None`` is at once."""
    return "at once" if when is None else f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _with_timer(held: dict[str, Any], parcel: Parcel) -> dict[str, Any]:
    return held | {"timer": parcel.timer} if parcel.timer else held


def _name(intent: Intent) -> str:
    """Name what is delivered; what cannot be read has no name, and is listed all the same."""
    if intent.kind == "tick":
        return intent.target
    try:
        parcel = unpack(intent)
    except InvalidData:
        return ""
    if parcel.event is not None:
        return parcel.event.type
    return f"{parcel.domain}.{parcel.name}" if parcel.domain else parcel.name
