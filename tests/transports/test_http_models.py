"""Models over HTTP: by entity, single, re-keyed, listed; fresh, as they were, unchanged, parked."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

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
    check_problem,
    client_of,
    event_id,
    make_shop,
    opened,
    shop_client,
)

EVENTS = {EVENT: SNACKS, SECOND_EVENT: TOOTHBRUSH, THIRD_EVENT: LEASH}


async def fill(client: httpx2.AsyncClient, cart: str = CART) -> None:
    for id_, data in EVENTS.items():
        answer = await client.post(f"/store/item_added/{cart}/{id_}", json=data)
        assert answer.status_code == 204


async def model(client: httpx2.AsyncClient, query: str = "", path: str = "") -> httpx2.Response:
    return await client.get(f"{path or f'/store/cart/{CART}/model'}{query}")


async def test_a_re_keyed_model_is_asked_for_by_its_key() -> None:
    async with shop_client() as client:
        await fill(client)

        answer = await model(client, "?key=Pachyderm+leash&after=3", "/store/sold/model")
        unseen = await model(client, "?key=tea", "/store/sold/model")

    assert answer.json() == {"model": {"quantity": 2}, "position": 3, "key": "Pachyderm leash"}
    assert unseen.json() == {"model": {"quantity": 0}, "position": 0, "key": "tea"}


@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [
        ("/store/cart/model", 400, "invalid-input"),
        ("/store/sold/model", 400, "invalid-input"),
        ("/store/total/model?key=x", 400, "invalid-input"),
        (f"/store/total/{CART}/model", 400, "invalid-input"),
        ("/store/cart/not-a-uuid/model", 400, "invalid-id"),
        (f"/store/cart/{EVENT}/model", 400, "invalid-id"),
        (f"/store/unheard/{CART}/model", 404, "model-not-found"),
        ("/store/unheard/model", 404, "model-not-found"),
        ("/store/unheard/models", 404, "model-not-found"),
        (f"/store/cart/{CART}/model?as_of=99", 400, "invalid-input"),
        (f"/store/cart/{CART}/model?as_of=x", 400, "invalid-input"),
        (f"/store/cart/{CART}/model?at=2026-01-01", 400, "invalid-input"),
        (f"/store/cart/{CART}/model?at=2026-01-01T00:00:00", 400, "invalid-input"),
        (f"/store/cart/{CART}/model?key=x", 400, "invalid-input"),
    ],
)
async def test_a_model_that_cannot_be_named_so_is_told_why(
    path: str, status: int, slug: str
) -> None:
    async with shop_client() as client:
        check_problem(await client.get(path), status, slug)


async def test_a_model_is_read_as_of_a_position() -> None:
    async with shop_client() as client:
        await fill(client)

        totals = [(await model(client, f"?as_of={n}")).json() for n in range(4)]

    assert [m["model"]["total"] for m in totals] == [0, 31.99, 49.57, 96.19]
    assert [m["position"] for m in totals] == [0, 1, 2, 3]


async def test_a_model_is_read_as_of_a_time() -> None:
    async with shop_client() as client:
        await fill(client)
        event = (await client.get(f"/store/{SECOND_EVENT}/event")).json()
        moment = datetime.fromisoformat(event["happened_at"])

        async def total(at: datetime | str) -> float:
            text = at if isinstance(at, str) else at.isoformat()
            answer = await client.get(f"/store/cart/{CART}/model", params={"at": text})
            assert answer.status_code == 200, answer.text
            return float(answer.json()["model"]["total"])

        assert await total(moment - timedelta(microseconds=1)) == 31.99
        assert await total(moment + timedelta(microseconds=1)) == 49.57
        elsewhere = timezone(timedelta(hours=-5, minutes=-30))
        assert await total((moment + timedelta(microseconds=1)).astimezone(elsewhere)) == 49.57
        assert await total("0001-01-01T00:00:00+23:00") == 0
        assert await total("2100-01-01T00:00:00+02:00") == 96.19
        # a plus that nobody encoded is a space
        answer = await model(client, "?at=2100-01-01T00:00:00+02:00")
        assert answer.json()["model"]["total"] == 96.19


async def test_a_reader_sees_its_own_write() -> None:
    async with shop_client() as client:
        for number in range(20):
            posted = await client.post(
                f"/store/item_added/{CART}/{event_id(number)}", json=SNACKS | {"quantity": 1}
            )
            token = posted.headers["perdure-position"]

            answer = await client.get(f"/store/cart/{CART}/model", headers={"Perdure-After": token})

            (line,) = answer.json()["model"]["items"].values()
            assert line["quantity"] == number + 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/store/cart/{CART}/model?after=7", {}),
        (f"/store/cart/{CART}/model", {"Perdure-After": "7"}),
        (f"/store/cart/{CART}/model?after=1", {"Perdure-After": "7"}),
    ],
)
async def test_a_position_that_is_not_reached_in_time_is_503(
    path: str, headers: dict[str, str]
) -> None:
    async with shop_client(wait_seconds_max=0.02) as client:
        answer = await client.get(path, headers=headers)

    document = check_problem(answer, 503, "not-caught-up")
    assert (document["reactor"], document["wanted"]) == ("cart", 7)
    assert answer.headers["retry-after"] == "1"


async def test_a_malformed_token_is_refused() -> None:
    async with shop_client() as client:
        answer = await client.get(f"/store/cart/{CART}/model", headers={"Perdure-After": "x"})

    assert check_problem(answer, 400, "invalid-input")["parameter"] == "Perdure-After"


async def test_a_model_that_has_not_changed_is_not_sent_again() -> None:
    async with shop_client() as client:
        await fill(client)
        first = await model(client, "?after=3")
        etag = first.headers["etag"]

        for held in (etag, f'"x", W/{etag}', "*"):
            unchanged = await client.get(
                f"/store/cart/{CART}/model", headers={"If-None-Match": held}
            )
            assert (unchanged.status_code, unchanged.content) == (304, b"")
            assert unchanged.headers["etag"] == etag
        await client.post(f"/store/item_added/{CART}/{event_id(9)}", json=SNACKS)
        changed = await client.get(
            f"/store/cart/{CART}/model?after=4", headers={"If-None-Match": etag}
        )

    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_a_parked_model_says_so_and_not_why_in_detail() -> None:
    async with shop_client() as client:
        poison = SNACKS | {"item": "poison"}
        posted = await client.post(f"/store/item_added/{CART}/{EVENT}", json=poison)
        other = await client.post(f"/store/item_added/{OTHER_CART}/{SECOND_EVENT}", json=SNACKS)

        after = {"after": other.headers["perdure-position"]}
        answer = await client.get(f"/store/cart/{CART}/model", params=after)
        well = await client.get(f"/store/cart/{OTHER_CART}/model", params=after)

    document = check_problem(answer, 409, "parked")
    assert document["position"] == int(posted.headers["perdure-position"])
    assert (document["reactor"], document["key"]) == ("cart", CART)
    assert "secret" not in answer.text
    assert "Explosion" not in answer.text
    assert well.json()["model"]["total"] == 31.99


async def test_the_models_of_a_domain_come_in_pages_by_key() -> None:
    carts = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(5)]
    async with shop_client() as client:
        for number, cart in enumerate(carts):
            posted = await client.post(f"/store/item_added/{cart}/{event_id(number)}", json=SNACKS)
        await model(client, f"?after={posted.headers['perdure-position']}")

        keys: list[str] = []
        target = "/store/cart/models?limit=2"
        for expected in (2, 2, 1):
            answer = await client.get(target)
            page = answer.json()["models"]
            assert len(page) == expected
            assert all(m["model"]["total"] == 31.99 for m in page)
            keys += [m["key"] for m in page]
            target = answer.links["next"]["url"] if "next" in answer.links else ""

    assert target == ""
    assert keys == carts


async def test_keys_of_any_text_are_written_and_linked_as_they_are() -> None:
    awkward = ['a "quoted" name', "ünïcode & more?", "x/y z"]
    async with shop_client() as client:
        for number, item in enumerate(awkward):
            posted = await client.post(
                f"/store/item_added/{CART}/{event_id(number)}", json=SNACKS | {"item": item}
            )
        last = posted.headers["perdure-position"]
        await client.get("/store/sold/model", params={"key": "x", "after": last})

        listed: list[str] = []
        target = "/store/sold/models?limit=1"
        while target:
            answer = await client.get(target)
            listed += [m["key"] for m in answer.json()["models"]]
            target = answer.links["next"]["url"] if "next" in answer.links else ""

    assert sorted(listed) == sorted(awkward)


async def test_models_without_a_running_service_are_not_passed_off_as_fresh() -> None:
    async with (
        opened(make_shop(), react=False, wait_seconds_max=0.02) as http,
        client_of(http) as client,
    ):
        await fill(client)

        check_problem(await model(client, "?after=3"), 503, "not-caught-up")
