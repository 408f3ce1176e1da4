"""The OpenAPI document: valid, complete, and true."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import attrs
import hypothesis
import msgspec
import pydantic
import pytest
import schemathesis
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from perdure import Context
from perdure.transports.routes.table import ROWS
from perdure.transports.server import HttpServer
from tests.transports.bank import ACCOUNT, make_bank
from tests.transports.http_support import (
    CART,
    EVENT,
    SNACKS,
    ask,
    make_shop,
    opened,
    shop_client,
)

T = TypeVar("T")


async def described(*contexts: Context, path: str = "/openapi.json") -> dict[str, Any]:
    async with shop_client(*contexts) as client:
        answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    validate(document)
    return document


class Struct(msgspec.Struct):
    data: bytes = b""


@attrs.frozen
class Attrs:
    inner: Struct


class Inner(pydantic.BaseModel):
    name: str


class Pydantic(pydantic.BaseModel):
    inner: Inner
    attrs_like: list[Inner] = []


@dataclass(frozen=True)
class Mixed:
    default: Pydantic
    format: str = "decimal"


@dataclass(frozen=True)
class Box(Generic[T]):
    held: T


@dataclass(frozen=True)
class Boxes:
    ints: Box[int]
    boxes: Box[Box[str]]


class Odd:
    """Nothing that a schema could be made of."""


def zoo() -> Context:
    context = Context("zoo")
    for cls in (Struct, Attrs, Pydantic, Mixed, Boxes):
        context.event(cls)
    return context


async def test_the_document_is_valid_for_classes_of_every_kind() -> None:
    document = await described(make_shop("store"), zoo())

    schemas = document["components"]["schemas"]
    mixed = schemas["zoo.event.mixed.Mixed"]["properties"]
    assert set(mixed) == {"default", "format"}
    assert mixed["default"]["properties"]["inner"]["$ref"].endswith("zoo.event.mixed.Inner")


async def test_every_row_is_described() -> None:
    document = await described(make_shop(), make_bank())
    slots = lambda path: len(path.split("/"))  # noqa: E731
    described_rows = {
        (method.upper(), slots(path), *path.replace("{", "").replace("}", "").split("/")[-2:])
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }

    for row in ROWS:
        *_, group, last = row.path.replace("{", "").replace("}", "").split("/")
        assert any(
            method == row.method
            and depth == slots(row.path)
            and (last in name.split("_or_") or group == of == "commands")
            for method, depth, of, name in described_rows
        ), row.path


def only_schema(content: dict[str, Any], document: dict[str, Any]) -> Any:
    schema = content["content"]["application/json"]["schema"]
    return OAS31Validator({**schema, "components": document["components"]})


async def test_a_command_is_described_by_its_class_and_its_outcome_by_the_state() -> None:
    document = await described(make_bank())
    deposit = document["paths"]["/bank/account/{entity}/commands/deposit"]["post"]
    transfer = document["paths"]["/bank/commands/transfer"]["post"]

    takes = only_schema(deposit["requestBody"], document)
    assert takes.is_valid({"amount": 1.5})
    assert not takes.is_valid({"amount": "much"})
    assert not takes.is_valid({})
    parameters = {p["name"]: p for p in deposit["parameters"]}
    assert set(parameters) == {"query", "Idempotency-Key", "If-Match", "Perdure-Wait"}
    assert parameters["query"]["schema"] == {"enum": ["balance", "broken"]}
    assert {"200", "409", "412", "422", "503", "default"} == set(deposit["responses"])
    assert "412" not in transfer["responses"]
    assert [p["name"] for p in transfer["parameters"]] == ["Idempotency-Key", "Perdure-Wait"]

    async with shop_client(make_bank()) as client:
        outcome = await client.post(f"/bank/account/{ACCOUNT}/commands/deposit", json={"amount": 1})
        opening = await client.post("/bank/commands/open", json={"owner": "Ann"})
        refused = await client.post(f"/bank/account/{ACCOUNT}/commands/deposit", json={"amount": 0})

    only_schema(deposit["responses"]["200"], document).validate(outcome.json())
    gives = document["paths"]["/bank/commands/open"]["post"]["responses"]["200"]
    only_schema(gives, document).validate(opening.json())
    problem = deposit["responses"]["422"]["content"]["application/problem+json"]["schema"]
    OAS31Validator({**problem, "components": document["components"]}).validate(refused.json())
    assert set(outcome.headers) >= {name.lower() for name in deposit["responses"]["200"]["headers"]}


async def test_only_kinds_that_have_queries_are_described_with_them() -> None:
    document = await described(make_shop(), make_bank())

    def parameters(path: str) -> set[str]:
        return {p["name"] for p in document["paths"][path]["get"]["parameters"]}

    assert "query" in parameters("/bank/account/{entity}/model")
    assert "query" not in parameters("/store/cart/{entity}/model")
    assert "query" not in parameters("/v1/model/{domain}/{entity}")


async def test_a_declared_type_is_described_by_its_class() -> None:
    document = await described()
    path = document["paths"]["/store/item_added/{entity}/{event_id}"]["post"]
    schema = path["requestBody"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": document["components"]}
    validator = OAS31Validator(whole)

    assert validator.is_valid(SNACKS)
    assert not validator.is_valid(SNACKS | {"quantity": "1"})
    assert not validator.is_valid({})


async def test_answers_are_as_they_are_described() -> None:
    document = await described()

    def check(path: str, value: object) -> None:
        content = document["paths"][path]["get"]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]
        OAS31Validator({**schema, "components": document["components"]}).validate(value)

    async with shop_client() as client:
        posted = await client.post(f"/store/item_added/{CART}/{EVENT}", json=SNACKS)
        await client.get(f"/store/cart/{CART}/model?after={posted.headers['perdure-position']}")
        for path, target in {
            "/store/{event_id}/event": f"/store/{EVENT}/event",
            "/store/events": "/store/events",
            "/store/keys": "/store/keys",
            "/store/{domain}/keys": "/store/cart/keys",
            "/store/cart/{entity}/model": f"/store/cart/{CART}/model",
            "/store/sold/model": "/store/sold/model?key=x",
            "/store/total/model": "/store/total/model",
            "/store/cart/models": "/store/cart/models",
            "/readyz": "/readyz",
            "/v1/events/{domain}/{entity}": f"/v1/events/cart/{CART}",
        }.items():
            check(path, (await client.get(target)).json())


async def test_a_context_describes_only_itself() -> None:
    contexts = make_shop("store"), make_shop("other")
    document = await described(*contexts, path="/other/_openapi.json")

    assert "/other/events" in document["paths"]
    assert not [path for path in document["paths"] if path.startswith("/store")]
    assert not [name for name in document["components"]["schemas"] if name.startswith("store.")]


async def test_a_strict_context_describes_only_the_types_it_takes() -> None:
    document = await described(make_shop(strict=True))

    posts = [
        p for p, item in document["paths"].items() if p.startswith("/store") and "post" in item
    ]
    assert "/store/item_added/{entity}/{event_id}" in posts


@contextmanager
def served_in_a_thread() -> Iterator[str]:
    """Serve a shop to clients that block, in a thread of its own."""
    ready: list[str] = []
    is_ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        contexts = make_shop(), make_bank()
        async with opened(*contexts, wait_seconds_max=0.1, cors="*") as http:
            await ask(http, "POST", f"/store/note/{CART}/{EVENT}".encode(), b"{}")
            server = HttpServer(http, "127.0.0.1", 0, on_stopping=http.stopping.set)
            async with server:
                ready.append("http://{}:{}".format(*server.address))
                is_ready.set()
                await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert is_ready.wait(10)
        yield ready[0]
    finally:
        stop.set()
        thread.join(20)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_that_is_made_of_the_document_breaks_the_server() -> None:
    checks = [
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    with served_in_a_thread() as url:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        operations: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
        assert len(operations) > 25
        for operation in operations:

            @hypothesis.given(case=operation.as_strategy())
            @hypothesis.settings(
                max_examples=25,
                deadline=None,
                suppress_health_check=list(hypothesis.HealthCheck),
                database=None,
            )
            def check(case: Any) -> None:
                answer = case.call(timeout=10)
                case.validate_response(answer, checks=checks)
                # what a client can bring about: a position to come, and functions made to fail
                made = (b"not-caught-up", b"handler-failed", b"answer-failed")
                assert answer.status_code < 500 or any(slug in answer.content for slug in made)

            check()
