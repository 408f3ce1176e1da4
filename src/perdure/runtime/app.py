"""An application at work: contexts over one store, from ``async with`` to the end of it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from perdure.core.context import Context
from perdure.core.definition import define
from perdure.core.service import ModelRef
from perdure.ports.engine import Capability, Engine
from perdure.ports.environment import Environment
from perdure.runtime.config import Settings
from perdure.runtime.live import LiveContext
from perdure.runtime.pacing import Pacer
from perdure.runtime.telemetry import Meter
from perdure.vocabulary.commits import Committed, Guard
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import ConfigurationError, ContextNotFound
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.reading import Read

M = TypeVar("M")


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
    ) -> None:
        self._definitions = {context.name: define(context) for context in contexts}
        if len(self._definitions) != len(contexts):
            raise ConfigurationError("two contexts have the same name")
        self.engine, self.environment, self.settings = engine, environment, settings
        self.version = version
        self.meter = Meter(environment.clock)
        self.contexts: dict[str, LiveContext] = {}
        self._react = react

    async def __aenter__(self) -> Self:
        """Open every context and start its services."""
        pacer = Pacer(self.environment.clock)
        try:
            for name, definition in self._definitions.items():
                log = await self.engine.open(name)
                self.contexts[name] = LiveContext(
                    definition,
                    log,
                    self.environment,
                    self.settings,
                    pacer,
                    version=self.version,
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
        for live in self.contexts.values():
            await live.stop()
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

    async def model(
        self,
        ref: ModelRef[M],
        *,
        after: int = 0,
        as_of: int | None = None,
        at: datetime | None = None,
    ) -> M:
        """Give a model: now, or not older than the position ``after``, or as it once was.

        ``as_of`` is a position, ``at`` a time that events happened. An unseen key has the initial model.
        Raises ``NotCaughtUp`` when ``after`` is not reached in time, ``Parked`` for a key that stands still.
        """
        models = self.context(ref.context).models
        reactor, place = models.find(ref.domain)
        if as_of is not None or at is not None:
            view = await models.as_of(ref.domain, ref.key, position=as_of, at=at)
        else:
            wait = self.settings.wait_seconds_max
            view = await models.read(ref.domain, ref.key, after=after, wait_seconds=wait)
        model: M = reactor.codecs[place].decode(view.json)
        return model

    async def events(
        self, criteria: Criteria | None = None, *, context: str | None = None, **request: Any
    ) -> AsyncIterator[RecordedEvent]:
        """Give recorded events, one by one, in constant memory; the keywords are those of ``Read``."""
        live = self.context(context or self._only())
        async for batch in live.read(Read(criteria=criteria or Criteria(), **request)):
            for event in batch:
                yield event

    def troubles(self) -> Mapping[str, str]:
        """Say which loops stand still, and why; empty while all is well."""
        found: dict[str, str] = {}
        for live in self.contexts.values():
            found.update({f"{live.name}/{task}": why for task, why in live.troubles().items()})
        return found

    def _only(self) -> str:
        if len(self.contexts) != 1:
            raise ConfigurationError(f"name the context: there are {', '.join(self.contexts)}")
        return next(iter(self.contexts))
