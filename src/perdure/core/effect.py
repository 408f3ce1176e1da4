"""An effect as the user declares it: the only place where a function acts on the world.

At least once (the default): frozen as an intent in the commit that gave it out, carried out afterwards,
tried again under the same key until it succeeds or its policy ends. At most once: started after the commit,
from memory, never again; what it is about is never written down.
"""

from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any, Literal, TypeAlias

import msgspec

from perdure.core.codec import Codec
from perdure.core.fingerprints import function_fingerprint
from perdure.core.retrying import Retry
from perdure.core.shapes import shape_fingerprint
from perdure.core.signatures import check_wants, classes_of, hints_of, label_of, parameters_of
from perdure.vocabulary.errors import DefinitionError

Delivery: TypeAlias = Literal["at_least_once", "at_most_once"]
#: What became of an attempt; ``unknown``: it may or may not have happened.
Outcome: TypeAlias = Literal["succeeded", "failed", "unknown"]
#: Asked after an unknown outcome: did it happen? ``None``: try again.
Reconcile: TypeAlias = Callable[..., Awaitable[Literal["succeeded", "failed"] | None]]

#: What an effect's function may ask for by name: any config is handed to it as it is.
BY_NAME: Mapping[str, Any] = {"key": str, "attempt": int, "config": Any}


class EffectDeclaration(msgspec.Struct, frozen=True):
    """A function that acts, and how it is to be carried out. See ``Context.effect``."""

    function: Callable[..., Awaitable[object]]
    retry: Retry
    timeout_seconds: float
    concurrency: int
    delivery: Delivery
    ordered: bool
    reconcile: Reconcile | None


class Effect(msgspec.Struct, frozen=True):
    """An effect, read: the class that asks for it, and what its function asks for by name."""

    name: str
    label: str
    codec: Codec[Any]
    declared: EffectDeclaration
    wants: tuple[str, ...]
    asks: tuple[str, ...]
    code: str

    @property
    def is_durable(self) -> bool:
        """Whether it is written down and carried out at least once."""
        return self.declared.delivery == "at_least_once"


def read_effects(
    declared: EffectDeclaration, owner: str, name_of: Callable[[type[Any]], str]
) -> list[tuple[type[Any], Effect]]:
    """Read an effect's function; one effect for each class of a union."""
    label = label_of(declared.function, owner)
    wants, classes = _read(declared.function, label)
    asks: tuple[str, ...] = ()
    functions = [declared.function]
    if declared.reconcile is not None:
        if declared.delivery == "at_most_once":
            raise DefinitionError(f"{label}: at most once is never asked about again; no reconcile")
        asks, _ = _read(declared.reconcile, label_of(declared.reconcile, owner))
        functions.append(declared.reconcile)
    found = []
    for cls in classes:
        try:
            codec = Codec(cls)
        except TypeError as fault:
            raise DefinitionError(f"{label}: {cls.__name__} cannot be read: {fault}") from fault
        code = f"{function_fingerprint(*functions)} {shape_fingerprint(cls)}"
        found.append((cls, Effect(name_of(cls), label, codec, declared, wants, asks, code)))
    return found


def _read(
    function: Callable[..., object], label: str
) -> tuple[tuple[str, ...], tuple[type[Any], ...]]:
    if not iscoroutinefunction(function):
        raise DefinitionError(f"{label}: an effect is an async function")
    hints = hints_of(function, label)
    positional, wants = parameters_of(function, label, least=1, shape="(effect)")
    if len(positional) != 1:
        raise DefinitionError(f"{label}: takes (effect), then what it wants by keyword")
    check_wants(wants, hints, BY_NAME, label)
    return wants, classes_of(positional[0], hints, label, "effect")
