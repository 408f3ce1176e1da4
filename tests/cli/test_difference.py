import json
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.cli.difference import Change, differences

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "~/b"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "c~/", ""]), inner, max_size=3)
    ),
    max_leaves=12,
)


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(before=values, after=values)
def test_the_changes_lead_from_one_value_to_the_other(before: Any, after: Any) -> None:
    changes = differences(text(before), text(after))

    reached = before
    for change in reversed([c for c in changes if c.after is msgspec.UNSET]):
        reached = apply(reached, change)
    for change in (c for c in changes if c.after is not msgspec.UNSET):
        reached = apply(reached, change)
    assert text(after) == text(in_order_of(after, reached))
    assert (changes == []) == (text(before) == text(in_order_of(before, after)))


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ({"a": 1}, {"a": 1, "b": {"c": []}}, ['+/b {"c":[]}']),
        ({"a": 1, "b": 2}, {"b": 2}, ["-/a 1"]),
        ({"total": 41.799}, {"total": 41.8}, ["~/total 41.799 → 41.8"]),
        ([1, 2, 3, 4], [1, 3, 4], ["-/1 2"]),
        ([1, 3], [1, 2, 3], ["+/1 2"]),
        ({"a/b": {"c~": 1}}, {"a/b": {"c~": 2}}, ["~/a~1b/c~0 1 → 2"]),
        ({"a": 1}, {"a": True}, ["~/a 1 → true"]),
        ([{"a": [1]}], [{"a": [True]}], ["~/0/a/0 1 → true"]),
        (1, {"a": 1}, ['~/ 1 → {"a":1}']),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ],
)
def test_a_change_is_shown_where_it_is(before: Any, after: Any, shown: list[str]) -> None:
    assert shown == [str(change) for change in differences(text(before), text(after))]


def test_numbers_are_compared_to_the_digit() -> None:
    assert differences(b"[96.19]", b"[96.190]") == []
    assert [str(change) for change in differences(b"[96.19]", b"[96.18999999999998]")] == [
        "~/0 96.19 → 96.18999999999998"
    ]


def apply(value: Any, change: Change) -> Any:
    steps = [step.replace("~1", "/").replace("~0", "~") for step in change.path.split("/")[1:]]
    return put(deepcopy(value), steps, change)


def put(value: Any, steps: list[str], change: Change) -> Any:
    if not steps:
        return deepcopy(change.after)
    name = int(steps[0]) if isinstance(value, list) else steps[0]
    if len(steps) > 1:
        value[name] = put(value[name], steps[1:], change)
    elif change.after is msgspec.UNSET:
        del value[name]
    elif isinstance(name, int) and change.before is msgspec.UNSET:
        value.insert(name, deepcopy(change.after))
    else:
        value[name] = deepcopy(change.after)
    return value


def in_order_of(model: Any, value: Any) -> Any:
    """Give a value with its members in the order of another, so that texts can be compared."""
    if isinstance(model, dict) and isinstance(value, dict):
        names = [*(n for n in model if n in value), *(n for n in value if n not in model)]
        return {name: in_order_of(model.get(name), value[name]) for name in names}
    if isinstance(model, list) and isinstance(value, list):
        filler = [None] * len(value)
        return [in_order_of(m, v) for m, v in zip([*model, *filler], value, strict=False)]
    return value
