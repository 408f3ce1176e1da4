"""The strict JSON pass: what it takes in and stores to the byte, and what it refuses, and why."""

import json
import re
import sys

import msgspec
import pytest

from perdure.vocabulary.errors import InvalidData, LimitExceeded, TooLarge
from perdure.vocabulary.jsontext import (
    DATA_BYTES_MAX,
    DEPTH_MAX,
    KEY_BYTES_MAX,
    KEYS_MAX,
    NODES_MAX,
    count_members,
    read_object,
    read_value,
)

# What is taken in -------------------------------------------------------------------------------

UNCHANGED = [
    b"{}",
    b"[]",
    b'""',
    b"null",
    b"true",
    b"0",
    b'{"":0}',
    b'{"a":{"b":[1,true,false,null,"c"]}}',
    b'{"b":1,"a":2}',
    b'{"a":{"k":1},"b":{"k":1}}',
    b'{"a":1,"A":1}',
    b"31.990",
    b"96.18999999999998",
    b"1.0",
    b"-0",
    b"-0.0",
    b"0.0",
    b"1e5",
    b"1E5",
    b"1E+05",
    b"1e-5",
    b"1.7976931348623157e308",
    b"5e-324",
    b"1e-400",
    b"0e99999999999999999999",
    b"0.1234567890123456789012345678901234567890",
    b"123456789012345678901234567890.0",
    b"9223372036854775807",
    b"-9223372036854775808",
    b'"\\u00e9\\u00E9\\/\\"\\\\\\b\\f\\n\\r\\t"',
    b'"\\u0000"',
    b'"\\ud83d\\ude00"',
    b'"\\uDBFF\\uDFFF"',
    b'"\\ufeff\\uffff"',
    '"é😀\u2028\u2029\ufeff\ufffe"'.encode(),
    b'"\x7f"',
    b'"  a : b , [c] {d}  "',
    b'{"a:b":"c:d","e,f":"[{"}',
    b'{"\\u0061":1,"b":"http://x/?a=1:2"}',
    b'{"\\"":1,"\\\\":2}',
]

COMPACTED = [
    (b" {} ", b"{}"),
    (b"{}\n", b"{}"),
    (b"\t\r\n {\t}\r\n", b"{}"),
    (b'{"a": 1, "b": [1, 2, {"c": null}]}', b'{"a":1,"b":[1,2,{"c":null}]}'),
    (b'{\n  "a" : 31.990 ,\r\n  "b" : "x  y"\n}', b'{"a":31.990,"b":"x  y"}'),
    (b'{"a": "\\u00e9: \\"q\\" , "}', b'{"a":"\\u00e9: \\"q\\" , "}'),
    (b"[ 1E5 , -0 ]", b"[1E5,-0]"),
    (b" 1 ", b"1"),
]


@pytest.mark.parametrize("body", UNCHANGED)
def test_a_compact_text_is_stored_as_it_was_written(body: bytes) -> None:
    value, stored = read_value(body)

    assert stored == body
    assert value == json.loads(body)


@pytest.mark.parametrize(("body", "compact"), COMPACTED)
def test_only_the_white_space_between_tokens_is_taken_out(body: bytes, compact: bytes) -> None:
    value, stored = read_value(body)

    assert stored == compact
    assert value == json.loads(body)


def test_a_canonical_text_is_not_even_copied() -> None:
    body = b'{"a":[1,2.5,"b"]}'

    assert read_object(body)[1] is body


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"{}"', b"true"])
def test_a_payload_is_an_object(body: bytes) -> None:
    assert read_value(body)[1] == body
    with pytest.raises(InvalidData, match="must be an object"):
        read_object(body)


# What is refused --------------------------------------------------------------------------------

REFUSED = [
    # broken grammar: the byte
    (b"", "byte 0"),
    (b" ", "byte 1"),
    (b"{", "byte 1"),
    (b'{"a":1', "byte 6"),
    (b"nul", "byte 0"),
    (b'{"a":tru}', "byte 5"),
    (b'{"a":1,}', "byte"),
    (b"[1,]", "byte"),
    (b"[,1]", "byte 1"),
    (b"[1 2]", "byte 3"),
    (b'{"a"}', "byte 4"),
    (b"{'a':1}", "byte 1"),
    (b"{a:1}", "byte 1"),
    (b"{1:1}", "byte 1"),
    (b'{"a":01}', "byte 6"),
    (b'{"a":.5}', "byte 5"),
    (b'{"a":5.}', "byte"),
    (b'{"a":+1}', "byte 5"),
    (b'{"a":0x1}', "byte"),
    (b'{"a":1e}', "byte"),
    (b'{"a":-}', "byte"),
    (b'{"a":1}}', "byte 7"),
    (b"{}{}", "byte 2"),
    (b"{} x", "byte 3"),
    (b"{}\x00", "byte 2"),
    (b"{}\x0c", "byte 2"),
    (b"\x0b{}", "byte 0"),
    (b"\xc2\xa0{}", "byte 0"),
    (b"\xc2\x85[]", "byte 0"),
    (b"[1] // one", "byte 4"),
    (b"[1 /* one */]", "byte 3"),
    (b'{"\xc3\xa9":"\xc3\xa9", x}', "byte 12"),
    # characters
    (b"\xef\xbb\xbf{}", "byte order mark"),
    (b"\xff\xfe{\x00}\x00", "not UTF-8"),
    (b"{\x00}\x00", "byte 1"),
    (b'{"a":"\xff"}', "not UTF-8 (byte 6)"),
    (b'{"\xff":1}', "not UTF-8 (byte 2)"),
    (b'{"a":"\xed\xa0\x80"}', "not UTF-8 (byte 6)"),
    (b'{"a":"\xc0\x80"}', "not UTF-8 (byte 6)"),
    (b'{"a":"\xf4\x90\x80\x80"}', "not UTF-8 (byte 6)"),
    (b'{"a":"\xc3"}', "not UTF-8 (byte 6)"),
    (b'{"a":"\x00"}', "byte 6"),
    (b'{"a":"\n"}', "byte 6"),
    (b'{"a":"\t"}', "byte 6"),
    (b'{"a":"\x1f"}', "byte 6"),
    (b'{"a":"\\x41"}', "byte 6"),
    (b'{"a":"\\u12G4"}', "byte"),
    (b'{"a":"\\u+123"}', "byte"),
    (b'{"a":"\\U0041"}', "byte 6"),
    (b'{"a":"\\\n"}', "byte"),
    (b'{"a":"\\', "byte"),
    # what parsers differ on: the pointer
    (b'{"a":1,"a":1}', "twice at '/a'"),
    (b'{"a":1, "a":2}', "twice at '/a'"),
    (b'{"a":1,"\\u0061":2}', "twice at '/a'"),
    (b'[{"b":{"c":1.50,"d:e":2,"d:e":3}}]', "twice at '/0/b/d:e'"),
    (b'{"a":[],"a":[]}', "twice at '/a'"),
    (b'{"":1,"":2}', "twice at '/'"),
    (b'{"x/y~":{"k":NaN}}', "'/x~1y~0/k'"),
    (b'{"a":NaN}', "'/a'"),
    (b'{"a":[0,-Infinity]}', "'/a/1'"),
    (b'{"a":Infinity}', "'/a'"),
    (b"NaN", "at the top"),
    (b'{"a":1e400}', "'/a'"),
    (b'{"a":-1e400}', "'/a'"),
    (b'{"a":1.7976931348623159e308}', "'/a'"),
    (b'{"a":1e99999999999999999999}', "'/a'"),
    (b'{"a":' + b"9" * 400 + b".0}", "'/a'"),
    (b'{"a":9223372036854775808}', "an integer beyond 64 bits at '/a'"),
    (b'{"a":-9223372036854775809}', "an integer beyond 64 bits at '/a'"),
    (b'{"a":18446744073709551615}', "an integer beyond 64 bits at '/a'"),
    (b'{"a":18446744073709551616}', "an integer beyond 64 bits at '/a'"),
    (b"9223372036854775808", "an integer beyond 64 bits at the top"),
    (b'{"a":-' + b"9" * 4000 + b"}", "an integer beyond 64 bits at '/a'"),
    (b'{"a":' + b"1" * 1_000_000 + b"}", "an integer beyond 64 bits at '/a'"),
    (b'{"a":"\\ud800"}', "surrogate pair at '/a'"),
    (b'{"a":"\\ud800 and more"}', "surrogate pair at '/a'"),
    (b'{"a":"\\udc00 and more"}', "surrogate pair at '/a'"),
    (b'{"a":"\\udc00\\ud800 and more"}', "surrogate pair at '/a'"),
    (b'{"a":"\\ud800\\u0041 and more"}', "surrogate pair at '/a'"),
    (b'{"a":["\\ud83d\\ud83d\\ude00"]}', "surrogate pair at '/a/0'"),
    (b'{"a":{"\\udfff":1}}', "a key with half of a surrogate pair at '/a'"),
]


@pytest.mark.parametrize(("body", "where"), REFUSED, ids=lambda given: str(given)[:40])
def test_what_is_not_strict_json_is_refused_and_told_where(body: bytes, where: str) -> None:
    with pytest.raises(InvalidData) as failure:
        read_value(body)

    assert where in str(failure.value)
    str(failure.value).encode()  # it can be sent to whoever asked
    if pointer := re.search(r"'(/.*)'", where):
        assert failure.value.where == pointer.group(1)


def test_a_low_limit_on_digits_in_the_process_changes_nothing() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        with pytest.raises(InvalidData, match="64 bits"):
            read_value(b'{"a":' + b"1" * 1000 + b"}")
    finally:
        sys.set_int_max_str_digits(before)


# Limits -----------------------------------------------------------------------------------------


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"[0]" + b"}" * (depth - 1)


def keyed(count: int) -> bytes:
    return b"{" + b",".join(b'"%d":0' % number for number in range(count)) + b"}"


def listed(nodes: int) -> bytes:
    """Make a text of so many values with half as many commas."""
    pairs, single = divmod(nodes - 1, 2)
    return b"[" + b",".join([b"[0]"] * pairs + [b"0"] * single) + b"]"


def padded(size: int) -> bytes:
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


WITHIN = {
    "depth": nested(DEPTH_MAX),
    "depth beside depth": b"[" + b",".join([nested(DEPTH_MAX - 1)] * 50) + b"]",
    "brackets in a string": b'{"a":"' + b"[{" * 1000 + b'"}',
    "brackets among escapes": b'{"a":"\\"' + b"[{" * 1000 + b'\\\\"}',
    "keys": keyed(KEYS_MAX),
    "a long key": b'{"' + b"k" * KEY_BYTES_MAX + b'":1}',
    "a long key of escapes": b'{"' + b"\\u0061" * KEY_BYTES_MAX + b'":1}',
    "a long key of wide characters": b'{"%s":1}' % ("😀" * (KEY_BYTES_MAX // 4)).encode(),
    "values in a row": b"[" + b",".join([b"0"] * (NODES_MAX - 1)) + b"]",
    "values": listed(NODES_MAX),
    "commas in a string": b'{"a":"' + b"a,b" * NODES_MAX + b'"}',
    "size": padded(DATA_BYTES_MAX),
}

BEYOND = {
    "depth": (nested(DEPTH_MAX + 1), "deeper than 64"),
    "depth beside strings": (b'{"[":' * 65 + b'"]"' + b"}" * 65, "deeper than 64"),
    "depth that would break the stack": (b"[" * 200_000 + b"]" * 200_000, "deeper than 64"),
    "depth without an end": (b'[{"a":' * 150_000, "deeper than 64"),
    "keys": (b"[" + keyed(KEYS_MAX + 1) + b"]", "1001 keys, 1000 at most, at '/0'"),
    "a long key": (b'{"a":{"' + b"k" * 257 + b'":1}}', "257 bytes, 256 at most, at '/a'"),
    "a long key of wide characters": (b'{"%s":1}' % ("é" * 129).encode(), "258 bytes"),
    "values in a row": (b"[" + b",".join([b"0"] * NODES_MAX) + b"]", "more than 100000 values"),
    "values": (listed(NODES_MAX + 1), "more than 100000 values"),
    "values that would fill the memory": (b"[" + b"{}," * 349_000 + b"0]", "100000 values"),
    "size": (padded(DATA_BYTES_MAX + 1), "1048577 bytes of JSON; 1048576 at most"),
    "size of nothing but space": (b"{" + b" " * DATA_BYTES_MAX + b"}", "1048576 at most"),
}


@pytest.mark.parametrize("body", WITHIN.values(), ids=WITHIN.keys())
def test_a_text_at_the_limit_is_taken_in(body: bytes) -> None:
    assert read_value(body) == (json.loads(body), body)


@pytest.mark.parametrize(("body", "why"), BEYOND.values(), ids=BEYOND.keys())
def test_a_text_beyond_the_limit_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(LimitExceeded) as failure:
        read_value(body)

    assert why in str(failure.value)
    assert len(str(failure.value)) < 400


@pytest.mark.parametrize("body", [b"0" * (DATA_BYTES_MAX + 1), padded(DATA_BYTES_MAX + 1)])
def test_too_many_bytes_are_told_from_other_limits(body: bytes) -> None:
    with pytest.raises(TooLarge):
        read_value(body)


def test_members_are_counted_as_often_as_they_are_written() -> None:
    assert count_members(b'{"a:b":"c:d","a:b":{"":[{"x":1}, {"\\":" : "}]}}') == 5
    assert count_members(b'["a:b"]') == 0


def test_a_deep_text_is_refused_before_it_reaches_the_stack() -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000_000)
    try:
        with pytest.raises(LimitExceeded):
            read_value(b"[" * DATA_BYTES_MAX)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "body",
    [b'["' + b'\\"' * 500_000, b'"' * 1_000_000, b'\\"' * 500_000, b'[{"' + b"\\\\" * 500_000],
    ids=["escaped quotes", "quotes", "escaped quotes outside", "backslashes"],
)
def test_hostile_quotes_do_not_take_quadratic_time(body: bytes) -> None:
    with pytest.raises(InvalidData):
        read_value(body)


# What the parser beneath leaves open, and what it sees to itself ------------------------------------

LEFT_OPEN = [
    (b'{"a":1,"a":2}', {"a": 2}),
    (b"18446744073709551616", 2**64),
    (b"-9223372036854775809", -(2**63) - 1),
    (b"[[[[1]]]]" + b" " * 10, [[[[1]]]]),
]
SEEN_TO = [
    b"1e400",
    b"NaN",
    b"\xef\xbb\xbf{}",
    b"{}{}",
    b"{}\x00",
    b'"\n"',
    b'"\x00"',
    b'"\\ud800"',
    b'"\\udc00 and more"',
    b"1" * 5000,
]


@pytest.mark.parametrize(("body", "value"), LEFT_OPEN)
def test_msgspec_takes_in_what_this_pass_sees_to(body: bytes, value: object) -> None:
    assert msgspec.json.decode(body) == value


@pytest.mark.parametrize("body", SEEN_TO, ids=lambda body: str(body[:20]))
def test_msgspec_refuses_this_itself(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body)


def test_msgspec_has_two_more_errors_of_its_own() -> None:
    with pytest.raises(UnicodeDecodeError):
        msgspec.json.decode(b'"\xff"')
    with pytest.raises(RecursionError):
        msgspec.json.decode(b"[" * 200_000)


def test_msgspec_formats_without_reading_numbers_escapes_or_keys() -> None:
    body = b'{ "a" : 1E400 , "a" : "\\u0041\\/" , "\xff" : -0 }'

    assert msgspec.json.format(body, indent=-1) == body.replace(b" ", b"")
