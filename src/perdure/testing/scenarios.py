"""Given, when, then, for every kind of function: without a store, without a loop, at a moment of yours.

``Scenario(bank).given([Deposited(100)], about=account[ann]).when(Withdraw(10), to=account[ann])`` gives what
came of it, for plain asserts: ``.events``, ``.state``, ``.rejection``, ``.sends``, ``.effects``, ``.timers``.

One rule: all that is done here is done by the functions of ``core`` that the runtime runs, and fails with
the errors that the runtime raises. ``apps`` is for what needs an application at work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, TypeAlias, TypeVar, overload
from uuid import UUID

import msgspec

from perdure.core.answers import CommandAnswered, answered_type
from perdure.core.context import Context
from perdure.core.definition import define
from perdure.core.service import Service
from perdure.core.upcasting import stamped
from perdure.testing.clock import START
from perdure.testing.deciding import Desk
from perdure.testing.giving import Reader, payload_of
from perdure.testing.history import History
from perdure.vocabulary.commits import Statement
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import (
    entity_id,
    entity_named,
    micros_of,
    moment_of,
    ticks_at,
    ticks_of,
)
from perdure.vocabulary.messages import At, Cancel, Done, Envelope, Refused, Send
from perdure.vocabulary.names import check_tags
from perdure.vocabulary.references import EntityRef, ModelRef

M = TypeVar("M")

#: What an event is about: an entity by its id or its name; a saga, for what it is told.
About: TypeAlias = UUID | str | ModelRef[Any] | None


class Scenario:
    """What has happened in a context, and the moment it is now: 2026-01-01 00:00 UTC, until ``at``.

    Every method gives another scenario, or an outcome, and changes nothing: many stories may go on from
    one beginning. ``others`` are contexts to send into. Raises ``DefinitionError`` as ``perdure.open`` does.
    """

    def __init__(self, context: Context, *others: Context) -> None:
        self._contexts: Mapping[str, Context] = {each.name: each for each in (context, *others)}
        definitions = {name: define(each) for name, each in self._contexts.items()}
        self._history = History(definitions, context.name)
        self._ticks = ticks_of(START)
        self._commands = 0

    @property
    def now(self) -> datetime:
        """The moment at which the next thing happens."""
        return moment_of(self._ticks)

    def at(self, moment: datetime) -> "Scenario":
        """Go on at another moment, an aware one; what happens at an earlier one comes late."""
        if moment.tzinfo is None:
            raise ValueError(f"{moment} has no time zone")
        return self._going_on(self._history, ticks=ticks_at(moment))

    def given(
        self,
        events: Sequence[Any],
        *,
        about: About = None,
        domain: str | None = None,
        tags: Sequence[str] = (),
    ) -> "Scenario":
        """Say that these events happened, one right after another, about an entity.

        Without ``about`` it is some entity, always the same. ``Done(...)`` and ``Refused(...)`` say what
        became of a command that a saga sent; they are about the saga, ``about=transfer["t1"]``. What no class
        was declared for is given as a ``NewEvent``. Raises ``DefinitionError``, ``InvalidInput``.
        """
        return self._going_on(self._recorded(events, about, domain, tags))

    def model(self, ref: ModelRef[M]) -> M:
        """Give a model, or the state of an entity, as these events make it.

        Raises ``Parked`` when a reaction fails, ``HandlerFailed`` when an update does.
        """
        found: M = self._history.find(ref)[0]
        return found

    @overload
    def when(
        self, command: Any, *, to: EntityRef[M], command_id: str = "", principal: str | None = None
    ) -> "Decided[M]": ...
    @overload
    def when(
        self, command: Any, *, command_id: str = "", principal: str | None = None
    ) -> "Decided[None]": ...
    @overload
    def when(
        self,
        command: Any,
        *,
        to: EntityRef[Any] | None,
        command_id: str = "",
        principal: str | None = None,
    ) -> "Decided[Any]": ...

    def when(
        self,
        command: Any,
        *,
        to: EntityRef[Any] | None = None,
        command_id: str = "",
        principal: str | None = None,
    ) -> "Decided[Any]":
        """Send a command: to an entity, or to the LOW handler that takes its class.

        A rejection is in the outcome. Raises ``HandlerFailed`` for a function that raises anything else, or
        gives what cannot be carried out; ``CommandNotFound``; ``InvalidData`` for a command that cannot be
        stored; ``WrongVersion`` where an entity must be fresh and is not.
        """
        desk = Desk(self._history, micros_of(self._ticks))
        decider = desk.decider(type(command), to)
        count = self._commands + 1
        message = desk.message(decider, command, command_id or f"command-{count}", principal)
        made = desk.decide(decider, message)
        outputs, definition = made.decision.outputs, made.history.definition
        recorded = made.history.events[self._history.head :]
        events = [payload_of(definition, event) for event in outputs.events]
        return Decided(
            rejection=made.decision.rejection,
            events=events,
            state=made.state.state,
            version=made.state.version,
            reply=outputs.reply,
            envelopes=[Envelope.of(e, data) for e, data in zip(recorded, events, strict=True)],
            statements=[*definition.statements(outputs.events), *outputs.statements],
            stops=outputs.stop,
            after=self._going_on(made.history, commands=count),
            **self._given_out([(decider.entity, outputs)]),
        )

    def when_event(
        self,
        event: Any,
        *,
        about: About = None,
        domain: str | None = None,
        tags: Sequence[str] = (),
        by: Service[Any] | None = None,
    ) -> "Reacted":
        """Let an event happen, and give what the services and sagas make of it, or one of them: ``by``.

        The event is said as in ``given``. Raises ``Parked`` when a reaction fails, or gives out what
        cannot be carried out; its ``__cause__`` is what the function raised.
        """
        history = self._recorded([event], about, domain, tags)
        reactors = history.definition.reactors
        chosen = [*reactors.values()] if by is None else [reactors[by.name]]
        given = history.react(chosen, after=self._history.head)
        return Reacted(after=self._going_on(history), **self._given_out(given))

    # -- what happened --------------------------------------------------------------------------

    def _recorded(
        self, events: Sequence[Any], about: About, domain: str | None, tags: Sequence[str]
    ) -> History:
        history = self._history
        for event in events:
            if isinstance(event, NewEvent):
                new = event
            elif isinstance(event, Done | Refused):
                new = self._answer(event, about)
            else:
                new = self._event(event, about, domain, tuple(tags))
            history = history.record(new, self._ticks)
        return history

    def _event(
        self, event: Any, about: About, domain: str | None, tags: tuple[str, ...]
    ) -> NewEvent:
        definition = self._history.definition
        declared = definition.by_class.get(type(event))
        if declared is None:
            raise DefinitionError(
                f"{type(event).__name__} is not an event of context {definition.name!r}: declare it"
            )
        check_tags(tags)
        key = about.key if isinstance(about, ModelRef) else about
        return NewEvent(
            type=declared.name,
            entity=entity_id(key or entity_named("perdure.scenario", "any")),
            data=declared.codec.encode_strictly(event),
            domain=domain,
            tags=tags,
            metadata=stamped(b"", declared.version),
        )

    def _answer(self, outcome: Done[Any] | Refused[Any], about: About) -> NewEvent:
        """Make the event that tells a saga what became of a command."""
        if not isinstance(about, ModelRef):
            raise DefinitionError("an outcome is about the saga that is told: about=transfer[key]")
        command = self._contexts[self._history.context].command_type(type(outcome.command))
        declared = answered_type(about.domain)
        told = CommandAnswered(
            key=about.key,
            domain="",
            command=command.name,
            command_id=outcome.command_id,
            accepted=isinstance(outcome, Done),
            reason=outcome.reason if isinstance(outcome, Refused) else "",
            reply=outcome.reply if isinstance(outcome, Done) else None,
            data=msgspec.json.decode(command.codec.encode_strictly(outcome.command)),
        )
        entity = entity_named("perdure.saga", f"{about.domain}\x00{about.key}")
        data = declared.codec.encode_strictly(told)
        return NewEvent(type=declared.name, entity=entity.bytes, data=data)

    def _given_out(self, given: Any) -> dict[str, Any]:
        return Reader(self._history.definitions, self._history.context).read(given)

    def _going_on(
        self, history: History, *, ticks: int | None = None, commands: int | None = None
    ) -> "Scenario":
        other = object.__new__(type(self))
        other._contexts, other._history = self._contexts, history
        other._ticks = self._ticks if ticks is None else ticks
        other._commands = self._commands if commands is None else commands
        return other


@dataclass(frozen=True, kw_only=True, repr=False)
class Given:
    """What was given out, to be carried out after the commit.

    ``sends`` are commands, ``effects`` what acts on the world, ``emits`` events that are recorded
    afterwards: bare when they are about the entity itself, or else an ``Emit`` that says what differs.
    ``timers`` are those of them that are due later, each an ``At`` (an ``After`` is told by its moment), then
    the names that were taken back, each a ``Cancel``. ``after`` is the scenario as it goes on from here.
    """

    sends: list[Send] = field(default_factory=list)
    effects: list[Any] = field(default_factory=list)
    emits: list[Any] = field(default_factory=list)
    timers: list[At | Cancel] = field(default_factory=list)
    after: Scenario

    def __repr__(self) -> str:
        said = ((each.name, getattr(self, each.name)) for each in fields(self))
        told = (f"{name}={value!r}" for name, value in said if name != "after" and value)
        return f"{type(self).__name__}({', '.join(told)})"


@dataclass(frozen=True, kw_only=True, repr=False)
class Decided(Given, Generic[M]):
    """What came of a command.

    ``rejection`` is the reason, or ``None`` when it was accepted. ``events`` are recorded with the command,
    ``envelopes`` are the same with what each is about, its tags and its time. ``state`` is the entity's
    afterwards (``None`` for a LOW handler), at ``version``. ``statements`` are those given out and those of
    ``write`` functions; nothing has run them. ``stops``: the entity asked to leave memory.
    """

    rejection: str | None = None
    events: list[Any] = field(default_factory=list)
    state: M
    version: int = 0
    reply: Any = None
    envelopes: list[Envelope[Any]] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    stops: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Reacted(Given):
    """What came of an event: what services and sagas gave out for it, and the models they keep."""

    def model(self, ref: ModelRef[M]) -> M:
        """Give a model as it is now."""
        return self.after.model(ref)
