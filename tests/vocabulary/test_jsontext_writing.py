"""Python values as JSON: what each is written as, what is refused, and when two texts are the same."""

import math
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
import pytest

from perdure.vocabulary.errors import InvalidData, LimitExceeded, TooLarge
from perdure.vocabulary.jsontext import DATA_BYTES_MAX, same_json, write_object


class Colour(Enum):
    RED = "red"


class Size(IntEnum):
    SMALL = 1


class Label(str, Enum):  # noqa: UP042  (the older form, which users have)
    NEW = "new"


class Name(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Instant(datetime):
    pass


class Nowhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> None:
        return None

    dst = utcoffset

    def tzname(self, _: datetime | None) -> None:
        return None


@dataclass
class Money:
    amount: int


Pair = namedtuple("Pair", "a b")
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)

WRITTEN: list[tuple[object, bytes]] = [
    (None, b"null"),
    (True, b"true"),
    (31.99, b"31.99"),
    (-0.0, b"-0.0"),
    (-(2**63), b"-9223372036854775808"),
    ("é\n\u2028😀", '"é\\n\u2028😀"'.encode()),
    ([1, (2, Pair(3, [4]))], b"[1,[2,[3,[4]]]]"),
    (OrderedDict(b=1, a=2), b'{"b":1,"a":2}'),
    (MappingProxyType({"a": {}}), b'{"a":{}}'),
    (Decimal("96.190"), b"96.190"),
    (Decimal("0.1"), b"0.1"),
    (Decimal("1E+3"), b"1E+3"),
    (Decimal("-0"), b"-0"),
    (Decimal("0.1234567890123456789012345678901234567890"), b"0.1234567890123456789012345678901234567890"),
    (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    (NOON, b'"2024-02-29T12:00:00Z"'),
    (NOON.replace(microsecond=1), b'"2024-02-29T12:00:00.000001Z"'),
    (NOON.astimezone(timezone(timedelta(hours=-5))), b'"2024-02-29T07:00:00-05:00"'),
    (NOON.astimezone(timezone(timedelta(hours=1))), b'"2024-02-29T13:00:00+01:00"'),
    (Instant(2024, 2, 29, tzinfo=UTC), b'"2024-02-29T00:00:00Z"'),
    (date(2024, 2, 29), b'"2024-02-29"'),
    (time(12, 30), b'"12:30:00"'),
    (timedelta(days=1, seconds=1.5), b'"P1DT1.5S"'),
    (timedelta(seconds=-1), b'"-PT1S"'),
    (Colour.RED, b'"red"'),
    (Size.SMALL, b"1"),
    (Label.NEW, b'"new"'),
    ({Label.NEW: Label.NEW}, b'{"new":"new"}'),
    (Name("a"), b'"a"'),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), WRITTEN, ids=lambda given: ascii(given)[:40])
def test_a_value_is_written_as_what_json_has_for_it(value: object, text: bytes) -> None:
    assert write_object({"a": value}) == b'{"a":' + text + b"}"


@pytest.mark.parametrize(
    "value",
    [
        UUID(int=1),
        NOON,
        NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
        date.min,
        time.max,
        timedelta.max,
    ],
    ids=str,
)
def test_a_value_is_written_so_that_its_class_can_be_read_again(value: object) -> None:
    text = write_object({"a": value})

    assert msgspec.convert(msgspec.json.decode(text)["a"], type(value)) == value


REFUSED: list[tuple[object, str, str]] = [
    (math.nan, "NaN", "/a"),
    ([0, math.inf], "infinity", "/a/1"),
    ({"b": [-math.inf]}, "infinity", "/a/b/0"),
    (Decimal("NaN"), "NaN", "/a"),
    (Decimal("-Infinity"), "-Infinity", "/a"),
    (Decimal("1E+400"), "beyond 64-bit floats", "/a"),
    (Decimal(2**63), "beyond 64 bits", "/a"),
    (2**63, "beyond 64 bits", "/a"),
    (10**5000, "beyond 64 bits", "/a"),
    ("\ud800", "surrogate", "/a"),
    ({"b/~": {"\udfff": 1}}, "a key with half of a surrogate pair", "/a/b~1~0"),
    ({"b": {1: 2}}, "a key of type int", "/a/b"),
    ({None: 2}, "a key of type NoneType", "/a"),
    (b"bytes", "bytes", "/a"),
    ({1, 2}, "set", "/a"),
    (object(), "object", "/a"),
    (Money(1), "Money", "/a"),
    (1j, "complex", "/a"),
    (iter([1]), "list_iterator", "/a"),
    (datetime(2024, 2, 29), "without a time zone", "/a"),  # noqa: DTZ001
    (datetime(2024, 2, 29, tzinfo=Nowhere()), "without a time zone", "/a"),
    (datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=1172))), "whole minutes", "/a"),
]


@pytest.mark.parametrize(
    ("value", "what", "where"), REFUSED, ids=lambda given: type(given).__name__
)
def test_what_json_cannot_say_is_refused_and_named(value: object, what: str, where: str) -> None:
    with pytest.raises(InvalidData) as failure:
        write_object({"a": value})

    assert what in str(failure.value)
    assert failure.value.where == where
    str(failure.value).encode()


@pytest.mark.parametrize("value", [[], "{}", None, 1, b"{}"])
def test_only_a_mapping_is_an_object(value: Any) -> None:
    with pytest.raises(InvalidData, match="not a JSON object"):
        write_object(value)


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_depth_is_counted_as_it_is_in_reading() -> None:
    assert write_object(deep(64)).count(b"{") == 64
    with pytest.raises(LimitExceeded, match="deeper than 64"):
        write_object(deep(65))


def test_a_value_that_holds_itself_is_refused() -> None:
    round_: dict[str, Any] = {}
    round_["a"] = [round_]

    with pytest.raises(LimitExceeded, match="deeper than 64"):
        write_object(round_)


@pytest.mark.parametrize("leaf", [0, "", "much text" * 1000, None])
def test_a_value_that_holds_its_parts_many_times_over_is_refused(leaf: object) -> None:
    value: Any = leaf
    for _ in range(50):
        value = [value, value, value]

    with pytest.raises(TooLarge, match="more than 1048576 bytes"):
        write_object({"a": value})


def test_a_long_text_in_many_places_is_refused_before_it_is_written_out() -> None:
    with pytest.raises(TooLarge, match="more than 1048576 bytes"):
        write_object({"a": ["x" * 100_000] * 50})


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": "x" * DATA_BYTES_MAX}, "bytes"),
        ({"a": "é" * (DATA_BYTES_MAX // 2)}, "bytes"),
        ({"a": [0] * 100_000}, "100000 values"),
        ({str(number): 0 for number in range(1001)}, "1001 keys"),
        ({"k" * 257: 0}, "257 bytes"),
    ],
    ids=["size", "size of wide characters", "values", "keys", "a long key"],
)
def test_writing_has_the_limits_of_reading(value: dict[str, Any], why: str) -> None:
    with pytest.raises(LimitExceeded, match=why):
        write_object(value)


# Equality ---------------------------------------------------------------------------------------

SAME = [
    (b"1", b"1.0"),
    (b"1", b"1e0"),
    (b"96.19", b"96.190"),
    (b"100", b"1E2"),
    (b"0", b"-0"),
    (b"0", b"-0.0"),
    (b"9223372036854775807", b"9223372036854775807.0"),
    (b"0e99999999999999999999", b"0"),
    (b'"a"', b'"\\u0061"'),
    (b'"\\ud83d\\ude00"', '"😀"'.encode()),
    (b'{"a":1,"b":2}', b'{"b":2.0,"a":1}'),
    (b'[{"a":[true,null]}]', b'[{"\\u0061":[true,null]}]'),
]
DIFFERENT = [
    (b"true", b"1"),
    (b"false", b"0"),
    (b"true", b"1.0"),
    (b"false", b"null"),
    (b"null", b"0"),
    (b"1", b'"1"'),
    (b"1.5", b'"1.5"'),
    (b"[]", b"{}"),
    (b"[]", b"null"),
    (b'""', b"[]"),
    (b"[1,2]", b"[2,1]"),
    (b"[1]", b"[1,1]"),
    (b'{"a":1}', b'{"a":1,"b":1}'),
    (b'{"a":1}', b'{"A":1}'),
    (b'{"a":null}', b"{}"),
    (b'{"a":[1,true]}', b'{"a":[1,1]}'),
    (b"9223372036854775807", b"9223372036854775806"),
    (b"9007199254740993", b"9007199254740992.0"),
    (b"0.1", b"0.10000000000000000555"),
    (b"1e-400", b"0"),
    ('"é"'.encode(), '"e\u0301"'.encode()),  # the same to the eye, two spellings in Unicode
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_texts_with_equal_data_are_the_same(a: bytes, b: bytes) -> None:
    assert same_json(a, b)
    assert same_json(b, a)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_texts_with_other_data_are_not_the_same(a: bytes, b: bytes) -> None:
    assert not same_json(a, b)
    assert not same_json(b, a)
    assert same_json(a, bytes(a))
