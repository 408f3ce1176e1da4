"""The upcasters of a context, joined: where each name that was ever recorded comes to.

Checked at open, so that a step that is missing is found there and not in an event of last year.
"""

from collections.abc import Iterator, Mapping, Sequence

from perdure.core.event_type import EventType
from perdure.core.upcasting import Upcaster, Upcasters
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.names import SYSTEM_PREFIX


def join(context: str, steps: Sequence[Upcaster], types: Mapping[str, EventType]) -> Upcasters:
    """Join a context's upcasters. Raises ``DefinitionError`` naming the first thing that cannot work."""
    by_name: dict[str, list[Upcaster]] = {}
    for step in steps:
        by_name.setdefault(step.type, []).append(step)
    for fault in _faults(by_name, types):
        raise DefinitionError(f"{context}: {fault}")
    comes_to: dict[str, frozenset[str]] = {}
    certain: set[str] = set()
    for name in _targets_first(context, by_name):
        onward = {target for step in by_name[name] for target in step.into if target != name}
        names = {name} if name in types else set[str]()
        names = names.union(*(comes_to.get(target, {target}) for target in onward))
        comes_to[name] = frozenset(names)
        splits = any(step.splits for step in by_name[name])
        if len(names) == 1 and not splits and onward <= certain.union(types.keys() - comes_to):
            certain.add(name)
    by_version = {(step.type, step.version): step for step in steps}
    return Upcasters(types, by_version, comes_to, frozenset(certain))


def _faults(
    by_name: Mapping[str, Sequence[Upcaster]], types: Mapping[str, EventType]
) -> Iterator[str]:
    for declared in types.values():
        if declared.version > 1 and declared.name not in by_name:
            yield _missing(declared.name, declared.version - 1)
    for name, steps in by_name.items():
        yield from _faults_of(name, {step.version: step for step in steps}, types)
        for step in steps:
            for target in step.into:
                if target not in types and target not in by_name:
                    yield f"{step.label} goes into {target!r}, which is not declared"
                if target.startswith(SYSTEM_PREFIX):
                    yield f"{step.label}: {target!r} belongs to the server"


def _faults_of(
    name: str, steps: Mapping[int, Upcaster], types: Mapping[str, EventType]
) -> Iterator[str]:
    """Find what is wrong with the steps of one name: they are without gaps, up to today's version."""
    newest = max(steps)
    if name.startswith(SYSTEM_PREFIX):
        yield f"{steps[newest].label}: {name!r} belongs to the server"
    if name in types and newest >= types[name].version:
        yield (
            f"{steps[newest].label}: {name!r} is at version {types[name].version}; "
            f"declare it with version={newest + 1}"
        )
    if name not in types and name in steps[newest].into:
        yield (
            f"{steps[newest].label}: {name!r} is not declared; "
            "if its class is gone, say into= which names its payloads go"
        )
    last = types[name].version - 1 if name in types else newest
    for version in range(min(steps), last + 1):
        if version not in steps:
            yield _missing(name, version)


def _missing(name: str, version: int) -> str:
    return (
        f"nothing leads {name!r} on from version {version}: add a function with "
        f"upcast({name!r}, {version}); it may give back what it gets, if that still reads"
    )


def _targets_first(context: str, by_name: Mapping[str, Sequence[Upcaster]]) -> list[str]:
    """Put the names in an order in which each stands behind all that it goes into."""
    order: dict[str, None] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in trail:
            circle = " -> ".join((*trail[trail.index(name) :], name))
            raise DefinitionError(f"{context}: upcasters go round in a circle: {circle}")
        for step in by_name.get(name, ()):
            for target in step.into:
                if target != name and target not in order:
                    visit(target, (*trail, name))
        if name in by_name:
            order[name] = None

    for name in by_name:
        if name not in order:
            visit(name, ())
    return list(order)
