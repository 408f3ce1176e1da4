"""Batches: all or none, on conditions, as JSON or as lines."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.transports.batches import BatchEvent, Envelope
from perdure.vocabulary.errors import InvalidInput
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
    opened,
    shop_client,
)

LINES = [(b"content-type", b"application/x-ndjson")]


def event(type_: str = "seen", entity: str = CART, **more: Any) -> dict[str, Any]:
    return {"type": type_, "entity_id": entity, "data": {}} | more


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


async def record(client: httpx2.AsyncClient, *events: object, **more: object) -> httpx2.Response:
    return await client.post("/store/events", json={"events": events, **more})


async def listed(client: httpx2.AsyncClient) -> list[str]:
    events = (await client.get("/store/events")).json()["events"]
    return [event["type"] for event in events]


async def test_a_batch_is_recorded_in_its_order_with_ids_and_positions() -> None:
    async with shop_client() as client:
        answer = await record(
            client,
            event("item_added", event_id=EVENT, data=SNACKS, domain="cart", tags=["a", "b"]),
            event("noted"),
            event("item_added", OTHER_CART, event_id=SECOND_EVENT, data=TOOTHBRUSH),
        )
        assert answer.status_code == 200
        recorded = answer.json()["events"]
        assert [(e["position"], e["version"]) for e in recorded] == [(1, 1), (2, 2), (3, 1)]
        assert [recorded[0]["event_id"], recorded[2]["event_id"]] == [EVENT, SECOND_EVENT]
        assert answer.json()["position"] == 3
        assert answer.headers["perdure-position"] == "3"

        stored = (await client.get(f"/store/{EVENT}/event")).json()
        assert (stored["domain"], stored["tags"]) == ("cart", ["a", "b"])
        made = (await client.get(f"/store/{recorded[1]['event_id']}/event")).json()
        assert made["type"] == "noted"


async def test_a_repeated_batch_gets_its_first_receipts() -> None:
    async with shop_client() as client:
        events = [event(event_id=EVENT), event(event_id=SECOND_EVENT, expected_version=1)]
        first = await record(client, *events)
        await record(client, event("later"))

        again = await record(client, *events)

    assert again.json() == first.json()


async def test_lines_are_one_atomic_batch() -> None:
    async with opened() as http:
        body = lines(event("one"), event("two", expected_version=1)) + b"\n  \n"
        parts = [body[at : at + 7] for at in range(0, len(body), 7)]
        answer = await ask(http, "POST", b"/store/events", parts, LINES)
        assert answer.status == 200, answer.body
        assert [e["version"] for e in answer.json()["events"]] == [1, 2]

        refused = await ask(
            http, "POST", b"/store/events", lines(event("three"), event(expected_version=9)), LINES
        )
        check_problem(refused, 412, "wrong-version")
        listing = await ask(http, "GET", b"/store/events")
        assert [e["type"] for e in listing.json()["events"]] == ["one", "two"]


async def test_versions_are_expected_just_before_each_event() -> None:
    async with shop_client() as client:
        first = await record(
            client, event(expected_version=0), event(entity=OTHER_CART), event(expected_version=1)
        )
        assert first.status_code == 200

        stale = await record(client, event("new", OTHER_CART), event(expected_version=1))
        document = check_problem(stale, 412, "wrong-version")
        assert (document["entity"], document["expected"], document["actual"]) == (CART, 1, 2)
        assert "new" not in await listed(client)

        impossible = await record(client, event(), event(expected_version=0))
        document = check_problem(impossible, 400, "invalid-input")
        assert document["pointer"] == "/events/1/expected_version"


@pytest.mark.parametrize(
    "condition",
    [
        {"after": 0, "types": ["seen"]},
        {"after": 0, "entities": [CART]},
        {"after": 0, "domains": ["mail"]},
        {"after": 0, "tags": ["blue"]},
        {"after": 0, "types": ["seen", "other"], "entities": [CART], "tags": ["blue", "red"]},
        {"after": 0},
    ],
)
async def test_a_condition_fails_when_a_matching_event_exists(condition: object) -> None:
    async with shop_client() as client:
        await record(client, event(domain="mail", tags=["blue", "red"]))

        document = check_problem(
            await record(client, event("new"), condition=condition), 412, "condition-failed"
        )

        assert (document["after"], document["position"]) == (0, 1)
        assert await listed(client) == ["seen"]


@pytest.mark.parametrize(
    "condition",
    [
        {"after": 1},
        {"after": 0, "types": ["other"]},
        {"after": 0, "entities": [OTHER_CART]},
        {"after": 0, "tags": ["blue", "green"]},
        None,
    ],
)
async def test_a_condition_holds_when_no_matching_event_exists(condition: object) -> None:
    async with shop_client() as client:
        await record(client, event(tags=["blue"]))

        assert (await record(client, event("new"), condition=condition)).status_code == 200


async def test_ids_that_are_taken_are_told_by_their_indices() -> None:
    async with shop_client() as client:
        await record(client, event(event_id=EVENT), event(event_id=SECOND_EVENT))

        answer = await record(
            client,
            event("new", event_id=THIRD_EVENT),
            event("changed", event_id=EVENT),
            event("changed", event_id=SECOND_EVENT),
        )

        document = check_problem(answer, 409, "event-id-taken")
        assert document["indices"] == [1, 2]
        assert document["ids"] == [EVENT, SECOND_EVENT]
        assert await listed(client) == ["seen", "seen"]


FAULTS: list[tuple[dict[str, Any], int, str]] = [
    ({"type": "1st"}, 400, "/events/1"),
    ({"type": 5}, 400, "/events/1/type"),
    ({"entity_id": EVENT}, 400, "/events/1/entity_id"),
    ({"entity_id": "x"}, 400, "/events/1/entity_id"),
    ({"event_id": CART}, 400, "/events/1/event_id"),
    ({"event_id": ""}, 400, "/events/1/event_id"),
    ({"domain": "keys"}, 400, "/events/1"),
    ({"domain": ""}, 400, "/events/1"),
    ({"tags": [""]}, 400, "/events/1"),
    ({"tags": "a"}, 400, "/events/1/tags"),
    ({"expected_version": -1}, 400, "/events/1/expected_version"),
    ({"expected_version": "1"}, 400, "/events/1/expected_version"),
    ({"position": 7}, 400, "/events/1"),
    ({"data": [1]}, 400, "/events/1/data"),
    ({"data": {"a": [1, 2**70]}}, 400, "/events/1/data/a/1"),
    ({"type": "item_added", "data": LEASH | {"quantity": "2"}}, 422, "/events/1/data/quantity"),
]


@pytest.mark.parametrize(("fault", "status", "pointer"), FAULTS)
async def test_a_fault_in_a_batch_is_told_with_its_place(
    fault: dict[str, Any], status: int, pointer: str
) -> None:
    async with opened() as http:
        events = [event(), event() | fault]
        answer = await ask(http, "POST", b"/store/events", json.dumps({"events": events}).encode())
        assert (answer.status, answer.json().get("pointer")) == (status, pointer), answer.body

        answer = await ask(http, "POST", b"/store/events", lines(*events), LINES)
        document = answer.json()
        assert (answer.status, document.get("index")) == (status, 1), answer.body
        assert document.get("pointer", "") == pointer.removeprefix("/events/1")
        assert (await ask(http, "GET", b"/store/events")).json() == {"events": []}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"events":{}}', b'{"events":[]}', b'{"events":[1]}', b'{"event":[]}',
        b'{"events":[],"events":[]}',
        b'{"events":[{"type":"a","type":"b","entity_id":"%b","data":{}}]}' % CART.encode(),
        b'{"events":[{"type":"a","entity_id":"%b","data":{"a":1},"data":{}}]}' % CART.encode(),
        b'{"events":[{"type":"a","entity_id":"%b"}]}' % CART.encode(),
        b'{"events":[{"type":"\xff","entity_id":"%b","data":{}}]}' % CART.encode(),
        b'{"events":[{"type":"a","entity_id":"%b","data":{}}],"condition":{}}' % CART.encode(),
        b'{"events":[{"type":"a","entity_id":"%b","data":{}}],"condition":{"after":0,"type":"a"}}'
        % CART.encode(),
        b'{"events":[{"type":"a","entity_id":"%b","data":{}}],"condition":{"after":0,"types":["1"]}}'
        % CART.encode(),
        b'{"events":' * 2000,
    ],
)  # fmt: skip
async def test_a_body_that_is_no_batch_is_refused(body: bytes) -> None:
    async with opened() as http:
        answer = await ask(http, "POST", b"/store/events", body)

        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await ask(http, "GET", b"/store/events")).json() == {"events": []}


async def test_a_batch_has_bounds() -> None:
    async with opened(batch_events_max=3, body_bytes_max=2000) as http:
        many = json.dumps({"events": [event()] * 4}).encode()
        check_problem(await ask(http, "POST", b"/store/events", many), 413, "too-large")
        too_many_lines = lines(*[event()] * 4)
        check_problem(
            await ask(http, "POST", b"/store/events", too_many_lines, LINES), 413, "too-large"
        )
        big = lines(event(data={"a": "x" * 2000}))
        parts = [big[at : at + 100] for at in range(0, len(big), 100)]
        check_problem(await ask(http, "POST", b"/store/events", parts, LINES), 413, "too-large")
        check_problem(await ask(http, "POST", b"/store/events", big), 413, "too-large")
        assert (await ask(http, "POST", b"/store/events", lines(event()), LINES)).status == 200


async def test_an_endless_line_is_cut_short() -> None:
    async with opened(body_bytes_max=16 * 1024 * 1024) as http:
        parts = [b"x" * 65_536] * 32

        answer = await ask(http, "POST", b"/store/events", parts, LINES)

    check_problem(answer, 413, "too-large")


async def test_an_empty_batch_of_lines_is_refused() -> None:
    async with opened() as http:
        check_problem(
            await ask(http, "POST", b"/store/events", b"\n\n", LINES), 400, "invalid-input"
        )


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON_VALUES), st.booleans(), st.lists(st.text('ab:{}"\\,')))
@settings(max_examples=60, deadline=None)
def test_any_payload_passes_through_an_envelope_as_it_is(
    data: dict[str, Any], is_spaced: bool, tags: list[str]
) -> None:
    written = json.dumps(event(data=data, tags=tags), indent=2 if is_spaced else None).encode()

    opened_event = Envelope(BatchEvent).open(written)

    assert json.loads(bytes(opened_event.data)) == data
    assert opened_event.tags == tuple(tags)


@given(st.sampled_from(["type", "entity_id", "data", "tags"]), st.booleans())
def test_a_key_that_is_there_twice_is_found_wherever_it_stands(name: str, is_first: bool) -> None:
    whole = event(tags=["a:b"])
    once, twice = json.dumps(whole)[1:-1], json.dumps({name: whole[name]})[1:-1]
    text = f"{{{twice},{once}}}" if is_first else f"{{{once},{twice}}}"

    with pytest.raises(InvalidInput, match="twice"):
        Envelope(BatchEvent).open(text.encode())
