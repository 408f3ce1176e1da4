"""Parked keys over HTTP: listed, shown, released, discarded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from perdure import App
from tests.transports.http_support import (
    CART,
    LEASH,
    SNACKS,
    check_problem,
    client_of,
    event_id,
    opened,
)

POISON = SNACKS | {"item": "poison"}
Client = httpx2.AsyncClient


@asynccontextmanager
async def poisoned(*carts: str, **settings: Any) -> AsyncIterator[tuple[App, Client]]:
    """Open a shop where these carts are parked: each at its first event, before a second one."""
    async with opened(**settings) as http, client_of(http) as client:
        app = http.site.app
        for number, cart in enumerate(carts or (CART,)):
            first, second = event_id(2 * number), event_id(2 * number + 1)
            await client.post(f"/store/item_added/{cart}/{first}", json=POISON)
            await client.post(f"/store/item_added/{cart}/{second}", json=LEASH)
        live = app.context("store")
        await live.models.wait(live.definition.reactors["cart"], await live.head(), 10)
        yield app, client


async def parked_in(client: Client) -> list[dict[str, Any]]:
    answer = await client.get("/store/_parked")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["parked"]
    return found


async def test_what_stands_still_is_listed_and_shown_whole() -> None:
    async with poisoned() as (_, client):
        (row,) = await parked_in(client)
        shown = await client.get(f"/store/_parked/{row['id']}")

    assert (row["context"], row["reactor"], row["key"]) == ("store", "cart", CART)
    assert (row["position"], row["event_id"]) == (1, event_id(0))
    assert row["cause"] == "Explosion: secret words of a stack trace"
    assert row["traceback"] == ""
    assert (row["waiting"], row["source"], row["hung"], row["asked"]) == (1, False, False, "")
    assert shown.status_code == 200
    assert "in item_added" in shown.json()["traceback"]
    assert shown.json() | {"traceback": "", "attempts": row["attempts"]} == row


async def test_nothing_that_stands_still_is_an_empty_list() -> None:
    async with opened() as http, client_of(http) as client:
        assert await parked_in(client) == []


async def test_the_list_comes_in_pages() -> None:
    carts = sorted(str(uuid4()) for _ in range(5))
    async with poisoned(*carts) as (_, client):
        seen, target = [], "/store/_parked?limit=2"
        while target:
            answer = await client.get(target)
            seen.append([row["key"] for row in answer.json()["parked"]])
            link = answer.headers.get("link", "")
            target = link.partition("<")[2].partition(">")[0]

    assert seen == [carts[:2], carts[2:4], carts[4:]]


async def test_a_discarded_event_is_left_out_and_the_model_goes_on() -> None:
    async with poisoned() as (app, client):
        check_problem(await client.get(f"/store/cart/{CART}/model"), 409, "parked")
        (row,) = await parked_in(client)
        answer = await client.post(
            f"/store/_parked/{row['id']}/discard", json={"by": "ann", "why": "a test"}
        )
        assert (answer.status_code, answer.json()["asked"]) == (200, "discard")
        async with asyncio.timeout(10):
            while await parked_in(client):
                await asyncio.sleep(0.01)
        model = await client.get(f"/store/cart/{CART}/model")
        check_problem(await client.get(f"/store/_parked/{row['id']}"), 404, "parked-not-found")
        (gone,) = [one async for one in app.discarded()]

    assert model.json()["model"]["items"].keys() == {LEASH["item_id"]}
    assert (gone.by, gone.why, gone.position) == ("ann", "a test", 1)


async def test_a_release_needs_no_body_and_is_answered_when_it_is_durable() -> None:
    async with poisoned() as (app, client):
        (row,) = await parked_in(client)
        answer = await client.post(f"/store/_parked/{row['id']}/release")
        assert (answer.status_code, answer.json()["asked"]) == (200, "release")
        async with asyncio.timeout(10):
            while (await parked_in(client))[0]["asked"]:
                await asyncio.sleep(0.01)

        (again,) = await parked_in(client)
        assert again["id"] == row["id"]
        assert again["cause"] == row["cause"]
        assert [one async for one in app.discarded()] == []


@pytest.mark.parametrize("verb", ["release", "discard"])
async def test_what_is_asked_wrongly_is_told(verb: str) -> None:
    async with poisoned() as (_, client):
        (row,) = await parked_in(client)
        path = f"/store/_parked/{row['id']}/{verb}"
        check_problem(await client.post(path, json={"who": "ann"}), 400, "invalid-input")
        check_problem(await client.post(path, json={"by": "a" * 1001}), 400, "invalid-input")
        check_problem(await client.post(path, content=b"x"), 415, "unsupported-media-type")
        foreign = await client.post(path, headers={"origin": "https://elsewhere.example"})
        check_problem(foreign, 415, "unsupported-media-type")
        unknown = f"/store/_parked/{uuid4()}/{verb}"
        check_problem(await client.post(unknown), 404, "parked-not-found")
        check_problem(await client.post(f"/store/_parked/cart/{verb}"), 400, "invalid-id")

        assert (await parked_in(client))[0]["asked"] == ""


async def test_another_method_and_another_context_are_refused() -> None:
    async with poisoned() as (_, client):
        (row,) = await parked_in(client)
        got = await client.get(f"/store/_parked/{row['id']}/discard")
        check_problem(got, 405, "method-not-allowed")
        check_problem(await client.get("/elsewhere/_parked"), 404, "not-found")
        check_problem(await client.get("/store/_parked?limit=0"), 400, "invalid-input")


async def test_the_openapi_document_describes_it() -> None:
    async with opened() as http, client_of(http) as client:
        paths = (await client.get("/store/_openapi.json")).json()["paths"]

    asking = paths["/store/_parked/{id}/discard"]["post"]
    assert asking["requestBody"]["required"] is False
    assert asking["summary"].startswith("Leave the event out")
    assert "get" in paths["/store/_parked"]
