"""From deliveries to what is to be written: the fold of each key, with the reads it needs.

It decides nothing about when, and writes nothing: the react loop drives it, and commits what it gives; a
trial only looks at that.
"""

from collections.abc import Mapping
from functools import partial

import msgspec

from perdure.core.definition import Definition
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
from perdure.core.outputs import Momentary, TimerChange
from perdure.core.reacting import ParkedKey, RecordNames, give_out, history
from perdure.core.reactions import Delivery
from perdure.core.reactor import Reactor
from perdure.ports.engine import Log
from perdure.runtime.discards import Discards
from perdure.runtime.hanging import Waiting, hung_folding, hung_reading
from perdure.runtime.history import KeyHistory
from perdure.runtime.pacing import Pacer
from perdure.runtime.shelf import Shelf
from perdure.runtime.watchdog import Describe, Watchdog
from perdure.vocabulary.commits import Intent, Put
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import event_ticks, parse_id


class Failed(msgspec.Struct, frozen=True):
    """A key whose fold failed: nothing from the position ``since`` on is folded."""

    key: str
    since: int
    failure: FoldFailed


class Writes(msgspec.Struct):
    """What a round has to write, and the keys that failed in it."""

    puts: list[Put] = msgspec.field(default_factory=list)
    intents: list[Intent] = msgspec.field(default_factory=list)
    timers: list[TimerChange] = msgspec.field(default_factory=list)
    momentary: list[Momentary] = msgspec.field(default_factory=list)
    failed: list[Failed] = msgspec.field(default_factory=list)


class Folder:
    """Folds deliveries into the models of one reactor.

    ``sources`` are the entities whose events queue, by id: a refold leaves these out.
    """

    def __init__(
        self,
        log: Log,
        definitions: Mapping[str, Definition],
        context: str,
        reactor: Reactor,
        shelf: Shelf,
        sources: Mapping[str, ParkedKey],
        discards: Discards,
        pacer: Pacer,
        watchdog: Watchdog,
    ) -> None:
        self._log, self._watchdog = log, watchdog
        self._definitions, self._context = definitions, context
        self._reactor, self._shelf, self._sources = reactor, shelf, sources
        self._discards, self._pacer = discards, pacer
        self._names = RecordNames(reactor.name)
        self._history = KeyHistory(log, reactor, self._names)
        self.refolds = 0

    async def fold(
        self,
        by_key: Mapping[str, list[Delivery]],
        upto: int,
        writes: Writes,
        retried: Waiting | None = None,
    ) -> None:
        """Fold each key's deliveries, adding to ``writes``, to which the keys that fail belong too.

        ``upto`` is the position up to which this reactor's events were processed before; ``retried`` what
        is tried again by it, and must wait when a function does not return.
        """
        await self._shelf.load(by_key)
        for count, (key, delivered) in enumerate(by_key.items()):
            deliveries = self._discards.remaining(key, delivered)
            if not deliveries:
                continue
            waiting = retried or Waiting(key, deliveries[0].event.position)
            describe = partial(hung_folding, self._context, self._reactor, deliveries, waiting)
            try:
                with self._watchdog.watching(self._log, describe):
                    is_folded = self._fold_in_order(key, deliveries, writes)
                if not is_folded:
                    await self._fold_with_history(key, deliveries, upto, writes, waiting, describe)
            except FoldFailed as failure:
                since = min(delivery.event.position for delivery in deliveries)
                writes.failed.append(Failed(key, since, failure))
            if count % 8 == 0 and self._pacer.is_due:
                await self._pacer.breathe()

    async def refold(self, parked: ParkedKey, writes: Writes) -> None:
        """Fold a parked key again up to where its queue begins, without an event its model still holds."""
        key, left_out = parked.key, parse_id(parked.left_out)
        place = event_ticks(left_out), left_out
        await self._shelf.load([key])
        if self._shelf.get(key).state.place < place:
            return
        waiting = Waiting(key, parked.since)
        kept = await self._shelf.kept(key)
        base = base_for(self._shelf.initial(), list(kept.values()), place)
        everything = await self._since(base, key, [], parked.since - 1, waiting)
        describe = partial(hung_folding, self._context, self._reactor, everything, waiting)
        try:
            with self._watchdog.watching(self._log, describe):
                folded = (
                    fold(self._reactor, key, base, everything)
                    if everything
                    else Folded(base, (), ())
                )
                # The ledger has them all already; the last one is who is to blame when this fails.
                self._write(key, everything[-1:], folded, place, writes)
        except FoldFailed as failure:
            writes.failed.append(Failed(key, parked.since, failure))

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
        self,
        key: str,
        deliveries: list[Delivery],
        upto: int,
        writes: Writes,
        waiting: Waiting,
        describe: Describe,
    ) -> None:
        """Fold with the kept states at hand: on from the state, or again from an earlier one."""
        kept = await self._shelf.kept(key)
        state = self._shelf.get(key).state
        late = None
        everything = deliveries
        if is_late(self._reactor, state, deliveries):
            late = deliveries[0].event.happened
            state = base_for(self._shelf.initial(), list(kept.values()), late)
            everything = await self._since(state, key, deliveries, upto, waiting)
        with self._watchdog.watching(self._log, describe):
            folded = fold(self._reactor, key, state, everything)
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
                give_out(self._definitions, self._context, self._reactor, key, folded.given)
                if folded.given
                else None
            )
            puts = self._shelf.put(key, folded.state, folded.kept, late)
        except InvalidData as failure:
            raise FoldFailed(deliveries[-1].event) from failure
        writes.puts += puts
        if given is not None:
            writes.intents += given.intents
            writes.timers += given.timers
            writes.momentary += given.momentary
        if self._reactor.keying == "field":
            writes.puts += [self._entry(key, delivery.event) for delivery in deliveries]

    async def _since(
        self, base: State, key: str, deliveries: list[Delivery], upto: int, waiting: Waiting
    ) -> list[Delivery]:
        """Give all events of a key behind a kept state, in order: the late ones have their place there."""
        self.refolds += 1
        everything = list(deliveries)
        left_out = self._discards.of(key)
        async for events in self._history.read(
            key,
            generation=self._shelf.generation,
            after=base.place if base.count else None,
            upto=upto,
            waiting=self._sources,
            without={*left_out, *(delivery.event.id for delivery in deliveries)},
        ):
            turn = iter(events)
            describe = partial(hung_reading, self._context, self._reactor, events, turn, waiting)
            with self._watchdog.watching(self._log, describe):
                everything += history(self._reactor, turn)
        return in_order(self._reactor, everything)

    def _entry(self, key: str, event: RecordedEvent) -> Put:
        name = self._names.ledger(self._shelf.generation, key, event)
        return Put("ledger", name, str(event.position).encode())
