"""What the server says of itself: alive, ready, counted."""

from __future__ import annotations

import asyncio
import re

import httpx2

from perdure import Unavailable
from tests.transports.http_support import (
    CART,
    EVENT,
    OTHER_CART,
    SECOND_EVENT,
    SNACKS,
    Gate,
    ask,
    client_of,
    make_shop,
    opened,
    shop_client,
)


async def test_a_server_at_work_is_alive_and_ready() -> None:
    async with shop_client() as client:
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")

    assert ready.status_code == 200
    assert ready.json() == {"status": "ready", "durability": "memory", "troubles": []}


async def test_a_server_that_stops_is_alive_and_not_ready() -> None:
    async with opened() as http, client_of(http) as client:
        http.stopping.set()

        assert (await client.get("/livez")).status_code == 200
        answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")


async def test_a_loop_that_stands_still_makes_the_server_not_ready_and_is_named() -> None:
    engine = Gate()
    async with opened(engine=engine) as http, client_of(http) as client:
        await client.post(f"/store/item_added/{CART}/{EVENT}", json=SNACKS)
        assert (await client.get(f"/store/cart/{CART}/model?after=1")).status_code == 200
        engine.failure, engine.fails_without_events = Unavailable("secret disk"), True
        await client.post(f"/store/item_added/{CART}/{SECOND_EVENT}", json=SNACKS)
        async with asyncio.timeout(10):
            while (answer := await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.001)
        engine.failure = None

    assert answer.json()["status"] == "troubled"
    assert answer.json()["troubles"][0].startswith("store/")
    assert "secret" not in answer.text


async def test_stats_have_the_names_of_the_production_perhap() -> None:
    async with shop_client(make_shop("store"), make_shop("other")) as client:
        await client.post(f"/store/item_added/{CART}/{EVENT}", json=SNACKS)
        await client.post(f"/store/item_added/{OTHER_CART}/{SECOND_EVENT}", json=SNACKS)
        await client.post(f"/other/mail/{CART}/sent", json={"event": {}})
        await client.get(f"/store/{EVENT}/event")
        await client.get(f"/store/cart/{CART}/model")

        stats = (await client.get("/stats")).json()

    figures = {
        "value",
        "one",
        "n",
        "mean",
        "min",
        "max",
        "median",
        "50",
        "75",
        "90",
        "95",
        "99",
        "999",
    }
    operations = ("event_get", "event_post", "model_get", "command")
    assert set(stats) == {f"{o}_{f}" for o in operations for f in figures} | {
        "total_events", "total_entities", "total_domains", "total_realms",
        "commands_in_flight", "command_conflicts", "deliveries_parked", "snapshots_ignored",
        "effects_succeeded", "effects_failed", "effects_unknown",
    }  # fmt: skip
    assert list(stats) == sorted(stats)
    assert stats["event_post_value"] == stats["event_post_one"] == 3
    assert (stats["event_get_n"], stats["model_get_n"]) == (1, 1)
    assert 0 < stats["event_post_min"] <= stats["event_post_median"] <= stats["event_post_max"]
    assert (stats["total_events"], stats["total_entities"]) == (3, 3)
    assert (stats["total_domains"], stats["total_realms"]) == (1, 2)


async def test_metrics_count_by_the_rows_of_the_table_and_not_by_paths() -> None:
    async with shop_client() as client:
        for id_ in (EVENT, SECOND_EVENT):
            await client.post(f"/store/item_added/{CART}/{id_}", json=SNACKS)
        await client.post(f"/store/item_added/{CART}/{EVENT}", json={})
        await client.get(f"/store/cart/{CART}/model?after=2")
        for number in range(50):
            await client.request(f"METHOD{number}", f"/random/{number}")

        answer = await client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    path = "/{context}/{type}/{entity}/{event_id}"
    counted = f'perdure_http_requests_total{{method="POST",path="{path}",status='
    assert f'{counted}"204"}} 2.0' in answer.text
    assert f'{counted}"422"}} 1.0' in answer.text
    assert 'method="other",path="",status="404"} 50.0' in answer.text
    assert 'perdure_duration_seconds_count{operation="event_post"} 3.0' in answer.text
    assert 'perdure_position{context="store"} 2.0' in answer.text
    assert 'perdure_reactor_folded_total{context="store",reactor="cart"} 2.0' in answer.text
    assert re.search(r"random|METHOD", answer.text) is None


async def test_two_servers_in_one_process_count_for_themselves() -> None:
    async with opened() as one, opened() as other:
        await ask(one, "GET", b"/ping")

        assert b"/ping" in (await ask(one, "GET", b"/metrics")).body
        assert b"/ping" not in (await ask(other, "GET", b"/metrics")).body


async def test_the_index_leads_to_everything() -> None:
    async with shop_client(make_shop("store"), make_shop("other")) as client:
        index = (await client.get("/")).json()

        assert set(index["contexts"]) == {"store", "other"}
        assert index["name"] == "perdure"
        links = [*index["links"].values()]
        for context in index["contexts"].values():
            links += [context["events"], context["keys"], context["openapi"]]
            links += context["models"].values()
        answers: list[httpx2.Response] = [await client.get(link) for link in links]

    assert {answer.status_code for answer in answers} == {200}


async def test_what_is_no_http_is_declined_politely() -> None:
    async with opened() as http:
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            return {"type": "anything"}

        async def send(message: object) -> None:
            sent.append(message)  # type: ignore[arg-type]

        await http({"type": "websocket"}, receive, send)
        await http({"type": "lifespan"}, receive, send)

    assert [message["type"] for message in sent] == [
        "websocket.close",
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
