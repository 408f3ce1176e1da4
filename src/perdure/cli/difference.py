"""What changed between two JSON values, place by place.

A change is an addition, a removal or a replacement at a JSON pointer (RFC 6901). Numbers are compared as
they are written. In a list, what is the same at both ends is left alone, so that one element more or less
is one change.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change. ``before`` is unset for an addition, ``after`` for a removal."""

    path: str
    before: Any = msgspec.UNSET
    after: Any = msgspec.UNSET

    def __str__(self) -> str:
        """Show it on one line: ``+`` added, ``-`` removed, ``~`` replaced."""
        path = self.path or "/"
        if self.before is msgspec.UNSET:
            return f"+{path} {_shown(self.after)}"
        if self.after is msgspec.UNSET:
            return f"-{path} {_shown(self.before)}"
        return f"~{path} {_shown(self.before)} → {_shown(self.after)}"


def differences(before: bytes, after: bytes) -> list[Change]:
    """Give what changed from one JSON text to another, in the order of the second."""
    return list(_compare(_decode(before), _decode(after), ""))


_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def _compare(before: Any, after: Any, path: str) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _compare_objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(before, after, path)
    elif not _same(before, after):
        yield Change(path=path, before=before, after=after)


def _compare_objects(before: dict[str, Any], after: dict[str, Any], path: str) -> Iterator[Change]:
    for name, value in before.items():
        if name not in after:
            yield Change(path=_step(path, name), before=value)
    for name, value in after.items():
        if name in before:
            yield from _compare(before[name], value, _step(path, name))
        else:
            yield Change(path=_step(path, name), after=value)


def _compare_lists(before: list[Any], after: list[Any], path: str) -> Iterator[Change]:
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and _same(before[head], after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and _same(before[-1 - tail], after[-1 - tail]):
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    for index in range(max(len(old), len(new))):
        place = _step(path, str(head + index))
        if index >= len(old):
            yield Change(path=place, after=new[index])
        elif index >= len(new):
            yield Change(path=place, before=old[index])
        else:
            yield from _compare(old[index], new[index], place)


def _same(before: Any, after: Any) -> bool:
    """Tell whether two values are equal; ``true`` is not ``1``, at any depth."""
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_same(before[k], after[k]) for k in before)
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    return bool(before == after)


def _step(path: str, name: str) -> str:
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"


def _shown(value: Any) -> str:
    return _encode(value).decode()
