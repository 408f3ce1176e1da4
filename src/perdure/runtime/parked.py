"""Parked keys as an operator sees them: which stand still and why, whether they would go on, what is asked.

Reads records and folds for a look; what changes something is asked of the react loop (see ``asking``). It
works beside a running server, in any process.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec

from perdure.core.definition import Definition
from perdure.core.reacting import Checkpoint, ParkedKey, RecordNames, Routed
from perdure.core.reactor import Reactor
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.asking import KIND as ASKED
from perdure.runtime.asking import Asked, Verb, ask
from perdure.runtime.discards import Discarded, Discards, all_discarded, load_discards
from perdure.runtime.routing import Router
from perdure.runtime.trial import Trial, try_out
from perdure.runtime.watchdog import Watchdog
from perdure.vocabulary.commits import Record
from perdure.vocabulary.errors import ConfigurationError, InvalidInput, ParkedNotFound
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import entity_named, moment_of, ticks_of

#: Count no further than this how many events queue behind one.
WAITING_COUNTED_MAX = 10_000
_PAGE = 100


class ParkedView(msgspec.Struct, frozen=True, kw_only=True):
    """A key of a reactor that stands still behind an event that keeps failing.

    ``id`` names it as it stands at this event. ``source``: an event could not be read, and ``key`` is its
    entity. ``hung``: what was called did not return, and the process was ended. ``waiting`` counts the
    events recorded after it that queue behind it, among the first 10,000 that the reactor took since;
    ``None`` where the reactor is not declared, or counting them would call what hung. ``asked`` is what an
    operator asked for and is not done yet.
    """

    id: UUID
    context: str
    reactor: str
    key: str
    position: int
    event_id: UUID
    cause: str
    traceback: str
    attempts: int
    waiting: int | None
    source: bool
    hung: bool
    asked: Verb | Literal[""]


class ParkedKeys:
    """The parked keys of one context."""

    def __init__(
        self, definitions: Mapping[str, Definition], context: str, log: Log, clock: Clock,
        watchdog: Watchdog,
    ) -> None:  # fmt: skip
        self._definitions, self._context, self._log = definitions, context, log
        self._clock, self._watchdog = clock, watchdog

    async def page(
        self, *, after: str = "", limit: int = _PAGE, count: bool = True
    ) -> list[tuple[str, ParkedView]]:
        """Give parked keys in order of reactor and key, each with its place: ``after`` takes that.

        With ``count``, with how many events are waiting: that reads them.
        """
        records = await self._log.records("parked", after=after, limit=limit)
        return [(record.key, await self._view(record, count=count)) for record in records]

    async def all(self, *, count: bool = True) -> AsyncIterator[ParkedView]:
        """Give all parked keys, in order of reactor and key; otherwise as ``page``."""
        after = ""
        while page := await self.page(after=after, count=count):
            for place, view in page:
                yield view
                after = place

    async def releasable(
        self, reactor: str | None, cause: str | None, *, hung: bool
    ) -> AsyncIterator[ParkedView]:
        """Give those of a reactor, or whose cause has this text in it; ``hung``: did not return, too."""
        async for parked in self.all(count=False):
            is_meant = reactor in (None, parked.reactor) and (cause or "") in parked.cause
            if is_meant and (hung or not parked.hung):
                yield parked

    async def find(self, id_: UUID) -> ParkedView:
        """Give the parked key with this id. Raises ``ParkedNotFound``."""
        after = ""
        while records := await self._log.records("parked", after=after, limit=1000):
            for record in records:
                if self._id(record.key.partition("/")[0], _read(record)) == id_:
                    return await self._view(record, count=True)
            after = records[-1].key
        raise ParkedNotFound(f"no key is parked under {id_}")

    async def would_succeed(self, parked: ParkedView) -> Trial:
        """Fold what waits behind a parked key with today's code, for a look; see ``Trial``."""
        reactor = self._reactor(parked.reactor)
        if reactor is None:
            raise ConfigurationError(
                f"no reactor {parked.reactor!r} is declared in context {self._context!r} here"
            )
        key = await self._stored(parked)
        return await try_out(
            self._log, self._definitions, self._context, reactor, key, self._clock, self._watchdog
        )

    async def release(
        self, parked: ParkedView, *, hung: bool = False, by: str = "", why: str = ""
    ) -> None:
        """Ask that a parked key be tried again, from its first attempt.

        Raises ``InvalidInput`` for what did not return, unless ``hung``; ``ParkedNotFound``.
        """
        if parked.hung and not hung:
            raise InvalidInput(
                f"{parked.reactor} {parked.key!r} stands at a call that did not return: trying it again "
                "may end the server. Say so with hung, or discard the event",
                "hung",
            )
        await self._ask(parked, "release", by, why)

    async def discard(self, parked: ParkedView, *, by: str = "", why: str = "") -> None:
        """Ask that the event be left out of the key for ever. Raises ``ParkedNotFound``."""
        await self._ask(parked, "discard", by, why)

    def discarded(self) -> AsyncIterator[Discarded]:
        """Give what was discarded, by reactor and key."""
        return all_discarded(self._log)

    async def _ask(self, parked: ParkedView, verb: Verb, by: str, why: str) -> None:
        asked = Asked(
            verb=verb,
            key=parked.key,
            source=parked.source,
            event_id=str(parked.event_id),
            by=by,
            why=why,
            at=moment_of(ticks_of(self._clock.now())),
        )
        await ask(self._log, RecordNames(parked.reactor), asked)

    async def _view(self, record: Record, *, count: bool) -> ParkedView:
        reactor, key = record.key.partition("/")[0], _read(record)
        asked = await self._log.record(ASKED, record.key)
        return ParkedView(
            id=self._id(reactor, key),
            context=self._context,
            reactor=reactor,
            key=key.key,
            position=key.position,
            event_id=UUID(key.event_id),
            cause=key.cause,
            traceback=key.traceback,
            attempts=key.attempts,
            waiting=await self._waiting(reactor, key) if count else None,
            source=key.source,
            hung=bool(key.code),
            asked=msgspec.json.decode(asked.value, type=Asked).verb if asked else "",
        )

    async def _waiting(self, name: str, parked: ParkedKey) -> int | None:
        """Count what queues behind the event that failed."""
        reactor = self._reactor(name)
        if reactor is None or (reactor.keying == "field" and parked.code):
            return None
        names, discards = RecordNames(name), Discards()
        await load_discards(self._log, names, discards, None if parked.source else parked.key)
        router = Router(self._log, self._context, reactor, discards, self._watchdog)
        record = await self._log.record("checkpoint", names.slot_key)
        upto = msgspec.json.decode(record.value, type=Checkpoint).position if record else 0
        count = 0
        async for queued, _ in router.queued(parked, upto, WAITING_COUNTED_MAX):
            events: Sequence[RecordedEvent] = queued
            if reactor.keying == "field" and not parked.source:
                routed = Routed({}, [])
                router.add(queued, {}, routed, live_from=0)
                events = [delivery.event for delivery in routed.by_key.get(parked.key, ())]
            count += sum(event.position > parked.position for event in events)
        return count

    def _reactor(self, name: str) -> Reactor | None:
        return self._definitions[self._context].reactors.get(name)

    async def _stored(self, parked: ParkedView) -> ParkedKey:
        name = RecordNames(parked.reactor).parked(parked.key, source=parked.source)
        record = await self._log.record("parked", name)
        if record is None:
            raise ParkedNotFound(f"{parked.reactor} {parked.key!r} is not parked any more")
        return _read(record)

    def _id(self, reactor: str, parked: ParkedKey) -> UUID:
        kind = "source" if parked.source else "key"
        named = msgspec.json.encode([self._context, reactor, kind, parked.key, parked.event_id])
        return entity_named("perdure.parked", named.decode())


def _read(record: Record) -> ParkedKey:
    return msgspec.json.decode(record.value, type=ParkedKey)
