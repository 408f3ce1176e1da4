"""What the type checker is told about values a user's function gives out."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

import msgspec


class _DataclassLike(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _AttrsLike(Protocol):
    __attrs_attrs__: ClassVar[Any]


class _PydanticLike(Protocol):
    __pydantic_fields__: ClassVar[Any]


#: An event, an effect or a word such as ``Send``: anything but ``None``, which is a forgotten return.
Value: TypeAlias = _DataclassLike | _AttrsLike | _PydanticLike | msgspec.Struct
#: What a function gives out: values in their order, or one alone.
Outputs: TypeAlias = Sequence[Any] | Value
