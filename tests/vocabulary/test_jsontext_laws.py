"""Laws of the strict JSON pass, and a second opinion: the standard library with strict hooks."""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from perdure.vocabulary.errors import InvalidInput
from perdure.vocabulary.jsontext import read_object, read_value, same_json, write_object

# The second opinion -----------------------------------------------------------------------------

TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\n\r]+', re.DOTALL)


class Refused(ValueError):
    pass


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) or len(found) > 1000 or any(len(k.encode()) > 256 for k in found):
        raise Refused
    return found


def integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise Refused
    return int(digits)


def real(digits: str) -> float:
    if math.isinf(float(digits)):
        raise Refused
    return float(digits)


def constant(name: str) -> float:
    raise Refused(name)


def depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inside), default=0) if isinstance(value, dict | list) else 0


def second_opinion(body: bytes) -> tuple[Any, bytes] | None:
    """Read a text strictly, step by step; ``None`` when it is refused."""
    try:
        text = body.decode()
        value = json.loads(
            text,
            object_pairs_hook=members,
            parse_int=integer,
            parse_float=real,
            parse_constant=constant,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):  # UnicodeError and JSONDecodeError are among them
        return None
    return (value, TOKEN.sub(r"\1", text).encode()) if depth(value) <= 64 else None


def exactly(value: Any) -> str:
    """Tell apart what ``==`` does not: ``1``, ``1.0`` and ``True``, ``0.0`` and ``-0.0``."""
    return repr(value)


def judged(body: bytes) -> tuple[Any, bytes] | None:
    try:
        return read_value(body)
    except InvalidInput as refusal:
        (str(refusal) + refusal.where).encode()  # it can be sent to whoever asked
        return None


def check_both_agree(body: bytes) -> None:
    assert exactly(judged(body)) == exactly(second_opinion(body))


# Texts, well-formed and not ---------------------------------------------------------------------

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t \r\n"])
NUMBERS = (
    st.integers(-(2**65), 2**65).map(str)
    | st.from_regex(r"-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,22})?([eE][-+]?[0-9]{1,3})?", fullmatch=True)
    | st.floats().map(json.dumps)
)
LETTERS = st.sampled_from([*"ab:,[]{} ", "é", "😀", "\u2028", "\x7f", "\x00", "\n"])
ESCAPES = st.sampled_from(
    [r"\"", r"\\", r"\/", r"\n", r"\u0061", r"\u0000", r"\ud83d\ude00", r"\ud800", r"\udc00", r"\x"]
)
STRINGS = st.sampled_from(['"a"', '"b"', r'"\u0061"']) | st.lists(
    LETTERS | ESCAPES, max_size=5
).map(lambda letters: f'"{"".join(letters)}"')
SCALARS = NUMBERS | STRINGS | st.sampled_from(["true", "false", "null", "[ ]", "{\n}"])


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    items = st.builds("{}{}{}".format, SPACE, inner, SPACE)
    pairs = st.builds("{}{}{}:{}".format, SPACE, STRINGS, SPACE, items)
    arrays = st.lists(items, max_size=4).map(lambda parts: f"[{','.join(parts)}]")
    objects = st.lists(pairs, max_size=4).map(lambda parts: f"{{{','.join(parts)}}}")
    return arrays | objects


TEXTS = st.builds(
    "{}{}{}".format, SPACE, st.recursive(SCALARS, containers, max_leaves=10), SPACE
).map(str.encode)
BYTES = st.sampled_from(
    [bytes([byte]) for byte in b'"\\[]{},:0123456789.eE+-tnu/ \n\t\x00\x1f\x7f']
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 2), BYTES | st.binary(max_size=4)), max_size=3
)


def changed(body: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, put in changes:
        at %= len(body) + 1
        body = body[:at] + put + body[at + removed :]
    return body


@settings(deadline=None, max_examples=300)
@given(TEXTS)
@example(b'{"a":1,"a":1}')
@example(b'["\\ud83d\\ude00","\\ud800"]')
def test_any_text_is_judged_and_compacted_as_the_standard_library_would(body: bytes) -> None:
    check_both_agree(body)


@settings(deadline=None, max_examples=300)
@given(st.builds(changed, TEXTS, CHANGES))
def test_a_damaged_text_is_judged_as_the_standard_library_would(body: bytes) -> None:
    check_both_agree(body)


@settings(deadline=None, max_examples=300)
@given(st.binary() | st.lists(BYTES, max_size=20).map(b"".join))
def test_arbitrary_bytes_are_judged_as_the_standard_library_would(body: bytes) -> None:
    check_both_agree(body)


@given(st.integers(55, 75), st.sampled_from([b"[", b'{"a":']), st.booleans())
def test_depth_is_judged_as_the_standard_library_would(
    levels: int, opening: bytes, is_closed: bool
) -> None:
    closing = b"]" if opening == b"[" else b"}"

    check_both_agree(opening * levels + b"0" + closing * levels * is_closed)


# Values -----------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=60), inner),
    max_leaves=20,
)
OBJECTS = st.dictionaries(st.text(max_size=60), VALUES, max_size=6)


@settings(deadline=None)
@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_any_value_comes_back_as_it_went_in_and_stays_so(
    value: Any, indent: int | None, ensure_ascii: bool
) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii).encode()

    read, stored = read_value(body)

    assert exactly(read) == exactly(value)
    assert stored == json.dumps(value, separators=(",", ":"), ensure_ascii=ensure_ascii).encode()
    assert read_value(stored) == (read, stored)


@settings(deadline=None)
@given(OBJECTS)
def test_what_is_written_is_read_as_the_same_value(value: Mapping[str, Any]) -> None:
    written = write_object(value)

    assert exactly(read_object(written)[0]) == exactly(value)
    assert read_object(written)[1] == written
    assert b"\n" not in written


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15))
def test_a_decimal_is_written_to_the_digit(number: Decimal) -> None:
    written = write_object({"a": number})

    assert Decimal(written.removeprefix(b'{"a":').removesuffix(b"}").decode()) == number
    assert same_json(written, b'{"a":%s}' % f"{number:f}".encode())


ANYTHING = st.recursive(
    VALUES | st.floats() | st.integers() | st.binary() | st.decimals() | st.datetimes() | st.dates()
    | st.times() | st.timedeltas() | st.uuids() | st.complex_numbers()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.tuples(inner, inner)
    | st.dictionaries(st.text(st.characters(exclude_categories=())) | st.integers(), inner),
    max_leaves=10,
)  # fmt: skip


@settings(deadline=None)
@given(ANYTHING)
def test_any_python_value_is_written_or_refused_by_name(value: Any) -> None:
    with suppress(InvalidInput):
        read_object(write_object({"a": value}))


# Equality ---------------------------------------------------------------------------------------


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_texts_are_the_same_exactly_when_their_values_are(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    def untyped(value: Any) -> Any:
        """Wrap truth values, which Python takes for numbers."""
        if isinstance(value, dict):
            return {key: untyped(item) for key, item in value.items()}
        if isinstance(value, list):
            return [untyped(item) for item in value]
        return ("truth", value) if isinstance(value, bool) else value

    a, b = write_object(one), write_object(other)

    assert same_json(a, b) == same_json(b, a) == (untyped(one) == untyped(other))


@settings(deadline=None)
@given(OBJECTS)
def test_a_text_is_the_same_however_it_is_spelled(value: dict[str, Any]) -> None:
    turned = dict(reversed(value.items()))
    _, escaped = read_object(json.dumps(turned, indent=1).encode())

    assert same_json(write_object(value), escaped)
