"""Query strings: strict, and told what is known.

A parameter that is not known, or given twice, is refused rather than ignored: an ignored filter is a wrong
answer. ``type`` and ``tag`` alone may be given several times.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from perdure.vocabulary.errors import InvalidInput

#: The largest position there can be.
POSITION_MAX: Final = 2**63 - 1
_FIELDS_MAX = 64
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a query string; ``schema`` is its JSON schema, for OpenAPI."""

    name: str
    says: str
    schema: Mapping[str, Any] = MappingProxyType({"type": "string"})
    repeats: bool = False


_POSITION = MappingProxyType({"type": "integer", "minimum": 0, "maximum": POSITION_MAX})
_LIMIT = MappingProxyType({"type": "integer", "minimum": 1})
_UUID = MappingProxyType({"type": "string", "format": "uuid"})

AFTER = Parameter("after", "Only events at positions above this one.", _POSITION)
UPTO = Parameter(
    "upto", "Only events up to this position: a page by happened is pinned by it.", _POSITION
)
FOLLOWING = Parameter("following", "Only events later than the one with this id.", _UUID)
TYPE = Parameter("type", "Only events of this type; several: of any of them.", repeats=True)
TAG = Parameter("tag", "Only events with this tag; several: with all of them.", repeats=True)
LIMIT = Parameter("limit", "How many at most.", _LIMIT)
ORDER = Parameter(
    "order",
    "By position, or by the time in the event ids.",
    MappingProxyType({"enum": ["recorded", "happened"]}),
)
QUERY = Parameter("query", "Give what this query makes of the state, in place of it.")
AFTER_ENTITY = Parameter("after", "Only entities behind this one, in order of id.", _UUID)
AFTER_KEY = Parameter("after", "Only models behind this key, in order of key.")
AFTER_PARKED = Parameter("after", "Only those behind this place: the link to the next page has it.")
KEY = Parameter("key", "The key of the model.")
READ_AFTER = Parameter("after", "Wait until the model has got to this position.", _POSITION)
AS_OF = Parameter("as_of", "The model as it was known at this position.", _POSITION)
AT = Parameter(
    "at",
    "The model of what had happened at this time.",
    MappingProxyType({"type": "string", "format": "date-time"}),
)


class Query:
    """The parameters of one request."""

    def __init__(self, pairs: Sequence[tuple[str, str]] = ()) -> None:
        self.pairs = pairs

    @classmethod
    def parse(cls, raw: bytes, known: Sequence[Parameter]) -> "Query":
        """Read a query string. Raises ``InvalidInput`` for what is not known, or given twice."""
        if not raw:
            return _EMPTY
        try:
            pairs = parse_qsl(
                raw.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=_FIELDS_MAX,
            )
        except ValueError:
            raise InvalidInput(
                "the query string is not name=value pairs in percent-encoded UTF-8"
            ) from None
        by_name = {parameter.name: parameter for parameter in known}
        seen: set[str] = set()
        for name, _ in pairs:
            if name not in by_name:
                names = ", ".join(by_name) or "none"
                raise InvalidInput(
                    f"no parameter {name[:64]!r} is known here; there are: {names}", name[:64]
                )
            if name in seen and not by_name[name].repeats:
                raise InvalidInput(f"the parameter {name!r} is given twice", name)
            seen.add(name)
        return cls(pairs)

    def many(self, name: str) -> tuple[str, ...]:
        """Give all values of a parameter."""
        return tuple(value for key, value in self.pairs if key == name)

    def one(self, name: str) -> str | None:
        """Give the value of a parameter; ``None`` when it is not given."""
        return next((value for key, value in self.pairs if key == name), None)

    def choice(self, name: str, choices: Sequence[str]) -> str | None:
        """Give the value of a parameter that has a few. Raises ``InvalidInput``."""
        value = self.one(name)
        if value is not None and value not in choices:
            raise InvalidInput(f"{name} is one of: {', '.join(choices)}", name)
        return value

    def integer(self, name: str, low: int = 0, high: int = POSITION_MAX) -> int | None:
        """Give the value of a parameter that is a number. Raises ``InvalidInput``."""
        value = self.one(name)
        return None if value is None else read_integer(value, name, low, high)

    def moment(self, name: str) -> datetime | None:
        """Give the value of a parameter that is a time with its offset. Raises ``InvalidInput``."""
        value = self.one(name)
        if value is None:
            return None
        try:  # a plus that was not percent-encoded arrives as a space
            return msgspec.convert(value.replace(" ", "+"), _Moment)
        except (msgspec.ValidationError, ValueError, OverflowError):
            raise InvalidInput(
                f"{name} is a time with its offset from UTC (RFC 3339): 2026-01-31T12:00:00Z", name
            ) from None

    def changed(self, **values: str | int | None) -> str:
        """Write the query string again, some values replaced, or left out where ``None`` is given."""
        kept: list[tuple[str, str | int]] = [pair for pair in self.pairs if pair[0] not in values]
        new = [(name, value) for name, value in values.items() if value is not None]
        return urlencode(kept + new)


_EMPTY = Query()


def read_integer(text: str, name: str, low: int = 0, high: int = POSITION_MAX) -> int:
    """Read a number in plain digits, within bounds. Raises ``InvalidInput`` naming the place."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high:
        return int(text)
    raise InvalidInput(f"{name} is a whole number from {low} to {high}", name)
