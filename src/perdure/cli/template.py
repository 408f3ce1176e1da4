"""``--format``: a line of text made from an event's JSON, by the names of its members."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from perdure.vocabulary.errors import InvalidInput

#: The members of an event's JSON.
MEMBERS = (
    "event_id", "type", "domain", "entity_id", "data", "tags", "position", "version",
    "happened_at", "recorded_at", "metadata",
)  # fmt: skip

_HOLE = re.compile(r"\{([^{}]*)\}")


def compile_template(template: str) -> Callable[[bytes], str]:
    """Make a function that fills a template such as ``{position} {data.item.name}``.

    What an event lacks is left empty; what is no plain value is written as JSON. Raises
    ``InvalidInput`` for a name that no event has.
    """
    for name in _HOLE.findall(template):
        if name.partition(".")[0] not in MEMBERS:
            raise InvalidInput(
                f"--format: an event has no {name!r}; it has {', '.join(MEMBERS)}", "--format"
            )

    def fill(line: bytes) -> str:
        event = _decode(line)
        return _HOLE.sub(lambda hole: _text(_member(event, hole[1].split("."))), template)

    return fill


_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def _member(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        return _encode(value).decode()
    return str(value)
