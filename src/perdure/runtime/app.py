"""An application at work: contexts over one store, from ``async with`` to the end of it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import msgspec

from perdure.core.context import Context
from perdure.core.definition import Definition, define
from perdure.ports.engine import Capability, Engine
from perdure.ports.environment import Environment
from perdure.runtime.commands import Caller
from perdure.runtime.config import Settings
from perdure.runtime.cursors import Start
from perdure.runtime.discards import Discarded
from perdure.runtime.live import LiveContext
from perdure.runtime.pacing import Pacer
from perdure.runtime.parked import ParkedView
from perdure.runtime.rewriting import Written, rewrite, writes
from perdure.runtime.subscriptions import Subscription
from perdure.runtime.telemetry import Meter
from perdure.runtime.trial import Trial
from perdure.runtime.watchdog import Watchdog
from perdure.vocabulary.commits import Committed, Guard
from perdure.vocabulary.criteria import EVERYTHING, Criteria
from perdure.vocabulary.errors import ConfigurationError, ContextNotFound, ParkedNotFound, Rejected
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.outcomes import Accepted
from perdure.vocabulary.reading import Read
from perdure.vocabulary.references import EntityRef, ModelRef

M = TypeVar("M")
R = TypeVar("R")


class App:
    """Contexts over a store. Made by ``perdure.open``; used as ``async with perdure.open(...) as app``.

    ``react=False`` opens the store for reading and appending only: no service runs here.
    """

    def __init__(
        self,
        contexts: Sequence[Context],
        engine: Engine,
        environment: Environment,
        settings: Settings,
        *,
        version: str,
        react: bool = True,
        config: Any = None,
    ) -> None:
        self._definitions = {context.name: define(context) for context in contexts}
        if len(self._definitions) != len(contexts):
            raise ConfigurationError("two contexts have the same name")
        self.engine, self.environment, self.settings = engine, environment, settings
        self.version = version
        self.meter = Meter(environment.clock)
        self.watchdog = Watchdog(settings.function_seconds_max, end=os._exit)
        self.contexts: dict[str, LiveContext] = {}
        self._react, self._config = react, config

    async def __aenter__(self) -> Self:
        """Open every context and start its services."""
        pacer = Pacer(self.environment.clock)
        self.watchdog.start()
        try:
            for name, definition in self._definitions.items():
                log = await self.engine.open(name, self._tables(definition))
                self.contexts[name] = LiveContext(
                    self._definitions,
                    name,
                    log,
                    self.environment,
                    self.settings,
                    pacer,
                    version=self.version,
                    meter=self.meter,
                    watchdog=self.watchdog,
                    config=self._config,
                )
            if self._react:
                for live in self.contexts.values():
                    await live.start(self.contexts)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the services and close the store."""
        await self.close()

    async def close(self) -> None:
        """Stop the services and close the store; what was appended is kept. Idempotent."""
        await asyncio.gather(*(live.stop() for live in self.contexts.values()))
        self.watchdog.stop()
        await self.engine.close()

    @property
    def durability(self) -> str:
        """What an acknowledged commit survives: ``durable`` (power loss) or ``memory`` (nothing)."""
        return "durable" if Capability.DURABLE in self.engine.capabilities else "memory"

    def context(self, name: str) -> LiveContext:
        """Give a context at work. Raises ``ContextNotFound``."""
        live = self.contexts.get(name)
        if live is None:
            raise ContextNotFound(f"no context is named {name!r} here")
        return live

    async def append(
        self, *events: NewEvent, context: str | None = None, guards: Sequence[Guard] = ()
    ) -> Committed:
        """Record events of one context, all or none; give their positions and versions.

        ``shop.new(...)`` makes them. ``context`` may be left out while there is only one. When this
        returns they are stored, with the durability of the engine; ``position`` in the answer is the
        token for reading them back: ``app.model(..., after=committed.position)``.
        """
        committed, _ = await self.context(context or self._only()).append(events, guards=guards)
        return committed

    @overload
    async def send(
        self,
        to: EntityRef[M],
        command: Any,
        /,
        *,
        command_id: str | None = None,
        principal: str | None = None,
        correlation_id: str | None = None,
        expected_version: int | None = None,
    ) -> Accepted[M] | Rejected: ...
    @overload
    async def send(
        self,
        to: EntityRef[M],
        command: Any,
        /,
        *,
        query: Callable[[M], R],
        command_id: str | None = None,
        principal: str | None = None,
        correlation_id: str | None = None,
        expected_version: int | None = None,
    ) -> Accepted[R] | Rejected: ...
    @overload
    async def send(
        self,
        command: Any,
        /,
        *,
        context: str | None = None,
        command_id: str | None = None,
        principal: str | None = None,
        correlation_id: str | None = None,
    ) -> Accepted[None] | Rejected: ...

    async def send(
        self,
        *sent: Any,
        query: Callable[[Any], Any] | None = None,
        context: str | None = None,
        command_id: str | None = None,
        principal: str | None = None,
        correlation_id: str | None = None,
        expected_version: int | None = None,
    ) -> Accepted[Any] | Rejected:
        """Send a command to an entity, ``send(account[id], Withdraw(10))``, or to a LOW handler.

        Gives ``Accepted`` with the state it made (or what ``query`` makes of that), its version and the
        position; or ``Rejected`` with the reason. Either is durable, and the first outcome under a
        ``command_id`` (of this command, of this principal) is given for ever. ``expected_version`` is the
        version the sender has seen: the command is handled only on that.

        Raises ``WrongVersion``, ``Contended`` when others were faster each time, ``HandlerFailed`` for a
        function that raised, ``CommandNotFound``, ``RequestKeyReused`` for an id that stands for another
        command, ``EngineError``: nothing is written then, except that after ``OutcomeUnknown`` it must be
        sent again under the same id.
        """
        to, command = sent if len(sent) == 2 else (None, *sent)
        caller = Caller(command_id=command_id, principal=principal, correlation_id=correlation_id)
        live = self.context(to.context if to is not None else context or self._only())
        outcome = await live.commands.send(command, to, caller, expected_version=expected_version)
        if query is None or isinstance(outcome, Rejected):
            return outcome
        return msgspec.structs.replace(outcome, state=query(outcome.state))

    @overload
    async def model(
        self,
        ref: ModelRef[M],
        *,
        after: int = 0,
        as_of: int | None = None,
        at: datetime | None = None,
    ) -> M: ...
    @overload
    async def model(
        self,
        ref: ModelRef[M],
        *,
        query: Callable[[M], R],
        after: int = 0,
        as_of: int | None = None,
        at: datetime | None = None,
    ) -> R: ...

    async def model(
        self,
        ref: ModelRef[Any],
        *,
        query: Callable[[Any], Any] | None = None,
        after: int = 0,
        as_of: int | None = None,
        at: datetime | None = None,
    ) -> Any:
        """Give a model, or an entity's state: now, or not older than ``after``, or as it once was.

        ``as_of`` is a position, ``at`` a time that events happened. An unseen key has the initial model.
        ``query`` is applied to it. Raises ``NotCaughtUp`` when ``after`` is not reached in time, ``Parked``
        for a key that stands still.
        """
        models = self.context(ref.context).models
        reactor, place = models.find(ref.domain)
        if as_of is not None or at is not None:
            view = await models.as_of(ref.domain, ref.key, position=as_of, at=at)
        else:
            wait = self.settings.wait_seconds_max
            view = await models.read(ref.domain, ref.key, after=after, wait_seconds=wait)
        model = reactor.codecs[place].decode(view.json)
        return model if query is None else query(model)

    async def events(
        self, criteria: Criteria | None = None, *, context: str | None = None, **request: Any
    ) -> AsyncIterator[RecordedEvent]:
        """Give recorded events, one by one, in constant memory; the keywords are those of ``Read``."""
        live = self.context(context or self._only())
        async for batch in live.read(Read(criteria=criteria or Criteria(), **request)):
            for event in batch:
                yield event

    def subscribe(
        self, name: str, criteria: Criteria | None = None, *, context: str | None = None,
        start: Start = "beginning", slots: int = 1, save_events: int = 1000,
        save_seconds: float = 1.0,
    ) -> Subscription:  # fmt: skip
        """Follow the log under a name, with a durable cursor: ``async for event in app.subscribe("mailer")``.

        Gives every selected event by position, at least once: one is done when the next is asked for, and
        that is stored every ``save_events``, or ``save_seconds``. A name that is new starts at the
        "beginning", "now", or behind a position. One reader of a name works at a time, on any node, and the
        others wait; with ``slots`` entities are divided among them, each by one at a time, in order.
        """
        return self.context(context or self._only()).subscriptions.open(
            name, criteria or EVERYTHING, start=start, slots=slots,
            save_events=save_events, save_seconds=save_seconds,
        )  # fmt: skip

    async def writes(
        self, *, context: str | None = None, after: int = 0, upto: int | None = None
    ) -> AsyncIterator[Written]:
        """Give what the ``write`` functions make of recorded events, to run into another database.

        In order of position, behind ``after`` and up to ``upto``; in constant memory.
        """
        live = self.context(context or self._only())
        async for written in writes(live.log, live.definition, after=after, upto=upto):
            yield written

    async def rewrite(self, *, context: str | None = None) -> int:
        """Empty a context's own tables and fill them again from history; give how many events made them.

        All in one commit, so that nobody sees them empty: for tables that fit in memory. Every declared
        table is emptied: what a handler's own ``Statement`` has put there is gone. Raises ``Contended``
        when events are recorded faster than this, ``InvalidData`` for a statement that fails.
        """
        live = self.context(context or self._only())
        return await rewrite(live.log, live.definition)

    async def parked(self, *, context: str | None = None) -> AsyncIterator[ParkedView]:
        """Give the keys of reactors that stand still, of all contexts or of one, by reactor and key."""
        for live in self._chosen(context):
            async for view in live.parked.all():
                yield view

    async def would_succeed(self, parked: ParkedView) -> Trial:
        """Fold what waits behind a parked key with today's code, and write nothing.

        Gives something true when all of it can be folded, or else the failure: ``if await
        app.would_succeed(parked)``. What did not return is not called again while its code is the same.
        Raises ``ParkedNotFound`` when the key goes on meanwhile.
        """
        return await self.context(parked.context).parked.would_succeed(parked)

    async def release(
        self, parked: ParkedView, *, hung: bool = False, by: str = "", why: str = ""
    ) -> None:
        """Have a parked key tried again, with all that waits behind it, in order.

        When this returns the request is durable: a server that works the reactor, here or in another
        process, follows it within a second, or when it starts. Raises ``InvalidInput`` for a key whose
        function did not return, unless ``hung``: trying it again may end the server;
        ``ParkedNotFound`` when the key goes on, or stands at another event.
        """
        await self.context(parked.context).parked.release(parked, hung=hung, by=by, why=why)

    async def release_all(
        self,
        *,
        context: str | None = None,
        reactor: str | None = None,
        cause: str | None = None,
        hung: bool = False,
        by: str = "",
        why: str = "",
    ) -> int:
        """Have all parked keys tried again, of a reactor, or whose cause has this text in it; count them.

        Those whose function did not return are left alone, unless ``hung``.
        """
        count = 0
        for live in self._chosen(context):
            async for parked in live.parked.releasable(reactor, cause, hung=hung):
                with suppress(ParkedNotFound):  # it goes on already
                    await live.parked.release(parked, hung=hung, by=by, why=why)
                    count += 1
        return count

    async def discard(self, parked: ParkedView, *, by: str = "", why: str = "") -> None:
        """Leave the event out that a key stands at, for this key and for ever; what waits behind it goes on.

        The event stays recorded, and other keys and reactors keep it; where it could not even be read,
        this reactor leaves it out of all keys. What it gave out before it failed is not taken back.
        ``by`` and ``why`` are kept. Followed as ``release`` is. Raises ``ParkedNotFound``.
        """
        await self.context(parked.context).parked.discard(parked, by=by, why=why)

    async def discarded(self, *, context: str | None = None) -> AsyncIterator[Discarded]:
        """Give the events that keys leave out for ever, of all contexts or of one."""
        for live in self._chosen(context):
            async for one in live.parked.discarded():
                yield one

    def troubles(self) -> Mapping[str, str]:
        """Say which loops stand still, and why; empty while all is well."""
        found: dict[str, str] = {}
        for live in self.contexts.values():
            found.update({f"{live.name}/{task}": why for task, why in live.troubles().items()})
        return found

    def _tables(self, definition: Definition) -> tuple[str, ...]:
        """Give the tables of a context's own, which the store must be able to keep."""
        wants = definition.tables or definition.writers
        if wants and Capability.STATEMENTS not in self.engine.capabilities:
            raise ConfigurationError(
                f"context {definition.name!r} keeps tables of its own: this store has none; use sqlite"
            )
        return definition.tables

    def _chosen(self, context: str | None) -> Sequence[LiveContext]:
        return [self.context(context)] if context else list(self.contexts.values())

    def _only(self) -> str:
        if len(self.contexts) != 1:
            raise ConfigurationError(f"name the context: there are {', '.join(self.contexts)}")
        return next(iter(self.contexts))
