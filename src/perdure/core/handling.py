"""The functions that decide, read: which command each takes, what it asks for, how it is called."""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from perdure.core.context import CommandType
from perdure.core.low import LowDeclaration, Needs
from perdure.core.signatures import (
    check_plain,
    check_wants,
    classes_of,
    given_by,
    hints_of,
    label_of,
    parameters_of,
)
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.ids import moment_of, ticks_of

#: What a function that decides may ask for by name.
BY_NAME: Mapping[str, Any] = {
    "now": datetime,
    "entity": UUID,
    "version": int,
    "command_id": str,
    "principal": str | None,
    "new_id": Callable[[], UUID],
}


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A command on its way to the function that takes it.

    ``key`` names its record: first outcome for ever. ``data`` is the command as JSON, ``received_at`` in
    microseconds since 1970. ``cause_ticks`` is when what caused it happened: what it decides happened later.
    """

    key: str
    id: str
    name: str
    command: Any
    data: bytes
    received_at: int
    principal: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    cause_ticks: int = 0

    def fresh_ids(self) -> Callable[[], UUID]:
        """Make ids (version 4 in form) that are the same whenever this command is handled."""
        count = 0

        def new_id() -> UUID:
            nonlocal count
            count += 1
            seed = f"{self.key}\x00{count}".encode()
            return UUID(bytes=blake2b(seed, digest_size=16).digest(), version=4)

        return new_id

    def given(self, wants: tuple[str, ...], entity: bytes | None, version: int) -> dict[str, Any]:
        """Give what a function asks for by name."""
        known: dict[str, Callable[[], object]] = {
            "now": lambda: moment_of(ticks_of(self.received_at)),
            "entity": lambda: UUID(bytes=entity) if entity else None,
            "version": lambda: version,
            "command_id": lambda: self.id,
            "principal": lambda: self.principal,
            "new_id": self.fresh_ids,
        }
        return {name: known[name]() for name in wants}


class Handler(msgspec.Struct, frozen=True):
    """A function that takes a command; ``needs`` says what a LOW handler looks up."""

    function: Callable[..., Any]
    label: str
    command: CommandType
    wants: tuple[str, ...]
    needs: Needs | None = None
    looks_up: int = 0
    gives: tuple[type[Any], ...] = ()


def read_handler(
    function: Callable[..., Any],
    owner: str,
    state: type[Any],
    command_type: Callable[[type[Any]], CommandType],
) -> list[Handler]:
    """Read a ``handle`` function of a kind; one handler for each class of a union."""
    label = label_of(function, owner)
    check_plain(function, label)
    hints = hints_of(function, label)
    positional, wants = parameters_of(function, label, least=2, shape="(state, command)")
    if len(positional) != 2:
        raise DefinitionError(f"{label}: takes (state, command), then what it wants by keyword")
    if hints.get(positional[0]) is not state:
        raise DefinitionError(f"{label}: annotate {positional[0]!r} with {state.__name__}")
    check_wants(wants, hints, BY_NAME, label)
    classes = classes_of(positional[1], hints, label, "command")
    gives = given_by(hints)
    return [Handler(function, label, command_type(cls), wants, gives=gives) for cls in classes]


def read_low(
    declared: LowDeclaration, owner: str, command_type: Callable[[type[Any]], CommandType]
) -> Handler:
    """Read a LOW handler."""
    label = label_of(declared.operate, owner)
    check_plain(declared.operate, label)
    hints = hints_of(declared.operate, label)
    shape = "(command, what was looked up ...)"
    positional, wants = parameters_of(declared.operate, label, least=1, shape=shape)
    known = {n: t for n, t in BY_NAME.items() if n not in ("entity", "version")}
    check_wants(wants, hints, known, label)
    looks_up = len(positional) - 1
    if declared.needs is None and looks_up:
        raise DefinitionError(f"{label}: takes what nobody looks up; give low(needs)")
    classes = classes_of(positional[0], hints, label, "command")
    if len(classes) != 1:
        raise DefinitionError(f"{label}: takes one class of command")
    return Handler(
        declared.operate, label, command_type(classes[0]), wants, declared.needs, looks_up
    )
