"""What changed between two shapes, and whether JSON of the old one can still be read as the new one.

One rule: when in doubt, a change breaks. It costs an upcaster to say that it does not; it costs the
history of an entity to find out that it did.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from perdure.core.shapes import Shape

#: Words that only narrow what fits: without them more does.
_LIMITS: Final = frozenset(
    {
        "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf", "pattern", "zoned",
        "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties",
    }
)  # fmt: skip


class Change(msgspec.Struct, frozen=True):
    """One difference. ``where`` is a JSON pointer into the payload; ``breaks``: old JSON may not be read."""

    where: str
    what: str
    breaks: bool


def changes(old: Shape, new: Shape, where: str = "") -> list[Change]:
    """List what changed, field by field. Nothing that is listed: nothing changed."""
    if old == new:
        return []
    branches, others = _branches(old), _branches(new)
    if len(branches) == len(others) == 1:
        return list(_of_one(branches[0], others[0], where))
    return list(_of_union(branches, others, where))


def describe(shape: Shape) -> str:
    """Say a shape in a few words: ``integer | null``, ``string (uuid)``, ``[number]``."""
    if "anyOf" in shape:
        return " | ".join(map(describe, shape["anyOf"]))
    if "enum" in shape:
        return "one of " + ", ".join(map(str, shape["enum"]))
    if isinstance(shape.get("items"), dict):
        return f"[{describe(shape['items'])}]"
    if "prefixItems" in shape:
        return f"[{', '.join(map(describe, shape['prefixItems']))}]"
    word = str(shape.get("type", "the same" if "recursive" in shape else "anything"))
    return f"{word} ({shape['format']})" if "format" in shape else word


def _branches(shape: Shape) -> list[Shape]:
    branches: list[Shape] = shape.get("anyOf", [shape])
    return branches


def _of_union(old: Sequence[Shape], new: Sequence[Shape], where: str) -> Iterator[Change]:
    """Each of the old branches must fit one of the new; what it fits best says what changed in it."""
    lost: list[Shape] = []
    before, after = describe({"anyOf": old}), describe({"anyOf": new})
    for branch in old:
        candidates = [list(_of_one(branch, other, where)) for other in new]
        fitting = [found for found in candidates if not any(c.breaks for c in found)]
        if fitting:
            yield from min(fitting, key=len)
        elif (inner := _only_object(branch, new)) is not None:
            yield from _of_one(branch, inner, where)
        else:
            lost.append(branch)
    if lost:
        gone = " | ".join(map(describe, lost))
        yield Change(where, f"was {before}, is {after}: {gone} is no longer read", breaks=True)
    elif before != after:
        yield Change(where, f"was {before}, is {after}", breaks=False)


def _only_object(branch: Shape, others: Sequence[Shape]) -> Shape | None:
    """Give the one object among the others, when the branch is an object too."""
    objects = [other for other in others if "properties" in other]
    return objects[0] if "properties" in branch and len(objects) == 1 else None


def _of_one(old: Shape, new: Shape, where: str) -> Iterator[Change]:
    if old == new:
        return
    if new == {}:
        yield Change(where, f"was {describe(old)}, is anything", breaks=False)
    elif "enum" in old and "enum" in new:
        yield from _of_enum(old, new, where)
    elif "properties" in old and "properties" in new:
        yield from _of_fields(old, new, where)
    elif "prefixItems" in old and "prefixItems" in new:
        yield from _of_tuple(old, new, where)
    elif _is_widened(old, new) or _kind(old) == _kind(new):
        for word in ("items", "additionalProperties"):
            if word in old and word in new:
                yield from changes(old[word], new[word], f"{where}/*")
        yield from _of_format(old, new, where)
        yield from _of_limits(old, new, where)
    else:
        yield Change(where, f"was {describe(old)}, is {describe(new)}", breaks=True)


def _kind(shape: Shape) -> tuple[object, ...]:
    """Tell types apart, a list from a tuple, a dictionary from an object with fields."""
    parts = ("items", "prefixItems", "properties", "additionalProperties", "enum")
    return shape.get("type"), shape.get("recursive"), *(part in shape for part in parts)


def _is_widened(old: Shape, new: Shape) -> bool:
    """Tell whether every value of the old type is one of the new one, in another set of words."""
    if "enum" in old and "enum" not in new:
        names = {bool: "boolean", int: "integer", str: "string"}
        return {names.get(type(value)) for value in old["enum"]} == {new.get("type")}
    return (old.get("type"), new.get("type")) == ("integer", "number")


def _of_enum(old: Shape, new: Shape, where: str) -> Iterator[Change]:
    for value in old["enum"]:
        if value not in new["enum"]:
            yield Change(where, f"{value!r} is no longer read", breaks=True)
    for value in new["enum"]:
        if value not in old["enum"]:
            yield Change(where, f"{value!r} is read too", breaks=False)


def _of_tuple(old: Shape, new: Shape, where: str) -> Iterator[Change]:
    if len(old["prefixItems"]) != len(new["prefixItems"]):
        yield Change(where, f"was {describe(old)}, is {describe(new)}", breaks=True)
        return
    for index, pair in enumerate(zip(old["prefixItems"], new["prefixItems"], strict=True)):
        yield from changes(*pair, f"{where}/{index}")


def _of_fields(old: Shape, new: Shape, where: str) -> Iterator[Change]:
    before, after = old["properties"], new["properties"]
    closed = new.get("additionalProperties") is False
    for name in sorted(before.keys() - after.keys()):
        what = (
            "unknown fields are refused" if closed else "what is recorded of it is no longer read"
        )
        yield Change(f"{where}/{name}", f"removed: {what}", breaks=closed)
    for name in sorted(after.keys() - before.keys()):
        required = name in new["required"]
        how = "without a default" if required else "with a default"
        yield Change(f"{where}/{name}", f"added {how}", breaks=required)
    for name in sorted(before.keys() & after.keys()):
        place = f"{where}/{name}"
        yield from changes(before[name], after[name], place)
        if name in new["required"] and name not in old["required"]:
            yield Change(place, "has lost its default", breaks=True)
        if name in old["required"] and name not in new["required"]:
            yield Change(place, "has a default now", breaks=False)
    if closed and old.get("additionalProperties") is not False:
        yield Change(where, "unknown fields are refused now", breaks=True)


def _of_format(old: Shape, new: Shape, where: str) -> Iterator[Change]:
    before, after = old.get("format"), new.get("format")
    if before != after or old.get("type") != new.get("type"):
        # without a format anything of the type is read; a number becomes a decimal to the digit
        breaks = after not in (None, "decimal") or (before, after) == ("decimal", None)
        yield Change(where, f"was {describe(old)}, is {describe(new)}", breaks=breaks)


def _of_limits(old: Shape, new: Shape, where: str) -> Iterator[Change]:
    for word in sorted(_LIMITS):
        before, after = old.get(word), new.get(word)
        if before != after:
            what = (
                f"{word} was {before}, is {after}" if before is not None else f"{word} is {after}"
            )
            gone = after is None
            yield Change(where, f"{word} is gone" if gone else what, breaks=not gone)
