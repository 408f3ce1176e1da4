"""The shape of a class is what JSON it reads; two shapes tell whether old JSON still can be."""

from dataclasses import dataclass, field, make_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Optional
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.core.codec import Codec
from perdure.core.compatibility import changes, describe
from perdure.core.shapes import shape_fingerprint, shape_of
from perdure.vocabulary.errors import PayloadMismatch

NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Line:
    """What was bought."""

    sku: str
    price: Decimal = Decimal(0)


@dataclass(frozen=True)
class AsDataclass:
    number: int
    lines: tuple[Line, ...]
    at: datetime | None = None
    kind: Literal["a", "b"] = "a"
    counts: dict[str, int] = field(default_factory=dict)
    id: UUID = NOBODY


class AsStruct(msgspec.Struct, frozen=True):
    lines: list[Line]
    number: int
    id: UUID = NOBODY
    kind: Literal["b", "a"] = "b"
    at: datetime | None = None
    counts: dict[str, int] = {}


@attrs.frozen
class AsAttrs:
    number: int
    lines: list[Line]
    at: datetime | None = None
    kind: Literal["a", "b"] = "a"
    counts: dict[str, int] = attrs.Factory(dict)
    id: UUID = NOBODY


class PydanticLine(pydantic.BaseModel):
    """Something else."""

    sku: str = pydantic.Field(description="stock keeping unit")
    price: Decimal = Decimal(1)


class AsPydantic(pydantic.BaseModel):
    number: int
    lines: list[PydanticLine]
    at: datetime | None = None
    kind: Literal["a", "b"] = "a"
    counts: dict[str, int] = {}
    id: UUID = NOBODY


def test_the_shape_is_the_same_whatever_the_class_is_made_with() -> None:
    shapes = [shape_of(cls) for cls in (AsDataclass, AsStruct, AsAttrs, AsPydantic)]

    assert shapes == [shapes[0]] * 4
    assert shapes[0] == {
        "type": "object",
        "properties": {
            "number": {"type": "integer"},
            "lines": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "sku": {"type": "string"},
                        "price": {"type": "number", "format": "decimal"},
                    },
                    "required": ["sku"],
                },
            },
            "at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
            "kind": {"enum": ["a", "b"]},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
            "id": {"type": "string", "format": "uuid"},
        },
        "required": ["lines", "number"],
    }


def test_a_fingerprint_is_short_and_says_whether_shapes_are_equal() -> None:
    assert shape_fingerprint(AsStruct) == shape_fingerprint(AsAttrs)
    assert shape_fingerprint(AsStruct) != shape_fingerprint(Line)
    assert shape_fingerprint(Line) == "85a6bf0647d0534e"


@dataclass(frozen=True)
class Tree:
    children: "tuple[Tree, ...]" = ()
    beside: "Leaf | None" = None


@dataclass(frozen=True)
class Leaf:
    of: "Tree | None" = None


class PydanticTree(pydantic.BaseModel):
    children: "list[PydanticTree]" = []
    beside: "PydanticLeaf | None" = None


class PydanticLeaf(pydantic.BaseModel):
    of: "PydanticTree | None" = None


@dataclass(frozen=True)
class Links:
    next: "Links | None" = None


class PydanticLinks(pydantic.BaseModel):
    next: "PydanticLinks | None" = None


def test_a_class_inside_itself_is_told_by_its_place_not_its_name() -> None:
    next_ = {"anyOf": [{"recursive": 1}, {"type": "null"}]}

    assert shape_of(Links) == {"type": "object", "properties": {"next": next_}, "required": []}
    assert shape_of(PydanticLinks) == shape_of(Links)
    assert shape_of(Tree)["properties"]["children"]["items"] == {"recursive": 1}
    assert shape_of(PydanticTree) == shape_of(Tree)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square", forbid_unknown_fields=True):
    side: Annotated[float, msgspec.Meta(gt=0, description="in metres")]


@pytest.mark.parametrize(
    ("cls", "shape", "words"),
    [
        (Colour, {"enum": ["blue", "red"]}, "one of blue, red"),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer | null"),
        (tuple[int, str], {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]},
         "[integer, string]"),
        (set[UUID], {"type": "array", "items": {"type": "string", "format": "uuid"}},
         "[string (uuid)]"),
        (Any, {}, "anything"),
        (object, {}, "anything"),
        (Circle, {"type": "object", "required": ["radius", "type"],
                  "properties": {"radius": {"type": "number"}, "type": {"enum": ["circle"]}}},
         "object"),
        (Square, {"type": "object", "required": ["side", "type"], "additionalProperties": False,
                  "properties": {"side": {"type": "number", "exclusiveMinimum": 0},
                                 "type": {"enum": ["square"]}}},
         "object"),
    ],
)  # fmt: skip
def test_every_kind_of_type_has_a_shape_and_words(cls: Any, shape: Any, words: str) -> None:
    assert shape_of(cls) == shape
    assert describe(shape) == words


def of(**fields: Any) -> Any:
    """A class with these fields: ``name=type``, or ``name=(type, default)``."""
    return make_dataclass(
        "Made",
        [
            (name, *given) if isinstance(given, tuple) else (name, given)
            for name, given in fields.items()
        ],
        kw_only=True,
        frozen=True,
    )


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (of(a=int), of(a=int, b=(int, 0)), ("/b", "added with a default", False)),
        (of(a=int), of(a=int, b=int), ("/b", "added without a default", True)),
        (of(a=int, b=int), of(a=int), ("/b", "removed: what is recorded of it is no longer read", False)),
        (of(a=int), of(a=float), ("/a", "was integer, is number", False)),
        (of(a=float), of(a=int), ("/a", "was number, is integer", True)),
        (of(a=int), of(a=Decimal), ("/a", "was integer, is number (decimal)", False)),
        (of(a=float), of(a=Decimal), ("/a", "was number, is number (decimal)", False)),
        (of(a=Decimal), of(a=float), ("/a", "was number (decimal), is number", True)),
        (of(a=int), of(a=str), ("/a", "was integer, is string", True)),
        (of(a=str), of(a=UUID), ("/a", "was string, is string (uuid)", True)),
        (of(a=UUID), of(a=str), ("/a", "was string (uuid), is string", False)),
        (of(a=str), of(a=datetime), ("/a", "was string, is string (date-time)", True)),
        (of(a=int), of(a=int | None), ("/a", "was integer, is integer | null", False)),
        (of(a=int | None), of(a=int),
         ("/a", "was integer | null, is integer: null is no longer read", True)),
        (of(a=int), of(a=(int, 0)), ("/a", "has a default now", False)),
        (of(a=(int, 0)), of(a=int), ("/a", "has lost its default", True)),
        (of(a=list[int]), of(a=list[float]), ("/a/*", "was integer, is number", False)),
        (of(a=list[int]), of(a=dict[str, int]), ("/a", "was [integer], is object", True)),
        (of(a=tuple[int, int]), of(a=tuple[int, str]), ("/a/1", "was integer, is string", True)),
        (of(a=tuple[int, int]), of(a=tuple[int]), ("/a", "was [integer, integer], is [integer]", True)),
        (of(a=dict[str, int]), of(a=dict[str, str]), ("/a/*", "was integer, is string", True)),
        (of(a=Literal["x"]), of(a=Literal["x", "y"]), ("/a", "'y' is read too", False)),
        (of(a=Literal["x", "y"]), of(a=Literal["x"]), ("/a", "'y' is no longer read", True)),
        (of(a=Literal["x"]), of(a=str), ("/a", "was one of x, is string", False)),
        (of(a=str), of(a=Literal["x"]), ("/a", "was string, is one of x", True)),
        (of(a=int), of(a=Any), ("/a", "was integer, is anything", False)),
        (of(a=Any), of(a=int), ("/a", "was anything, is integer", True)),
        (of(a=int), of(a=Annotated[int, msgspec.Meta(ge=1)]), ("/a", "minimum is 1", True)),
        (of(a=Annotated[int, msgspec.Meta(ge=1)]), of(a=int), ("/a", "minimum is gone", False)),
        (of(a=of(b=int)), of(a=of(b=str)), ("/a/b", "was integer, is string", True)),
        (of(a=of(b=int) | None), of(a=of(b=str) | None), ("/a/b", "was integer, is string", True)),
        (of(a=of(b=int) | None), of(a=of(b=int, c=(int, 0)) | None),
         ("/a/c", "added with a default", False)),
        (of(a=Links), of(a=int), ("/a", "was object, is integer", True)),
    ],
)  # fmt: skip
def test_a_change_says_where_what_and_whether_it_breaks(old: Any, new: Any, wanted: Any) -> None:
    found = [(c.where, c.what, c.breaks) for c in changes(shape_of(old), shape_of(new))]

    assert wanted in found
    assert any(breaks for *_, breaks in found) == wanted[2]


types = st.recursive(
    st.sampled_from([int, float, str, bool, None, Decimal, UUID, datetime, Literal["x", "y"], Any]),
    lambda inner: (
        inner.map(lambda t: list[t])  # type: ignore[valid-type]
        | inner.map(lambda t: dict[str, t])  # type: ignore[valid-type]
        | inner.map(lambda t: Optional[t])  # noqa: UP045
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda f: of(**f))
    ),
    max_leaves=4,
)


@st.composite
def json_of(draw: st.DrawFn, shape: dict[str, Any]) -> Any:
    """Draw JSON that fits a shape."""
    if "anyOf" in shape:
        return draw(st.sampled_from(shape["anyOf"]).flatmap(json_of))
    if "enum" in shape:
        return draw(st.sampled_from(shape["enum"]))
    match shape:
        case {"type": "object", "properties": properties}:
            return {name: draw(json_of(inner)) for name, inner in properties.items()}
        case {"type": "object", "additionalProperties": inner}:
            return draw(st.dictionaries(st.text(max_size=3), json_of(inner), max_size=2))
        case {"type": "array", "items": inner}:
            return draw(st.lists(json_of(inner), max_size=2))
        case {"format": "uuid"}:
            return str(draw(st.uuids()))
        case {"format": "date-time"}:
            return draw(st.datetimes()).isoformat()
        case {"type": "integer"}:
            return draw(st.integers(-(2**53), 2**53))
        case {"type": "number"}:
            return draw(st.floats(-1e9, 1e9) | st.integers(-9, 9))
        case {"type": "boolean"}:
            return draw(st.booleans())
        case {"type": "null"}:
            return None
    return draw(st.text(max_size=3) | st.integers(0, 9) if shape == {} else st.text(max_size=3))


@given(old=types, new=types, data=st.data())
def test_what_is_called_compatible_reads_everything_that_was_written(
    old: Any, new: Any, data: st.DataObject
) -> None:
    before, after = of(a=old), of(a=new)
    text = msgspec.json.encode(data.draw(json_of(shape_of(before))))
    Codec(before).decode(text)

    if not any(change.breaks for change in changes(shape_of(before), shape_of(after))):
        Codec(after).decode(text)


@given(cls=types)
def test_a_shape_has_not_changed_from_itself(cls: Any) -> None:
    assert changes(shape_of(cls), shape_of(cls)) == []


def test_unknown_fields_that_are_refused_make_a_removal_break() -> None:
    class Open(msgspec.Struct):
        a: int
        b: int

    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        a: int

    found = changes(shape_of(Open), shape_of(Closed))

    assert [(c.where, c.breaks) for c in found] == [("/b", True), ("", True)]
    with pytest.raises(PayloadMismatch):
        Codec(Closed).decode(b'{"a":1,"b":2}')
