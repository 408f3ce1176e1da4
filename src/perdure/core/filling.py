"""Making a value that was read as whole as one that was made.

The reader leaves a dataclass's field that has a plain default to the class, and the writer writes what the
instance has: such a field would be lost, and take another value when the default changes. So it is put
into the instance when it is read.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_type_hints

_MISSING = dataclasses.MISSING


def classes_within(cls: Any) -> Iterator[type[Any]]:
    """Give a class and all those that its fields may hold, each once."""
    seen: set[Any] = set()
    waiting = [cls]
    while waiting:
        hint = waiting.pop()
        if hint in seen:
            continue
        seen.add(hint)
        waiting += get_args(hint)
        if isinstance(hint, type):
            yield hint
            waiting += _hints(hint)


def _hints(cls: type[Any]) -> list[Any]:
    try:
        return list(get_type_hints(cls).values())
    except (NameError, TypeError):  # what cannot be looked into is told elsewhere
        return []


def leaves_out(cls: type[Any]) -> bool:
    """Tell whether reading may leave fields of this class to the class."""
    return dataclasses.is_dataclass(cls) and cls.__dictoffset__ != 0 and bool(_defaults(cls))


def _defaults(cls: type[Any]) -> Mapping[str, Any]:
    return {f.name: f.default for f in dataclasses.fields(cls) if f.default is not _MISSING}


class Filling:
    """Puts defaults into values that were read, however deep in them."""

    def __init__(self) -> None:
        self._defaults: dict[type[Any], Mapping[str, Any]] = {}

    def fill(self, value: Any) -> None:
        """Fill a value and all that it holds, in place."""
        cls = type(value)
        if cls in (str, int, float, bool, bytes, type(None)):
            return
        if isinstance(value, list | tuple | set | frozenset):
            for inner in value:
                self.fill(inner)
        elif isinstance(value, dict):
            for inner in value.values():
                self.fill(inner)
        elif dataclasses.is_dataclass(cls):
            self._fill_dataclass(value, cls)
        else:
            for name in getattr(cls, "__struct_fields__", ()):
                self.fill(getattr(value, name))

    def _fill_dataclass(self, value: Any, cls: type[Any]) -> None:
        defaults = self._defaults.get(cls)
        if defaults is None:
            defaults = self._defaults[cls] = _defaults(cls) if leaves_out(cls) else {}
        if defaults:
            held = value.__dict__
            for name, default in defaults.items():
                held.setdefault(name, default)
        for field in dataclasses.fields(value):
            self.fill(getattr(value, field.name))
