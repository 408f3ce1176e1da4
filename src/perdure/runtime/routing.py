"""From recorded events to deliveries by key: watched, and without what is discarded.

For events that come, and for those that queue behind a parked key; the same for the react loop, which
folds them for good, and for a trial, which only looks.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from perdure.core.reacting import ParkedKey, Routed, route
from perdure.core.reactor import Reactor
from perdure.ports.engine import Log
from perdure.runtime.discards import Discards
from perdure.runtime.hanging import Waiting, hung_reading
from perdure.runtime.watchdog import Watchdog
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import parse_id
from perdure.vocabulary.reading import Read


class Router:
    """Routes the events of one reactor."""

    def __init__(
        self, log: Log, context: str, reactor: Reactor, discards: Discards, watchdog: Watchdog
    ) -> None:
        self._log, self._context, self._reactor = log, context, reactor
        self._discards, self._watchdog = discards, watchdog

    def add(
        self,
        events: Sequence[RecordedEvent],
        waiting: Mapping[str, ParkedKey],
        routed: Routed,
        *,
        live_from: int,
        retried: Waiting | None = None,
    ) -> None:
        """Route events, adding to what was routed before: reading or keying them runs the user's code.

        Those of the sources in ``waiting`` are left out: they queue. ``retried`` is what must wait when the
        user's code does not return; otherwise the event's entity.
        """
        events = self._discards.readable(events)
        turn = iter(events)
        describe = partial(hung_reading, self._context, self._reactor, events, turn, retried)
        with self._watchdog.watching(self._log, describe):
            route(self._reactor, turn, waiting, routed, live_from=live_from)

    async def queued(
        self, parked: ParkedKey, upto: int, limit: int | None = None
    ) -> AsyncIterator[tuple[list[RecordedEvent], int]]:
        """Give what may queue behind a parked key, in batches, each with the last position it holds.

        Of a re-keyed reactor all events: which of them have the key is found by reading them. What is
        discarded of the key is left out.
        """
        request = Read(
            criteria=self._criteria_of(parked), after=parked.since - 1, upto=upto, limit=limit
        )
        left_out = {} if parked.source else self._discards.of(parked.key)
        async for events in self._log.read(request):
            yield [e for e in events if e.id not in left_out], events[-1].position

    def _criteria_of(self, parked: ParkedKey) -> Criteria:
        wanted = self._reactor.criteria
        by_entity = parked.source or self._reactor.keying == "entity"
        entities = (parse_id(parked.key),) if by_entity else ()
        return Criteria(wanted.types, wanted.domains, entities, wanted.tags)
