"""The events of one key, read again: for a refold, for a model as of an earlier place, for a story.

Where the key is the entity or the whole context, the log is its own ledger: it is indexed by entity and
by happened. Re-keyed reactors write a ledger entry with each event they fold, because no index knows
which key an event had.
"""

from collections.abc import AsyncIterator, Collection, Mapping

from perdure.core.folding import Place
from perdure.core.reacting import ParkedKey, RecordNames
from perdure.core.reactor import Reactor
from perdure.ports.engine import Log
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import id_text, parse_id
from perdure.vocabulary.reading import Read

#: How many ledger entries are looked up at a time.
PAGE = 500


class KeyHistory:
    """Reads the events of a reactor's keys."""

    def __init__(self, log: Log, reactor: Reactor, names: RecordNames) -> None:
        self._log, self._reactor, self._names = log, reactor, names

    async def read(
        self, key: str, *, generation: int, after: Place | None = None, upto: int | None = None,
        until_ticks: int | None = None, waiting: Mapping[str, ParkedKey] | None = None,
        without: Collection[bytes] = (),
    ) -> AsyncIterator[list[RecordedEvent]]:  # fmt: skip
        """Give the key's events in folding order, behind the place ``after``.

        ``upto`` bounds positions, ``until_ticks`` the time they happened; events of ``waiting`` sources,
        and those named by id in ``without``, are left out.
        """
        batches = (
            self._by_ledger(key, generation, after)
            if self._reactor.keying == "field"
            else self._by_log(key, after, upto)
        )
        async for batch in batches:
            events = [
                event
                for event in batch
                if (upto is None or event.position <= upto)
                and (until_ticks is None or event.ticks <= until_ticks)
                and event.id not in without
                and not _is_waiting(event, waiting)
            ]
            if events:
                yield events

    def _by_log(
        self, key: str, after: Place | None, upto: int | None
    ) -> AsyncIterator[list[RecordedEvent]]:
        wanted = self._reactor.criteria
        entities = (parse_id(key),) if self._reactor.keying == "entity" else ()
        return self._log.read(
            Read(
                criteria=Criteria(wanted.types, wanted.domains, entities, wanted.tags),
                order=self._reactor.order,
                following=after[1] if after and after[1] else None,
                upto=upto,
            )
        )

    async def _by_ledger(
        self, key: str, generation: int, after: Place | None
    ) -> AsyncIterator[list[RecordedEvent]]:
        prefix = self._names.ledger(generation, key)
        last = prefix if after is None or not after[1] else _entry(prefix, after)
        while True:
            records = await self._log.records("ledger", prefix=prefix, after=last, limit=PAGE)
            if not records:
                return
            last = records[-1].key
            # a key may begin with another key and a slash; an entry's place holds no slash
            ids = [bytes.fromhex(r.key[-32:]) for r in records if "/" not in r.key[len(prefix) :]]
            events = await self._log.events(ids)
            if self._reactor.order == "happened":
                events.sort(key=lambda event: event.happened)
            if events:
                yield events


def _entry(prefix: str, place: Place) -> str:
    return f"{prefix}{place[0]:016x}{place[1].hex()}"


def _is_waiting(event: RecordedEvent, waiting: Mapping[str, ParkedKey] | None) -> bool:
    if not waiting:
        return False
    parked = waiting.get(id_text(event.entity))
    return parked is not None and event.position >= parked.since
