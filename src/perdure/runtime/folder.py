"""From deliveries to what is to be written: the fold of each key, with the reads it needs.

It decides nothing about when: the react loop drives it, and commits what it gives.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from perdure.core.definition import Definition, Reactor
from perdure.core.folding import Folded, FoldFailed, base_for, fold, in_order, is_late
from perdure.core.reacting import RecordNames, emissions, history
from perdure.core.reactions import Delivery
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.history import KeyHistory
from perdure.runtime.parking import Parking
from perdure.runtime.shelf import Shelf
from perdure.vocabulary.commits import Intent, Put
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.events import RecordedEvent

#: Fold for this long before other tasks get their turn.
SLICE_SECONDS = 0.002


class Writes(msgspec.Struct):
    """What a round has to write."""

    puts: list[Put] = msgspec.field(default_factory=list)
    intents: list[Intent] = msgspec.field(default_factory=list)


class Folder:
    """Folds deliveries into the models of one reactor."""

    def __init__(
        self,
        log: Log,
        definitions: Mapping[str, Definition],
        context: str,
        reactor: Reactor,
        shelf: Shelf,
        parking: Parking,
        clock: Clock,
    ) -> None:
        self._definitions, self._context = definitions, context
        self._reactor, self._shelf, self._parking = reactor, shelf, parking
        self._clock = clock
        self._names = RecordNames(reactor.name)
        self._history = KeyHistory(log, reactor, self._names)
        self.refolds = 0

    async def fold(self, by_key: Mapping[str, list[Delivery]], upto: int, writes: Writes) -> None:
        """Fold each key's deliveries, adding to ``writes``; park the keys that fail.

        ``upto`` is the position up to which this reactor's events were processed before.
        """
        await self._shelf.load(by_key)
        turn = self._clock.monotonic()
        for key, deliveries in by_key.items():
            try:
                await self._fold_key(key, deliveries, upto, writes)
            except FoldFailed as failure:
                writes.puts.append(self._parking.park_key(key, deliveries, failure))
            if self._clock.monotonic() - turn > SLICE_SECONDS:
                await asyncio.sleep(0)
                turn = self._clock.monotonic()

    async def _fold_key(
        self, key: str, deliveries: list[Delivery], upto: int, writes: Writes
    ) -> None:
        deliveries = in_order(self._reactor, deliveries)
        state = self._shelf.get(key).state
        late = is_late(self._reactor, state, deliveries)
        if late:
            folded = await self._refold(key, deliveries, upto)
        else:
            folded = fold(self._reactor, key, state, deliveries)
        if folded.kept or late:
            await self._shelf.kept(key)
        try:
            given = emissions(self._definitions, self._context, self._reactor, key, folded.given)
            place = deliveries[0].event.happened if late else None
            puts = list(self._shelf.put(key, folded.state, folded.kept, place))
        except InvalidData as failure:  # a model or an output that cannot be written
            raise FoldFailed(deliveries[-1].event) from failure
        writes.puts += puts
        writes.intents += given
        if self._reactor.keying == "field":
            writes.puts += [self._entry(key, delivery.event) for delivery in deliveries]

    async def _refold(self, key: str, deliveries: list[Delivery], upto: int) -> Folded:
        """Fold a key again from the nearest kept state before its earliest late event."""
        self.refolds += 1
        kept = await self._shelf.kept(key)
        base = base_for(self._shelf.initial, list(kept.values()), deliveries[0].event.happened)
        everything = list(deliveries)
        async for events in self._history.read(
            key,
            generation=self._shelf.generation,
            after=base.place if base.count else None,
            upto=upto,
            waiting=self._parking.sources,
            without={delivery.event.id for delivery in deliveries},
        ):
            everything += history(self._reactor, events)
        return fold(self._reactor, key, base, in_order(self._reactor, everything))

    def _entry(self, key: str, event: RecordedEvent) -> Put:
        name = self._names.ledger(self._shelf.generation, key, event)
        return Put("ledger", name, str(event.position).encode())
