"""Between a user's classes and stored JSON: exact, strict, and nothing silently lost."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from perdure import InvalidData
from perdure.core.codec import Codec
from perdure.vocabulary.errors import PayloadMismatch


@dataclass(frozen=True)
class Inner:
    price: Decimal = Decimal(0)
    note: str | None = None


@dataclass(frozen=True)
class Model:
    weight: float = 0.0
    price: Decimal = Decimal(0)
    at: datetime | None = None
    inner: dict[UUID, Inner] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)


FULL = Model(
    0.1,
    Decimal("96.19"),
    datetime(2026, 11, 1, tzinfo=UTC),
    {UUID(int=1): Inner(Decimal("31.990"))},
    dict.fromkeys(range(2000), 1),
)


def test_a_model_comes_back_as_it_was_written() -> None:
    codec = Codec(Model)

    assert codec.decode(codec.encode(FULL)) == FULL
    assert b'"price":96.19,' in codec.encode(FULL)
    assert b'"price":31.990,' in codec.encode(FULL)


@pytest.mark.parametrize(
    ("model", "where"),
    [
        (Model(weight=float("nan")), "/weight"),
        (Model(weight=float("inf")), "/weight"),
        (Model(price=Decimal("NaN")), "/price"),
        (Model(inner={UUID(int=1): Inner(Decimal("Infinity"))}), f"/inner/{UUID(int=1)}/price"),
    ],
)
@pytest.mark.parametrize("write", ["encode", "encode_strictly"])
def test_a_number_that_json_cannot_say_is_refused_with_its_place(
    model: Model, where: str, write: str
) -> None:
    with pytest.raises(InvalidData) as refused:
        getattr(Codec(Model), write)(model)

    assert refused.value.where == where


def test_a_payload_with_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidData, match="/at"):
        Codec(Model).encode_strictly(Model(at=datetime(2026, 11, 1)))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b'{"weight":"1"}', "/weight"),
        (b'{"inner":{"00000000-0000-0000-0000-000000000001":{"note":1}}}', "/inner/.../note"),
        (b'{"inner":{"x":{}}}', "/inner"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(data: bytes, where: str) -> None:
    with pytest.raises(InvalidData) as refused:
        Codec(Model).decode(data)

    assert refused.value.where == where


def test_fields_that_came_later_are_tolerated() -> None:
    unknown: dict[str, Any] = {"weight": 1.0, "colour": "red"}

    assert Codec(Model).decode(str(unknown).replace("'", '"').encode()) == Model(1.0)


def test_a_decimal_that_no_reader_takes_for_a_number_is_told() -> None:
    with pytest.raises(InvalidData, match=r"1E\+400 at the top is not a number in JSON"):
        Codec(Decimal).encode(Decimal("1E+400"))


def test_whatever_a_class_raises_about_its_fields_is_a_mismatch() -> None:
    @dataclass(frozen=True)
    class Picky:
        name: str

        def __post_init__(self) -> None:
            raise KeyError(self.name)

    with pytest.raises(PayloadMismatch, match="ann"):
        Codec(Picky).decode(b'{"name":"ann"}')


@dataclass(frozen=True)
class Address:
    street: str
    country: str = "NL"
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parcel:
    to: Address
    others: tuple[Address, ...] = ()
    by_name: dict[str, Address] = field(default_factory=dict)
    fragile: bool = False


def test_what_was_read_is_written_with_its_defaults_however_deep() -> None:
    street = b'{"street":"x"}'
    read = Codec(Parcel).decode(b'{"to":%b,"others":[%b],"by_name":{"a":%b}}' % ((street,) * 3))

    whole = b'{"street":"x","country":"NL","lines":[]}'
    assert read == Parcel(Address("x"), (Address("x"),), {"a": Address("x")})
    assert Codec(Parcel).encode(read) == (
        b'{"to":%b,"others":[%b],"by_name":{"a":%b},"fragile":false}' % ((whole,) * 3)
    )
