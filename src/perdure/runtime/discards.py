"""Events that an operator discarded: left out of one key for ever, and who said so.

A record for each, beside no generation: it holds through every refold, restart and rebuild, so that a model
is a function of the set of its events less these. An event that could not even be read is left out by
its reactor as a whole, because nobody knows which key it had.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from perdure.core.reacting import ParkedKey, RecordNames
from perdure.core.reactions import Delivery
from perdure.ports.engine import Log
from perdure.runtime.asking import Asked
from perdure.vocabulary.commits import Put
from perdure.vocabulary.events import RecordedEvent

KIND = "discarded"
_PAGE = 1000


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a reactor leaves out of a key's model for ever.

    ``source``: it could not be read, ``key`` is its entity, and it is left out of all models of the
    reactor. ``cause`` is what it failed of, ``by`` who discarded it, ``why`` what they said.
    """

    context: str
    reactor: str
    key: str
    position: int
    event_id: UUID
    cause: str
    by: str
    why: str
    at: datetime
    source: bool = False


class Discards:
    """What one reactor leaves out, in hand."""

    def __init__(self) -> None:
        self.of_sources: dict[bytes, Discarded] = {}
        self._of_keys: dict[str, dict[bytes, Discarded]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self.of_sources.clear()
        self._of_keys.clear()

    def add(self, one: Discarded) -> None:
        """Leave an event out from now on."""
        home = self.of_sources if one.source else self._of_keys.setdefault(one.key, {})
        home[one.event_id.bytes] = one

    def of(self, key: str) -> Mapping[bytes, Discarded]:
        """Give what is left out of a key's model, by event id."""
        of_key = self._of_keys.get(key)
        return self.of_sources if of_key is None else {**self.of_sources, **of_key}

    def remaining(self, key: str, deliveries: list[Delivery]) -> list[Delivery]:
        """Give the deliveries of a key that are not left out."""
        of_key = self._of_keys.get(key)
        if of_key is None:
            return deliveries
        return [delivery for delivery in deliveries if delivery.event.id not in of_key]

    def readable(self, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
        """Give the events that may be read at all."""
        if not self.of_sources:
            return events
        return [event for event in events if event.id not in self.of_sources]


def discarded(context: str, reactor: str, parked: ParkedKey, asked: Asked) -> Discarded:
    """Say that the event a key stands at is left out, because somebody asks for it."""
    return Discarded(
        context=context,
        reactor=reactor,
        key=parked.key,
        position=parked.position,
        event_id=UUID(parked.event_id),
        cause=parked.cause,
        by=asked.by,
        why=asked.why,
        at=asked.at,
        source=parked.source,
    )


async def load_discards(
    log: Log, names: RecordNames, discards: Discards, key: str | None = None
) -> None:
    """Read what a reactor leaves out: everything, or only what concerns a key."""
    of_keys = names.parked("") if key is None else names.discarded(key)
    for prefix in (names.parked("", source=True), of_keys):
        async for one in _under(log, prefix):
            if key is None or one.source or one.key == key:
                discards.add(one)


async def all_discarded(log: Log) -> AsyncIterator[Discarded]:
    """Give all discarded events of a context: by reactor, then by key."""
    async for one in _under(log, ""):
        yield one


def put_discarded(names: RecordNames, one: Discarded) -> Put:
    """Write the record."""
    name = names.discarded(one.key, one.event_id.hex, source=one.source)
    return Put(KIND, name, msgspec.json.encode(one))


async def _under(log: Log, prefix: str) -> AsyncIterator[Discarded]:
    after = ""
    while records := await log.records(KIND, prefix=prefix, after=after, limit=_PAGE):
        for record in records:
            yield msgspec.json.decode(record.value, type=Discarded)
        after = records[-1].key
