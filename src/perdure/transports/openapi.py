"""The OpenAPI 3.1 document, made from the table of rows and from what the contexts declare.

Each row becomes an operation in each context. Rows whose paths differ only in the names of their slots are
one path to OpenAPI, so they are described together. What this application alone has is described by name:
each declared type of event, each model.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from perdure.core.definition import Definition
from perdure.transports.exchange import EVENT_STREAM, JSON, NDJSON
from perdure.transports.parameters import FOLLOWING, KEY, READ_AFTER
from perdure.transports.paths import Row
from perdure.transports.problems import CONTENT_TYPE as PROBLEM
from perdure.transports.schemas import (
    ENTITY_ID,
    EVENT_ID,
    NAME,
    POSITION,
    UUID,
    ContextSchemas,
    Schema,
    common,
    listed,
    refer,
    shaped,
)

_SLOT_SCHEMAS: Final = {"entity": ENTITY_ID, "event_id": EVENT_ID, "id": UUID}
_SLOT: Final = re.compile(r"\{\w+\}")
_CONTEXT: Final = "/{context}"
_RECEIPT: Final = {
    "Perdure-Position": {
        "description": "The token for reading one's own write.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}
_REQUEST_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "What is asked again under the same key is answered as it was the first time.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,255}$"},
}


class Operation(msgspec.Struct, frozen=True):
    """A row on a path of its own, with the schemas of its body and of its answer."""

    path: str
    row: Row
    takes: Schema | None
    gives: Schema | None
    summary: str


def describe(definitions: Sequence[Definition], rows: Sequence[Row], version: str) -> Schema:
    """Describe the HTTP surface of these contexts, and of the server."""
    components = common()
    operations: list[Operation] = []
    for definition in definitions:
        schemas = ContextSchemas(definition)
        components |= schemas.components
        for row in rows:
            if row.path.startswith(_CONTEXT):
                operations += _in_context(row, definition, schemas)
    operations += [_as_it_is(row, row.path) for row in rows if not row.path.startswith(_CONTEXT)]
    by_shape: dict[str, list[Operation]] = {}
    for operation in operations:
        by_shape.setdefault(_SLOT.sub("{}", operation.path), []).append(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Perdure", "version": version},
        "paths": dict(_path_item(shared) for shared in by_shape.values()),
        "components": {"schemas": components},
    }


def _in_context(row: Row, definition: Definition, schemas: ContextSchemas) -> Iterable[Operation]:
    """Give what a row becomes in a context: itself, or one operation a declared type or model."""
    path = row.path.replace(_CONTEXT, f"/{definition.name}", 1)
    summary = _summary(row)
    if row.gives in {"Model", "Models"}:
        for domain, (reactor, _) in definition.models.items():
            model = shaped(model=schemas.models[domain], position=POSITION)
            gives = model if row.gives == "Model" else shaped(models=listed(model))
            is_keyed = KEY in row.parameters
            if row.gives == "Models" or is_keyed == (reactor.keying != "entity"):
                named = path.replace("{domain}", domain)
                yield Operation(named, row, None, gives, f"{summary} ({domain})")
        return
    if row.takes == "Data":
        for name, payload in schemas.payloads.items():
            named = path.replace("{type}", name)
            yield Operation(named, row, payload, None, f"{summary} ({name})")
        if definition.strict:
            return
    yield _as_it_is(row, path)


def _as_it_is(row: Row, path: str) -> Operation:
    takes = refer(row.takes) if row.takes else None
    gives = refer(row.gives) if row.gives else None
    return Operation(path, row, takes, gives, _summary(row))


def _summary(row: Row) -> str:
    return (row.handler.__doc__ or "").partition("\n")[0].rstrip(".")


def _path_item(shared: Sequence[Operation]) -> tuple[str, Schema]:
    """Describe all that is done at one path, however its slots are called."""
    slots = [_merged(names) for names in zip(*map(_slots, shared), strict=True)]
    names = iter(slots)
    path = _SLOT.sub(lambda _: "{" + next(names) + "}", shared[0].path)
    item: Schema = {
        method.lower(): _operation(path, [o for o in shared if o.row.method == method])
        for method in dict.fromkeys(o.row.method for o in shared)
    }
    if slots:
        item["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": _slot_schema(name)}
            for name in slots
        ]
    return path, item


def _slots(operation: Operation) -> list[str]:
    return [slot.strip("{}") for slot in _SLOT.findall(operation.path)]


def _merged(names: Sequence[str]) -> str:
    return "_or_".join(dict.fromkeys(names))


def _slot_schema(name: str) -> Schema:
    return _any_of([_SLOT_SCHEMAS.get(part, NAME) for part in name.split("_or_")])


def _operation(path: str, shared: Sequence[Operation]) -> Schema:
    """Describe what one method does at one path; several rows, when the ids or the body tell them."""
    method = shared[0].row.method
    described: Schema = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
        "summary": "; or: ".join(dict.fromkeys(o.summary for o in shared)),
        "responses": _responses(shared),
    }
    parameters = {p.name: p for o in shared for p in o.row.parameters}
    listed_parameters: list[Schema] = [
        {
            "name": parameter.name,
            "in": "query",
            "description": parameter.says,
            "schema": listed(dict(parameter.schema))
            if parameter.repeats
            else dict(parameter.schema),
        }
        for parameter in parameters.values()
    ]
    if READ_AFTER in parameters.values():
        token = {"name": "Perdure-After", "in": "header", "schema": dict(READ_AFTER.schema)}
        listed_parameters.append(token | {"description": READ_AFTER.says})
    if any(o.row.takes in {"Wrapped", "Batch"} for o in shared):
        listed_parameters.append(_REQUEST_KEY)
    if listed_parameters:
        described["parameters"] = listed_parameters
    taken = [o.takes for o in shared if o.takes]
    if taken:
        content: Schema = {JSON.decode(): {"schema": _any_of(taken)}}
        if any(o.row.takes == "Batch" for o in shared):
            content[NDJSON.decode()] = {"schema": {"type": "string"}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _responses(shared: Sequence[Operation]) -> Schema:
    problem = {"content": {PROBLEM.decode(): {"schema": refer("Problem")}}}
    responses: Schema = {}
    headers = {"headers": _RECEIPT} if shared[0].row.method == "POST" else {}
    if any(o.gives is None for o in shared) and shared[0].row.method == "POST":
        responses["204"] = {"description": "Recorded.", **headers}
    given = [o.gives for o in shared if o.gives]
    if given:
        content: Schema = {JSON.decode(): {"schema": _any_of(given)}}
        if any(FOLLOWING in o.row.parameters for o in shared):
            text = {"schema": {"type": "string"}}
            content |= {NDJSON.decode(): text, EVENT_STREAM.decode(): text}
        responses["200"] = {"description": "Done.", "content": content, **headers}
    elif shared[0].row.method == "GET":
        responses["200"] = {
            "description": "Text.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    gives = {o.row.gives for o in shared}
    if gives & {"Event", "EventOrEvents", "Model"}:
        responses["304"] = {"description": "The client holds this already."}
    if "Readiness" in gives:
        responses["503"] = responses["200"] | {"description": "Not ready."}
    return responses | {"default": {"description": "A problem (RFC 9457).", **problem}}


def _any_of(schemas: Sequence[Any]) -> Schema:
    distinct = [s for place, s in enumerate(schemas) if s not in schemas[:place]]
    return dict(distinct[0]) if len(distinct) == 1 else {"anyOf": distinct}
