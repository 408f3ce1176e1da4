"""The one strict JSON pass, for every payload that comes in: HTTP, Python, import, brokers.

One rule: what is stored is what was checked. The text is kept as it was written (numbers, escapes,
order of keys), less its white space; and whatever parser reads it later sees the same data, because
nothing is let in on which parsers differ: no key twice, no NaN, no integer beyond 64 bits, no half
of a character. What Python values are written as passes the same gate.

``msgspec`` parses; this module sees to what it leaves open. Whether a payload fits the type that a
context declared for it is the business of ``core.codec``.
"""

import codecs
import json
import re
from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from itertools import accumulate
from math import isfinite
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from perdure.vocabulary.errors import InvalidData, InvalidInput, LimitExceeded, TooLarge

#: Arrays and objects inside one another, the outermost counted.
DEPTH_MAX = 64
#: Members of one object.
KEYS_MAX = 1000
#: UTF-8 bytes of one key.
KEY_BYTES_MAX = 256
#: Values in one text: objects, arrays and what they hold.
NODES_MAX = 100_000
#: Bytes of one text, as it came in.
DATA_BYTES_MAX = 1_048_576

# The way to a value inside another, the last step outermost: a pointer is made of it on error only.
_Place: TypeAlias = "tuple[_Place, str | int] | None"

_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1
# A decimal of fewer places before or after its point is in the bounds of integers and of floats.
_PLACES_MAX = 18

# Matches from every quote, closed or not: no search begins anew inside a string, so the time is
# linear in the text, however hostile.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?+', re.DOTALL)
_LEVELS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_NOT_BRACKETS = bytes(set(range(256)) - set(_LEVELS))


def read_object(body: bytes) -> tuple[dict[str, Any], bytes]:
    """Read a JSON object: its value, and the compact text to store (``body`` itself, if it is that).

    Raises ``InvalidData`` for anything but one object in strict JSON, and ``LimitExceeded`` for one
    that is too big, too deep or too many. The message says where: by JSON pointer, or by byte.
    """
    value, text = read_value(body)
    if type(value) is not dict:
        raise InvalidData("the JSON must be an object")
    return value, text


def read_value(body: bytes) -> tuple[Any, bytes]:
    """Read any JSON value, under the same rules as ``read_object``."""
    if len(body) > DATA_BYTES_MAX:
        raise TooLarge(f"{len(body)} bytes of JSON; {DATA_BYTES_MAX} at most")
    # Before parsing, for a bomb goes off there: on the stack, or in memory, by its many containers.
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX:
        _check_structure(body)
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _fault(body) from None
    members = _members(value)
    if members is None:
        raise _fault(body)
    canonical = _encode(value)
    if canonical == body:  # then no key is in it twice, and there is no white space in it
        return value, body
    text = msgspec.json.format(body, indent=-1)
    # Spelled in another way, or with a key twice: then there are more colons than members.
    if text != canonical and count_members(text) != members:
        raise _fault(body)
    return value, text


def write_object(value: Mapping[str, Any]) -> bytes:
    """Write Python values as one line of JSON that ``read_object`` accepts.

    Takes what JSON has (``None``, ``bool``, ``int``, ``float``, ``str``, lists, tuples, mappings with
    ``str`` keys), ``Decimal`` as the number it is, to the digit, ``UUID``, aware ``datetime``,
    ``date``, ``time`` and ``timedelta`` as text, and an ``Enum`` as its value. Anything else raises
    ``InvalidData`` with the JSON pointer to it; too much of it raises ``LimitExceeded``.
    """
    if not isinstance(value, Mapping):
        raise InvalidData(f"a value of type {type(value).__name__} is not a JSON object")
    return _write_at_once(value) or read_object(_write(_Writing().plain(value, None, 0)))[1]


def count_members(text: bytes) -> int:
    """Count the members of all objects in a JSON text, each as often as it is written there."""
    return _STRING.sub(b"", text).count(b":")


def same_json(a: bytes, b: bytes) -> bool:
    """Tell whether two texts that were read here are equal as parsed data.

    Numbers are the same when they are exactly that: ``1`` and ``1.0``, ``96.19`` and ``96.190``; but
    ``true`` is not ``1``. The order of keys does not matter, the order in arrays does.
    """
    return a == b or _same(_decode_exactly(a), _decode_exactly(b))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _exact(number: str) -> Decimal:
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent of twenty digits: nearer to zero than a Decimal can be
        return Decimal(0)


_decode = msgspec.json.Decoder().decode
_decode_exactly = msgspec.json.Decoder(float_hook=_exact).decode
_encode = msgspec.json.Encoder().encode
_write = msgspec.json.Encoder(decimal_format="number").encode


def _check_structure(body: bytes) -> None:
    """Refuse a text that is too deep or has too many values, by its brackets and commas alone."""
    structure = _STRING.sub(b"", body)
    if structure.count(b",") >= NODES_MAX:
        raise _too_many()
    brackets = structure.translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_LEVELS.__getitem__, brackets)), default=0) > DEPTH_MAX:
        raise _too_deep()


def _members(value: Any) -> int | None:
    """Count the members of all objects in a parsed value; ``None`` when it breaks a rule.

    On the path of every append, so it only finds that there is a fault; ``_fault`` finds where.
    """
    members, nodes = 0, 1
    todo = [value] if type(value) is dict or type(value) is list else [[value]]
    for container in todo:  # which grows meanwhile
        items: Any = container
        nodes += len(items)
        if type(items) is dict:
            if len(items) > KEYS_MAX:
                return None
            for key in items:
                # A character takes four bytes at most: only a long key has to be encoded.
                if len(key) > KEY_BYTES_MAX // 4 and len(key.encode()) > KEY_BYTES_MAX:
                    return None
            members += len(items)
            items = items.values()
        for item in items:
            kind = type(item)
            if kind is str:
                continue
            if kind is dict or kind is list:
                todo.append(item)
            elif kind is int and not _INTEGER_MIN <= item <= _INTEGER_MAX:
                return None
    return members if nodes <= NODES_MAX else None


def _write_at_once(value: Mapping[str, Any]) -> bytes | None:
    """Write what stands as it is and is small; ``None`` for what takes a closer look, or breaks a rule.

    On the path of every event and command, as ``_members`` is. What it writes, the longer way writes too.
    """
    if type(value) is not dict:
        return None
    nodes = size = 1
    todo: list[Any] = [value]
    for items in todo:  # which grows meanwhile
        if (nodes := nodes + len(items)) > KEYS_MAX:
            return None
        if type(items) is dict:
            for key in items:
                if type(key) is not str or len(key) > KEY_BYTES_MAX // 4:
                    return None
            items = items.values()
        for item in items:
            kind = type(item)
            if kind is str:
                size += len(item)
            elif kind is int:
                if not _INTEGER_MIN <= item <= _INTEGER_MAX:
                    return None
            elif kind is dict or kind is list or kind is tuple:
                todo.append(item)
            elif not _stands(item):
                return None
    if size > DATA_BYTES_MAX // 8 or len(todo) > DEPTH_MAX:
        return None
    try:
        return _write(value)
    except UnicodeEncodeError:  # half of a surrogate pair
        return None


def _stands(scalar: Any) -> bool:
    """Tell whether another scalar than text and integer is written as it is: no subclass, and in bounds."""
    kind = type(scalar)
    if kind is Decimal:
        return bool(scalar.is_finite() and abs(scalar.adjusted()) < _PLACES_MAX)
    return kind is bool or scalar is None or (kind is float and isfinite(scalar))


class _Pairs(list[tuple[str, Any]]):
    """The members of an object as they were written, twice or not."""


_placing = json.JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_int=lambda digits: int(digits[:21]),  # enough to be beyond 64 bits; all could take long
)


def _fault(body: bytes) -> InvalidInput:
    """Say what is wrong with a refused text, and where: a second, slower reading."""
    if body.startswith(codecs.BOM_UTF8):
        return InvalidData("not JSON: a byte order mark (byte 0)")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return InvalidData(f"not UTF-8 (byte {error.start})")
    try:
        tree = _placing.decode(text)
    except json.JSONDecodeError as error:
        at = len(text[: error.pos].encode())
        return InvalidData(f"not JSON: {error.msg} (byte {at})")
    todo: deque[tuple[_Place, Any]] = deque([(None, tree)])
    while todo:
        place, value = todo.popleft()
        if isinstance(value, _Pairs):
            if fault := _fault_of_keys([key for key, _ in value], place):
                return fault
            todo.extend(((place, key), item) for key, item in value)
        elif isinstance(value, list):
            todo.extend(((place, index), item) for index, item in enumerate(value))
        elif flaw := _flaw(value):
            return _invalid(flaw, _pointer(place))
    return _too_many()  # the one rule that is left


def _fault_of_keys(keys: list[str], place: _Place) -> InvalidInput | None:
    seen: set[str] = set()
    for key in keys:
        if flaw := _flaw(key):
            return _invalid(f"a key with {flaw}", _pointer(place))
        if (size := len(key.encode())) > KEY_BYTES_MAX:
            return _limit(f"a key of {size} bytes, {KEY_BYTES_MAX} at most,", _pointer(place))
        if key in seen:
            return _invalid("a key that is there twice", _pointer((place, key)))
        seen.add(key)
    if len(keys) > KEYS_MAX:
        return _limit(f"an object of {len(keys)} keys, {KEYS_MAX} at most,", _pointer(place))
    return None


def _flaw(value: object) -> str | None:
    """Name what keeps a scalar out of the store; ``None`` when nothing does."""
    if isinstance(value, str):
        return None if _is_encodable(value) else "half of a surrogate pair"
    if isinstance(value, float) and not isfinite(value):
        return "NaN, an infinity, or a number beyond 64-bit floats"
    if isinstance(value, int) and not _INTEGER_MIN <= value <= _INTEGER_MAX:
        return "an integer beyond 64 bits"
    return None


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Writing:
    """One value on its way into text, and the room that is left for it."""

    def __init__(self) -> None:
        self._room = DATA_BYTES_MAX

    def plain(self, value: Any, place: _Place, depth: int) -> Any:
        """Give a value in the types that JSON has, and ``Decimal``; refuse what it cannot say."""
        if type(value) is str:
            return self._text(value, place)
        self._take(1)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self.plain(value.value, place, depth)
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, (int, float)):
            return _number(value, place)
        if not isinstance(value, (Mapping, list, tuple)):
            return _written(value, place)
        if depth == DEPTH_MAX:  # too deep, or it holds itself
            raise _too_deep(_pointer(place))
        if isinstance(value, Mapping):
            return {
                self._key(key, place): self.plain(item, (place, key), depth + 1)
                for key, item in value.items()
            }
        return [self.plain(item, (place, index), depth + 1) for index, item in enumerate(value)]

    def _key(self, key: object, place: _Place) -> str:
        if isinstance(key, str):
            return self._text(key, place, "a key with ")
        kind = type(key).__name__
        raise _invalid(f"a key of type {kind}, where JSON has only text,", _pointer(place))

    def _text(self, text: str, place: _Place, role: str = "") -> str:
        self._take(len(text) + 2)
        if not text.isascii() and (flaw := _flaw(text)):
            raise _invalid(role + flaw, _pointer(place))
        return text if type(text) is str else str.__str__(text)

    def _take(self, size: int) -> None:
        """Use up room. Without it, a value that holds its parts many times over has no end."""
        self._room -= size
        if self._room < 0:
            raise TooLarge(f"more than {DATA_BYTES_MAX} bytes of JSON")


def _number(value: float, place: _Place) -> float:
    if flaw := _flaw(value):
        raise _invalid(flaw, _pointer(place))
    return int(value) if isinstance(value, int) else float(value)


def _written(value: object, place: _Place) -> str | Decimal:
    """Give what Python has and JSON has not, as the text or the number that stands for it."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        return Decimal(value)
    if isinstance(value, datetime):
        _check_zone(value, place)
    if isinstance(value, (date, time)):
        return re.sub(r"\+00:00$", "Z", value.isoformat())
    if isinstance(value, timedelta):
        return str(msgspec.to_builtins(timedelta(value.days, value.seconds, value.microseconds)))
    what = value if isinstance(value, Decimal) else f"a value of type {type(value).__name__}"
    raise _invalid(f"{what}, which JSON cannot say,", _pointer(place))


def _check_zone(moment: datetime, place: _Place) -> None:
    offset = moment.utcoffset()
    if offset is None:
        raise _invalid("a datetime without a time zone", _pointer(place))
    if offset % timedelta(minutes=1):
        raise _invalid("a datetime whose offset from UTC is not in whole minutes", _pointer(place))


def _pointer(place: _Place) -> str:
    """Write a place as a JSON pointer (RFC 6901)."""
    steps = []
    while place is not None:
        place, step = place
        steps.append(f"/{str(step).replace('~', '~0').replace('/', '~1')}")
    return "".join(reversed(steps))


def _invalid(what: str, where: str) -> InvalidData:
    return InvalidData(f"{what} at {_shown(where)}", where)


def _limit(what: str, where: str) -> LimitExceeded:
    return LimitExceeded(f"{what} at {_shown(where)}", where)


def _shown(where: str) -> str:
    return repr(where[:200]) if where else "the top"


def _too_deep(where: str = "") -> LimitExceeded:
    return LimitExceeded(f"nested deeper than {DEPTH_MAX}", where)


def _too_many() -> LimitExceeded:
    return LimitExceeded(f"more than {NODES_MAX} values in one JSON text")
