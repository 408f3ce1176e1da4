"""The HTTP contract of perhap-poc (S2): strictly an immutable event store."""

from __future__ import annotations

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
    opened,
    shop_client,
)

POC_WORDS = (
    "Bad argument. Publish expects POST /[realm]/[domain]/[entity's v4 UUID]/[event_type] "
    "with a json element 'event'"
)


async def post(client: httpx2.AsyncClient, event: str, data: object, cart: str = CART) -> str:
    answer = await client.post(f"/store/item_added/{cart}/{event}", json=data)
    assert (answer.status_code, answer.content) == (204, b"")
    return answer.headers["perdure-position"]


async def test_publishing_needs_no_registration_and_the_server_makes_the_id() -> None:
    async with shop_client() as client:
        answer = await client.post(
            f"/store/communications/{CART}/click", json={"event": {"URI": "http://example.test"}}
        )
        assert answer.status_code == 200
        id_ = answer.json()["event_id"]
        assert answer.json()["position"] == int(answer.headers["perdure-position"])

        event = (await client.get(f"/store/communications/{id_}")).json()

    assert event["domain"] == "communications"
    assert event["type"] == "click"
    assert event["data"] == {"URI": "http://example.test"}


@pytest.mark.parametrize(
    ("entity", "body"),
    [
        ("not-a-uuid", {"event": {}}),
        ("59535c06-79c4-1499-bfcc-c695aaebf491", {"event": {}}),  # time-based
        (CART, {"evnt": {}}),
        (CART, {}),
        (CART, {"event": {}, "more": 1}),
    ],
)
async def test_publishing_without_a_uuid_or_an_event_is_refused_in_the_old_words(
    entity: str, body: object
) -> None:
    async with shop_client() as client:
        answer = await client.post(f"/store/communications/{entity}/click", json=body)

        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(POC_WORDS)
        assert (await client.get("/store/events")).json() == {"events": []}


@pytest.mark.parametrize("event", ['"text"', "[1]", "17", "null", "true"])
async def test_an_event_that_is_no_object_is_refused(event: str) -> None:
    async with opened() as http:
        body = b'{"event":%b}' % event.encode()
        answer = await ask(http, "POST", f"/store/communications/{CART}/click".encode(), body)

    assert check_problem(answer, 400, "invalid-json")["pointer"] == "/event"


async def test_keys_are_the_domains_of_a_context_and_the_entities_of_a_domain() -> None:
    async with shop_client() as client:
        for domain, cart in (("mail", CART), ("chat", CART), ("mail", OTHER_CART), ("mail", CART)):
            await client.post(f"/store/{domain}/{cart}/click", json={"event": {}})

        assert (await client.get("/store/keys")).json() == ["cart", "chat", "mail", "sold", "total"]
        assert (await client.get("/store/mail/keys")).json() == sorted([CART, OTHER_CART])
        assert (await client.get("/store/chat/keys")).json() == [CART]
        assert (await client.get("/store/unheard-of/keys")).json() == []
        check_problem(await client.get("/unheard-of/keys"), 404, "not-found")


async def test_keys_come_in_pages() -> None:
    async with shop_client() as client:
        for cart in (CART, OTHER_CART):
            await client.post(f"/store/mail/{cart}/click", json={"event": {}})

        first = await client.get("/store/mail/keys?limit=1")
        second = await client.get(first.links["next"]["url"])

    assert first.json() + second.json() == sorted([CART, OTHER_CART])
    assert "next" not in second.links


async def test_a_listing_begins_behind_the_event_that_is_followed() -> None:
    async with shop_client() as client:
        await post(client, THIRD_EVENT, LEASH)
        await post(client, EVENT, SNACKS)
        await post(client, SECOND_EVENT, TOOTHBRUSH)

        async def ids(target: str) -> list[str]:
            events = (await client.get(target)).json()["events"]
            return [event["event_id"] for event in events]

        assert await ids(f"/store/cart/{CART}?following={EVENT}") == [SECOND_EVENT, THIRD_EVENT]
        assert await ids(f"/store/cart?following={EVENT}") == [SECOND_EVENT]
        assert await ids(f"/store/events?following={THIRD_EVENT}") == [EVENT, SECOND_EVENT]
        assert await ids(f"/store/events?following={THIRD_EVENT}&order=happened") == []
        unknown = await client.get(f"/store/events?following={event_id(5)}")
        check_problem(unknown, 404, "event-not-found")
        check_problem(await client.get(f"/store/events?following={CART}"), 400, "invalid-id")


async def test_the_kind_of_the_id_tells_an_event_from_an_entity() -> None:
    async with shop_client() as client:
        await post(client, EVENT, SNACKS)

        assert (await client.get(f"/store/cart/{EVENT}")).json()["event_id"] == EVENT
        assert len((await client.get(f"/store/cart/{CART}")).json()["events"]) == 1
        # an event is found under the domains that list it, and no others
        check_problem(await client.get(f"/store/mail/{EVENT}"), 404, "event-not-found")


async def test_what_was_published_is_found_under_its_domain_also_when_a_service_has_its_name() -> (
    None
):
    async with shop_client() as client:
        published = await client.post(f"/store/cart/{CART}/noted", json={"event": {}})

        answer = await client.get(f"/store/cart/{published.json()['event_id']}")

    assert answer.json()["type"] == "noted"


async def test_a_domain_lists_what_carries_its_name_and_a_service_what_it_takes() -> None:
    async with shop_client() as client:
        await post(client, EVENT, SNACKS)
        await client.post(f"/store/mail/{CART}/click", json={"event": {}})

        listed = {
            domain: [e["type"] for e in (await client.get(f"/store/{domain}")).json()["events"]]
            for domain in ("cart", "mail", "unheard-of")
        }

    assert listed == {"cart": ["item_added"], "mail": ["click"], "unheard-of": []}
