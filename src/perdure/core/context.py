"""A bounded context as the user declares it: events, commands, and the functions that decide and follow.

A ``Context`` is the user's own object. Decorators add to it and return the function unchanged;
nothing is looked up, checked or run before ``open``, where ``definition`` reads it and names what is wrong.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal, ParamSpec, TypeVar, overload
from uuid import UUID

import msgspec

from perdure.core.codec import Codec
from perdure.core.effect import Delivery, EffectDeclaration, Reconcile
from perdure.core.entity import EntityKind
from perdure.core.event_type import EventType as EventType
from perdure.core.low import LowDeclaration, Needs
from perdure.core.retrying import Retry
from perdure.core.saga import Saga
from perdure.core.schedules import TickDeclaration, check_schedule
from perdure.core.service import Service
from perdure.core.upcasting import Data, Piece, Upcaster, stamped
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import entity_id, entity_named, event_id
from perdure.vocabulary.names import SYSTEM_PREFIX, check_context, check_name, check_tag

M = TypeVar("M")
C = TypeVar("C", bound=type[Any])
F = TypeVar("F", bound=Callable[..., Any])
U = TypeVar("U", bound=Callable[[Data], Data])
V = TypeVar("V", bound=Callable[[Data], Piece | Sequence[Piece]])
P = ParamSpec("P")
A = TypeVar("A", bound=Awaitable[object])
Order = Literal["happened", "recorded"]
Names = list[str] | tuple[str, ...]


class CommandType(msgspec.Struct, frozen=True):
    """A type of command: its wire name and the class of its content."""

    name: str
    cls: type[Any]
    codec: Codec[Any]


class Context:
    """A bounded context: one log, one unit of order, and what is made of its events.

    ``strict``: events of types that were not declared are refused. Without it they are stored as they
    came, and reach whoever selects them by name.
    """

    def __init__(self, name: str, *, strict: bool = False) -> None:
        self.name = check_context(name)
        self.strict = strict
        self.event_types: dict[str, EventType] = {}
        self.upcasters: dict[tuple[str, int], Upcaster] = {}
        self.commands: dict[type[Any], str] = {}
        self.services: dict[str, Service[Any]] = {}
        self.kinds: dict[str, EntityKind[Any]] = {}
        self.effects: list[EffectDeclaration] = []
        self.lows: list[LowDeclaration] = []
        self.writers: list[Callable[..., Any]] = []
        self.tables: list[str] = []
        self.ticks: dict[str, TickDeclaration] = {}

    @overload
    def event(self, declared: C, /) -> C: ...
    @overload
    def event(self, declared: str = "", /, *, version: int = 1) -> Callable[[C], C]: ...

    def event(self, declared: type[Any] | str = "", /, *, version: int = 1) -> Any:
        """Declare the class of an event's payload; its wire name is the class's in snake_case.

        ``@shop.event`` or ``@shop.event("item_added", version=2)``. The wire name is what is stored:
        pin it before renaming a class. Raises ``DefinitionError`` for a name or a class used twice.
        """
        if isinstance(declared, type):
            self._declare(_snake_case(declared.__name__), declared, version)
            return declared

        def declare(cls: C) -> C:
            self._declare(declared or _snake_case(cls.__name__), cls, version)
            return cls

        return declare

    @overload
    def upcast(self, type_: str, version: int, /) -> Callable[[U], U]: ...
    @overload
    def upcast(self, type_: str, version: int, /, *, into: str) -> Callable[[U], U]: ...
    @overload
    def upcast(self, type_: str, version: int, /, *, into: Names) -> Callable[[V], V]: ...

    def upcast(
        self, type_: str, version: int, /, *, into: str | Names | None = None
    ) -> Callable[[F], F]:
        """Add a pure function from one version of a recorded payload to the next: ``(dict) -> dict``.

        ``@bank.upcast("deposited", 1)`` leads version 1 to version 2, and so on to today's. With ``into=``
        another name, it leads to version 1 of that. With ``into=`` a list of names, it gives a list of
        payloads, each as ``(name, dict)``, ``(name, dict, version)``, or a ``dict`` of the same name; an
        empty list drops the event from view. Numbers with a fraction come in as ``Decimal``. What is
        recorded never changes. Returns the function unchanged.
        """
        check_name(type_, "event type")
        if version < 1:
            raise DefinitionError(
                f"{self.name}: {type_!r} has no version {version}; the first is 1"
            )
        if (type_, version) in self.upcasters:
            raise DefinitionError(f"{self.name}: version {version} of {type_!r} is upcast twice")
        names = (into,) if isinstance(into, str) else (type_,) if into is None else tuple(into)
        splits = not (into is None or isinstance(into, str))

        def add(function: F) -> F:
            self.upcasters[type_, version] = Upcaster(type_, version, function, names, splits)
            return function

        return add

    def service(
        self,
        name: str,
        model: type[M],
        *,
        single: bool = False,
        by: str | Callable[[Any], object] | None = None,
        order: Order = "happened",
        domains: Sequence[str] = (),
        emit_history: bool = False,
    ) -> Service[M]:
        """Declare a domain service: it reduces events to models that can be queried.

        A model an entity by default; one for the whole context with ``single``; one for each value
        of an event's field with ``by`` (its name, or a function of the event). ``order="happened"`` folds by
        the time in the event ids and folds again for a late one; ``"recorded"`` takes them as they come.
        Only events of ``domains`` are taken when it is given. ``emit_history``: the first catch-up over
        what was recorded before the service existed gives out events too.
        """
        service = Service(
            self.name,
            check_name(name, "domain"),
            model,
            single=single,
            by=by,
            order=order,
            domains=tuple(check_name(domain, "domain") for domain in domains),
            emit_history=emit_history,
        )
        if name in self.services:
            raise DefinitionError(f"{self.name}: two services are named {name!r}")
        self.services[name] = service
        return service

    def entity(
        self,
        name: str,
        state: type[M],
        *,
        raw: bool = True,
        snapshot_every: int = 0,
        snapshots_kept: int = 2,
        version: int = 1,
        idle_seconds: float = 300,
    ) -> EntityKind[M]:
        """Declare a kind of entity: it decides on itself, by commands. ``state()`` is the initial state.

        ``raw=False`` refuses events of its types that are appended without a command. With
        ``snapshot_every`` a snapshot is kept whenever that many events have come to an entity, and the
        last ``snapshots_kept`` of them; count ``version`` up when the functions make something else of
        old events, and none of before is used. An entity that nobody has sent anything to for
        ``idle_seconds`` leaves memory.
        """
        kind = EntityKind(
            self.name,
            check_name(name, "domain"),
            state,
            raw=raw,
            snapshot_every=snapshot_every,
            snapshots_kept=snapshots_kept,
            version=version,
            idle_seconds=idle_seconds,
        )
        if name in self.kinds:
            raise DefinitionError(f"{self.name}: two kinds of entity are named {name!r}")
        if snapshot_every < 0 or snapshots_kept < 1 or idle_seconds <= 0:
            raise DefinitionError(
                f"{self.name}.{name}: snapshot_every is 0 or more, snapshots_kept 1 or more, "
                "idle_seconds more than 0"
            )
        self.kinds[name] = kind
        return kind

    def saga(self, name: str, model: type[M], *, by: str | Callable[[Any], object]) -> Saga[M]:
        """Declare a saga: it coordinates over time, and keeps where it stands under a key.

        ``by`` says which saga an event belongs to: a field's name, or a function of the event. It reacts
        to events, in the order they are recorded, and to what became of the commands it sent (``Done``,
        ``Refused``), and gives out commands, timers, effects and events. Its models are under its name, and
        where each stands under ``NAME.status``.
        """
        if check_name(name, "domain") in self.services:
            raise DefinitionError(f"{self.name}: two services are named {name!r}")
        saga = Saga(self.name, name, model, by=by)
        self.services[name] = saga
        return saga

    @overload
    def command(self, declared: C, /) -> C: ...
    @overload
    def command(self, declared: str, /) -> Callable[[C], C]: ...

    def command(self, declared: type[Any] | str, /) -> Any:
        """Give a command's class a wire name; without it the name is the class's in snake_case.

        ``@bank.command("withdraw")``. Needed only before renaming a class.
        """
        if isinstance(declared, type):
            self.commands[declared] = _snake_case(declared.__name__)
            return declared
        name = check_name(declared, "command")

        def declare(cls: C) -> C:
            self.commands[cls] = name
            return cls

        return declare

    def command_type(self, cls: type[Any]) -> CommandType:
        """Give the type of a command's class. Raises ``DefinitionError`` for one that cannot be read."""
        try:
            return CommandType(self.name_of(cls), cls, Codec(cls))
        except TypeError as fault:
            raise DefinitionError(f"{self.name}: {cls.__name__} cannot be read: {fault}") from fault

    def name_of(self, cls: type[Any]) -> str:
        """Give the wire name of the class of a command or an effect."""
        return self.commands.get(cls) or check_name(_snake_case(cls.__name__), "command")

    def low(self, needs: Needs | None = None) -> Callable[[F], F]:
        """Add a decision over several things: lookup, operate, write.

        ``needs(command)`` names what to look up: entities (``account[id]``), models (``cart[id]``), events
        (``matching(Invited, tags=...)``), one or a tuple of them. The function takes the command, then a
        value for each: the state, the model, a sequence of ``Envelope``. It gives out as ``handle`` does, and
        its events with ``Emit(event=..., entity=...)``. All of it is one commit, on condition that
        nothing looked up has changed. Returns the function unchanged.
        """

        def add(function: F) -> F:
            self.lows.append(LowDeclaration(needs, function))
            return function

        return add

    def write(self, function: F, /) -> F:
        """Add a function ``(event) -> [Statement]``: what an event changes in tables of your own.

        It runs in the commit of each such event, however that is recorded, and can be run again over
        history: ``app.writes``. Its statements failing means that the event is not recorded. The
        keyword-only parameters ``at``, ``entity`` and ``event_id`` are given by name. Returns it unchanged.
        """
        self.writers.append(function)
        return function

    def table(self, sql: str) -> None:
        """Declare a table of your own, or an index: ``CREATE TABLE IF NOT EXISTS ...``."""
        self.tables.append(sql)

    def effect(
        self,
        *,
        retry: Retry | None = None,
        timeout_seconds: float = 30,
        concurrency: int = 16,
        delivery: Delivery = "at_least_once",
        ordered: bool = True,
        reconcile: Reconcile | None = None,
    ) -> Callable[[Callable[P, A]], Callable[P, A]]:
        """Add an async function that acts on the world; the annotation says which effects it carries out.

        At least once: tried again as ``retry`` says, under the same ``key``, one after another for an
        entity unless ``ordered`` is false, then parked. A time-out is an unknown outcome: ``reconcile``
        is asked then, with the effect and its ``key``, what became of it (``"succeeded"``, ``"failed"``, or
        ``None``: try again). ``raise EffectFailed("why")`` gives up at once. At most once: started after
        the commit and never again, and never written down. The keyword-only
        parameters ``key``, ``attempt`` and ``config`` (given to ``perdure.open``) are given by name.
        Returns the function unchanged.
        """
        if timeout_seconds <= 0 or concurrency < 1:
            raise DefinitionError(
                f"{self.name}: an effect has a time limit, and runs at least once at a time"
            )

        def add(function: Callable[P, A]) -> Callable[P, A]:
            self.effects.append(
                EffectDeclaration(
                    function,
                    retry or Retry(),
                    timeout_seconds,
                    concurrency,
                    delivery,
                    ordered,
                    reconcile,
                )
            )
            return function

        return add

    def tick(
        self,
        name: str,
        schedule: str,
        make: Callable[[datetime], Any],
        *,
        entity: UUID | None = None,
    ) -> None:
        """Have an event recorded whenever a schedule says: ``shop.tick("hourly", "0 * * * *", HourPassed)``.

        ``schedule`` is a cron expression in UTC: minute, hour, day of month, month, day of week; with a
        sixth field in front, seconds. ``make`` makes the event from the time that it happened. It is about
        ``entity``, or else about one that belongs to the name. Ticks while nothing runs come once, later.
        """
        label = f"{self.name}: tick {name!r}"
        if check_name(name, "tick") in self.ticks:
            raise DefinitionError(f"{label} is declared twice")
        about = entity or entity_named("perdure.tick", name)
        self.ticks[name] = TickDeclaration(
            name, check_schedule(schedule, label), make, entity_id(about)
        )

    def new(
        self,
        entity: UUID | str,
        event: Any,
        *,
        id: UUID | str | None = None,  # noqa: A002
        domain: str | None = None,
        tags: Sequence[str] = (),
    ) -> NewEvent:
        """Say that an event happened to an entity; give it to ``app.append`` to be recorded.

        Without ``id`` the server makes one: later than all the entity has. Raises ``InvalidData`` for a
        payload that cannot be stored, ``DefinitionError`` for a class that was not declared.
        """
        declared = self.type_of(event)
        return NewEvent(
            type=declared.name,
            entity=entity_id(entity),
            id=b"" if id is None else event_id(id),
            data=declared.codec.encode_strictly(event),
            domain=None if domain is None else check_name(domain, "domain"),
            tags=tuple(check_tag(tag) for tag in tags),
            metadata=stamped(b"", declared.version),
        )

    def type_of(self, event: Any) -> EventType:
        """Give the declared type of an event object. Raises ``DefinitionError``."""
        for declared in self.event_types.values():
            if type(event) is declared.cls:
                return declared
        raise DefinitionError(
            f"{type(event).__name__} is not an event of context {self.name!r}: "
            f"declare it with {self.name}.event"
        )

    def _declare(self, name: str, cls: type[Any], version: int) -> None:
        check_name(name, "event type")
        if name.startswith(SYSTEM_PREFIX):
            raise DefinitionError(f"{name!r}: names under {SYSTEM_PREFIX!r} belong to the server")
        if name in self.event_types:
            raise DefinitionError(f"{self.name}: two events are named {name!r}")
        if any(cls is known.cls for known in self.event_types.values()):
            raise DefinitionError(f"{self.name}: {cls.__name__} is declared twice")
        try:
            codec = Codec(cls)
        except TypeError as fault:
            raise DefinitionError(
                f"{self.name}.{name}: {cls.__name__} cannot be read: {fault}"
            ) from fault
        self.event_types[name] = EventType(name, cls, codec, version)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
