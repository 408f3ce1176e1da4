"""JSON schemas for the OpenAPI document: of what is on every wire, and of a context's own classes.

What cannot be described is described as anything: a document that says too little is of more use than none.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from perdure.core.definition import Definition
from perdure.transports.batches import Batch, BatchEvent
from perdure.vocabulary.names import SYSTEM_PREFIX

Schema = dict[str, Any]

_UUID_OF_VERSIONS = (
    "^[0-9a-f]{{8}}-[0-9a-f]{{4}}-{}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}$"
)

PREFIX: Final = "#/components/schemas/"
UUID: Final[Schema] = {"type": "string", "format": "uuid"}
EVENT_ID: Final = UUID | {"pattern": _UUID_OF_VERSIONS.format("[167]")}
ENTITY_ID: Final = UUID | {"pattern": _UUID_OF_VERSIONS.format("[3458]")}
POSITION: Final[Schema] = {"type": "integer", "minimum": 0}
NAME: Final[Schema] = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,127}$"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_OBJECT: Final[Schema] = {"type": "object"}


def refer(name: str) -> Schema:
    """Refer to a component."""
    return {"$ref": PREFIX + name}


def listed(items: Schema) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": items}


def shaped(**members: Schema) -> Schema:
    """Describe an object that has all of these members."""
    return {"type": "object", "properties": members, "required": list(members)}


def outcome(**of_entity: Schema) -> Schema:
    """Describe how a command that was carried out is answered: an entity's, or a LOW handler's."""
    described = shaped(
        command_id={"type": "string"},
        **of_entity,
        position=POSITION,
        events=listed(EVENT_ID),
        repeated={"type": "boolean"},
    )
    described["properties"]["reply"] = {"description": "What the function had to say."}
    return described


def common() -> dict[str, Schema]:
    """Describe what is the same in every context."""
    _, batch = msgspec.json.schema_components([BatchEvent, Batch], ref_template=PREFIX + "{name}")
    batch["BatchEvent"]["properties"] |= {
        "data": _OBJECT,
        "entity_id": ENTITY_ID,
        "event_id": EVENT_ID,
    }
    return {
        **{name: _tidy(schema) for name, schema in batch.items()},
        "Data": {**_OBJECT, "description": "What happened: a JSON object."},
        "Wrapped": {**shaped(event=_OBJECT), "additionalProperties": False},
        "Published": shaped(event_id=EVENT_ID, position=POSITION),
        "Recorded": shaped(
            events=listed(shaped(event_id=EVENT_ID, position=POSITION, version=POSITION)),
            position=POSITION,
        ),
        "Event": shaped(
            event_id=EVENT_ID,
            type={"type": "string"},
            domain={"type": ["string", "null"]},
            entity_id=ENTITY_ID,
            data=_OBJECT,
            tags=listed({"type": "string"}),
            position=POSITION,
            version=POSITION,
            happened_at=_TIME,
            recorded_at=_TIME,
            metadata=_OBJECT,
        ),
        "Events": shaped(events=listed(refer("Event"))),
        "EventOrEvents": {"anyOf": [refer("Event"), refer("Events")]},
        "Names": listed({"type": "string"}),
        "Ids": listed(UUID),
        "Object": _OBJECT,
        "ParkedKeys": shaped(parked=listed(refer("ParkedKey"))),
        "ParkedKey": shaped(
            id=UUID,
            context={"type": "string"},
            reactor={"type": "string"},
            key={"type": "string"},
            position=POSITION,
            event_id=EVENT_ID,
            cause={"type": "string"},
            traceback={"type": "string"},
            attempts=POSITION,
            waiting={"type": ["integer", "null"], "minimum": 0},
            source={"type": "boolean"},
            hung={"type": "boolean"},
            asked={"enum": ["", "release", "discard"]},
        ),
        "Release": _asking(hung={"type": "boolean"}),
        "Discard": _asking(),
        "Readiness": shaped(
            status={"enum": ["ready", "troubled", "stopping"]},
            durability={"enum": ["durable", "memory"]},
            troubles=listed({"type": "string"}),
        ),
        "Problem": shaped(
            type={"type": "string"},
            title={"type": "string"},
            status={"type": "integer"},
            detail={"type": "string"},
            instance={"type": "string"},
        ),
    }


def _asking(**also: Schema) -> Schema:
    """Describe what may be said with a request to an operator's route."""
    text = {"type": "string", "maxLength": 1000}
    members = {**also, "by": text, "why": text}
    return {"type": "object", "properties": members, "additionalProperties": False}


class ContextSchemas:
    """The schemas of one context: payloads by type, models by domain, commands by domain and name.

    A LOW handler's command stands under no domain. ``components`` holds the parts of all of them. Each
    class has names of its own for its parts, so that no two classes of one name can meet.
    """

    def __init__(self, definition: Definition) -> None:
        self.components: dict[str, Schema] = {}
        self.payloads = {
            name: self._describe(declared.cls, f"{definition.name}.event.{name}.")
            for name, declared in definition.event_types.items()
            if not name.startswith(SYSTEM_PREFIX)
        }
        self.models = {
            domain: self._describe(reactor.codecs[place].cls, f"{definition.name}.model.{domain}.")
            for domain, (reactor, place) in definition.models.items()
        }
        self.commands = {
            (domain, name): self._describe(
                handler.command.cls, f"{definition.name}.command.{domain}.{name}."
            )
            for domain, kind in definition.kinds.items()
            for name, handler in kind.handlers.items()
        } | {
            ("", name): self._describe(handler.command.cls, f"{definition.name}.low.{name}.")
            for name, handler in definition.lows.items()
        }

    def _describe(self, cls: type[Any], prefix: str) -> Schema:
        template = PREFIX + prefix
        parts: dict[str, Schema] = {}

        def foreign(cls: type[Any]) -> Schema:
            """Describe a class that msgspec does not know: a pydantic model, or anything."""
            describe: Callable[..., Schema] | None = getattr(cls, "model_json_schema", None)
            if describe is None:
                return {"title": cls.__name__}
            schema = describe(ref_template=template + "{model}")
            parts.update(schema.pop("$defs", {}))
            return schema

        try:
            (schema,), components = msgspec.json.schema_components(
                [cls], schema_hook=foreign, ref_template=template + "{name}"
            )
        except (TypeError, KeyError):  # the latter for some classes that are generic
            return {"title": cls.__name__}
        for name, part in {**components, **parts}.items():
            self.components[prefix + name] = _tidy(part)
        return dict(_tidy(schema))


def _tidy(schema: Any, *, is_names: bool = False) -> Any:
    """Make a schema say what is on the wire: decimals are numbers. Defaults say nothing there."""
    if isinstance(schema, list | tuple):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if not is_names and schema.get("format") == "decimal":
        return {"type": "number"}
    return {
        key: _tidy(part, is_names=not is_names and key == "properties")
        for key, part in schema.items()
        if is_names or key != "default"
    }
