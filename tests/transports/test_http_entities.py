"""The states of entities over HTTP: as models of their kind's domain, fresh, as they were, listed, asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx2
import pytest

from tests.transports.bank import ACCOUNT, OTHER, make_bank
from tests.transports.http_support import (
    SECOND_EVENT,
    check_problem,
    client_of,
    event_id,
    opened,
)

MODEL = f"/bank/account/{ACCOUNT}/model"


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """A bank with one account of three events: 10, 5 more, and one that its kind does not know."""
    async with opened(make_bank()) as http, client_of(http) as client:
        for amount in (10, 5):
            await client.post(f"/bank/account/{ACCOUNT}/commands/deposit", json={"amount": amount})
        await client.post(f"/bank/notes/{ACCOUNT}/noted", json={"event": {}})
        yield client


async def test_a_state_is_read_with_its_version_and_everything_that_is_recorded(
    client: httpx2.AsyncClient,
) -> None:
    answer = await client.get(MODEL)
    unseen = await client.get(f"/bank/account/{OTHER}/model")

    state = {"balance": 15.0, "owner": "", "highest": 0}
    assert answer.json() == {"model": state, "position": 3, "key": ACCOUNT, "version": 3}
    assert answer.headers["perdure-position"] == "3"
    assert unseen.json()["version"] == unseen.json()["position"] == 0
    assert unseen.json()["model"]["balance"] == 0


async def test_a_raw_event_on_the_stream_is_caught_up_with(client: httpx2.AsyncClient) -> None:
    raw = await client.post(f"/bank/deposited/{ACCOUNT}/{event_id(1)}", json={"amount": 1})

    answer = await client.get(MODEL, headers={"Perdure-After": raw.headers["perdure-position"]})

    assert (answer.json()["model"]["balance"], answer.json()["version"]) == (16, 4)


async def test_a_position_that_is_to_come_is_not_waited_for(client: httpx2.AsyncClient) -> None:
    check_problem(await client.get(f"{MODEL}?after=99"), 503, "not-caught-up")


async def test_a_state_is_read_as_of_a_position_and_a_time(client: httpx2.AsyncClient) -> None:
    first, second, _ = (await client.get("/bank/events")).json()["events"]
    moment = datetime.fromisoformat(second["happened_at"]) - timedelta(microseconds=1)

    was = [(await client.get(f"{MODEL}?as_of={n}")).json() for n in range(4)]
    then = (await client.get(MODEL, params={"at": moment.isoformat()})).json()
    both = await client.get(MODEL, params={"as_of": 1, "query": "balance"})

    assert [m["model"]["balance"] for m in was] == [0, 10, 15, 15]
    assert [m["version"] for m in was] == [0, 1, 2, 3]
    assert (then["model"]["balance"], then["position"]) == (10, first["position"])
    assert both.json()["model"] == 10


async def test_a_state_that_has_not_changed_is_not_sent_again(client: httpx2.AsyncClient) -> None:
    etag = (await client.get(MODEL)).headers["etag"]
    unchanged = await client.get(MODEL, headers={"If-None-Match": etag})
    await client.post(f"/bank/account/{ACCOUNT}/commands/deposit", json={"amount": 1})
    changed = await client.get(MODEL, headers={"If-None-Match": etag})

    assert etag.startswith('"3-')
    assert (unchanged.status_code, changed.status_code) == (304, 200)


async def test_a_query_says_something_of_a_state(client: httpx2.AsyncClient) -> None:
    answer = await client.get(f"{MODEL}?query=balance")
    listed = await client.get("/bank/account/models?query=balance")

    assert answer.json() == {"model": 15.0, "position": 3, "key": ACCOUNT, "version": 3}
    assert listed.json()["models"] == [answer.json()]


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        (f"{MODEL}?query=unheard", 404, "query-not-found"),
        (f"{MODEL}?query=", 404, "query-not-found"),
        (f"{MODEL}?query=__class__", 404, "query-not-found"),
        (f"{MODEL}?query=unheard&as_of=1", 404, "query-not-found"),
        ("/bank/account/models?query=unheard", 404, "query-not-found"),
        (f"{MODEL}?query=broken", 500, "handler-failed"),
        ("/bank/total/model?query=balance", 400, "invalid-input"),
        ("/bank/total/models?query=balance", 404, "query-not-found"),
        ("/bank/account/model", 400, "invalid-input"),
        (f"/bank/account/{SECOND_EVENT}/model", 400, "invalid-id"),
        (f"{MODEL}?as_of=99", 400, "invalid-input"),
        ("/bank/account/models?after=x", 400, "invalid-id"),
    ],
)
async def test_what_cannot_be_asked_is_told(
    client: httpx2.AsyncClient, path: str, status: int, slug: str
) -> None:
    answer = await client.get(path)

    check_problem(answer, status, slug)
    assert "secret" not in answer.text


async def test_the_states_of_a_kind_come_in_pages_and_its_domain_lists_its_events(
    client: httpx2.AsyncClient,
) -> None:
    accounts = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(4)]
    for account in accounts:
        await client.post(f"/bank/account/{account}/commands/deposit", json={"amount": 1})

    keys: list[str] = []
    target = "/bank/account/models?limit=2&query=balance"
    while target:
        page = await client.get(target)
        keys += [model["key"] for model in page.json()["models"]]
        target = page.links["next"]["url"] if "next" in page.links else ""

    assert keys == [*accounts, ACCOUNT]
    assert (await client.get("/bank/account/keys")).json() == keys
    assert len((await client.get("/bank/account")).json()["events"]) == 6
    assert len((await client.get(f"/bank/account/{ACCOUNT}")).json()["events"]) == 2
    assert "account" in (await client.get("/bank/keys")).json()


async def test_the_production_perhap_s_path_gives_a_state_bare(client: httpx2.AsyncClient) -> None:
    answer = await client.get(f"/v1/model/account/{ACCOUNT}")

    assert answer.json()["balance"] == 15
