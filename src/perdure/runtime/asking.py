"""What an operator asks for a parked key: a durable request, beside the key's own record.

One rule: only the react loop changes what a reactor keeps, under its lease and its checkpoint's
compare-and-set. So whoever asks, in whichever process, writes what is wanted; the loop that works the key
sees it within a second, or when it starts. A request stands on the very event that was looked at: where the
key has gone on meanwhile, nothing is written, or nothing is done.
"""

from datetime import datetime
from typing import Literal

import msgspec

from perdure.core.reacting import ParkedKey, RecordNames
from perdure.ports.engine import Log
from perdure.vocabulary.commits import Commit, Committed, Put, RecordAt
from perdure.vocabulary.errors import ParkedNotFound

KIND = "asked"
Verb = Literal["release", "discard"]
_PAGE = 1000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of a parked key, while it stands at this event."""

    verb: Verb
    key: str
    source: bool
    event_id: str
    by: str
    why: str
    at: datetime


async def ask(log: Log, names: RecordNames, asked: Asked) -> None:
    """Write a request, in place of an earlier one. Raises ``ParkedNotFound`` when the key has gone on."""
    name = names.parked(asked.key, source=asked.source)
    while (record := await log.record("parked", name)) is not None:
        if msgspec.json.decode(record.value, type=ParkedKey).event_id != asked.event_id:
            break
        commit = Commit(
            guards=(RecordAt("parked", name, record.revision),),
            records=(Put(KIND, name, msgspec.json.encode(asked)),),
        )
        (verdict,) = await log.commit([commit])
        if isinstance(verdict, Committed):
            return
    raise ParkedNotFound(
        f"{names.reactor} {asked.key!r} is not parked at event {asked.event_id} any more"
    )


async def asked_of(log: Log, names: RecordNames) -> list[Asked]:
    """Give what was asked for a reactor's parked keys, and is not done."""
    found: list[Asked] = []
    prefix, after = f"{names.reactor}/", ""
    while records := await log.records(KIND, prefix=prefix, after=after, limit=_PAGE):
        found += (msgspec.json.decode(record.value, type=Asked) for record in records)
        after = records[-1].key
    return found


def forget(names: RecordNames, key: str, *, source: bool) -> Put:
    """Take a request away: it is being done, or has lost its object."""
    return Put(KIND, names.parked(key, source=source), None)
