"""What an event changes in the user's own tables: read, and run for events that are being recorded."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from perdure.core.context import EventType
from perdure.core.signatures import check_wants, classes_of, hints_of, label_of, parameters_of
from perdure.vocabulary.commits import Statement
from perdure.vocabulary.errors import DefinitionError, HandlerFailed
from perdure.vocabulary.events import NewEvent, RecordedEvent

_BY_NAME: Mapping[str, Any] = {"at": datetime, "entity": UUID, "event_id": UUID}


class Writer(msgspec.Struct, frozen=True):
    """A function from an event to statements."""

    function: Callable[..., Any]
    label: str
    wants: tuple[str, ...]

    def write(self, event: NewEvent | RecordedEvent, payload: Any) -> tuple[Statement, ...]:
        """Run it. Raises ``HandlerFailed``."""
        given = {name: getattr(event, _PROPERTY[name]) for name in self.wants}
        try:
            statements = tuple(self.function(payload, **given))
        except Exception as failure:
            raise HandlerFailed(self.label, f"{type(failure).__name__}: {failure}") from failure
        for each in statements:
            if not isinstance(each, Statement):
                raise HandlerFailed(self.label, f"it gave a {type(each).__name__}, no Statement")
        return statements


_PROPERTY = {"at": "happened_at", "entity": "entity_id", "event_id": "event_id"}


def read_writers(
    functions: Sequence[Callable[..., Any]],
    owner: str,
    by_class: Mapping[type[Any], EventType],
) -> dict[str, list[Writer]]:
    """Read the functions, by the wire name of the events they take."""
    writers: dict[str, list[Writer]] = {}
    for function in functions:
        label = label_of(function, owner)
        hints = hints_of(function, label)
        positional, wants = parameters_of(function, label, least=1, shape="(event)")
        if len(positional) != 1:
            raise DefinitionError(f"{label}: takes (event), then what it wants by keyword")
        check_wants(wants, hints, _BY_NAME, label)
        for cls in classes_of(positional[0], hints, label, "event"):
            if cls not in by_class:
                raise DefinitionError(f"{label}: {cls.__name__} is not an event of this context")
            writers.setdefault(by_class[cls].name, []).append(Writer(function, label, wants))
    return writers
