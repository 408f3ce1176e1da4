"""The Triple Shuffle: replay everything three times over, in any order, and find the same models.

A model with ``order="happened"`` promises to be a function of the *set* of its events. This holds the promise
against a whole history, and where it is broken, shrinks that to the few events that show it.
"""

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from perdure.core.context import Context
from perdure.core.reactor import Reactor
from perdure.runtime.app import App
from perdure.testing.apps import run_until_idle
from perdure.testing.arrivals import (
    Models,
    Past,
    Place,
    Replay,
    Services,
    is_parked,
    kept,
    of_key,
    past,
    same,
)
from perdure.testing.clock import ManualClock
from perdure.testing.telling import Compared, Order, OrderMatters
from perdure.vocabulary.events import NewEvent

#: How often everything arrives, and in how many pieces at least.
_TIMES, _PIECES = 3, 8
#: How often a smaller case is tried.
_TRIES_MAX = 400

Events: TypeAlias = list[NewEvent]
#: What happened: in an application, in a context, or in several contexts by their names.
Told: TypeAlias = App | Past | Mapping[str, Past]


async def triple_shuffle(
    contexts: Context | Sequence[Context], recorded: Told, *, seeds: int = 3
) -> Compared:
    """Replay recorded events shuffled, three times over, and compare all models of all services.

    ``recorded`` is an application of these contexts, whose own models are compared besides; or the events of
    the one context, in the order they were recorded; or these by context. Once for each of ``seeds``, all
    of it is put together three times, shuffled, and appended to a fresh store in memory, in batches of any
    size. Services with ``order="recorded"`` and sagas get it in the order it was recorded, repeatedly.
    Raises ``OrderMatters`` with the smallest case that was found.
    """
    total = Compared()
    for context in [contexts] if isinstance(contexts, Context) else contexts:
        events, models = await _history(context, recorded)
        total += await _Shuffle(context, events).run(models, seeds)
    return total


async def _history(context: Context, recorded: Told) -> tuple[Events, Models | None]:
    """Give the events of a context, and the models that an application keeps of them."""
    if isinstance(recorded, App):
        live = recorded.context(context.name)
        if isinstance(recorded.environment.clock, ManualClock):
            await run_until_idle(recorded)
        for reactor in live.definition.reactors.values():
            await live.models.wait(reactor, await live.head(), recorded.settings.wait_seconds_max)
        events = [event async for event in recorded.events(context=context.name)]
        return past(events), {place: json async for place, json in kept(live)}
    return past(recorded[context.name] if isinstance(recorded, Mapping) else recorded), None


class _Shuffle:
    """The shuffle of the services of one context."""

    def __init__(self, context: Context, events: Events) -> None:
        self._context, self._events = context, events
        self._services = Services(context)
        self._stuck: Set[Place] = set()
        self._arrivals = 0

    async def run(self, models: Models | None, seeds: int) -> Compared:
        """Replay and compare. Raises ``OrderMatters``."""
        shuffled, recorded = self._services.shuffled, self._services.recorded
        wanted = await self._replay(shuffled | recorded, [self._events])
        self._stuck = {place for place, json in wanted.items() if is_parked(json)}
        if models is not None:
            self._compare(wanted, models, shuffled, [], "as the application keeps it")
        for seed in range(seeds):
            batches = self._in_any_order(random.Random(seed))  # noqa: S311 - made to be predicted
            found = await self._replay(shuffled, batches)
            await self._check(wanted, found, batches, f"shuffled (seed {seed})")
        if recorded:
            batches = self._repeated()
            found = await self._replay(recorded, batches)
            self._compare(wanted, found, recorded, batches, "with repetitions")
        name = self._context.name
        left_out = [
            *self._services.left_out(name),
            *(f"{domain} {key!r} of {name}: it is parked" for domain, key in sorted(self._stuck)),
            *([f"the tables that {name} writes"] if self._context.writers else []),
        ]
        return Compared(
            len(self._events), self._arrivals, len(wanted) - len(self._stuck), tuple(left_out)
        )

    async def _replay(self, services: Set[str], batches: Sequence[Events]) -> Models:
        self._arrivals += sum(map(len, batches))
        return await Replay.of(self._context, sorted(services)).models(batches)

    def _in_any_order(self, chance: random.Random) -> list[Events]:
        """Put everything together three times, in any order, and cut it anywhere."""
        arriving = self._events * _TIMES
        chance.shuffle(arriving)
        longest = max(1, len(arriving) // _PIECES)
        batches: list[Events] = []
        while arriving:
            size = chance.randint(1, longest)
            batches.append(arriving[:size])
            arriving = arriving[size:]
        return batches

    def _repeated(self) -> list[Events]:
        """Cut everything in pieces that arrive twice, and let all of it arrive once more."""
        size = max(1, len(self._events) // _PIECES)
        pieces = [self._events[n : n + size] for n in range(0, len(self._events), size)]
        return [*chain.from_iterable((piece, piece) for piece in pieces), self._events]

    # -- what differs ---------------------------------------------------------------------------

    def _difference(self, wanted: Models, found: Models, services: Set[str]) -> Place | None:
        first, second = (
            {place: json for place, json in models.items() if place not in self._stuck}
            for models in (wanted, found)
        )
        return self._services.difference(first, second, services)

    def _compare(
        self,
        wanted: Models,
        found: Models,
        services: Set[str],
        batches: Sequence[Events],
        name: str,
    ) -> None:
        place = self._difference(wanted, found, services)
        if place is not None:
            raise self._matters(place, self._events, _flat(batches), (wanted, found), name)

    async def _check(
        self, wanted: Models, found: Models, batches: Sequence[Events], name: str
    ) -> None:
        """Compare, and look for the smallest case of what differs."""
        place = self._difference(wanted, found, self._services.shuffled)
        if place is None:
            return
        reactor = self._services.of_domain[place[0]]
        case = _Case(Replay.of(self._context, [reactor.name]), reactor, place, self._events)
        arriving = await case.shrink(_flat(batches))
        if arriving is None:  # it shows in these batches only
            raise self._matters(place, self._events, _flat(batches), (wanted, found), name)
        events = case.as_recorded(arriving)
        both = await case.models(events), await case.models(arriving)
        raise self._matters(place, events, arriving, both, name)

    def _matters(
        self,
        place: Place,
        events: Events,
        arriving: Events,
        models: tuple[Models, Models],
        name: str,
    ) -> OrderMatters:
        first = Order("as recorded", events, models[0].get(place))
        second = Order(name, arriving, models[1].get(place))
        return OrderMatters(self._context.name, *place, events, first, second)


@dataclass(frozen=True)
class _Case:
    """A model that comes out differently, to be shown with fewer events: one arrives after another."""

    replay: Replay
    reactor: Reactor
    place: Place
    events: Events

    async def models(self, arriving: Iterable[NewEvent]) -> Models:
        """Give the models after these events, each of which is worked through before the next."""
        return await self.replay.models([event] for event in arriving)

    def as_recorded(self, arriving: Iterable[NewEvent]) -> Events:
        """Give the events in the order they were recorded in, each once."""
        ids = {event.id for event in arriving}
        return [event for event in self.events if event.id in ids]

    async def shows(self, arriving: Events) -> bool:
        """Tell whether these events come to another model than in the order they were recorded in."""
        wanted = await self.models(self.as_recorded(arriving))
        return not same(self.reactor, self.place, wanted, await self.models(arriving))

    async def shrink(self, arriving: Events) -> Events | None:
        """Leave out whatever can be; ``None`` when it does not show one after another."""
        ids = {event.id for event in of_key(self.reactor, self.events, self.place[1])}
        own = [event for event in arriving if event.id in ids]
        for candidate in (_once(own), own, _once(arriving), arriving):
            for first in _ever_more(candidate):
                if await self.shows(first):
                    return await shrunk(first, self.shows)
        return None


async def shrunk(events: Events, shows: Callable[[Events], Awaitable[bool]]) -> Events:
    """Leave out ever smaller runs of events for as long as what is left shows the same."""
    size, tries = max(1, len(events) // 2), 0
    while tries < _TRIES_MAX:
        start, before = 0, len(events)
        while start < len(events) and tries < _TRIES_MAX:
            fewer = events[:start] + events[start + size :]
            tries += 1
            if await shows(fewer):
                events = fewer
            else:
                start += size
        if size == 1 and len(events) == before:
            break
        size = max(1, size // 2)
    return events


def _ever_more(events: Events) -> Iterable[Events]:
    """Give the first two events, the first four, and so on to all: a few are often enough."""
    size = 2
    while size < len(events):
        yield events[:size]
        size *= 2
    yield events


def _once(events: Events) -> Events:
    return list({event.id: event for event in events}.values())


def _flat(batches: Iterable[Events]) -> Events:
    return [*chain.from_iterable(batches)]
