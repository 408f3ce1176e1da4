"""The shape of a class on the wire: what JSON it reads, and nothing that does not matter for that.

A shape is a value in the words of JSON Schema: types, formats, fields, which of them are required. Names
of classes, documentation and defaults are left out, and parts are written where they stand, so that two
shapes are equal exactly when the same JSON fits both. ``compatibility`` compares two that are not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import inspect

Shape: TypeAlias = dict[str, Any]

#: Says nothing about what JSON fits.
_SAYS_NOTHING: Final = frozenset(
    {
        "title", "description", "default", "examples", "deprecated", "discriminator", "uniqueItems",
        "$defs",
    }
)  # fmt: skip
_SCALARS: Final[Mapping[type, Mapping[str, Any]]] = MappingProxyType(
    {
        inspect.AnyType: {},
        inspect.RawType: {},
        inspect.CustomType: {},
        inspect.NoneType: {"type": "null"},
        inspect.BoolType: {"type": "boolean"},
        inspect.IntType: {"type": "integer"},
        inspect.FloatType: {"type": "number"},
        inspect.DecimalType: {"type": "number", "format": "decimal"},
        inspect.StrType: {"type": "string"},
        inspect.BytesType: {"type": "string", "format": "binary"},
        inspect.ByteArrayType: {"type": "string", "format": "binary"},
        inspect.MemoryViewType: {"type": "string", "format": "binary"},
        inspect.UUIDType: {"type": "string", "format": "uuid"},
        inspect.DateTimeType: {"type": "string", "format": "date-time"},
        inspect.DateType: {"type": "string", "format": "date"},
        inspect.TimeType: {"type": "string", "format": "time"},
        inspect.TimeDeltaType: {"type": "string", "format": "duration"},
    }
)
#: What a type may ask of its values beyond being of it, and the word of JSON Schema for that.
_LIMITS: Final = (
    ("ge", "minimum"),
    ("gt", "exclusiveMinimum"),
    ("le", "maximum"),
    ("lt", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"),
    ("pattern", "pattern"),
    ("tz", "zoned"),
)
_LENGTHS: Final = {
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
    "string": ("minLength", "maxLength"),
}


def shape_of(cls: Any) -> Shape:
    """Describe what JSON a class reads: a struct, dataclass, attrs class, pydantic model, or any type.

    A class that cannot be looked into is described as anything: ``{}``.
    """
    shape: Shape = msgspec.json.decode(msgspec.json.encode(_Walk().of(cls)))
    return shape


def shape_fingerprint(cls: Any) -> str:
    """Give a short hash of a class's shape: 16 hexadecimal digits, the same wherever it is made."""
    text = msgspec.json.encode(shape_of(cls), order="sorted")
    return blake2b(text, digest_size=8).hexdigest()


class _Walk:
    """One walk through a class; ``inside`` are the types with fields it is in, the outermost first."""

    def __init__(self) -> None:
        self.inside: list[int] = []

    def of(self, cls: Any) -> Shape:
        describe: Callable[[], Shape] | None = getattr(cls, "model_json_schema", None)
        if describe is not None:
            schema = describe()
            return dict(_tidy(schema, schema.get("$defs", {}), ()))
        return self.write(inspect.type_info(cls))

    def write(self, type_: inspect.Type) -> Shape:
        """Describe a type as msgspec sees it."""
        match type_:
            case inspect.Metadata(type=inner):
                return self.write(inner)
            case inspect.CustomType(cls=cls) if hasattr(cls, "model_json_schema"):
                return self.of(cls)
            case inspect.UnionType(types=types):
                return _any_of(map(self.write, types))
            case inspect.EnumType(cls=cls):
                return {"enum": _in_order(member.value for member in cls)}
            case inspect.LiteralType(values=values):
                return {"enum": _in_order(values)}
            case inspect.TupleType(item_types=types):
                return {"type": "array", "prefixItems": [self.write(t) for t in types]}
            case inspect.CollectionType(item_type=item):
                return {"type": "array", "items": self.write(item)} | _limits(type_, "array")
            case inspect.DictType(value_type=value):
                written = {"type": "object", "additionalProperties": self.write(value)}
                return written | _limits(type_, "object")
            case (
                inspect.StructType(fields=fields)
                | inspect.DataclassType(fields=fields)
                | inspect.TypedDictType(fields=fields)
                | inspect.NamedTupleType(fields=fields)
            ):
                return self._within(type_, fields)
        scalar = dict(_SCALARS.get(type(type_), {}))
        return scalar | _limits(type_, scalar.get("type", ""))

    def _within(self, type_: Any, fields: Sequence[inspect.Field]) -> Shape:
        """Describe a class with fields. Inside itself it is told by how many levels up it stands."""
        if id(type_) in self.inside:
            return {"recursive": len(self.inside) - self.inside.index(id(type_))}
        self.inside.append(id(type_))
        try:
            written = {field.encode_name: self.write(field.type) for field in fields}
        finally:
            self.inside.pop()
        if isinstance(type_, inspect.NamedTupleType) or getattr(type_, "array_like", False):
            return {"type": "array", "prefixItems": list(written.values())}
        required = [field.encode_name for field in fields if field.required]
        if getattr(type_, "tag_field", None) is not None:
            written[type_.tag_field] = {"enum": [type_.tag]}
            required.append(type_.tag_field)
        shape: Shape = {"type": "object", "properties": written, "required": sorted(required)}
        if getattr(type_, "forbid_unknown_fields", False):
            shape["additionalProperties"] = False
        return shape


def _limits(type_: inspect.Type, kind: str) -> Shape:
    least, most = _LENGTHS.get(kind, ("", ""))
    words = (*_LIMITS, ("min_length", least), ("max_length", most))
    return {
        word: limit for name, word in words if (limit := getattr(type_, name, None)) is not None
    }


def _any_of(shapes: Iterable[Shape]) -> Shape:
    """Join shapes into one that fits each; one alone is itself."""
    flat = [inner for shape in shapes for inner in shape.get("anyOf", [shape])]
    branches = _in_order({msgspec.json.encode(s, order="sorted"): s for s in flat}.values())
    return branches[0] if len(branches) == 1 else {"anyOf": branches}


def _in_order(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=lambda value: msgspec.json.encode(value, order="sorted"))


def _tidy(schema: Any, parts: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    """Write a schema of pydantic's in the same words: without names, its parts where they stand."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in inside:
            return {"recursive": len(inside) - inside.index(name)}
        return _tidy(parts[name], parts, (*inside, name))
    shape = {
        word: _tidy_word(word, value, parts, inside)
        for word, value in schema.items()
        if word not in _SAYS_NOTHING
    }
    if shape.get("additionalProperties") is True:
        shape["additionalProperties"] = {}
    if "prefixItems" in shape:
        return {"type": "array", "prefixItems": shape["prefixItems"]}
    if "const" in shape:
        return {"enum": [shape["const"]]}
    if "enum" in shape:
        return {"enum": _in_order(shape["enum"])}
    if shape.get("type") == "object" and "properties" in shape:
        shape["required"] = sorted(shape.get("required", []))
    branches = shape.pop("anyOf", shape.pop("oneOf", None))
    if branches is None:
        return shape
    if [branch.get("type") for branch in branches[:2]] == ["number", "string"]:
        branches[:2] = [_SCALARS[inspect.DecimalType]]  # how pydantic says Decimal
    return _any_of(branches)


def _tidy_word(word: str, value: Any, parts: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if word == "properties":
        return {name: _tidy(inner, parts, inside) for name, inner in value.items()}
    if isinstance(value, list):
        return [_tidy(inner, parts, inside) for inner in value]
    return _tidy(value, parts, inside)
