"""Commands made from their types, for Hypothesis: whatever a context handles, and to few entities.

``commands_of(bank)`` gives pairs of an entity and a command for it. Few ids, so that commands meet; bounded
values, so that a failing case can be read. Needs ``pip install 'perdure[testing]'``.
"""

import inspect
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from perdure.core.codec import Codec
from perdure.core.context import Context
from perdure.core.definition import define
from perdure.vocabulary.errors import InvalidData
from perdure.vocabulary.references import EntityRef

try:
    from hypothesis import reject
    from hypothesis import strategies as st
except ImportError as missing:
    raise ImportError(
        "perdure.testing.commands makes values with Hypothesis: pip install 'perdure[testing]'"
    ) from missing

Values: TypeAlias = st.SearchStrategy[Any]
#: A command, and the entity it is for; ``None`` where a LOW handler takes it.
Addressed: TypeAlias = tuple[EntityRef[Any] | None, Any]

_LIST_MAX = 3
_MOMENTS = datetime(2020, 1, 1), datetime(2030, 1, 1)  # noqa: DTZ001 - Hypothesis adds the zone


def commands_of(
    context: Context,
    *,
    ids: int = 3,
    by_type: Mapping[Any, Values] | None = None,
    by_field: Mapping[str, Values] | None = None,
) -> st.SearchStrategy[Addressed]:
    """Make the commands of all kinds of entity and of all LOW handlers, each with the entity it is for.

    There are ``ids`` entities of each kind, and fields of type ``UUID`` name one of them. ``by_type`` says
    how values of a type are made, ``by_field`` those of fields of a name; whatever cannot be made or
    stored (a ``ValueError`` from the class, a bound that is broken) is passed over. Raises
    ``DefinitionError`` as ``perdure.open`` does, ``ValueError`` for a context that handles nothing.
    """
    pool = [UUID(int=number, version=4) for number in range(1, ids + 1)]
    maker = Maker(pool, by_type or {}, by_field or {})
    definition = define(context)
    choices: list[st.SearchStrategy[Addressed]] = []
    for kind in definition.kinds.values():
        refs: Values = st.sampled_from([kind.declared[id_] for id_ in pool])
        choices += [
            st.tuples(refs, maker.stored(each.command.codec)) for each in kind.handlers.values()
        ]
    for low in definition.lows.values():
        choices.append(st.tuples(st.none(), maker.stored(low.command.codec)))
    if not choices:
        raise ValueError(f"context {context.name!r} handles no commands")
    return st.one_of(choices)


class Maker:
    """Makes values of types: with ids from a pool, and where it is told how, as it is told."""

    def __init__(
        self, pool: Sequence[UUID], by_type: Mapping[Any, Values], by_field: Mapping[str, Values]
    ) -> None:
        ids: Values = st.sampled_from(pool)
        self._by_type = {**_scalars(), UUID: ids, **by_type}
        self._by_field = by_field
        self._objects: dict[type[Any], Values] = {}  # each once: a class may hold itself

    def stored(self, codec: Codec[Any]) -> Values:
        """Make values of a class, as they are read back after they were stored."""

        def read_back(value: Any) -> Any:
            try:
                return codec.decode(codec.encode_strictly(value))
            except InvalidData:
                reject()

        return self.values(codec.cls).map(read_back)

    def values(self, hint: Any) -> Values:
        """Make values of a type."""
        if hint in self._by_type:
            return self._by_type[hint]
        origin, args = get_origin(hint), get_args(hint)
        if origin is Annotated:
            return self._annotated(args[0], args[1:])
        if origin is Literal:
            return st.sampled_from(args)
        if origin in (Union, UnionType):
            return st.one_of([self.values(each) for each in args])
        if origin is not None:
            return self._collection(hint, origin, args)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return st.sampled_from(list(hint))
        if isinstance(hint, type) and _parameters(hint):
            if hint not in self._objects:
                self._objects[hint] = st.deferred(lambda: self._object(hint))
            return self._objects[hint]
        return st.from_type(hint)

    def _collection(self, hint: Any, origin: Any, args: tuple[Any, ...]) -> Values:
        if origin is tuple and args[-1] is not Ellipsis:
            return st.tuples(*map(self.values, args))
        if issubclass(origin, Mapping):
            keys, values = map(self.values, args)
            return st.dictionaries(keys, values, max_size=_LIST_MAX)
        if issubclass(origin, Sequence | Set):
            one_by_one = st.lists(self.values(args[0]), max_size=_LIST_MAX)
            return one_by_one.map(origin) if origin in (tuple, set, frozenset) else one_by_one
        return st.from_type(hint)

    def _annotated(self, hint: Any, extras: tuple[Any, ...]) -> Values:
        """Make values within the bounds that ``msgspec.Meta`` states, as far as numbers go."""
        for extra in extras:
            if isinstance(extra, msgspec.Meta) and hint in (int, float, Decimal):
                low = extra.ge if extra.ge is not None else extra.gt
                high = extra.le if extra.le is not None else extra.lt
                if low is not None or high is not None:
                    return _between(hint, low, high)
        return self.values(hint)

    def _object(self, cls: type[Any]) -> Values:
        hints = get_type_hints(cls, include_extras=True)
        fields: dict[str, Values] = {}
        for name in _parameters(cls):
            hint = hints.get(name, hints.get(f"_{name}", inspect.Parameter.empty))
            if name in self._by_field:
                fields[name] = self._by_field[name]
            elif hint is not inspect.Parameter.empty:
                fields[name] = self.values(hint)

        def build(values: dict[str, Any]) -> Any:
            try:
                return cls(**values)
            except ValueError:  # what its class does not allow is no command
                reject()

        return st.fixed_dictionaries(fields).map(build)


def _parameters(cls: type[Any]) -> list[str]:
    """Name what a class of the user's is made from; nothing for a class that has no signature."""
    is_ours = any(hasattr(cls, mark) for mark in _MARKS)
    return list(inspect.signature(cls).parameters) if is_ours else []


#: What tells a dataclass, a ``msgspec.Struct``, an attrs class and a pydantic model.
_MARKS = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__", "model_fields")


def _scalars() -> dict[Any, Values]:
    text = st.characters(codec="utf-8", exclude_categories=["Cc"])
    return {
        NoneType: st.none(),
        bool: st.booleans(),
        int: st.integers(-10, 100) | st.integers(-(1 << 53) + 1, (1 << 53) - 1),
        float: st.floats(-1e9, 1e9, allow_subnormal=False),
        str: st.text(text, max_size=20),
        bytes: st.binary(max_size=20),
        Decimal: _between(Decimal, -10, 1000) | _between(Decimal, -(10**9), 10**9),
        datetime: st.datetimes(*_MOMENTS, timezones=st.just(UTC)),
        date: st.dates(_MOMENTS[0].date(), _MOMENTS[1].date()),
        time: st.times(),
        timedelta: st.timedeltas(timedelta(0), timedelta(days=30)),
    }


def _between(cls: type[Any], low: Any, high: Any) -> Values:
    """Make numbers between two bounds, of which one may be missing; money has two places."""
    if cls is Decimal:
        bounds = [None if each is None else Decimal(str(each)) for each in (low, high)]
        return st.decimals(*bounds, places=2, allow_nan=False, allow_infinity=False)
    if cls is int:
        return st.integers(low, high)
    return st.floats(low, high, allow_nan=False, allow_infinity=False)
