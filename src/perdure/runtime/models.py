"""Reading models: as they stand, as of an earlier place, and how they came to be.

A reader that presents a position waits until the reactor has taken all that matters up to there, on
whichever node it runs. A model that stands still says so.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from perdure.core.codec import Codec
from perdure.core.definition import Definition
from perdure.core.folding import FoldFailed, State, fold, in_order, is_late, read_head, read_state
from perdure.core.kinds import EntityState, Kind
from perdure.core.reacting import Checkpoint, ParkedKey, RecordNames, history
from perdure.core.reactions import Delivery
from perdure.core.reactor import Reactor
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.discards import Discarded, Discards, load_discards
from perdure.runtime.entities import Entities
from perdure.runtime.history import KeyHistory
from perdure.runtime.react import ReactLoop
from perdure.vocabulary.commits import Guard, NothingAfter
from perdure.vocabulary.errors import (
    HandlerFailed,
    InvalidInput,
    ModelNotFound,
    NotCaughtUp,
    Parked,
    QueryNotFound,
)
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import entity_id, id_text, parse_id, ticks_at
from perdure.vocabulary.reading import Read

#: A time is told in microseconds; an event is in it when it is told to have happened then.
TICKS_BELOW_A_MICROSECOND = 9

#: Writes what a query gives, whatever that is.
_anything = Codec(object)


class ModelView(msgspec.Struct, frozen=True):
    """A model as it stands: ``json`` is the model itself, ``position`` that of its newest event.

    ``generation`` counts rebuilds: the same position under another generation may differ. An entity's
    state has the entity's ``version`` besides.
    """

    key: str
    json: bytes
    position: int
    generation: int
    version: int | None = None


class Step(msgspec.Struct, frozen=True):
    """One event of a model's story, and the model after it.

    ``discarded`` says who left the event out, and why: then the model is as it was before.
    """

    event: RecordedEvent
    json: bytes
    discarded: Discarded | None = None


class Models:
    """Reads the models of one context."""

    def __init__(
        self,
        log: Log,
        definition: Definition,
        loops: Mapping[str, ReactLoop],
        entities: Entities,
        clock: Clock,
    ) -> None:
        self._log, self._definition, self._loops, self._clock = log, definition, loops, clock
        self._entities = entities

    def find(self, domain: str) -> tuple[Reactor, int]:
        """Give the reactor that keeps a domain's models. Raises ``ModelNotFound``."""
        found = self._definition.models.get(domain)
        if found is None:
            raise ModelNotFound(
                f"no service keeps a model under {domain!r} in context {self._definition.name!r}"
            )
        return found

    def query(self, domain: str, name: str) -> Callable[[Any], Any]:
        """Give a query of a kind of entity, by name. Raises ``QueryNotFound``."""
        kind = self._definition.kinds.get(domain)
        queries = kind.queries if kind else {}
        if name not in queries:
            known = ", ".join(queries) or "none"
            raise QueryNotFound(f"{domain} has no query {name[:64]!r}; there are: {known}")
        return queries[name]

    def shown(self, domain: str, state: Any, query: str | None = None) -> bytes:
        """Write an entity's state as JSON, or what a query makes of it.

        Raises ``QueryNotFound``, and ``HandlerFailed`` when the query fails, or JSON cannot say it.
        """
        ask = None if query is None else self.query(domain, query)
        try:
            if ask is not None:
                return _anything.encode(ask(state))
            return self._definition.kinds[domain].reactor.codecs[0].encode(state)
        except Exception as failure:
            label = f"{self._definition.name}.{domain} {query or 'state as JSON'}"
            raise HandlerFailed(label, f"{type(failure).__name__}: {failure}") from failure

    async def read(
        self,
        domain: str,
        key: str = "",
        *,
        after: int = 0,
        wait_seconds: float = 0,
        query: str | None = None,
    ) -> ModelView:
        """Give a model as it stands; the initial one for a key never seen.

        Waits until the reactor has taken everything up to ``after``, then raises ``NotCaughtUp``. With a
        ``query`` of a kind of entity, gives what that makes of the state. Raises ``Parked`` for a key that
        stands still, ``ModelNotFound`` for an unknown domain, ``QueryNotFound``.
        """
        reactor, place = self.find(domain)
        key = self.check_key(reactor, domain, key)
        if query is not None:
            self.query(domain, query)
        if domain in self._definition.kinds:
            return await self._entity(domain, key, after, query)
        if after:
            await self.wait(reactor, after, wait_seconds)
        await self._check_parked(reactor, key)
        names = RecordNames(reactor.name)
        generation = (await self._checkpoint(reactor)).generation
        record = await self._log.record("model", names.model(generation, key))
        if record is None:
            json = reactor.codecs[place].encode(reactor.initial[place])
            return ModelView(key, json, 0, generation)
        head, *lines = record.value.split(b"\n")
        return ModelView(key, lines[place], read_head(head)[2], generation)

    async def _entity(
        self, domain: str, key: str, after: int = 0, query: str | None = None
    ) -> ModelView:
        """Give the state of an entity: always with everything that is recorded."""
        kind = self._definition.kinds[domain]
        state = await self._entities.fresh(kind, parse_id(key))
        if after > (head := await self._log.head()):
            raise NotCaughtUp(domain, after, head)
        return self._view(kind, key, state, query)

    def _view(self, kind: Kind, key: str, state: EntityState, query: str | None) -> ModelView:
        json = self.shown(kind.name, state.state, query)
        return ModelView(key, json, state.position, kind.declared.version, state.version)

    async def as_of(
        self,
        domain: str,
        key: str = "",
        *,
        position: int | None,
        at: datetime | None,
        query: str | None = None,
    ) -> ModelView:
        """Give a model as it was known at a position, of what had happened at a time.

        Folds history; nothing is kept of it. Raises ``InvalidInput`` for a position that is not
        reached, and what ``read`` raises.
        """
        reactor, place = self.find(domain)
        key = self.check_key(reactor, domain, key)
        if query is not None:
            self.query(domain, query)
        if position is not None and position > await self._log.head():
            raise InvalidInput(f"position {position} is not recorded yet", "as_of")
        kind = self._definition.kinds.get(domain)
        if kind is not None and at is None:
            known = await self._entities.as_of(kind, parse_id(key), position=position)
            return self._view(kind, key, known, query)
        if reactor.keying == "field":
            await self.wait(reactor, position or 0, 0)
        state = State(reactor.begin())
        async for _, reached, _ in self._steps(reactor, key, position, at):
            state = reached
        if kind is not None:
            json = self.shown(domain, state.models[place], query)
            return ModelView(key, json, state.position, kind.declared.version)
        generation = (await self._checkpoint(reactor)).generation
        json = reactor.codecs[place].encode(state.models[place])
        return ModelView(key, json, state.position, generation)

    async def at_head(self, domain: str, key: str) -> tuple[Any, Guard, int]:
        """Give a model with everything in it that is recorded now, and the guard that this is so.

        Besides, when the last event in it happened, in ticks. The kept model is folded on; from the
        beginning when an event came late. Raises ``InvalidInput`` for a re-keyed domain, ``Parked``.
        """
        reactor, place = self.find(domain)
        key = self.check_key(reactor, domain, key)
        if reactor.keying == "field":
            raise InvalidInput(f"{domain} is keyed by a field, which no guard can hold", "lookup")
        await self._check_parked(reactor, key)
        entities = (entity_id(key),) if reactor.keying == "entity" else ()
        criteria = msgspec.structs.replace(reactor.criteria, entities=entities)
        left_out = await self._left_out(reactor, key)
        state, after = await self._kept(reactor, key)
        head = max(await self._log.head(), after)
        async for events in self._log.read(Read(criteria=criteria, after=after, upto=head)):
            taken = [event for event in events if event.id not in left_out]
            deliveries = in_order(reactor, history(reactor, taken))
            if not deliveries:
                continue
            if is_late(reactor, state, deliveries):
                state = State(reactor.begin())
                async for _, reached, _ in self._steps(reactor, key, head, None):
                    state = reached
                break
            state = self._fold(reactor, key, state, deliveries)
        return state.models[place], NothingAfter(criteria, head), state.ticks

    async def _kept(self, reactor: Reactor, key: str) -> tuple[State, int]:
        """Give the kept model of a key, and the position up to which all events are in it."""
        names = RecordNames(reactor.name)
        while True:
            before = await self._checkpoint(reactor)
            record = await self._log.record("model", names.model(before.generation, key))
            if before == await self._checkpoint(reactor):  # nothing was folded in between
                break
        state = State(reactor.begin()) if record is None else read_state(reactor, record.value)
        return state, before.position

    async def story(
        self, domain: str, key: str = "", *, position: int | None = None, at: datetime | None = None
    ) -> AsyncIterator[Step]:
        """Give the events of a model in folding order, each with the model after it.

        Those that were discarded are among them, and change nothing.
        """
        reactor, place = self.find(domain)
        key = self.check_key(reactor, domain, key)
        async for event, state, discarded in self._steps(reactor, key, position, at):
            yield Step(event, reactor.codecs[place].encode(state.models[place]), discarded)

    async def page(
        self, domain: str, *, behind: str = "", limit: int = 100, query: str | None = None
    ) -> list[ModelView]:
        """Give the models of a domain in order of key, behind a key. Parked ones are among them."""
        reactor, place = self.find(domain)
        if query is not None:
            self.query(domain, query)
        if domain in self._definition.kinds:
            behind_id = entity_id(behind) if behind else b""
            entities = await self._log.entities(reactor.criteria, behind_id, limit)
            return [await self._entity(domain, id_text(e), query=query) for e in entities]
        names = RecordNames(reactor.name)
        generation = (await self._checkpoint(reactor)).generation
        prefix = names.model(generation, "")
        records = await self._log.records(
            "model", prefix=prefix, after=prefix + behind if behind else "", limit=limit
        )
        views = []
        for record in records:
            head, *lines = record.value.split(b"\n")
            key = record.key[len(prefix) :]
            views.append(ModelView(key, lines[place], read_head(head)[2], generation))
        return views

    async def wait(self, reactor: Reactor, position: int, wait_seconds: float) -> None:
        """Wait until the reactor has taken everything up to a position. Raises ``NotCaughtUp``."""
        deadline = self._clock.monotonic() + wait_seconds
        while not await self._has_reached(reactor, position):
            left = deadline - self._clock.monotonic()
            if left <= 0:
                reached = (await self._checkpoint(reactor)).position
                raise NotCaughtUp(reactor.name, position, reached)
            await self._clock.sleep(min(0.005, left))

    async def _has_reached(self, reactor: Reactor, position: int) -> bool:
        """Tell whether no event that the reactor takes lies between its checkpoint and a position."""
        loop = self._loops.get(reactor.name)
        if loop is not None and loop.reached >= position:
            return True
        checkpoint = await self._checkpoint(reactor)
        if checkpoint.position >= position:
            return True
        request = Read(criteria=reactor.criteria, after=checkpoint.position, upto=position, limit=1)
        async for _events in self._log.read(request):
            return False
        return position <= await self._log.head()

    def check_key(self, reactor: Reactor, domain: str, key: str) -> str:
        """Return the key, when it is of the kind this domain has. Raises ``InvalidInput``."""
        if reactor.keying == "single":
            if key:
                raise InvalidInput(f"{domain} has a single model: ask without a key", "key")
        elif not key:
            raise InvalidInput(f"{domain} has a model for each key: name one", "key")
        elif reactor.keying == "entity":
            return id_text(entity_id(key))
        return key

    async def _checkpoint(self, reactor: Reactor) -> Checkpoint:
        record = await self._log.record("checkpoint", RecordNames(reactor.name).slot_key)
        return msgspec.json.decode(record.value, type=Checkpoint) if record else Checkpoint()

    async def _check_parked(self, reactor: Reactor, key: str) -> None:
        for parked in await self._parked(reactor, key):
            raise Parked(reactor.name, key, parked.position, parked.cause)

    async def _parked(self, reactor: Reactor, key: str) -> list[ParkedKey]:
        """Give what a key stands still behind: its own failure, or that of its entity as a source."""
        names = RecordNames(reactor.name)
        wanted = [names.parked(key)]
        if reactor.keying == "entity":
            wanted.append(names.parked(key, source=True))
        records = await self._log.records("parked", wanted)
        return [msgspec.json.decode(record.value, type=ParkedKey) for record in records]

    async def _left_out(self, reactor: Reactor, key: str) -> Mapping[bytes, Discarded]:
        """Give what is discarded of a key, by event id."""
        discards = Discards()
        await load_discards(self._log, RecordNames(reactor.name), discards, key)
        return discards.of(key)

    async def _steps(
        self, reactor: Reactor, key: str, position: int | None, at: datetime | None
    ) -> AsyncIterator[tuple[RecordedEvent, State, Discarded | None]]:
        names = RecordNames(reactor.name)
        state = State(reactor.begin())
        checkpoint = await self._checkpoint(reactor)
        # what did not return is not called again to tell how it was
        hung = {p.position: p for p in await self._parked(reactor, key) if p.code}
        left_out = await self._left_out(reactor, key)
        async for events in KeyHistory(self._log, reactor, names).read(
            key,
            generation=checkpoint.generation,
            upto=position,
            until_ticks=None if at is None else ticks_at(at) + TICKS_BELOW_A_MICROSECOND,
        ):
            for event in events:
                if event.position in hung:
                    raise Parked(reactor.name, key, event.position, hung[event.position].cause)
            taken = history(reactor, (event for event in events if event.id not in left_out))
            deliveries = {delivery.event.id: delivery for delivery in taken}
            for event in events:
                if (delivery := deliveries.get(event.id)) is not None:
                    state = self._fold(reactor, key, state, [delivery])
                    yield event, state, None
                elif event.id in left_out:
                    yield event, state, left_out[event.id]

    def _fold(
        self, reactor: Reactor, key: str, state: State, deliveries: Sequence[Delivery]
    ) -> State:
        try:
            return fold(reactor, key, state, deliveries).state
        except FoldFailed as failure:
            cause = f"{type(failure.__cause__).__name__}: {failure.__cause__}"
            raise Parked(reactor.name, key, failure.event.position, cause) from failure
