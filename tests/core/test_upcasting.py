"""From a recorded shape to today's: chained, renamed, split, dropped; what cannot work is told at open."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Context, DefinitionError, InvalidData
from perdure.core.definition import define
from perdure.core.upcasting import Upcasters, schema_of, stamped
from perdure.vocabulary.events import Metadata


@dataclass(frozen=True)
class Deposited:
    cents: int
    currency: str = "EUR"


@dataclass(frozen=True)
class FeeCharged:
    cents: int


@dataclass(frozen=True)
class Balance:
    cents: int = 0


def cents(data: dict[str, Any]) -> dict[str, Any]:
    return {"cents": int(data["amount"] * 100)}


def in_euro(data: dict[str, Any]) -> dict[str, Any]:
    return data | {"currency": "EUR"}


def bank(version: int = 3) -> Context:
    context = Context("bank")
    context.event("deposited", version=version)(Deposited)
    context.event(FeeCharged)
    return context


def upcasters(context: Context) -> Upcasters:
    return define(context).upcasters


def same(data: dict[str, Any]) -> dict[str, Any]:
    return data


# -- stamping ----------------------------------------------------------------------------------


def test_version_1_needs_no_stamp() -> None:
    assert stamped(b"", 1) == b""
    assert stamped(b'{"principal":"ann"}', 1) == b'{"principal":"ann"}'


@given(
    principal=st.none() | st.text() | st.just("schema"),
    trace=st.none() | st.text(),
    version=st.integers(1, 10**6),
)
def test_a_stamp_adds_the_version_and_changes_nothing_else(
    principal: str | None, trace: str | None, version: int
) -> None:
    before = Metadata(principal=principal, traceparent=trace)
    text = msgspec.json.encode(before)

    for metadata in (text, b" " + text.replace(b"{", b"{ ", 1) + b"\n"):
        after = stamped(metadata, version)

        assert msgspec.json.decode(after, type=Metadata) == msgspec.structs.replace(
            before, schema=version
        )
        assert schema_of(after) == version
        assert stamped(after, version + 1) == after or version == 1


def test_an_empty_metadata_becomes_the_stamp_alone() -> None:
    assert stamped(b"", 2) == stamped(b"{}", 2) == b'{"schema":2}'


@pytest.mark.parametrize("metadata", [b'{"schema":"two"}', b'{"schema":0}', b'{"schema"'])
def test_a_version_that_is_none_is_refused(metadata: bytes) -> None:
    with pytest.raises(InvalidData, match="metadata"):
        schema_of(metadata)


def test_a_schema_that_is_somebody_s_name_is_not_a_version() -> None:
    assert schema_of(b'{"principal":"schema"}') == 1
    assert schema_of(b'{"x":{"schema":7}}') == 1
    assert stamped(b'{"principal":"schema"}', 2) == b'{"principal":"schema","schema":2}'


# -- reading -----------------------------------------------------------------------------------


def test_a_chain_leads_from_each_version_to_today_s() -> None:
    context = bank()
    context.upcast("deposited", 1)(cents)
    context.upcast("deposited", 2)(in_euro)
    found = upcasters(context)

    for metadata, data in [
        (b"", b'{"amount":12.34}'),
        (b'{"schema":2}', b'{"cents":1234}'),
        (b'{"schema":3}', b'{"cents":1234,"currency":"EUR"}'),
    ]:
        ((name, declared, payload),) = found.read("deposited", metadata, data)
        assert (name, declared, payload) == (
            "deposited",
            context.event_types["deposited"],
            Deposited(1234, "EUR"),
        )


scalars = (
    st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.booleans() | st.none()
    | st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6)
)  # fmt: skip
payloads = st.dictionaries(st.text(max_size=5), scalars, max_size=4)
#: Functions of a payload that can be told apart by what they make of it.
changes = st.sampled_from(
    [
        same,
        lambda data: data | {"added": len(data)},
        lambda data: {key: value for key, value in data.items() if value is not None},
        lambda data: {"inner": data},
        lambda data: {f"{key}_": value for key, value in data.items()},
    ]
)


@given(steps=st.lists(changes, min_size=1, max_size=6), data=payloads, start=st.integers(0, 5))
def test_a_chain_of_upcasters_is_the_composition_of_its_functions(
    steps: list[Callable[[dict[str, Any]], dict[str, Any]]], data: dict[str, Any], start: int
) -> None:
    context = Context("bank")
    context.event("noted", version=len(steps) + 1)(msgspec.defstruct("Noted", []))
    for version, step in enumerate(steps, start=1):
        context.upcast("noted", version)(step)
    start = min(start, len(steps))
    text = msgspec.json.Encoder(decimal_format="number").encode(data)

    ((name, after),) = upcasters(context).upcast("noted", stamped(b"", start + 1), text)

    wanted = reduce(lambda value, step: step(value), steps[start:], data)
    assert name == "noted"
    assert msgspec.json.decode(after, type=Any) == msgspec.json.decode(
        msgspec.json.Encoder(decimal_format="number").encode(wanted), type=Any
    )


def test_numbers_are_carried_to_the_digit() -> None:
    context = bank(2)
    context.upcast("deposited", 1)(same)
    digits = b'{"cents":0.12345678901234567890,"n":31.990}'

    assert upcasters(context).upcast("deposited", b"", digits) == (("deposited", digits),)


def test_a_renamed_event_is_read_under_its_new_name() -> None:
    context = bank(2)
    context.upcast("deposited", 1)(cents)
    context.upcast("paid_in", 1, into="deposited")(same)
    found = upcasters(context)

    ((name, _, payload),) = found.read("paid_in", b"", b'{"amount":5}')

    assert (name, payload) == ("deposited", Deposited(500))
    assert found.names_for("deposited") == ("deposited", "paid_in")
    assert found.certain == {"deposited", "paid_in"}


def test_a_third_element_says_the_version_of_the_new_name() -> None:
    context = bank(2)
    context.upcast("deposited", 1)(cents)

    @context.upcast("paid_in", 1, into=["deposited"])
    def renamed(data: dict[str, Any]) -> tuple[str, dict[str, Any], int]:
        return "deposited", {"cents": data["minor"]}, 2

    ((name, _, payload),) = upcasters(context).read("paid_in", b"", b'{"minor":7}')

    assert (name, payload) == ("deposited", Deposited(7))


def splitting() -> Context:
    context = bank(2)

    @context.upcast("deposited", 1, into=["deposited", "fee_charged"])
    def split(data: dict[str, Any]) -> list[Any]:
        if data["cents"] == 0:
            return []
        parts: list[Any] = [{"cents": data["cents"]}]
        return [*parts, ("fee_charged", {"cents": data["fee"]})] if "fee" in data else parts

    return context


def test_one_event_may_come_to_several_or_to_none() -> None:
    found = upcasters(splitting())

    def read(data: bytes) -> list[object]:
        return [payload for _, _, payload in found.read("deposited", b"", data)]

    assert read(b'{"cents":9,"fee":1}') == [Deposited(9), FeeCharged(1)]
    assert read(b'{"cents":9}') == [Deposited(9)]
    assert read(b'{"cents":0}') == []
    assert found.names_for("fee_charged") == ("deposited", "fee_charged")
    assert not found.certain


def test_what_is_not_upcast_is_read_as_it_was_recorded() -> None:
    found = upcasters(splitting())

    assert found.upcast("fee_charged", b"", b'{"cents":1.0}') == (
        ("fee_charged", b'{"cents":1.0}'),
    )
    assert found.read("unheard", b'{"schema":9}', b'{"a":1.5}') == (("unheard", None, {"a": 1.5}),)


@pytest.mark.parametrize(
    ("metadata", "data", "reason"),
    [
        (b"", b'{"sum":1}', "cents .upcast 'deposited' 1.: KeyError: 'amount'"),
        (b'{"schema":2}', b'{"cents":"x"}', "at /cents"),
        (b'{"schema":3}', b'{"cents":1}', "recorded in version 3; this application knows 2"),
        (
            b"",
            b'{"amount":1e9999999999999999999}',
            "a number that cannot be read|KeyError|Overflow",
        ),
    ],
)
def test_what_cannot_be_led_on_is_invalid_data_that_says_why(
    metadata: bytes, data: bytes, reason: str
) -> None:
    context = bank(2)
    context.upcast("deposited", 1)(cents)

    with pytest.raises(InvalidData, match=reason):
        upcasters(context).read("deposited", metadata, data)


def test_a_version_before_the_first_upcaster_is_invalid_data() -> None:
    context = bank(3)
    context.upcast("deposited", 2)(in_euro)

    with pytest.raises(InvalidData, match="nothing leads on from version 1 of 'deposited'"):
        upcasters(context).read("deposited", b"", b"{}")


@pytest.mark.parametrize(
    ("answer", "into", "reason"),
    [
        (None, None, "gave NoneType, not a dict"),
        ([{}], None, "gave list, not a dict"),
        (("fee_charged", {}), None, "gave 'fee_charged', which its into= does not name"),
        (None, ["deposited"], "gave NoneType, not a list"),
        ([("fee_charged", {})], ["deposited"], "'fee_charged', which its into= does not name"),
        (("deposited", {}, 1), ["deposited"], "gave version 1, which does not lead on"),
        (("deposited", {}, 3), ["deposited"], "version 3; this application knows 2"),
        ({"cents": {1, 2}}, None, "set"),
    ],
)
def test_what_an_upcaster_gives_is_checked(answer: Any, into: Any, reason: str) -> None:
    context = bank(2)
    context.upcast("deposited", 1, into=into)(lambda data: answer)

    with pytest.raises(InvalidData, match=reason):
        upcasters(context).read("deposited", b"", b"{}")


# -- what is found at open ---------------------------------------------------------------------


def test_an_upcaster_is_returned_unchanged() -> None:
    context = bank()

    assert context.upcast("deposited", 1)(cents) is cents


def test_what_is_declared_twice_or_before_the_first_version_is_refused_at_once() -> None:
    context = bank()
    context.upcast("deposited", 1)(cents)

    with pytest.raises(DefinitionError, match="version 1 of 'deposited' is upcast twice"):
        context.upcast("deposited", 1)(cents)
    with pytest.raises(DefinitionError, match="no version 0"):
        context.upcast("deposited", 0)(cents)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([], "nothing leads 'deposited' on from version 2"),
        ([("deposited", 1, None)], "nothing leads 'deposited' on from version 2"),
        (
            [("deposited", 2, None), ("deposited", 3, None)],
            "is at version 3; declare it with version=4",
        ),
        ([("deposited", 2, ["deposited", "gone"])], "goes into 'gone', which is not declared"),
        ([("deposited", 2, None), ("paid_in", 1, None)], "'paid_in' is not declared; .* say into="),
        (
            [("deposited", 2, None), ("paid_in", 1, None), ("paid_in", 3, "deposited")],
            "nothing leads 'paid_in' on from version 2",
        ),
        (
            [("deposited", 2, None), ("a", 1, "b"), ("b", 1, "a")],
            "go round in a circle: a -> b -> a",
        ),
        ([("deposited", 2, "perdure.caught_up")], "belongs to the server"),
        ([("deposited", 2, None), ("perdure.caught_up", 1, "deposited")], "belongs to the server"),
    ],
)
def test_upcasters_that_lead_nowhere_are_named(steps: list[Any], reason: str) -> None:
    context = bank(3)
    for name, version, into in steps:
        context.upcast(name, version, into=into)(same)

    with pytest.raises(DefinitionError, match=reason):
        define(context)


def test_older_versions_than_the_first_upcaster_may_be_left_behind() -> None:
    context = bank(3)
    context.upcast("deposited", 2)(in_euro)

    assert upcasters(context).names_for("deposited") == ("deposited",)


def test_a_reaction_to_a_name_that_is_another_one_today_is_named() -> None:
    context = bank(1)
    context.upcast("paid_in", 1, into="deposited")(same)
    service = context.service("account", Balance)

    @service.react("paid_in")
    def paid(model: Balance, event: dict[str, Any]) -> Balance:
        return model

    with pytest.raises(DefinitionError, match="'paid_in' comes to 'deposited' by an upcaster"):
        define(context)


def test_a_name_may_be_used_again_for_another_meaning() -> None:
    context = Context("bank")
    context.event("moved", version=2)(Deposited)
    context.event("paid_in")(FeeCharged)
    context.upcast("moved", 1, into="paid_in")(same)
    found = upcasters(context)

    assert [p for _, _, p in found.read("moved", b"", b'{"cents":1}')] == [FeeCharged(1)]
    assert [p for _, _, p in found.read("moved", b'{"schema":2}', b'{"cents":1}')] == [Deposited(1)]
    assert found.names_for("paid_in") == ("moved", "paid_in")
    assert found.certain == frozenset()


def test_decimals_come_in_as_decimals() -> None:
    seen = []
    context = bank(2)

    @context.upcast("deposited", 1)
    def looks(data: dict[str, Any]) -> dict[str, Any]:
        seen.append(data["amount"])
        return {"cents": 1}

    upcasters(context).read("deposited", b"", b'{"amount":96.19}')

    assert seen == [Decimal("96.19")]
