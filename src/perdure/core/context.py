"""A bounded context as the user declares it: events and the functions that follow them.

A ``Context`` is the user's own object. Decorators add to it and return the function unchanged;
nothing is looked up, checked or run before ``open``, where ``definition`` reads it and names what is wrong.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, overload
from uuid import UUID

import msgspec

from perdure.core.codec import Codec
from perdure.core.service import Service
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import entity_id, event_id
from perdure.vocabulary.names import SYSTEM_PREFIX, check_context, check_name, check_tag

M = TypeVar("M")
C = TypeVar("C", bound=type[Any])
Order = Literal["happened", "recorded"]


class EventType(msgspec.Struct, frozen=True):
    """A declared type of event: its wire name, the class of its payload, the version of its shape."""

    name: str
    cls: type[Any]
    codec: Codec[Any]
    version: int


class Context:
    """A bounded context: one log, one unit of order, and what is made of its events.

    ``strict``: events of types that were not declared are refused. Without it they are stored as they
    came, and reach whoever selects them by name.
    """

    def __init__(self, name: str, *, strict: bool = False) -> None:
        self.name = check_context(name)
        self.strict = strict
        self.event_types: dict[str, EventType] = {}
        self.services: dict[str, Service[Any]] = {}

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
