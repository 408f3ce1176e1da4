"""Reading the signature of a user's function: what its annotations say, and what it asks for by name."""

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from perdure.vocabulary.errors import DefinitionError


def label_of(function: Callable[..., Any], owner: str) -> str:
    """Name a function for messages: who declared it, and what it is called."""
    return f"{owner}: {getattr(function, '__qualname__', repr(function))}"


def hints_of(function: Callable[..., Any], label: str) -> dict[str, Any]:
    """Give the annotations as types. Raises ``DefinitionError`` for a name that is not there."""
    try:
        return get_type_hints(function)
    except NameError as fault:
        raise DefinitionError(
            f"{label}: {fault}; import it at run time, not only under TYPE_CHECKING"
        ) from fault


def check_plain(function: Callable[..., Any], label: str) -> None:
    """Check that a function only says what is to be done. Raises ``DefinitionError``."""
    if inspect.iscoroutinefunction(function):
        raise DefinitionError(f"{label}: is async; only an effect waits for anything")


def parameters_of(
    function: Callable[..., Any], label: str, *, least: int, shape: str
) -> tuple[list[str], tuple[str, ...]]:
    """Give the names of the positional and of the keyword-only parameters.

    ``least``: how many positional ones there must be; ``shape`` says in words what it takes.
    """
    positional: list[str] = []
    wants: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            wants.append(name)
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(name)
        else:
            raise DefinitionError(f"{label}: *{name} cannot be given; name what it needs")
    if len(positional) < least:
        raise DefinitionError(f"{label}: takes {shape}, then what it wants by keyword")
    return positional, tuple(wants)


def check_wants(
    wants: tuple[str, ...], hints: Mapping[str, Any], known: Mapping[str, Any], label: str
) -> None:
    """Check what is asked for by name. ``known`` are the names there are, each with its type."""
    for name in wants:
        if name not in known:
            raise DefinitionError(
                f"{label}: {name!r} cannot be given by name; there are {', '.join(known)}"
            )
        if known[name] is not Any and not _is_same(hints.get(name, known[name]), known[name]):
            plain = isinstance(known[name], type) and not get_args(known[name])
            written = known[name].__name__ if plain else str(known[name])
            raise DefinitionError(f"{label}: {name!r} is a {written}")


def _is_same(hint: Any, known: Any) -> bool:
    """Tell whether two types are the same, however they are spelled."""
    return hint == known or (
        get_origin(hint) is not None
        and (get_origin(hint), get_args(hint)) == (get_origin(known), get_args(known))
    )


def given_by(hints: Mapping[str, Any]) -> tuple[type[Any], ...]:
    """Give the classes that a return annotation names: ``list[A | B]``, ``Sequence[A]``, ``A``."""
    found: list[type[Any]] = []
    waiting = [hints.get("return")]
    while waiting:
        hint = waiting.pop()
        inner = [arg for arg in get_args(hint) if arg is not Ellipsis]
        if inner:
            waiting += inner
        elif isinstance(hint, type):
            found.append(hint)
    return tuple(found)


def is_of_the_user(cls: type[Any]) -> bool:
    """Tell whether a class is the user's: not Python's, and not a word of ours."""
    return cls.__module__.partition(".")[0] not in ("builtins", "typing", "collections", "perdure")


def classes_of(name: str, hints: Mapping[str, Any], label: str, what: str) -> tuple[type[Any], ...]:
    """Give the class, or the classes of a union, that a parameter is annotated with."""
    if name not in hints:
        raise DefinitionError(f"{label}: annotate {name!r} with the {what} it takes")
    hint = hints[name]
    classes = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for cls in classes:
        if not isinstance(cls, type):
            raise DefinitionError(f"{label}: {cls!r} is not the class of a {what}")
    return tuple(classes)
