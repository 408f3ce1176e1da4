"""Between a user's classes and the JSON that is stored.

Any of ``msgspec.Struct``, dataclass, attrs class and pydantic model, mixed and nested. Reading is strict
about types and tolerant about fields that were added later. ``Decimal`` is written as a JSON number,
digit by digit.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any, Generic, TypeVar

import msgspec

from perdure.core.filling import Filling, classes_within, leaves_out
from perdure.vocabulary.errors import InvalidData, PayloadMismatch
from perdure.vocabulary.jsontext import write_object

T = TypeVar("T")

_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_SCALARS = (Decimal, datetime, date, time, timedelta)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")


class Codec(Generic[T]):
    """Reads and writes the values of one class."""

    def __init__(self, cls: type[T]) -> None:
        self.cls = cls
        pydantic: Callable[[bytes], T] | None = getattr(cls, "model_validate_json", None)
        self._read = pydantic or msgspec.json.Decoder(cls, dec_hook=_read_foreign).decode
        self._fill = Filling() if any(map(leaves_out, classes_within(cls))) else None
        self._encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_write_foreign)

    def decode(self, data: bytes) -> T:
        """Read a value. Raises ``PayloadMismatch`` with the JSON pointer of the fault."""
        try:
            value = self._read(data)
        except Exception as fault:  # whatever a class of the user's raises about its fields
            message, where = _explain(fault)
            raise PayloadMismatch(f"{message} at {where or 'the top'}", where) from fault
        if self._fill is not None:
            self._fill.fill(value)
        return value

    def encode(self, value: T) -> bytes:
        """Write a value. Raises ``InvalidData`` for a number that JSON cannot say."""
        data = self._encoder.encode(value)
        if b"null" in data or b"NaN" in data or b"Infinity" in data or b"E+" in data:
            _check_finite(to_plain(value), "")  # the encoder writes a float's NaN as null
        return data

    def encode_strictly(self, value: T) -> bytes:
        """Write a payload under all the rules of stored JSON. Raises ``InvalidData``."""
        plain = to_plain(value)
        if not isinstance(plain, dict):
            raise InvalidData(f"{self.cls.__name__} is not written as a JSON object")
        return write_object(plain)


def to_plain(value: Any) -> Any:
    """Turn a value into dictionaries, lists and scalars; numbers and times stay for the writer."""
    return msgspec.to_builtins(
        value, builtin_types=_SCALARS, str_keys=True, enc_hook=_write_foreign
    )


def _check_finite(plain: Any, where: str) -> None:
    if isinstance(plain, dict):
        for key, inner in plain.items():
            _check_finite(inner, f"{where}/{key}")
    elif isinstance(plain, list | tuple):
        for index, inner in enumerate(plain):
            _check_finite(inner, f"{where}/{index}")
    elif isinstance(plain, float | Decimal) and not isfinite(plain):
        raise InvalidData(f"{plain} at {where or 'the top'} is not a number in JSON", where)


def _write_foreign(value: Any) -> Any:
    """Write what msgspec does not know: pydantic models."""
    dump: Callable[..., Any] | None = getattr(value, "model_dump", None)
    if dump is None:
        raise NotImplementedError(f"{type(value).__name__} cannot be written as JSON")
    return dump(mode="python")


def _read_foreign(cls: type[Any], plain: Any) -> Any:
    """Read what msgspec does not know: pydantic models."""
    validate: Callable[..., Any] | None = getattr(cls, "model_validate", None)
    if validate is None:
        raise NotImplementedError(f"{cls.__name__} cannot be read from JSON")
    return validate(plain)


def _explain(fault: Exception) -> tuple[str, str]:
    """Split a fault into what is wrong and the JSON pointer to it."""
    text = str(fault)
    details: Callable[[], list[dict[str, Any]]] | None = getattr(fault, "errors", None)
    if details is not None:  # pydantic's list of them; the first is told
        first = details()[0]
        return str(first["msg"]), "".join(f"/{step}" for step in first["loc"])
    place = _PLACE.search(text)
    if place is None:
        return text, ""
    steps = (name or index for name, index in _STEP.findall(place.group(1)))
    return text[: place.start()], "".join(f"/{step}" for step in steps)
