"""Commands over HTTP: their outcomes, their repeats, what they are told when they cannot be sent so."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest

import perdure
from perdure import OutcomeUnknown, StorageFull, Unavailable
from perdure.engines.memory import MemoryEngine
from perdure.transports.http import HttpApp
from perdure.vocabulary.errors import PerdureError
from tests.transports.bank import ACCOUNT, OTHER, Meddling, make_bank
from tests.transports.http_support import EVENT, Gate, ask, check_problem, client_of, opened

DEPOSIT = f"/bank/account/{ACCOUNT}/commands/deposit"
WITHDRAW = f"/bank/account/{ACCOUNT}/commands/withdraw"
INSPECT = f"/bank/account/{ACCOUNT}/commands/inspect"
MODEL = f"/bank/account/{ACCOUNT}/model"
TRANSFER = "/bank/commands/transfer"


def bank(engine: MemoryEngine | None = None, **settings: Any) -> Any:
    return opened(make_bank(), engine=engine, **settings)


async def command(
    client: httpx2.AsyncClient, target: str, body: object = None, **headers: str
) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(target, json={} if body is None else body, headers=named)


async def events(client: httpx2.AsyncClient) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await client.get("/bank/events")).json()["events"]
    return listed


# -- to an entity ------------------------------------------------------------------------------


async def test_a_command_is_answered_with_state_version_position_and_events() -> None:
    async with bank() as http, client_of(http) as client:
        first = await command(client, DEPOSIT, {"amount": 10.5})
        answer = await command(client, WITHDRAW, {"amount": 4})
        recorded = await events(client)

    assert first.status_code == answer.status_code == 200
    outcome = answer.json()
    assert len(outcome.pop("command_id")) == 32
    assert outcome == {
        "state": {"balance": 6.5, "owner": "", "highest": 0},
        "version": 2,
        "position": 2,
        "events": [recorded[1]["event_id"]],
        "repeated": False,
    }
    assert answer.headers["perdure-position"] == "2"
    assert answer.headers["perdure-durability"] == "memory"
    assert answer.headers["etag"] == '"2"'


async def test_money_goes_out_to_the_digit() -> None:
    async with bank() as http, client_of(http) as client:
        await command(client, DEPOSIT, {"amount": 0.1})
        answer = await command(client, DEPOSIT, {"amount": 0.2})

    assert b'"balance":0.30,' in answer.content


async def test_a_rejection_is_told_with_its_reason() -> None:
    async with bank() as http, client_of(http) as client:
        answer = await command(client, WITHDRAW, {"amount": 1})

        assert check_problem(answer, 422, "rejected")["reason"] == "there are 0.00"
        assert await events(client) == []


async def test_no_body_is_a_command_without_fields() -> None:
    async with bank() as http, client_of(http) as client:
        plain = await client.post(INSPECT)
        as_json = await client.post(INSPECT, headers={"Content-Type": "application/json"})

    assert plain.status_code == as_json.status_code == 200
    assert plain.json()["reply"]["note"] == ""


@pytest.mark.parametrize("media", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_browser_must_say_of_no_body_that_it_is_json(media: str) -> None:
    headers = {"Origin": "https://elsewhere.test"} | ({"Content-Type": media} if media else {})
    async with bank() as http, client_of(http) as client:
        check_problem(await client.post(INSPECT, headers=headers), 415, "unsupported-media-type")
        headers["Content-Type"] = "application/json"
        assert (await client.post(INSPECT, headers=headers)).status_code == 200


async def test_a_reply_belongs_to_the_outcome() -> None:
    async with bank() as http, client_of(http) as client:
        first = await command(client, INSPECT, {"note": "hello"}, Idempotency_Key="i-1")
        await command(client, DEPOSIT, {"amount": 1})
        again = await command(client, INSPECT, {"note": "hello"}, Idempotency_Key="i-1")

    assert first.json()["reply"] == {"note": "hello", "version": 0, "id": "i-1"}
    assert first.json()["events"] == []
    assert (again.json()["reply"], again.json()["version"]) == (first.json()["reply"], 0)
    assert again.json()["state"] == first.json()["state"]


async def test_a_query_takes_the_place_of_the_state() -> None:
    async with bank() as http, client_of(http) as client:
        answer = await command(client, f"{DEPOSIT}?query=balance", {"amount": 2.50})
        again = await command(client, f"{DEPOSIT}?query=unheard", {"amount": 2.50})

        assert answer.json()["state"] == 2.5
        assert "balance" in check_problem(again, 404, "query-not-found")["detail"]
        assert len(await events(client)) == 1


async def test_who_sent_it_and_why_stands_in_the_metadata() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with bank() as http, client_of(http) as client:
        headers = {"traceparent": trace, "X_Correlation_Id": "c-1", "Idempotency_Key": "k-1"}
        await command(client, DEPOSIT, {"amount": 1}, **headers)
        refused = await command(client, DEPOSIT, {"amount": 1}, X_Correlation_Id="two words")
        (event,) = await events(client)

    assert event["metadata"] == {
        "correlation_id": "c-1", "command_id": "k-1", "traceparent": trace,
    }  # fmt: skip
    assert check_problem(refused, 400, "invalid-input")["parameter"] == "X-Correlation-Id"


# -- sent again --------------------------------------------------------------------------------


async def test_the_first_outcome_under_a_key_stands() -> None:
    async with bank() as http, client_of(http) as client:
        first = await command(client, DEPOSIT, {"amount": 1.0}, Idempotency_Key='"k-1"')
        await command(client, DEPOSIT, {"amount": 5})
        again = await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k-1")

        assert first.json()["command_id"] == "k-1"
        assert again.json() == first.json() | {"repeated": True}
        for name in ("etag", "perdure-position"):
            assert again.headers[name] == first.headers[name]
        assert len(await events(client)) == 2


async def test_a_rejection_stands_too() -> None:
    async with bank() as http, client_of(http) as client:
        await command(client, WITHDRAW, {"amount": 1}, Idempotency_Key="k-1")
        await command(client, DEPOSIT, {"amount": 5})
        again = await command(client, WITHDRAW, {"amount": 1}, Idempotency_Key="k-1")

    assert check_problem(again, 422, "rejected")["reason"] == "there are 0.00"


async def test_repeats_at_once_have_one_outcome() -> None:
    engine = Gate()
    async with bank(engine, react=False) as http, client_of(http) as client:
        engine.open_gate.clear()
        repeats = [
            asyncio.create_task(command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k"))
            for _ in range(20)
        ]
        async with asyncio.timeout(10):
            while not engine.waiting:
                await asyncio.sleep(0.001)
        engine.open_gate.set()
        answers = await asyncio.gather(*repeats)

        outcomes = [answer.json() for answer in answers]
        assert {answer.status_code for answer in answers} == {200}
        assert sum(not outcome.pop("repeated") for outcome in outcomes) == 1
        assert all(outcome == outcomes[0] for outcome in outcomes)
        assert len(await events(client)) == 1


@pytest.mark.parametrize(
    ("target", "body"),
    [(DEPOSIT, {"amount": 2}), (f"/bank/account/{OTHER}/commands/deposit", {"amount": 1})],
)
async def test_a_key_that_was_used_for_another_is_refused(target: str, body: object) -> None:
    async with bank() as http, client_of(http) as client:
        await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")

        answer = await command(client, target, body, Idempotency_Key="k")

        check_problem(answer, 422, "idempotency-key-reused")
        assert len(await events(client)) == 1


@pytest.mark.parametrize("key", ["a/b", '"a b"', "a" * 201, '"', "ü"])
async def test_a_key_that_is_no_command_id_is_refused(key: str) -> None:
    async with bank() as http:
        headers = (
            (b"content-type", b"application/json"),
            (b"idempotency-key", key.encode()),
        )
        answer = await ask(http, "POST", DEPOSIT.encode(), b'{"amount":1}', headers)

    assert check_problem(answer, 400, "invalid-input")["parameter"] == "Idempotency-Key"


async def test_an_outcome_survives_a_restart_on_sqlite(tmp_path: Path) -> None:
    def open_bank() -> perdure.App:
        return perdure.open(make_bank(), store=f"sqlite:////{tmp_path}/data")

    async with open_bank() as app, client_of(HttpApp(app)) as client:
        first = await command(client, DEPOSIT, {"amount": 1.10}, Idempotency_Key="k")
        no = await command(client, WITHDRAW, {"amount": 2}, Idempotency_Key="k")
        idle = await command(client, f"/bank/account/{OTHER}/commands/inspect", Idempotency_Key="k")
        await command(client, f"/bank/account/{OTHER}/commands/deposit", {"amount": 1})
    async with open_bank() as app, client_of(HttpApp(app)) as client:
        await command(client, DEPOSIT, {"amount": 5})
        again = await command(client, DEPOSIT, {"amount": 1.1}, Idempotency_Key="k")
        no_again = await command(client, WITHDRAW, {"amount": 2}, Idempotency_Key="k")
        idle_again = await command(
            client, f"/bank/account/{OTHER}/commands/inspect", Idempotency_Key="k"
        )
        model = await client.get(MODEL)

    assert first.headers["perdure-durability"] == "durable"
    assert again.json() == first.json() | {"repeated": True}
    assert no.json()["reason"] == no_again.json()["reason"] == "there are 1.10"
    assert idle_again.json()["state"] == idle.json()["state"]
    assert model.json()["model"]["balance"] == 6.1


# -- on condition ------------------------------------------------------------------------------


@pytest.mark.parametrize("held", ['"1"', "1", 'W/"1"', "*"])
async def test_a_command_is_handled_on_the_version_its_sender_saw(held: str) -> None:
    async with bank() as http, client_of(http) as client:
        first = await command(client, DEPOSIT, {"amount": 1}, If_Match='"0"')
        answer = await command(client, DEPOSIT, {"amount": 1}, If_Match=held)

    assert first.status_code == answer.status_code == 200, answer.text
    assert answer.json()["version"] == 2


async def test_the_etag_of_a_state_is_a_version_to_match() -> None:
    async with bank() as http, client_of(http) as client:
        await command(client, DEPOSIT, {"amount": 1})
        whole, asked = await client.get(MODEL), await client.get(f"{MODEL}?query=balance")

        answer = await command(client, DEPOSIT, {"amount": 1}, If_Match=whole.headers["etag"])
        late = await command(client, DEPOSIT, {"amount": 1}, If_Match=asked.headers["etag"])

    assert answer.status_code == 200, answer.text
    problem = check_problem(late, 412, "wrong-version")
    assert (problem["entity"], problem["expected"], problem["actual"]) == (ACCOUNT, 1, 2)


@pytest.mark.parametrize("held", ['"2"', "0", "*"])
async def test_another_version_is_412_and_nothing_happens(held: str) -> None:
    async with bank() as http, client_of(http) as client:
        if held != "*":
            await command(client, DEPOSIT, {"amount": 1})
        answer = await command(client, DEPOSIT, {"amount": 1}, If_Match=held)

        check_problem(answer, 412, "wrong-version")
        assert len(await events(client)) == (held != "*")


@pytest.mark.parametrize(
    "held", ["", "x", '"x"', '"1", "2"', "-1", "1.0", "9" * 19, "9" * 30, '"1']
)
async def test_what_names_no_version_is_refused(held: str) -> None:
    async with bank() as http, client_of(http) as client:
        answer = await command(client, DEPOSIT, {"amount": 1}, If_Match=held)

        assert check_problem(answer, 400, "invalid-input")["parameter"] == "If-Match"
        assert await events(client) == []


async def test_a_repeat_gets_its_outcome_whatever_the_version_is_now() -> None:
    async with bank() as http, client_of(http) as client:
        headers = {"If_Match": '"0"', "Idempotency_Key": "k"}
        first = await command(client, DEPOSIT, {"amount": 1}, **headers)
        again = await command(client, DEPOSIT, {"amount": 1}, **headers)

    assert again.json() == first.json() | {"repeated": True}


async def test_who_loses_each_time_is_told_to_send_it_again() -> None:
    engine = Meddling()
    async with bank(engine, react=False) as http, client_of(http) as client:
        answer = await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")
        check_problem(answer, 409, "contended")
        assert answer.headers["retry-after"] == "1"
        metrics = (await client.get("/metrics")).text

        engine.meddles = False
        assert (await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")).is_success

    assert "perdure_command_conflicts_total 11.0" in metrics


# -- until services have taken it --------------------------------------------------------------


async def test_an_answer_waits_for_the_services_it_is_to_wait_for() -> None:
    async with bank() as http, client_of(http) as client:
        for count in range(1, 6):
            await command(client, DEPOSIT, {"amount": 1}, Perdure_Wait=" total,total ")
            total = await client.get("/bank/total/model")
            assert total.json()["model"] == {"deposits": count}


async def test_a_service_that_is_behind_is_told_with_the_outcome() -> None:
    async with bank(react=False, wait_seconds_max=0.02) as http, client_of(http) as client:
        keyed = await command(
            client, DEPOSIT, {"amount": 1}, Perdure_Wait="total", Idempotency_Key="k"
        )
        bare = await command(client, DEPOSIT, {"amount": 1}, Perdure_Wait="total")
        again = await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")

        problem = check_problem(keyed, 503, "not-caught-up")
        assert len(await events(client)) == 2

    assert (problem["reactor"], problem["wanted"], problem["reached"]) == ("total", 1, 0)
    assert "was carried out" in problem["detail"]
    assert again.json() == problem["outcome"] | {"repeated": True}
    assert keyed.headers["perdure-position"] == "1"
    assert keyed.headers["etag"] == '"1"'
    assert keyed.headers["retry-after"] == "1"
    assert "retry-after" not in bare.headers  # who has no key would do it twice
    assert bare.json()["outcome"]["command_id"] in bare.json()["detail"]


@pytest.mark.parametrize("names", ["unheard", "total,unheard", "account", "", "total,", "tötal"])
async def test_a_service_that_is_not_there_is_refused_before_anything_is_done(names: str) -> None:
    async with bank() as http:
        headers = (
            (b"content-type", b"application/json"),
            (b"perdure-wait", names.encode()),
        )
        answer = await ask(http, "POST", DEPOSIT.encode(), b'{"amount":1}', headers)

        problem = check_problem(answer, 400, "invalid-input")
        assert (await ask(http, "GET", b"/bank/events")).json() == {"events": []}

    assert problem["parameter"] == "Perdure-Wait"
    assert "there are: total" in problem["detail"]


# -- LOW ---------------------------------------------------------------------------------------


async def test_a_low_handler_writes_to_several_entities() -> None:
    async with bank() as http, client_of(http) as client:
        await command(client, DEPOSIT, {"amount": 10})
        body = {"source": ACCOUNT, "target": OTHER, "amount": 4}
        answer = await command(client, TRANSFER, body, Idempotency_Key="t", Perdure_Wait="total")
        again = await command(client, TRANSFER, body, Idempotency_Key="t")
        rejected = await command(client, TRANSFER, body | {"amount": 400})
        states = [await client.get(f"/bank/account/{id_}/model") for id_ in (ACCOUNT, OTHER)]
        recorded = await events(client)

    assert answer.json() == {
        "command_id": "t",
        "position": 3,
        "events": [event["event_id"] for event in recorded[1:]],
        "repeated": False,
    }
    assert answer.headers["perdure-position"] == "3"
    assert "etag" not in answer.headers
    assert again.json() == answer.json() | {"repeated": True}
    assert [state.json()["model"]["balance"] for state in states] == [6, 4]
    assert check_problem(rejected, 422, "rejected")["reason"] == "too little"


async def test_what_is_to_be_there_once_is_there_once() -> None:
    async with bank() as http, client_of(http) as client:
        answers = await asyncio.gather(
            *(command(client, "/bank/commands/open", {"owner": "Ann"}) for _ in range(16))
        )

        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["reply"]["account"] for answer in answers}) == 1
        assert len(await events(client)) == 1


async def test_a_low_handler_has_no_version_and_no_state() -> None:
    async with bank() as http, client_of(http) as client:
        matched = await command(client, "/bank/commands/open", {"owner": "Ann"}, If_Match="1")
        asked = await command(client, "/bank/commands/open?query=balance", {"owner": "Ann"})

        assert check_problem(matched, 400, "invalid-input")["parameter"] == "If-Match"
        assert check_problem(asked, 400, "invalid-input")["parameter"] == "query"
        assert await events(client) == []


# -- what cannot be sent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "status", "slug"),
    [
        (f"/unheard/account/{ACCOUNT}/commands/deposit", 404, "not-found"),
        (f"/bank/unheard/{ACCOUNT}/commands/deposit", 404, "command-not-found"),
        (f"/bank/total/{ACCOUNT}/commands/deposit", 404, "command-not-found"),
        (f"/bank/account/{ACCOUNT}/commands/transfer", 404, "command-not-found"),
        (f"/bank/account/{ACCOUNT}/commands/{ACCOUNT}", 404, "command-not-found"),
        ("/bank/commands/deposit", 404, "command-not-found"),
        (f"/bank/commands/{ACCOUNT}", 404, "command-not-found"),
        (f"/bank/account/{EVENT}/commands/deposit", 400, "invalid-id"),
        (f"/bank/account/{ACCOUNT.upper()}/commands/deposit", 400, "invalid-id"),
        ("/bank/account/000001/commands/deposit", 400, "invalid-id"),
        (f"/bank/account/{ACCOUNT}/commands/deposit?quary=balance", 400, "invalid-input"),
        (f"/bank/account/{ACCOUNT}/commands/deposit?query=balance&query=x", 400, "invalid-input"),
        (f"/bank/account/{ACCOUNT}/commands", 400, "invalid-input"),
        ("/bank/account/commands/deposit", 400, "invalid-input"),
        (f"/bank/account/{ACCOUNT}/commands/deposit/now", 404, "not-found"),
        (f"/bank/account/{ACCOUNT}/commands/de%2Fposit", 400, "malformed-request"),
    ],
)
async def test_what_is_not_there_is_told(target: str, status: int, slug: str) -> None:
    async with bank() as http, client_of(http) as client:
        check_problem(await command(client, target, {"amount": 1}), status, slug)
        assert await events(client) == []


@pytest.mark.parametrize(
    ("body", "status", "slug", "pointer"),
    [
        (b'{"amount":"ten"}', 422, "invalid-payload", "/amount"),
        (b'{"amount":null}', 422, "invalid-payload", "/amount"),
        (b"{}", 422, "invalid-payload", None),
        (b"", 422, "invalid-payload", None),
        (b"[1]", 400, "invalid-json", None),
        (b"null", 400, "invalid-json", None),
        (b'{"amount":NaN}', 400, "invalid-json", None),
        (b'{"amount":1e400}', 400, "invalid-json", "/amount"),
        (b'{"amount":1,"amount":2}', 400, "invalid-json", "/amount"),
        (b'{"amount":1,"x":"\\ud800"}', 400, "invalid-json", None),
        (b'{"amount":1} x', 400, "invalid-json", None),
        (b"\xff", 400, "invalid-json", None),
        (b'{"a":' * 100 + b"1" + b"}" * 100, 400, "limit-exceeded", None),
        (b'{"amount":"' + b"1" * 1_048_576 + b'"}', 413, "too-large", None),
    ],
)
async def test_a_body_that_is_no_such_command_is_told_where(
    body: bytes, status: int, slug: str, pointer: str | None
) -> None:
    async with bank() as http:
        problem = check_problem(await ask(http, "POST", DEPOSIT.encode(), body), status, slug)
        assert (await ask(http, "GET", b"/bank/events")).json() == {"events": []}

    assert pointer is None or problem["pointer"] == pointer


@pytest.mark.parametrize("media", [b"text/plain", b"application/x-ndjson", b""])
async def test_a_body_of_another_kind_is_refused(media: bytes) -> None:
    async with bank() as http:
        headers = ((b"content-type", media),)
        answer = await ask(http, "POST", DEPOSIT.encode(), b'{"amount":1}', headers)

    check_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("target", [DEPOSIT, TRANSFER])
async def test_commands_are_only_posted(target: str) -> None:
    async with bank() as http, client_of(http) as client:
        options = await client.options(target)
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            answer = await client.request(method, target)
            assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")

    assert (options.status_code, options.headers["allow"]) == (200, "OPTIONS, POST")


# -- what fails --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raise", "return"])
async def test_a_function_that_fails_is_told_without_its_words(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with bank() as http, client_of(http) as client:
        with caplog.at_level(logging.ERROR, "perdure.http"):
            answer = await command(client, f"/bank/account/{ACCOUNT}/commands/fail", {"how": how})

        check_problem(answer, 500, "handler-failed")
        assert "secret" not in answer.text
        assert "Explosion" not in answer.text
        assert await events(client) == []
    assert "a function failed" in caplog.text
    assert "make_bank.<locals>.fail" in caplog.text


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (f"{DEPOSIT}?query=broken", {"amount": 1}),
        (f"/bank/account/{ACCOUNT}/commands/overflow", {}),
    ],
)
async def test_a_state_that_cannot_be_told_is_told_with_the_outcome(
    target: str, says: object
) -> None:
    async with bank() as http, client_of(http) as client:
        answer = await command(client, target, says, Idempotency_Key="k")

        problem = check_problem(answer, 500, "answer-failed")
        (event,) = await events(client)

    assert "was carried out" in problem["detail"]
    assert problem["outcome"]["events"] == [event["event_id"]]
    assert (problem["outcome"]["command_id"], problem["outcome"]["version"]) == ("k", 1)
    assert answer.headers["perdure-position"] == "1"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("failure", "status", "slug"),
    [
        (Unavailable("secret disk"), 503, "unavailable"),
        (StorageFull("secret disk"), 507, "storage-full"),
        (OutcomeUnknown("secret sync"), 503, "outcome-unknown"),
    ],
)
async def test_a_store_that_fails_is_told_and_asked_again(
    failure: PerdureError, status: int, slug: str
) -> None:
    engine = Gate()
    async with bank(engine, react=False) as http, client_of(http) as client:
        engine.failure = failure
        answer = await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")
        engine.failure = None
        again = await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")

    check_problem(answer, status, slug)
    assert "secret" not in answer.text
    assert (again.status_code, again.json()["version"]) == (200, 1)


async def test_a_command_that_takes_too_long_may_have_been_carried_out() -> None:
    engine = Gate()
    async with (
        bank(engine, react=False, handler_seconds_max=0.05) as http,
        client_of(http) as client,
    ):
        engine.open_gate.clear()
        answer = await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")
        engine.open_gate.set()
        again = await command(client, DEPOSIT, {"amount": 1}, Idempotency_Key="k")

        check_problem(answer, 503, "outcome-unknown")
        assert (again.status_code, again.json()["version"]) == (200, 1)
        assert len(await events(client)) == 1


async def test_more_commands_than_there_is_room_for_are_refused_unwritten() -> None:
    engine = Gate()
    async with (
        bank(engine, react=False, commands_in_flight_max=1) as http,
        client_of(http) as client,
    ):
        engine.open_gate.clear()
        one = asyncio.create_task(command(client, DEPOSIT, {"amount": 1}))
        async with asyncio.timeout(10):
            while not engine.waiting:
                await asyncio.sleep(0.001)
        metrics = (await client.get("/metrics")).text
        answer = await command(client, DEPOSIT, {"amount": 1})
        engine.open_gate.set()
        assert (await one).status_code == 200

    check_problem(answer, 503, "unavailable")
    assert 'perdure_commands_in_flight{context="bank"} 1.0' in metrics


# -- counted -----------------------------------------------------------------------------------


async def test_commands_are_timed_by_their_rows() -> None:
    async with bank() as http, client_of(http) as client:
        await command(client, DEPOSIT, {"amount": 1})
        await command(client, "/bank/commands/open", {"owner": "Ann"})
        stats = (await client.get("/stats")).json()
        metrics = (await client.get("/metrics")).text

    assert stats["command_n"] == 2
    assert stats["commands_in_flight"] == stats["deliveries_parked"] == 0
    assert 'path="/{context}/commands/{command}"' in metrics
    assert 'perdure_duration_seconds_count{operation="command"} 2.0' in metrics
    for outcome in ("succeeded", "failed", "unknown"):
        assert f'perdure_effects_total{{outcome="{outcome}"}} 0.0' in metrics
