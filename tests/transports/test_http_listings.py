"""Listings: filters, pages that neither skip nor repeat, lines."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.transports.http_support import (
    CART,
    OTHER_CART,
    SNACKS,
    ask,
    client_of,
    event_id,
    opened,
    shop_client,
)

LINES = {"Accept": "application/x-ndjson"}


async def record(client: httpx2.AsyncClient, *numbers: int, **more: Any) -> None:
    """Record events whose numbers say when they happened."""
    events = [
        {"type": "seen", "entity_id": CART, "event_id": event_id(n), "data": {"n": n}, **more}
        for n in numbers
    ]
    answer = await client.post("/store/events", json={"events": events})
    assert answer.status_code == 200, answer.text


async def walk(client: httpx2.AsyncClient, target: str) -> list[list[int]]:
    """Follow the links from page to page."""
    pages = []
    while target:
        answer = await client.get(target)
        assert answer.status_code == 200, answer.text
        pages.append([event["data"]["n"] for event in answer.json()["events"]])
        target = answer.links["next"]["url"] if "next" in answer.links else ""
    return pages


@pytest.mark.parametrize(
    ("query", "pages"),
    [
        ("limit=2", [[3, 1], [4, 0], [2]]),
        ("limit=5", [[3, 1, 4, 0, 2]]),
        ("limit=2&order=happened", [[0, 1], [2, 3], [4]]),
        ("limit=2&after=2", [[4, 0], [2]]),
        ("limit=2&after=2&upto=4", [[4, 0]]),
        ("limit=1&after=1&order=happened", [[0], [1], [2], [4]]),
        ("upto=0", [[]]),
        ("after=99", [[]]),
    ],
)
async def test_pages_hold_every_event_once_in_their_order(
    query: str, pages: list[list[int]]
) -> None:
    async with shop_client() as client:
        await record(client, 3, 1, 4, 0, 2)

        assert await walk(client, f"/store/events?{query}") == pages
        order = "" if "order" in query else "&order=recorded"
        assert await walk(client, f"/store/{CART}/events?{query}{order}") == pages


async def test_pages_by_happened_are_of_one_moment() -> None:
    async with shop_client() as client:
        await record(client, 1, 3, 5)
        first = await client.get(f"/store/{CART}/events?limit=2")
        await record(client, 0, 2, 4, 6)

        rest = await walk(client, first.links["next"]["url"])

    assert [e["data"]["n"] for e in first.json()["events"]] == [1, 3]
    assert rest == [[5]]


async def test_pages_by_position_go_on_into_what_is_new() -> None:
    async with shop_client() as client:
        await record(client, 1, 3, 5)
        first = await client.get("/store/events?limit=2")
        assert first.headers["perdure-position"] == "3"
        await record(client, 0)

        assert await walk(client, first.links["next"]["url"]) == [[5, 0]]


async def test_a_page_is_full_at_its_setting_without_being_asked() -> None:
    async with shop_client(page_events_max=2) as client:
        await record(client, 0, 1, 2, 3, 4)

        assert await walk(client, "/store/events") == [[0, 1], [2, 3], [4]]


async def test_large_events_make_short_pages() -> None:
    async with opened() as http:
        body = b'{"a":"%b"}' % (b"x" * 1_000_000)
        for number in range(12):
            target = f"/store/big/{CART}/{event_id(number)}".encode()
            assert (await ask(http, "POST", target, body)).status == 204

        first = await ask(http, "GET", b"/store/events", headers=())
        link = first.headers["link"].partition(">")[0][1:]
        second = await ask(http, "GET", link.encode(), headers=())

    counts = [len(page.json()["events"]) for page in (first, second)]
    assert sum(counts) == 12
    assert len(first.body) < 10_000_000
    assert "link" not in second.headers


async def test_events_are_selected_by_type_and_tag() -> None:
    async with shop_client() as client:
        await record(client, 0, type="a", tags=["red", "big"])
        await record(client, 1, type="b", tags=["red"])
        await record(client, 2, type="c")

        selected = {
            query: (await walk(client, f"/store/events?{query}"))[0]
            for query in (
                "type=a", "type=a&type=c", "tag=red", "tag=red&tag=big", "type=b&tag=big", "type=x",
            )
        }  # fmt: skip

    assert selected == {
        "type=a": [0],
        "type=a&type=c": [0, 2],
        "tag=red": [0, 1],
        "tag=red&tag=big": [0],
        "type=b&tag=big": [],
        "type=x": [],
    }


async def test_a_type_that_a_service_does_not_take_selects_nothing_of_it() -> None:
    async with shop_client() as client:
        await client.post(f"/store/item_added/{CART}/{event_id(0)}", json=SNACKS)
        await record(client, 1)

        async def count(target: str) -> int:
            return len((await client.get(target)).json()["events"])

        assert await count("/store/cart?type=item_added") == 1
        assert await count("/store/cart?type=seen") == 0
        assert await count("/store/cart?type=seen&type=item_added") == 1


async def test_lines_hold_all_there_is_without_pages() -> None:
    async with shop_client(page_events_max=2) as client:
        await record(client, *range(1, 700))
        await record(client, 0)

        whole = await client.get("/store/events", headers=LINES)
        by_happened = await client.get(f"/store/{CART}/events", headers=LINES)
        some = await client.get("/store/events?limit=5&after=3", headers=LINES)

    assert whole.headers["content-type"] == "application/x-ndjson"
    assert whole.headers["perdure-position"] == "700"
    assert whole.headers["vary"] == "accept"
    assert [json.loads(line)["data"]["n"] for line in whole.text.splitlines()] == [
        *range(1, 700),
        0,
    ]
    assert [json.loads(line)["data"]["n"] for line in by_happened.text.splitlines()] == [
        *range(700)
    ]
    assert [json.loads(line)["data"]["n"] for line in some.text.splitlines()] == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"),
        ("application/x-ndjson;q=0.5, application/json", "application/json"),
        ("application/x-ndjson, application/json;q=0.9", "application/x-ndjson"),
        ("Application/X-NDJSON", "application/x-ndjson"),
        ("application/x-ndjson;q=0", "application/json"),
        ("application/x-ndjson;q=0.5, */*", "application/json"),
        ("text/event-stream;q=none", "application/json"),
        ("", "application/json"),
    ],
)
async def test_the_client_says_which_form_it_likes(accept: str, media: str) -> None:
    async with shop_client() as client:
        answer = await client.get("/store/events", headers={"Accept": accept})

    assert answer.headers["content-type"] == media


@pytest.mark.parametrize(
    "target",
    ["/store/events", "/store/keys", f"/store/{OTHER_CART}", "/livez", "/openapi.json", "/nothing"],
)
async def test_head_is_get_without_the_body(target: str) -> None:
    async with opened() as http, client_of(http) as client:
        await record(client, 0, 1)
        got = await ask(http, "GET", target.encode(), headers=())
        head = await ask(http, "HEAD", target.encode(), headers=())

    def lasting(headers: dict[str, str]) -> dict[str, str]:
        once = {"x-request-id", "x-perhap-crc32"} if got.status == 404 else {"x-request-id"}
        return {name: value for name, value in headers.items() if name not in once}

    assert head.status == got.status
    assert head.body == b""
    assert lasting(head.headers) == lasting(got.headers)


@pytest.mark.parametrize("accept", [b"application/x-ndjson", b"text/event-stream"])
async def test_head_of_a_stream_ends_at_once(accept: bytes) -> None:
    async with opened() as http:
        reply = await ask(http, "HEAD", b"/store/events", headers=[(b"accept", accept)])

    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-type"] == accept.decode()
