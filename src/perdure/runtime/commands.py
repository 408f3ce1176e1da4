"""Commands on their way in: from Python, from HTTP as JSON, from an intent.

All three become one ``Message`` and one ``Decider``: who handles it, and about which entity.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from perdure.core.command_records import CommandIds, check_command_id, delivered_key, record_key
from perdure.core.deciding import Decider
from perdure.core.definition import Definition
from perdure.core.handling import Handler, Message
from perdure.core.parcels import Parcel
from perdure.ports.environment import Environment
from perdure.runtime.attempts import Beside
from perdure.runtime.decide import DecideLoop
from perdure.vocabulary.commits import Intent
from perdure.vocabulary.errors import CommandNotFound, InvalidInput
from perdure.vocabulary.events import Metadata
from perdure.vocabulary.ids import entity_id, event_ticks, id_text, parse_id
from perdure.vocabulary.jsontext import read_object
from perdure.vocabulary.outcomes import Outcome
from perdure.vocabulary.references import EntityRef


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a command, under which id, and what it belongs to.

    ``command_id`` is the sender's own: the same id is the same command, sent again. Without one there is
    no asking again.
    """

    command_id: str | None = None
    principal: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None


class Commands:
    """Takes the commands of one context in."""

    def __init__(
        self, definitions: Mapping[str, Definition], context: str, loop: DecideLoop, environment: Environment
    ) -> None:  # fmt: skip
        self._definitions, self._context = definitions, context
        self._loop, self._clock = loop, environment.clock
        self._ids = CommandIds(environment.chance.bits(256))

    @property
    def in_flight(self) -> int:
        """How many are being handled now."""
        return self._loop.in_flight

    async def send(
        self,
        command: Any,
        to: EntityRef[Any] | None,
        caller: Caller,
        *,
        expected_version: int | None = None,
    ) -> Outcome[Any]:
        """Send a command object to an entity, or to the LOW handler that takes its class.

        Raises ``CommandNotFound`` where nobody handles it, ``InvalidInput`` for a version without an entity
        that could be at it, and what ``DecideLoop.handle`` raises.
        """
        if to is None and expected_version is not None:
            raise InvalidInput("a LOW handler has no version to expect", "expected_version")
        if to is not None and to.context != self._context:
            raise CommandNotFound(f"{to.domain} belongs to context {to.context!r}")
        domain, entity = ("", b"") if to is None else (to.domain, parse_id(to.key))
        handler = self._handler_of(domain, type(command))
        data = handler.command.codec.encode_strictly(command)
        message = self._message(self._name(domain, handler), command, data, caller)
        decider = self._decider(handler, domain, entity)
        return await self._loop.handle(decider, message, expected_version=expected_version)

    async def send_json(
        self,
        name: str,
        data: bytes,
        caller: Caller,
        *,
        domain: str = "",
        entity: bytes = b"",
        expected_version: int | None = None,
    ) -> Outcome[Any]:
        """Send a command as JSON, by its wire name. Raises ``InvalidData`` for one that does not fit."""
        handler = self.handler(domain, name)
        _, text = read_object(data)
        command = handler.command.codec.decode(text)
        message = self._message(self._name(domain, handler), command, text, caller)
        decider = self._decider(handler, domain, entity_id(entity) if domain else b"")
        return await self._loop.handle(decider, message, expected_version=expected_version)

    async def receive(
        self, intent: Intent, parcel: Parcel, beside: Beside | None = None
    ) -> Outcome[Any]:
        """Take a command out of an intent: its id is the intent's, so that it is handled once."""
        handler = self.handler(parcel.domain, parcel.name)
        command = handler.command.codec.decode(parcel.data)
        sender = msgspec.json.decode(parcel.metadata, type=Metadata)
        caller = Caller(
            command_id=id_text(intent.id),
            principal=sender.principal,
            correlation_id=sender.correlation_id,
            causation_id=sender.command_id or sender.causation_id,
            traceparent=sender.traceparent,
        )
        name = self._name(parcel.domain, handler)
        ticks = event_ticks(intent.id)
        message = self._message(name, command, parcel.data, caller, cause_ticks=ticks)
        message = msgspec.structs.replace(message, key=delivered_key(name, message.id))
        decider = self._decider(handler, parcel.domain, parcel.entity)
        return await self._loop.handle(decider, message, beside=beside)

    def handler(self, domain: str, name: str) -> Handler:
        """Give the handler of a command by name; without a domain, a LOW one. Raises ``CommandNotFound``."""
        definition = self._definitions[self._context]
        handlers = definition.kind(domain).handlers if domain else definition.lows
        handler = handlers.get(name)
        if handler is None:
            whose = f"{self._context}.{domain}" if domain else self._context
            known = ", ".join(handlers) or "none"
            raise CommandNotFound(f"{whose} does not handle {name!r}; there are {known}")
        return handler

    def _handler_of(self, domain: str, cls: type[Any]) -> Handler:
        definition = self._definitions[self._context]
        handlers = definition.kind(domain).by_class if domain else definition.lows_by_class
        handler = handlers.get(cls)
        if handler is None:
            whose = f"{self._context}.{domain}" if domain else f"no LOW handler of {self._context}"
            does = "does not handle" if domain else "handles"
            raise CommandNotFound(f"{whose} {does} {cls.__name__}")
        return handler

    @staticmethod
    def _name(domain: str, handler: Handler) -> str:
        return f"{domain}.{handler.command.name}" if domain else handler.command.name

    def _decider(self, handler: Handler, domain: str, entity: bytes) -> Decider:
        return Decider(
            definitions=self._definitions,
            context=self._context,
            handler=handler,
            kind=domain,
            entity=entity,
            target=id_text(entity) if domain else "",
        )

    def _message(
        self, name: str, command: Any, data: bytes, caller: Caller, *, cause_ticks: int = 0
    ) -> Message:
        now, id_ = self._clock.now(), caller.command_id
        id_ = self._ids.make(now) if id_ is None else check_command_id(id_)
        return Message(
            key=record_key(name, id_, caller.principal),
            id=id_,
            name=name,
            command=command,
            data=data,
            received_at=now,
            principal=caller.principal,
            correlation_id=caller.correlation_id,
            causation_id=caller.causation_id,
            traceparent=caller.traceparent,
            cause_ticks=cause_ticks,
        )
