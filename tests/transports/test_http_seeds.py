"""The HTTP contract of Perhap (S1.12 to S1.27), and of the one that was in production (S1A)."""

from __future__ import annotations

from zlib import crc32

import httpx2
import pytest

from tests.transports.http_support import (
    CART,
    EVENT,
    LEASH,
    OTHER_CART,
    SECOND_EVENT,
    SNACKS,
    THIRD_EVENT,
    TOOTHBRUSH,
    ask,
    check_problem,
    event_id,
    make_shop,
    opened,
    shop_client,
)


async def post(client: httpx2.AsyncClient, event: str, data: object, cart: str = CART) -> str:
    answer = await client.post(f"/store/item_added/{cart}/{event}", json=data)
    assert (answer.status_code, answer.content) == (204, b"")
    return answer.headers["perdure-position"]


# -- Perhap ------------------------------------------------------------------------------------


async def test_posting_an_event_is_answered_204_with_its_position_and_durability() -> None:
    async with shop_client() as client:
        answer = await client.post(f"/store/item_added/{CART}/{EVENT}", json=SNACKS)

    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["perdure-position"] == "1"
    assert answer.headers["perdure-durability"] == "memory"
    assert "content-length" not in answer.headers


async def test_posting_the_same_event_again_gets_the_first_receipt() -> None:
    async with shop_client() as client:
        first = await post(client, EVENT, SNACKS)
        await post(client, SECOND_EVENT, TOOTHBRUSH)
        reordered = dict(reversed(SNACKS.items()))

        assert await post(client, EVENT, reordered) == first
        assert len((await client.get(f"/store/{CART}/events")).json()["events"]) == 2


async def test_the_same_id_with_other_content_is_refused_and_changes_nothing() -> None:
    async with shop_client() as client:
        await post(client, EVENT, SNACKS)

        for target in (f"/store/item_added/{CART}/{EVENT}", f"/store/other/{CART}/{EVENT}"):
            answer = await client.post(target, json=TOOTHBRUSH)
            document = check_problem(answer, 409, "event-id-taken")
            assert document["ids"] == [EVENT]
            assert document["indices"] == [0]

        assert (await client.get(f"/store/{EVENT}/event")).json()["data"] == SNACKS


async def test_an_event_is_given_back_as_it_was_posted() -> None:
    async with shop_client() as client:
        await post(client, EVENT, SNACKS)

        answer = await client.get(f"/store/{EVENT}/event")

    event = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["etag"] == f'"{EVENT}"'
    assert list(event) == [
        "event_id", "type", "domain", "entity_id", "data", "tags", "position", "version",
        "happened_at", "recorded_at", "metadata",
    ]  # fmt: skip
    assert event["event_id"] == EVENT
    assert event["entity_id"] == CART
    assert event["type"] == "item_added"
    assert event["data"] == SNACKS
    assert (event["position"], event["version"]) == (1, 1)
    assert (event["domain"], event["tags"], event["metadata"]) == (None, [], {})


async def test_the_time_in_an_event_id_is_the_time_it_happened() -> None:
    known = "e1c3029a-2a96-11e7-93ae-92361f002671"
    async with shop_client() as client:
        await client.post(f"/store/clicked/{CART}/{known}", json={})

        event = (await client.get(f"/store/{known}/event")).json()

    assert event["happened_at"] == "2017-04-26T15:41:57.920425Z"


async def test_an_unknown_event_is_not_found() -> None:
    async with shop_client() as client:
        check_problem(await client.get(f"/store/{EVENT}/event"), 404, "event-not-found")
        check_problem(await client.get(f"/store/cart/{EVENT}"), 404, "event-not-found")


async def test_the_events_of_an_entity_are_listed_by_the_time_they_happened() -> None:
    async with shop_client() as client:
        await post(client, THIRD_EVENT, LEASH)
        await post(client, EVENT, SNACKS)
        await post(client, event_id(1), SNACKS, OTHER_CART)
        await post(client, SECOND_EVENT, TOOTHBRUSH)

        for target in (f"/store/{CART}/events", f"/store/{CART}", f"/store/cart/{CART}"):
            answer = await client.get(target)
            ids = [event["event_id"] for event in answer.json()["events"]]
            assert ids == [EVENT, SECOND_EVENT, THIRD_EVENT], target

        answer = await client.get(f"/store/{CART}/events?order=recorded")
        ids = [event["event_id"] for event in answer.json()["events"]]
        assert ids == [THIRD_EVENT, EVENT, SECOND_EVENT]


async def test_the_events_of_a_context_are_listed_as_they_were_recorded() -> None:
    async with shop_client() as client:
        assert (await client.get("/store/events")).json() == {"events": []}
        await post(client, THIRD_EVENT, LEASH)
        await post(client, EVENT, SNACKS, OTHER_CART)

        events = (await client.get("/store/events")).json()["events"]

    assert [event["event_id"] for event in events] == [THIRD_EVENT, EVENT]


async def test_contexts_do_not_mix() -> None:
    async with shop_client(make_shop("store"), make_shop("other")) as client:
        await post(client, EVENT, SNACKS)

        assert (await client.get(f"/other/{CART}/events")).json() == {"events": []}
        check_problem(await client.get(f"/other/{EVENT}/event"), 404, "event-not-found")


async def test_the_cart_of_the_readme_holds_three_lines_and_costs_96_19() -> None:
    async with shop_client() as client:
        await post(client, EVENT, SNACKS)
        await post(client, SECOND_EVENT, TOOTHBRUSH)
        position = await post(client, THIRD_EVENT, LEASH)

        answer = await client.get(f"/store/cart/{CART}/model", headers={"Perdure-After": position})

    assert answer.status_code == 200
    assert answer.json()["model"] == {
        "id": CART,
        "items": {
            data["item_id"]: {key: data[key] for key in ("item", "quantity", "price")}
            for data in (SNACKS, TOOTHBRUSH, LEASH)
        },
        "total": 96.19,
    }
    assert b'"total":96.19' in answer.content
    assert answer.json()["position"] == 3


async def test_an_entity_without_events_has_the_initial_model() -> None:
    async with shop_client() as client:
        answer = await client.get(f"/store/cart/{CART}/model")

    assert answer.json() == {
        "model": {"id": None, "items": {}, "total": 0.00},
        "position": 0,
        "key": CART,
    }


async def test_a_single_model_is_found_under_its_domain() -> None:
    async with shop_client() as client:
        position = await post(client, EVENT, SNACKS)
        await post(client, SECOND_EVENT, TOOTHBRUSH, OTHER_CART)

        answer = await client.get("/store/total/model", params={"after": int(position) + 1})

    assert answer.json() == {"model": {"quantity": 3}, "position": 2}


async def test_ping_is_answered() -> None:
    async with shop_client() as client:
        assert (await client.get("/ping")).json() == {"status": "ACK"}


@pytest.mark.parametrize(
    "path", ["/", "/ping", "/store/events", f"/store/item_added/{CART}/{EVENT}", "/no/such/path"]
)
async def test_a_browser_that_asks_first_is_let_in_at_every_path(path: str) -> None:
    async with shop_client(cors="*") as client:
        answer = await client.options(
            path, headers={"Origin": "http://a.test", "Access-Control-Request-Method": "POST"}
        )

    assert (answer.status_code, answer.content) == (200, b"")
    methods = answer.headers["access-control-allow-methods"].split(", ")
    assert set(methods) >= {"GET", "PUT", "POST", "DELETE", "OPTIONS"}
    assert answer.headers["access-control-max-age"] == "86400"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-type" in answer.headers["access-control-allow-headers"].split(", ")


async def test_every_answer_lets_the_browser_read_it() -> None:
    async with shop_client(cors="https://shop.example") as client:
        answers = [
            await client.post(f"/store/item_added/{CART}/{EVENT}", json=SNACKS),
            await client.post(f"/store/item_added/{CART}/{EVENT}", json=TOOTHBRUSH),
            await client.get("/store/events"),
            await client.get("/nothing/here"),
            await client.delete("/store/events"),
        ]

    assert [answer.status_code for answer in answers] == [204, 409, 200, 404, 405]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "perdure-position" in answer.headers["access-control-expose-headers"]


async def test_without_an_origin_no_answer_speaks_of_origins() -> None:
    async with shop_client() as client:
        answers = [
            await client.get("/store/events", headers={"Origin": "http://a.test"}),
            await client.options("/store/events", headers={"Origin": "http://a.test"}),
        ]
        check_problem(await client.options("/no/such/path"), 404, "not-found")

    for answer in answers:
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_json_answers_carry_the_checksum_of_their_body() -> None:
    async with shop_client() as client:
        await post(client, EVENT, SNACKS)
        answers = [
            await client.get("/store/events"),
            await client.get(f"/store/{EVENT}/event"),
            await client.get("/ping"),
            await client.get("/nothing/here"),
        ]

    for answer in answers:
        assert answer.headers["x-perhap-crc32"] == str(crc32(answer.content))


async def test_large_answers_are_compressed_for_who_takes_them_so() -> None:
    async with opened() as http:
        for number in range(100):
            target = f"/store/item_added/{CART}/{event_id(number)}".encode()
            body = b'{"item_id":"a308b1c2-ca65-47dd-a031-a3b8d3afafd4","item":"x","quantity":1,"price":1}'
            assert (await ask(http, "POST", target, body)).status == 204

        plain = await ask(http, "GET", b"/store/events", headers=())
        for accept in (b"gzip", b"br, GZIP;q=0.5"):
            packed = await ask(
                http, "GET", b"/store/events", headers=[(b"accept-encoding", accept)]
            )
            assert packed.headers["content-encoding"] == "gzip"
            assert (
                httpx2.Response(200, headers=packed.headers, content=packed.body).content
                == plain.body
            )
            assert packed.headers["x-perhap-crc32"] == str(crc32(plain.body))
        refused = await ask(
            http, "GET", b"/store/events", headers=[(b"accept-encoding", b"gzip;q=0")]
        )

    assert "content-encoding" not in plain.headers
    assert refused.body == plain.body
    assert int(plain.headers["content-length"]) == len(plain.body)


# -- the production Perhap ---------------------------------------------------------------------


async def test_the_paths_of_the_production_perhap_are_aliases() -> None:
    async with shop_client(make_shop("store"), make_shop("other")) as client:
        posted = await client.post(f"/v1/event/other/cart/{CART}/item_added/{EVENT}", json=SNACKS)
        assert posted.status_code == 204
        await client.get(f"/other/cart/{CART}/model?after={posted.headers['perdure-position']}")

        ping = await client.get("/v1/ping")
        event = await client.get(f"/v1/event/{EVENT}")
        ids = await client.get(f"/v1/events/cart/{CART}")
        model = await client.get(f"/v1/model/cart/{CART}")

        assert ping.json() == {"status": "OK"}
        assert event.json()["data"] == SNACKS
        assert event.json()["domain"] == "cart"
        assert ids.json() == [EVENT]
        assert model.json()["total"] == 31.99
        for answer in (ping, event, ids, model):
            assert answer.headers["x-bigsquid-crc32"] == str(crc32(answer.content))
        check_problem(await client.get(f"/v1/event/{SECOND_EVENT}"), 404, "event-not-found")
        check_problem(await client.get(f"/v1/events/cart/{OTHER_CART}"), 404, "event-not-found")
        check_problem(await client.get(f"/v1/model/cart/{OTHER_CART}"), 404, "model-not-found")
        unknown = await client.post(f"/v1/event/nope/cart/{CART}/item_added/{EVENT}", json=SNACKS)
        check_problem(unknown, 404, "not-found")
        assert (await client.get("/v1/stats")).json()["total_realms"] == 2
