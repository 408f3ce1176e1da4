"""From deliveries to what is to be written: the fold of each key, with the reads it needs.

It decides nothing about when: the react loop drives it, and commits what it gives.
"""

from collections.abc import Mapping

import msgspec

from perdure.core.definition import Definition, Reactor
from perdure.core.folding import (
    Folded,
    FoldFailed,
    Place,
    State,
    base_for,
    fold,
    in_order,
    is_late,
)
from perdure.core.reacting import RecordNames, emissions, history
from perdure.core.reactions import Delivery
from perdure.ports.engine import Log
from perdure.runtime.history import KeyHistory
from perdure.runtime.pacing import Pacer
from perdure.runtime.parking import Parking
from perdure.runtime.shelf import Shelf
from perdure.vocabulary.commits import Intent, Put
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.events import RecordedEvent


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
        pacer: Pacer,
    ) -> None:
        self._definitions, self._context = definitions, context
        self._reactor, self._shelf, self._parking = reactor, shelf, parking
        self._pacer = pacer
        self._names = RecordNames(reactor.name)
        self._history = KeyHistory(log, reactor, self._names)
        self.refolds = 0

    async def fold(self, by_key: Mapping[str, list[Delivery]], upto: int, writes: Writes) -> None:
        """Fold each key's deliveries, adding to ``writes``; park the keys that fail.

        ``upto`` is the position up to which this reactor's events were processed before.
        """
        await self._shelf.load(by_key)
        for count, (key, deliveries) in enumerate(by_key.items()):
            try:
                if not self._fold_in_order(key, deliveries, writes):
                    await self._fold_with_history(key, deliveries, upto, writes)
            except FoldFailed as failure:
                writes.puts.append(self._parking.park_key(key, deliveries, failure))
            if count % 8 == 0 and self._pacer.is_due:
                await self._pacer.breathe()

    def _fold_in_order(self, key: str, deliveries: list[Delivery], writes: Writes) -> bool:
        """Fold deliveries that come after all that was folded; ``False``: history must be read."""
        state = self._shelf.get(key).state
        if is_late(self._reactor, state, in_order(self._reactor, deliveries)):
            return False
        folded = fold(self._reactor, key, state, deliveries)
        if folded.kept:
            return False
        self._write(key, deliveries, folded, None, writes)
        return True

    async def _fold_with_history(
        self, key: str, deliveries: list[Delivery], upto: int, writes: Writes
    ) -> None:
        """Fold with the kept states at hand: on from the state, or again from an earlier one."""
        kept = await self._shelf.kept(key)
        state = self._shelf.get(key).state
        late = None
        if is_late(self._reactor, state, deliveries):
            late = deliveries[0].event.happened
            folded = await self._refold(key, deliveries, kept, upto)
        else:
            folded = fold(self._reactor, key, state, deliveries)
        self._write(key, deliveries, folded, late, writes)

    def _write(
        self,
        key: str,
        deliveries: list[Delivery],
        folded: Folded,
        late: Place | None,
        writes: Writes,
    ) -> None:
        """Add what a fold came to; as a failed fold where it cannot be written."""
        try:
            given = (
                emissions(self._definitions, self._context, self._reactor, key, folded.given)
                if folded.given
                else ()
            )
            puts = self._shelf.put(key, folded.state, folded.kept, late)
        except InvalidData as failure:
            raise FoldFailed(deliveries[-1].event) from failure
        writes.puts += puts
        writes.intents += given
        if self._reactor.keying == "field":
            writes.puts += [self._entry(key, delivery.event) for delivery in deliveries]

    async def _refold(
        self, key: str, deliveries: list[Delivery], kept: Mapping[int, State], upto: int
    ) -> Folded:
        """Fold a key again from the nearest kept state before its earliest late event."""
        self.refolds += 1
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
