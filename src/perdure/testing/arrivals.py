"""Events that arrive in some order at a fresh application in memory, and the models that come of it.

One rule: they are history. They are recorded as an import records them, so that nothing is given out for them
and only the models show what the order did. ``shuffle`` and ``delivery`` say which orders, ``telling`` what
they came to.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from perdure.core.context import Context
from perdure.core.definition import define
from perdure.core.reacting import Routed, route
from perdure.core.reactor import Reactor
from perdure.core.service import Service
from perdure.core.system import SYSTEM_EVENTS
from perdure.runtime.live import LiveContext
from perdure.testing.apps import NeverAtRest, open_app
from perdure.testing.clock import START
from perdure.vocabulary.commits import Commit
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import make_event_id, ticks_of

#: Where a model is: the domain it is kept under, and its key.
Place: TypeAlias = tuple[str, str]
#: Models as JSON, by their places; of one that stands still, why.
Models: TypeAlias = dict[Place, bytes]
#: What may be told of the past: events with an id each, or in the order they happened in.
Past: TypeAlias = Sequence[NewEvent | RecordedEvent]

_PARKED = b"parked: "
_PAGE = 1000
_TURNS_MAX = 200_000
_NODE = 1 << 40  # the multicast bit: no network card has this address


@dataclass(frozen=True)
class Replay:
    """Services of a context, to be given events in one order after another."""

    context: Context

    @classmethod
    def of(cls, context: Context, services: Iterable[str]) -> "Replay":
        """Take these services of a context alone, and nothing that acts by itself."""
        alone = copy(context)
        alone.services = {name: _silent(context.services[name]) for name in services}
        alone.kinds, alone.lows, alone.effects, alone.ticks = {}, [], [], {}
        alone.tables, alone.writers = [], []
        return cls(alone)

    @property
    def reactors(self) -> Mapping[str, Reactor]:
        """The services, read. Raises ``DefinitionError``."""
        return define(self.context).reactors

    async def models(self, batches: Iterable[Sequence[NewEvent]]) -> Models:
        """Give the models after batches of events, each of which is worked through before the next."""
        async with open_app(self.context, function_seconds_max=0) as app:
            live = app.context(self.context.name)
            for batch in batches:
                await live.log.commit([Commit(events=(event,)) for event in batch])
                await _taken(live)
            return {place: json async for place, json in kept(live)}


class Services:
    """The services of a context, by what order may do to them.

    ``shuffled`` must not mind any; ``recorded`` take one order, and must not mind repetition; ``served`` take
    what the server itself does, so that every replay adds to it.
    """

    def __init__(self, context: Context) -> None:
        self.reactors = Replay.of(context, context.services).reactors
        self.of_domain = {d: each for each in self.reactors.values() for d in each.domains}
        self.served = {
            name
            for name, each in self.reactors.items()
            if any(type_ in SYSTEM_EVENTS for type_ in each.reactions)
        }
        by_happened = {name for name, each in self.reactors.items() if each.order == "happened"}
        self.shuffled = by_happened - self.served
        self.recorded = self.reactors.keys() - by_happened - self.served

    def difference(self, first: Models, second: Models, services: Set[str]) -> Place | None:
        """Give the first place, in order of name and key, where the models of services differ."""
        for place in sorted(first.keys() | second.keys()):
            reactor = self.of_domain.get(place[0])
            if reactor and reactor.name in services and not same(reactor, place, first, second):
                return place
        return None

    def left_out(self, context: str) -> list[str]:
        """Say which services are not shuffled, and why."""
        return [
            *(
                f'{name} of {context}: declared order="recorded", it was replayed in that order'
                for name in sorted(self.recorded)
            ),
            *(
                f"{name} of {context}: it takes what the server does"
                for name in sorted(self.served)
            ),
        ]


async def kept(live: LiveContext) -> AsyncIterator[tuple[Place, bytes]]:
    """Give every model that the services of a context keep, as JSON; of one that is parked, the cause."""
    parked = {(view.reactor, view.key): view.cause async for view in live.parked.all()}
    for reactor in live.definition.reactors.values():
        for domain in reactor.domains:
            behind = ""
            while page := await live.models.page(domain, behind=behind, limit=_PAGE):
                for view in page:
                    if (reactor.name, view.key) not in parked:
                        yield (domain, view.key), view.json
                behind = page[-1].key
                if not behind:
                    break  # a single model
    for (name, key), cause in parked.items():
        yield (name, key), _PARKED + cause.encode()


def is_parked(json: bytes) -> bool:
    """Tell whether a model stands still, instead of being there."""
    return json.startswith(_PARKED)


def same(reactor: Reactor, place: Place, first: Models, second: Models) -> bool:
    """Tell whether two replays came to equal models at a place, however these are written."""
    one, other = first.get(place), second.get(place)
    if one == other:
        return True
    if one is None or other is None or is_parked(one) or is_parked(other):
        return False
    codec = reactor.codecs[reactor.domains.index(place[0])]
    return bool(codec.decode(one) == codec.decode(other))


def past(events: Past) -> list[NewEvent]:
    """Give events as an import would record them: each with an id, none of them to be answered."""
    found: list[NewEvent] = []
    for number, event in enumerate(events):
        metadata = msgspec.json.decode(event.metadata) if event.metadata else {}
        found.append(
            NewEvent(
                type=event.type,
                entity=event.entity,
                id=event.id or make_event_id(ticks_of(START) + number, 0, _NODE),
                data=event.data,
                domain=event.domain,
                tags=event.tags,
                metadata=msgspec.json.encode({**metadata, "imported": True}),
            )
        )
    return found


def of_key(reactor: Reactor, events: Sequence[NewEvent], key: str) -> list[NewEvent]:
    """Give those events that a model of this key is made of."""
    recorded = [
        RecordedEvent(
            position=place,
            version=0,
            ticks=event.ticks,
            recorded_at=0,
            **{name: getattr(event, name) for name in NewEvent.__struct_fields__},
        )
        for place, event in enumerate(events)
        if reactor.criteria.matches(event)
    ]
    routed = Routed({}, [])
    route(reactor, recorded, {}, routed, live_from=0)
    return [events[delivery.event.position] for delivery in routed.by_key.get(key, [])]


def _silent(service: Service[Any]) -> Service[Any]:
    """Give a service that gives out nothing for history, whatever it was declared to do."""
    other = copy(service)
    other.emit_history = False
    return other


async def _taken(live: LiveContext) -> None:
    """Wait until every service has taken all that is recorded."""
    head = await live.head()
    for _ in range(_TURNS_MAX):
        if all(loop.reached >= head for loop in live.loops.values()):
            return
        await asyncio.sleep(0)
    behind = [loop.reactor.name for loop in live.loops.values() if loop.reached < head]
    raise NeverAtRest(f"{', '.join(behind)} did not take the events: {live.troubles()}")
