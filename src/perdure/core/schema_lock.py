"""The shapes of an application's events as they were agreed on, and what has become of them since.

The lock is a file under version control. It holds every type of event with its version and shape, and
every older version that upcasters read: what stands in it must be readable for ever.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from perdure.core.compatibility import Change, changes
from perdure.core.definition import Definition
from perdure.core.event_type import EventType
from perdure.core.shapes import Shape, shape_of
from perdure.core.upcasting import Upcasters
from perdure.vocabulary.errors import ConfigurationError
from perdure.vocabulary.names import SYSTEM_PREFIX

#: The version of the lock file's own form.
FORMAT = 1

#: ``same``; ``compatible``: it changed, and what is recorded reads all the same; ``covered``: it changed, and
#: upcasters lead to it; ``incompatible``: what is recorded may not be read; ``new``: not in the lock.
Verdict = Literal["same", "compatible", "covered", "incompatible", "new"]


class LockedEvent(msgspec.Struct, frozen=True):
    """A type of event in the lock: the version of its shape, and the shape."""

    version: int
    shape: Shape


class LockedContext(msgspec.Struct, frozen=True):
    """A context in the lock: its events by wire name, and the versions read by upcasters."""

    events: dict[str, LockedEvent]
    upcast: dict[str, list[int]] = {}


class SchemaLock(msgspec.Struct, frozen=True):
    """The lock of an application, by the names of its contexts."""

    contexts: dict[str, LockedContext]
    perdure_schema_lock: int = FORMAT


class Finding(msgspec.Struct, frozen=True):
    """What became of one type. A version is ``None`` where there is none; ``advice`` says what to do."""

    context: str
    type: str
    verdict: Verdict
    locked_version: int | None
    version: int | None
    changes: Sequence[Change] = ()
    advice: str = ""


def lock(definitions: Sequence[Definition]) -> SchemaLock:
    """Make the lock of an application as it is today."""
    return SchemaLock({definition.name: _lock_one(definition) for definition in definitions})


def write_lock(lock: SchemaLock) -> bytes:
    """Write a lock, a line a member, sorted: made for being compared by eye."""
    return msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=2) + b"\n"


def read_lock(text: bytes) -> SchemaLock:
    """Read a lock. Raises ``ConfigurationError`` for what is none."""
    try:
        lock = msgspec.json.decode(text, type=SchemaLock)
    except msgspec.MsgspecError as fault:
        raise ConfigurationError(f"it is not a schema lock: {fault}") from fault
    if lock.perdure_schema_lock != FORMAT:
        raise ConfigurationError(
            f"a newer Perdure wrote it, in form {lock.perdure_schema_lock}; this one knows {FORMAT}"
        )
    return lock


def compare(locked: SchemaLock, definitions: Sequence[Definition]) -> list[Finding]:
    """Say what became of every type in the lock, and which ones are new."""
    by_name = {definition.name: definition for definition in definitions}
    found: list[Finding] = []
    for name in sorted(locked.contexts.keys() | by_name.keys()):
        before = locked.contexts.get(name, LockedContext({}))
        found += _compare_one(name, before, by_name.get(name))
    return found


def _lock_one(definition: Definition) -> LockedContext:
    upcast: dict[str, list[int]] = {}
    for name, version in sorted(definition.upcasters.steps):
        upcast.setdefault(name, []).append(version)
    events = {
        name: LockedEvent(declared.version, shape_of(declared.cls))
        for name, declared in _declared(definition).items()
    }
    return LockedContext(events, upcast)


def _declared(definition: Definition) -> dict[str, EventType]:
    types = definition.event_types.items()
    return {name: declared for name, declared in types if not name.startswith(SYSTEM_PREFIX)}


def _compare_one(
    context: str, locked: LockedContext, definition: Definition | None
) -> Iterator[Finding]:
    if definition is None:
        yield from _without_context(context, locked)
        return
    types, upcasters = _declared(definition), definition.upcasters
    for name in sorted(locked.events.keys() | locked.upcast.keys() | types.keys()):
        event, declared = locked.events.get(name), types.get(name)
        version = declared.version if declared else None
        lost = [v for v in locked.upcast.get(name, ()) if (name, v) not in upcasters.steps]
        if lost:
            what = tuple(
                Change("", f"version {v} is no longer read: its upcaster is gone", breaks=True)
                for v in lost
            )
            advice = f"put upcast({name!r}, {lost[0]}) back: what is recorded stays"
            before = event.version if event else None
            yield Finding(context, name, "incompatible", before, version, what, advice)
        elif event is None and declared is not None:
            yield Finding(context, name, "new", None, version)
        elif event is not None and declared is None:
            yield _gone(context, name, event, types, locked, upcasters)
        elif event is not None and declared is not None:
            yield _changed(context, event, declared, upcasters)


def _without_context(context: str, locked: LockedContext) -> Iterator[Finding]:
    for name, event in sorted(locked.events.items()):
        advice = f"give the application {context!r} too, or lock it without"
        what = (Change("", "its context is gone", breaks=True),)
        yield Finding(context, name, "incompatible", event.version, None, what, advice)


def _changed(
    context: str, event: LockedEvent, declared: EventType, upcasters: Upcasters
) -> Finding:
    """Judge a type that is in the lock and declared."""
    name, before, today = declared.name, event.version, declared.version
    found = tuple(changes(event.shape, shape_of(declared.cls)))
    verdict: Verdict = "same"
    advice = ""
    if before > today:
        found = (Change("", f"it was at version {before} already", breaks=True), *found)
        verdict, advice = "incompatible", f"declare it with version={before} or higher"
    elif before < today and (name, before) not in upcasters.steps:
        found = (Change("", f"nothing leads on from version {before}", breaks=True), *found)
        verdict, advice = "incompatible", f"add a function with upcast({name!r}, {before})"
    elif before < today:
        verdict = "covered"
    elif any(change.breaks for change in found):
        verdict = "incompatible"
        advice = f"declare it with version={today + 1}, and add a function with upcast({name!r}, {today})"
    elif found:
        verdict = "compatible"
    return Finding(context, name, verdict, before, today, found, advice)


def _gone(
    context: str,
    name: str,
    event: LockedEvent,
    types: Mapping[str, EventType],
    locked: LockedContext,
    upcasters: Upcasters,
) -> Finding:
    """Judge a type that is in the lock, and of which no class is declared."""
    if (name, event.version) in upcasters.steps:
        today = ", ".join(sorted(upcasters.comes_to[name])) or "nothing"
        what = (Change("", f"comes to {today} by an upcaster", breaks=False),)
        return Finding(context, name, "covered", event.version, None, what)
    alike = [
        new
        for new, declared in types.items()
        if new not in locked.events and shape_of(declared.cls) == event.shape
    ]
    advice = (
        f"was its class renamed to that of {alike[0]!r}? Pin the name: @{context}.event({name!r}); or "
        f"lead it on: upcast({name!r}, {event.version}, into={alike[0]!r})"
        if alike
        else f"declare it again, or say where it goes: upcast({name!r}, {event.version}, into=...)"
    )
    what = (Change("", "no class has this name any more", breaks=True),)
    return Finding(context, name, "incompatible", event.version, None, what, advice)
