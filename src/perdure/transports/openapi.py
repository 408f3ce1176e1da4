"""The OpenAPI 3.1 document, made from the table of rows and from what the contexts declare.

Each row becomes an operation in each context. Rows whose paths differ only in the names of their slots are
one path to OpenAPI, so they are described together. What this application alone has is described by name:
each declared type of event, each model, each command.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from perdure.core.definition import Definition
from perdure.transports.exchange import EVENT_STREAM, JSON, NDJSON
from perdure.transports.parameters import FOLLOWING, KEY, QUERY, READ_AFTER
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
    outcome,
    refer,
    shaped,
)

_MAY_BE_LEFT_OUT: Final = frozenset({"Command", "Release", "Discard"})
_SLOT_SCHEMAS: Final = {"entity": ENTITY_ID, "event_id": EVENT_ID, "id": UUID}
_SLOT: Final = re.compile(r"\{\w+\}")
_CONTEXT: Final = "/{context}"
_RECEIPT: Final = {
    "Perdure-Position": {
        "description": "The token for reading one's own write.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    }
}
_ETAG: Final = {
    "ETag": {
        "description": "The version of the entity: If-Match takes it.",
        "schema": {"type": "string"},
    }
}
_REQUEST_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "What is asked again under the same key is answered as it was the first time.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,200}$"},
}
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "description": "The version that the entity must be at: an ETag of it. *: any but 0.",
    "schema": {"type": "string", "pattern": r'^("\d{1,18}"|\d{1,18}|\*)$'},
}
_REFUSALS: Final = {
    "409": "Others were faster each time it was tried. Nothing was written: send it again.",
    "412": "The entity is not at the version that If-Match says.",
    "422": "Rejected: `reason` says why. Or the command does not fit its class, or its key was used "
    "for another: `type` tells them apart.",
    "503": "Nothing was written, or that is not known, or a service is behind: `type` says which.",
}


class Operation(msgspec.Struct, frozen=True):
    """A row on a path of its own, with the schemas of its body and of its answer.

    ``queries`` are those of the states it gives; ``services`` those it can wait for.
    """

    path: str
    row: Row
    takes: Schema | None
    gives: Schema | None
    summary: str
    queries: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


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
    """Give what a row becomes in a context: itself, or one operation a type, a model or a command."""
    path = row.path.replace(_CONTEXT, f"/{definition.name}", 1)
    if row.gives in {"Model", "Models"}:
        yield from _models(row, path, definition, schemas)
        return
    if row.takes == "Command":
        yield from _commands(row, path, definition, schemas)
        return
    if row.takes == "Data":
        for name, payload in schemas.payloads.items():
            named = path.replace("{type}", name)
            yield Operation(named, row, payload, None, f"{_summary(row)} ({name})")
        if definition.strict:
            return
    yield _as_it_is(row, path)


def _models(
    row: Row, path: str, definition: Definition, schemas: ContextSchemas
) -> Iterable[Operation]:
    for domain, (reactor, _) in definition.models.items():
        if row.gives == "Model" and (KEY in row.parameters) != (reactor.keying != "entity"):
            continue
        kind = definition.kinds.get(domain)
        queries = tuple(kind.queries) if kind else ()
        model = shaped(model=_queried(schemas.models[domain], queries), position=POSITION)
        if kind is not None:
            model["properties"]["version"] = POSITION
        gives = model if row.gives == "Model" else shaped(models=listed(model))
        named = path.replace("{domain}", domain)
        yield Operation(named, row, None, gives, f"{_summary(row)} ({domain})", queries)


def _commands(
    row: Row, path: str, definition: Definition, schemas: ContextSchemas
) -> Iterable[Operation]:
    services = tuple(definition.reactors)
    for (domain, name), command in schemas.commands.items():
        if bool(domain) != ("{domain}" in path):
            continue
        named = path.replace("{domain}", domain).replace("{command}", name)
        summary = f"{_summary(row)} ({name})"
        queries: tuple[str, ...] = ()
        gives = outcome()
        if domain:
            queries = tuple(definition.kinds[domain].queries)
            gives = outcome(state=_queried(schemas.models[domain], queries), version=POSITION)
        yield Operation(named, row, command, gives, summary, queries, services)


def _queried(state: Schema, queries: Sequence[str]) -> Schema:
    return {"anyOf": [state, {"description": "What the query makes of it."}]} if queries else state


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
    parameters = [*_query_parameters(shared), *_header_parameters(shared)]
    if parameters:
        described["parameters"] = parameters
    taken = [o.takes for o in shared if o.takes]
    if taken:
        content: Schema = {JSON.decode(): {"schema": _any_of(taken)}}
        if any(o.row.takes == "Batch" for o in shared):
            content[NDJSON.decode()] = {"schema": {"type": "string"}}
        is_needed = any(o.row.takes not in _MAY_BE_LEFT_OUT for o in shared)
        described["requestBody"] = {"required": is_needed, "content": content}
    return described


def _query_parameters(shared: Sequence[Operation]) -> Iterable[Schema]:
    for parameter in {p.name: p for o in shared for p in o.row.parameters}.values():
        schema: Schema = dict(parameter.schema)
        if parameter == QUERY:
            schema = {"enum": [name for o in shared for name in o.queries]}
            if not schema["enum"]:
                continue
        yield {
            "name": parameter.name,
            "in": "query",
            "description": parameter.says,
            "schema": listed(schema) if parameter.repeats else schema,
        }


def _header_parameters(shared: Sequence[Operation]) -> Iterable[Schema]:
    if any(READ_AFTER in o.row.parameters for o in shared):
        token = {"name": "Perdure-After", "in": "header", "schema": dict(READ_AFTER.schema)}
        yield token | {"description": READ_AFTER.says}
    if any(o.row.takes in {"Wrapped", "Batch", "Command"} for o in shared):
        yield _REQUEST_KEY
    if any(o.row.gives == "EntityOutcome" for o in shared):
        yield _IF_MATCH
    services = ", ".join(dict.fromkeys(name for o in shared for name in o.services))
    if services:
        says = f"Answer when these services have taken what happened; a comma between. {services}"
        yield {
            "name": "Perdure-Wait",
            "in": "header",
            "description": says,
            "schema": {"type": "string"},
        }


def _responses(shared: Sequence[Operation]) -> Schema:
    problem = {"content": {PROBLEM.decode(): {"schema": refer("Problem")}}}
    responses: Schema = {}
    gives = {o.row.gives for o in shared}
    etag = _ETAG if "EntityOutcome" in gives else {}
    is_write = shared[0].row.method == "POST" and "ParkedKey" not in gives
    headers = {"headers": {**_RECEIPT, **etag}} if is_write else {}
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
    if gives & {"EntityOutcome", "Outcome"}:
        responses |= {
            status: {"description": says, **problem}
            for status, says in _REFUSALS.items()
            if status != "412" or "EntityOutcome" in gives
        }
    if gives & {"Event", "EventOrEvents", "Model"}:
        responses["304"] = {"description": "The client holds this already."}
    if "Readiness" in gives:
        responses["503"] = responses["200"] | {"description": "Not ready."}
    return responses | {"default": {"description": "A problem (RFC 9457).", **problem}}


def _any_of(schemas: Sequence[Any]) -> Schema:
    distinct = [s for place, s in enumerate(schemas) if s not in schemas[:place]]
    return dict(distinct[0]) if len(distinct) == 1 else {"anyOf": distinct}
