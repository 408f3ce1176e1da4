"""Requests that are asked again, correlated, named, or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from perdure import OutcomeUnknown, StorageFull, Unavailable
from perdure.vocabulary.errors import Corrupt, PerdureError
from tests.transports.http_support import (
    CART,
    EVENT,
    OTHER_CART,
    SNACKS,
    Gate,
    ask,
    check_problem,
    client_of,
    event_id,
    opened,
    shop_client,
)

TARGET = f"/store/mail/{CART}/sent"


async def publish(
    client: httpx2.AsyncClient, key: str, event: object, target: str = TARGET
) -> httpx2.Response:
    return await client.post(target, json={"event": event}, headers={"Idempotency-Key": key})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # what is waited for tells nobody
            await asyncio.sleep(0.001)


# -- asked again -------------------------------------------------------------------------------


async def test_the_same_key_gives_the_first_outcome() -> None:
    async with shop_client() as client:
        first = await publish(client, '"k-1"', {"a": 1, "b": 2})
        await publish(client, "k-2", {"a": 1, "b": 2})
        again = await publish(client, "k-1", {"b": 2, "a": 1})

        assert (first.status_code, again.status_code) == (200, 200)
        assert again.json() == first.json()
        assert again.headers["perdure-position"] == first.headers["perdure-position"]
        assert len((await client.get("/store/mail")).json()["events"]) == 2


@pytest.mark.parametrize(
    ("event", "target"),
    [
        ({"a": 2}, TARGET),
        ({"a": 1}, f"/store/mail/{OTHER_CART}/sent"),
        ({"a": 1}, f"/store/chat/{CART}/sent"),
        ({"a": 1}, f"/store/mail/{CART}/received"),
    ],
)
async def test_a_key_that_was_used_for_another_request_is_refused(
    event: object, target: str
) -> None:
    async with shop_client() as client:
        await publish(client, "k", {"a": 1})

        answer = await publish(client, "k", event, target)

        check_problem(answer, 422, "idempotency-key-reused")
        assert len((await client.get("/store/events")).json()["events"]) == 1


async def test_a_key_keeps_its_outcome_over_a_restart() -> None:
    engine = Gate()
    async with opened(engine=engine) as http, client_of(http) as client:
        first = await publish(client, "k", {"a": 1})
    async with opened(engine=engine) as http, client_of(http) as client:
        again = await publish(client, "k", {"a": 1})

    assert again.json() == first.json()


async def test_two_requests_under_one_key_at_once_have_one_outcome() -> None:
    engine = Gate()
    async with opened(engine=engine, react=False) as http, client_of(http) as client:
        engine.open_gate.clear()
        both = [asyncio.create_task(publish(client, "k", {"a": 1})) for _ in range(2)]
        await until(lambda: engine.waiting == 2)
        engine.open_gate.set()
        one, other = await asyncio.gather(*both)

        assert (one.status_code, other.status_code) == (200, 200)
        assert one.json() == other.json()
        assert len((await client.get("/store/events")).json()["events"]) == 1


async def test_a_refused_request_leaves_its_key_free() -> None:
    async with shop_client() as client:
        assert (await publish(client, "k", {"a": 2**70})).status_code == 400

        assert (await publish(client, "k", {"a": 1})).status_code == 200


async def test_a_batch_may_have_a_key_too() -> None:
    async with shop_client() as client:
        batch = {
            "events": [{"type": "a", "entity_id": CART, "data": {}, "expected_version": 0}] * 1
        }

        async def post() -> httpx2.Response:
            return await client.post("/store/events", json=batch, headers={"Idempotency-Key": "b"})

        first, again = await post(), await post()

    assert first.status_code == 200
    assert again.json() == first.json()


@pytest.mark.parametrize("key", ["", '""', '"a', "a b", 'a"b', "x" * 256, "k, k", '"\\\\"'])
async def test_a_malformed_key_is_refused(key: str) -> None:
    async with shop_client() as client:
        answer = await publish(client, key, {})

        assert check_problem(answer, 400, "invalid-input")["parameter"] == "Idempotency-Key"
        assert (await client.get("/store/events")).json() == {"events": []}


# -- named and correlated ----------------------------------------------------------------------


async def test_every_answer_names_its_request() -> None:
    async with shop_client() as client:
        made = [(await client.get("/ping")).headers["x-request-id"] for _ in range(3)]
        given = await client.get("/nothing", headers={"X-Request-Id": "client-17"})
        long = await client.get("/ping", headers={"X-Request-Id": "x" * 129})
        blank = await client.get("/ping", headers={"X-Request-Id": "a b"})

    assert len(set(made)) == 3
    assert given.headers["x-request-id"] == given.json()["instance"] == "client-17"
    assert long.headers["x-request-id"] != "x" * 129
    assert blank.headers["x-request-id"] != "a b"


async def test_what_the_client_says_an_event_belongs_to_is_kept() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-Correlation-Id": "order-7", "traceparent": trace}
    async with shop_client() as client:
        target = f"/store/seen/{CART}/"
        await client.post(target + EVENT, json={}, headers=headers)
        await client.post(target + event_id(1), json={}, headers={"traceparent": "garbage"})
        await client.post(target + event_id(2), json={}, headers={"X-Request-Id": "r"})
        refused = await client.post(
            target + event_id(3), json={}, headers={"X-Correlation-Id": "a b"}
        )
        check_problem(refused, 400, "invalid-input")

        kept = [
            (await client.get(f"/store/{id_}/event")).json()["metadata"]
            for id_ in (EVENT, event_id(1), event_id(2))
        ]

    assert kept == [{"correlation_id": "order-7", "traceparent": trace}, {}, {}]


async def test_metadata_does_not_make_a_repeat_another_event() -> None:
    async with shop_client() as client:
        for correlation in ("a", "b"):
            answer = await client.post(
                f"/store/seen/{CART}/{EVENT}", json={}, headers={"X-Correlation-Id": correlation}
            )
            assert answer.status_code == 204


# -- failures of the store ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "status", "slug", "retry"),
    [
        (Unavailable("secret /path/to/file is locked"), 503, "unavailable", "1"),
        (StorageFull("secret disk"), 507, "storage-full", None),
        (OutcomeUnknown("secret fsync"), 503, "outcome-unknown", "1"),
        (Corrupt("secret row", 7), 500, "corrupt", None),
        (ZeroDivisionError("secret bug"), 500, "internal-error", None),
    ],
)
async def test_a_failure_of_the_store_is_told_without_its_secrets(
    failure: PerdureError, status: int, slug: str, retry: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    engine = Gate()
    async with opened(engine=engine, react=False) as http:
        engine.failure = failure
        answer = await ask(http, "POST", f"/store/seen/{CART}/{EVENT}".encode(), b"{}")
        engine.failure = None

    document = check_problem(answer, status, slug)
    assert b"secret" not in answer.body
    assert answer.headers.get("retry-after") == retry
    assert "secret" in caplog.text
    assert document["instance"] in caplog.text


async def cut_off(engine: Gate, start: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    engine.open_gate.clear()
    try:
        async with asyncio.timeout(10):
            return await start()
    finally:
        engine.open_gate.set()


async def test_a_write_that_is_cut_off_may_have_been_stored_and_says_so() -> None:
    engine = Gate()
    async with (
        opened(engine=engine, react=False, handler_seconds_max=0.05) as http,
        client_of(http) as client,
    ):
        target = f"/store/item_added/{CART}/{EVENT}"
        answer = await cut_off(engine, lambda: client.post(target, json=SNACKS))
        document = check_problem(answer, 503, "outcome-unknown")
        assert "same ids" in document["detail"]

        assert (await client.post(target, json=SNACKS)).status_code == 204


async def test_a_read_that_is_cut_off_is_only_unavailable() -> None:
    async with shop_client(handler_seconds_max=0.05) as client:
        answer = await client.get(f"/store/cart/{CART}/model", headers={"Perdure-After": "99"})

    check_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_one_request_that_is_cut_off_does_not_cut_off_another() -> None:
    engine = Gate()
    async with (
        opened(engine=engine, react=False, handler_seconds_max=0.2) as http,
        client_of(http) as client,
    ):
        engine.open_gate.clear()
        slow = asyncio.create_task(client.post(f"/store/a/{CART}/{EVENT}", json={}))
        await until(lambda: engine.waiting == 1)
        quick = [await client.get("/ping") for _ in range(5)]
        check_problem(await slow, 503, "outcome-unknown")
        engine.open_gate.set()

        assert all(answer.status_code == 200 for answer in quick)
        assert (await client.post(f"/store/a/{CART}/{EVENT}", json={})).status_code == 204


async def test_a_client_that_leaves_before_its_body_is_whole_gets_no_answer() -> None:
    async with opened() as http:
        sent: list[object] = []
        incoming: list[dict[str, object]] = [
            {"type": "http.request", "body": b'{"a":', "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> dict[str, object]:
            return incoming.pop(0)

        async def send(message: object) -> None:
            sent.append(message)

        path = f"/store/seen/{CART}/{EVENT}"
        scope = {
            "type": "http", "method": "POST", "path": path, "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }  # fmt: skip
        await http(scope, receive, send)

        assert sent == []
        assert (await ask(http, "GET", b"/store/events")).json() == {"events": []}
