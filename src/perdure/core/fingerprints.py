"""Whether a function is still the same code, from one process to the next.

A key whose function never returned is tried again only when the code has changed. So the fingerprint takes
in what a mended function differs in: bytecode, constants, names, defaults and closed-over values, of the
function and of all it calls that is not a library. Line numbers, comments, ids and hash seeds stay out.

One rule: what may change while the process runs has no part in it. A list, a cache or an object counts by
its type alone.
"""

import functools
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, get_args
from uuid import UUID

_PLAIN = (
    bool, int, float, complex, str, bytes, type(None), type(...), Decimal, datetime, date, time,
    timedelta, UUID,
)  # fmt: skip


def function_fingerprint(*functions: Callable[..., Any]) -> str:
    """Give 16 characters that stay while the functions do the same, and change when one is mended.

    Another version of Python gives others: its bytecode is different.
    """
    reading = _Reading(functions)
    digest = hashlib.blake2b(digest_size=8)
    for text in reading.texts():
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


class _Reading:
    """A walk over functions and what they reach, each part once, in an order that is always the same."""

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self._waiting: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._packages = {_top(_module(function)) for function in functions}
        self._libraries = tuple(
            sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
        )
        self._roots = self._values(functions)

    def texts(self) -> Iterator[str]:
        """Give a text for each part; parts that are found on the way come later."""
        yield self._roots
        at = 0
        while at < len(self._waiting):
            part = self._waiting[at]
            yield self._class(part) if isinstance(part, type) else self._function(part)
            at += 1

    def _function(self, function: FunctionType) -> str:
        code = function.__code__
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        closed = (f"{name}={self._cell(cell)}" for name, cell in cells)
        keywords = sorted((function.__kwdefaults__ or {}).items())
        hints = function.__annotations__.values()
        return _list(
            _code(code),
            self._values(function.__defaults__ or ()),
            *(f"{name}={self._value(value)}" for name, value in keywords),
            *closed,
            *self._globals(function),
            self._values(cls for hint in hints for cls in _classes(hint, function.__globals__)),
        )

    def _globals(self, function: FunctionType) -> Iterator[str]:
        """Look up the names that the code uses, and the attributes of the modules among them."""
        names = dict.fromkeys(_names(function.__code__))
        for name in names:
            value = function.__globals__.get(name)
            if name not in function.__globals__ or name.startswith("__"):
                continue
            yield f"{name}={self._value(value)}"
            if isinstance(value, ModuleType) and self._is_own(value.__name__):
                for inner in names:
                    if inner in vars(value):
                        yield f"{name}.{inner}={self._value(vars(value)[inner])}"

    def _class(self, cls: type) -> str:
        parts = (
            f"{name}={self._value(value)}"
            for name, value in vars(cls).items()
            if callable(value) or hasattr(value, "__get__") or not name.startswith("__")
        )
        return _list(*parts, self._values(cls.__bases__))

    def _cell(self, cell: Any) -> str:
        try:
            return self._value(cell.cell_contents)
        except ValueError:  # nothing was assigned to it yet
            return "empty"

    def _values(self, values: Iterable[Any]) -> str:
        return _list(*(self._value(value) for value in values))

    def _value(self, value: Any) -> str:
        """Tell a value; a function or class is told later, here only which one it is."""
        if type(value) in _PLAIN:
            return f"{type(value).__name__}:{value!r}"
        if type(value) is tuple:
            return self._values(value)
        if type(value) is frozenset and all(type(one) in _PLAIN for one in value):
            return _constant(value)
        if isinstance(value, functools.partial):
            keywords = sorted(value.keywords.items())
            return f"partial{self._values((value.func, value.args, *map(tuple, keywords)))}"
        if isinstance(value, MethodType):
            return f"method{self._values((value.__func__, type(value.__self__)))}"
        if isinstance(value, property):
            return f"property{self._values((value.fget, value.fset, value.fdel))}"
        if isinstance(value, FunctionType | type):
            return self._refer(value)
        inner = _wrapped(value)
        if inner is not None:
            return f"{type(value).__name__}{self._values((inner,))}"
        name = getattr(value, "__qualname__", "") if callable(value) else ""
        return f"one of {self._refer(type(value))} {name}"

    def _refer(self, part: Any) -> str:
        """Name a function or a class, and put it on the list when it is the user's own."""
        if not isinstance(part, FunctionType | type) or not self._is_own(part.__module__):
            return f"{getattr(part, '__module__', '')}.{getattr(part, '__qualname__', '')}"
        if id(part) not in self._numbers:
            self._numbers[id(part)] = len(self._waiting)
            self._waiting.append(part)
        return f"#{self._numbers[id(part)]}"

    def _is_own(self, module: str | None) -> bool:
        """Tell whether a module is the user's: of the functions' own packages, or no library."""
        if module is None or _top(module) in self._packages:
            return True
        file = getattr(sys.modules.get(module), "__file__", None) or ""
        return bool(file) and not file.startswith(self._libraries) and _top(module) != "perdure"


def _code(code: CodeType) -> str:
    constants = (_constant(constant) for constant in code.co_consts)
    return _list(
        code.co_code.hex(),
        code.co_exceptiontable.hex(),
        str((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)),
        str((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)),
        *constants,
    )


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return _code(value)
    if isinstance(value, tuple):
        return _list(*map(_constant, value))
    if isinstance(value, frozenset):
        return "set" + _list(*sorted(map(_constant, value)))
    return f"{type(value).__name__}:{value!r}"


def _names(code: CodeType) -> Iterator[str]:
    """Give the names that code uses, with those of the functions written inside of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _classes(hint: Any, known: Mapping[str, Any]) -> Iterator[type]:
    """Give the classes that an annotation names."""
    hint = known.get(hint) if isinstance(hint, str) else hint
    if args := get_args(hint):
        for arg in args:
            yield from _classes(arg, known)
    elif isinstance(hint, type):
        yield hint


def _wrapped(value: Any) -> Any:
    """Give the function within what decorators of the standard library make; ``None``: there is none."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    if isinstance(value, functools.cached_property):
        return value.func
    return inspect.getattr_static(value, "__wrapped__", None)


def _list(*texts: str) -> str:
    """Join texts so that no two lists read alike."""
    return "(" + "".join(f"{len(text)}:{text}," for text in texts) + ")"


def _module(function: Callable[..., Any]) -> str:
    return getattr(function, "__module__", None) or type(function).__module__


def _top(module: str) -> str:
    return module.partition(".")[0]
