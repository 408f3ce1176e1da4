"""Bad input: each is told what was wrong as a problem document, and changes nothing."""

from __future__ import annotations

import logging
import time
from uuid import UUID

import pytest

from perdure.vocabulary.ids import TICKS_BEFORE_1970, make_event_id
from tests.transports.http_support import (
    CART,
    EVENT,
    OTHER_CART,
    SNACKS,
    Reply,
    ask,
    check_problem,
    client_of,
    make_shop,
    opened,
)

POST_TO = f"/store/thing_seen/{CART}/{EVENT}".encode()
DECLARED = f"/store/item_added/{CART}/{EVENT}".encode()
JSON = (b"content-type", b"application/json")


def deep(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


BODIES = {
    "nothing": (b"", 400, "invalid-json"),
    "not json": (b"quantity=1", 400, "invalid-json"),
    "cut off": (b'{"a":', 400, "invalid-json"),
    "more behind it": (b'{"a":1}x', 400, "invalid-json"),
    "an array": (b"[1,2]", 400, "invalid-json"),
    "a string": (b'"text"', 400, "invalid-json"),
    "a number": (b"17", 400, "invalid-json"),
    "null": (b"null", 400, "invalid-json"),
    "nan": (b'{"a":NaN}', 400, "invalid-json"),
    "infinity": (b'{"a":-Infinity}', 400, "invalid-json"),
    "beyond floats": (b'{"a":1e400}', 400, "invalid-json"),
    "beyond 64 bits": (b'{"a":9223372036854775808}', 400, "invalid-json"),
    "6000 digits": (b'{"a":' + b"9" * 6000 + b"}", 400, "invalid-json"),
    "a key twice": (b'{"a":1,"a":2}', 400, "invalid-json"),
    "a key twice, escaped": (b'{"a":1,"\\u0061":2}', 400, "invalid-json"),
    "half a character": (b'{"a":"\\ud800"}', 400, "invalid-json"),
    "invalid utf-8": (b'{"a":"\xff"}', 400, "invalid-json"),
    "utf-16": ('{"a":1}'.encode("utf-16"), 400, "invalid-json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", 400, "invalid-json"),
    "a nul byte": (b'{"a":"\x00"}', 400, "invalid-json"),
    "200 deep": (deep(200), 400, "limit-exceeded"),
    "100000 deep": (b"[" * 100_000, 400, "limit-exceeded"),
    "1001 keys": (
        b"{%b}" % b",".join(b'"%d":1' % n for n in range(1001)), 400, "limit-exceeded",
    ),
    "a long key": (b'{"%b":1}' % (b"k" * 257), 400, "limit-exceeded"),
    "too many values": (b'{"a":[%b]}' % b",".join([b"1"] * 100_001), 400, "limit-exceeded"),
    "too large": (b'{"a":"%b"}' % (b"x" * 1_048_576), 413, "too-large"),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
async def test_a_bad_body_is_refused_and_stores_nothing(case: str) -> None:
    body, status, slug = BODIES[case]
    async with opened() as http:
        check_problem(await ask(http, "POST", POST_TO, body), status, slug)

        await check_unharmed(http)


@pytest.mark.parametrize("case", BODIES)
async def test_a_bad_payload_in_its_wrapper_is_refused_as_well(case: str) -> None:
    payload, status, _ = BODIES[case]
    async with opened() as http:
        target = f"/store/things/{CART}/thing_seen".encode()
        reply = await ask(http, "POST", target, b'{"event":%b}' % payload)
        assert reply.status == status, reply.body

        await check_unharmed(http)


@pytest.mark.parametrize("case", BODIES)
async def test_a_bad_payload_spoils_the_whole_batch(case: str) -> None:
    payload, status, _ = BODIES[case]
    good = b'{"type":"good","entity_id":"%b","data":{}}' % CART.encode()
    bad = b'{"type":"bad","entity_id":"%b","data":%b}' % (CART.encode(), payload)
    async with opened() as http:
        batch = await ask(http, "POST", b"/store/events", b'{"events":[%b,%b]}' % (good, bad))
        assert batch.status == status, batch.body
        lines = await ask(
            http, "POST", b"/store/events", good + b"\n" + bad + b"\n",
            [(b"content-type", b"application/x-ndjson")],
        )  # fmt: skip
        assert lines.status == status, lines.body

        await check_unharmed(http)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"item_id":"no","item":"x","quantity":1,"price":1}', "/item_id"),
        (b'{"item":"x","quantity":1,"price":1}', None),
        (
            b'{"item_id":"a308b1c2-ca65-47dd-a031-a3b8d3afafd4","item":"x","quantity":"1","price":1}',
            "/quantity",
        ),
    ],
)
async def test_a_payload_that_does_not_fit_its_declared_type_is_told_where(
    body: bytes, pointer: str | None
) -> None:
    async with opened() as http:
        document = check_problem(await ask(http, "POST", DECLARED, body), 422, "invalid-payload")

        assert document.get("pointer") == pointer
        await check_unharmed(http)


def id_ahead(seconds: float) -> str:
    ticks = int((time.time() + seconds) * 10_000_000) + TICKS_BEFORE_1970
    return str(UUID(bytes=make_event_id(ticks, 0, 7)))


UUID_4 = "a308b1c2-ca65-47dd-a031-a3b8d3afafd4"

TARGETS = {
    "a bad entity": (f"/store/seen/{CART[:-1]}/{EVENT}", 400, "invalid-id"),
    "an entity in upper case": (f"/store/seen/{CART.upper()}/{EVENT}", 400, "invalid-id"),
    "an entity that is time-based": (f"/store/seen/{EVENT}/{EVENT}", 400, "invalid-id"),
    "an event id in upper case": (f"/store/seen/{CART}/{EVENT.upper()}", 400, "invalid-id"),
    "an event id without hyphens": (
        f"/store/seen/{CART}/{EVENT.replace('-', '')}", 400, "invalid-id",
    ),
    "an event id of version 4": (f"/store/seen/{CART}/{UUID_4}", 400, "invalid-id"),
    "an event id of the nil uuid": (f"/store/seen/{CART}/{UUID(int=0)}", 400, "invalid-id"),
    "an event id far in the future": (
        f"/store/seen/{CART}/{id_ahead(90_000)}", 400, "invalid-id",
    ),
    "a reserved type": (f"/store/events/{CART}/{EVENT}", 400, "invalid-name"),
    "a type of the server": (f"/store/perdure.server_started/{CART}/{EVENT}", 400, "invalid-name"),
    "a malformed type": (f"/store/1st/{CART}/{EVENT}", 400, "invalid-name"),
    "a type with a space": (f"/store/item%20added/{CART}/{EVENT}", 400, "invalid-name"),
    "a type that looks the same": (f"/store/%D1%96tem/{CART}/{EVENT}", 400, "invalid-name"),
    "a type that is too long": (f"/store/{'t' * 129}/{CART}/{EVENT}", 400, "invalid-name"),
    "a system segment": (f"/store/_type/{CART}/{EVENT}", 404, "not-found"),
    "an unknown context": (f"/nowhere/seen/{CART}/{EVENT}", 404, "not-found"),
    "a context in upper case": (f"/STORE/seen/{CART}/{EVENT}", 404, "not-found"),
    "an encoded slash": (f"/store%2Fseen/{CART}/{EVENT}", 400, "malformed-request"),
    "an encoded slash, small": (f"/store/se%2fen/{CART}/{EVENT}", 400, "malformed-request"),
    "an encoded backslash": (f"/store/se%5Cen/{CART}/{EVENT}", 400, "malformed-request"),
    "an encoded nul": (f"/store/seen%00/{CART}/{EVENT}", 400, "malformed-request"),
    "an encoded newline": (f"/store/seen%0A/{CART}/{EVENT}", 400, "malformed-request"),
    "a delete": (f"/store/seen%7F/{CART}/{EVENT}", 400, "malformed-request"),
    "invalid utf-8": (f"/store/seen%FF/{CART}/{EVENT}", 400, "malformed-request"),
    "overlong utf-8": (f"/store/seen%C0%AF/{CART}/{EVENT}", 400, "malformed-request"),
    "half an escape": (f"/store/seen%2/{CART}/{EVENT}", 400, "malformed-request"),
    "no escape at all": (f"/store/seen%zz/{CART}/{EVENT}", 400, "malformed-request"),
    "two slashes": (f"/store//seen/{CART}/{EVENT}", 400, "malformed-request"),
    "a slash at the end": (f"/store/seen/{CART}/{EVENT}/", 400, "malformed-request"),
    "a dot": (f"/store/./{CART}/{EVENT}", 400, "malformed-request"),
    "two dots": (f"/store/../store/seen/{CART}/{EVENT}", 400, "malformed-request"),
    "two encoded dots": (f"/%2e%2e/store/seen/{CART}/{EVENT}", 400, "malformed-request"),
    "nine segments": ("/1/2/3/4/5/6/7/8/9", 400, "malformed-request"),
    "encoded twice": (f"/store/seen%252Fx/{CART}/{EVENT}", 400, "invalid-name"),
    "an unknown parameter": (f"/store/seen/{CART}/{EVENT}?dry_run=1", 400, "invalid-input"),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS)
async def test_a_bad_target_is_refused_and_stores_nothing(case: str) -> None:
    target, status, slug = TARGETS[case]
    async with opened() as http:
        check_problem(await ask(http, "POST", target.encode(), b"{}"), status, slug)

        await check_unharmed(http)


@pytest.mark.parametrize(
    "name", ["keys", "models", "live", "commands", "0123456789abcdef0123456789abcdef", "a/b", ".x"]
)
async def test_a_name_that_cannot_be_one_is_refused_in_a_batch_too(name: str) -> None:
    async with opened() as http, client_of(http) as client:
        for member in ("type", "domain"):
            event = {"type": "seen", "entity_id": CART, "data": {}} | {member: name}
            answer = await client.post("/store/events", json={"events": [event]})
            check_problem(answer, 400, "invalid-name")

        await check_unharmed(http)


@pytest.mark.parametrize(
    "target",
    [
        f"/store/{EVENT.upper()}/event",
        f"/store/{CART.upper()}/events",
        f"/store/{CART.upper()}",
        f"/store/cart/{CART.upper()}",
        f"/store/cart/{CART.upper()}/model",
        f"/store/cart/{CART[:-1]}",
        f"/store/{EVENT}/events",
        f"/store/{CART}/event",
    ],
)
async def test_another_spelling_of_an_id_is_no_other_entity(target: str) -> None:
    async with opened() as http:
        document = check_problem(await ask(http, "GET", target.encode()), 400, "invalid-id")

    assert "UUID" in document["detail"]


async def test_an_unknown_context_looks_like_any_unknown_path() -> None:
    async with opened() as http:
        answers = [
            await ask(http, method, target, b"{}")
            for method, target in [
                ("GET", b"/nowhere/events"),
                ("GET", b"/no-such-page"),
                ("POST", f"/nowhere/x/{CART}/{EVENT}".encode()),
                ("POST", f"/nowhere/x/not-an-id/{EVENT}".encode()),
                ("DELETE", b"/nowhere/events"),
                ("GET", b"/nowhere/events?limit=x"),
                ("GET", b"/livez/deeper"),
                ("GET", b"/_system"),
                ("GET", b"/store/_nothing"),
                ("GET", b"/nowhere/_parked"),
            ]
        ]

    documents = [check_problem(answer, 404, "not-found") for answer in answers]
    assert len({document["detail"] for document in documents}) == 1
    assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("GET", f"/store/item_added/{CART}/{EVENT}", "OPTIONS, POST"),
        ("DELETE", f"/store/item_added/{CART}/{EVENT}", "OPTIONS, POST"),
        ("PUT", "/store/events", "GET, HEAD, OPTIONS, POST"),
        ("POST", f"/store/cart/{CART}/model", "GET, HEAD, OPTIONS"),
        ("POST", f"/store/{EVENT}/event", "GET, HEAD, OPTIONS"),
        ("POST", "/ping", "GET, HEAD, OPTIONS"),
        ("TRACE", "/store/events", "GET, HEAD, OPTIONS, POST"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    method: str, target: str, allowed: str
) -> None:
    async with opened() as http:
        answer = await ask(http, method, target.encode(), b"{}")

        check_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allowed
        options = await ask(http, "OPTIONS", target.encode())
        assert (options.status, options.headers["allow"]) == (200, allowed)


async def test_a_header_does_not_override_the_method() -> None:
    async with opened() as http:
        override = [(b"x-http-method-override", b"POST"), JSON]
        target = f"/store/seen/{CART}/{EVENT}".encode()

        check_problem(await ask(http, "GET", target, b"{}", override), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"")],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"content-type", b"application/x-ndjson")],
        [(b"content-type", b"application/json; charset=latin-1")],
        [(b"content-type", b"application/jsonp")],
        [JSON, JSON],
        [JSON, (b"content-encoding", b"gzip")],
    ],
)
async def test_a_body_of_another_kind_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    async with opened() as http:
        for target in (POST_TO, f"/store/things/{CART}/seen".encode()):
            answer = await ask(http, "POST", target, b'{"event":{}}', headers)
            check_problem(answer, 415, "unsupported-media-type")

        await check_unharmed(http)


@pytest.mark.parametrize(
    "media",
    [
        b"application/json; charset=utf-8",
        b'Application/JSON;charset="UTF-8"',
        b"application/json;profile=x",
    ],
)
async def test_json_in_utf_8_may_be_named_in_all_its_ways(media: bytes) -> None:
    async with opened() as http:
        answer = await ask(http, "POST", POST_TO, b"{}", [(b"content-type", media)])

    assert answer.status == 204


async def test_a_body_is_refused_by_its_length_before_it_is_read() -> None:
    async with opened() as http:
        headers = [JSON, (b"content-length", b"1048577")]
        check_problem(await ask(http, "POST", POST_TO, [], headers), 413, "too-large")


async def test_a_body_without_a_length_is_counted_while_it_comes() -> None:
    async with opened() as http:
        parts = [b'{"a":"', *[b"x" * 65_536] * 17, b'"}']
        check_problem(await ask(http, "POST", POST_TO, parts), 413, "too-large")

        await check_unharmed(http)


async def test_a_payload_of_the_largest_size_is_taken_in_every_form() -> None:
    data = b'{"a":"%b"}' % (b"x" * (1_048_576 - 8))
    assert len(data) == 1_048_576
    event = b'{"type":"seen","entity_id":"%b","data":%b}' % (CART.encode(), data)
    async with opened() as http:
        answers = [
            await ask(http, "POST", POST_TO, data),
            await ask(http, "POST", f"/store/d/{CART}/seen".encode(), b'{"event":%b}' % data),
            await ask(http, "POST", b"/store/events", b'{"events":[%b]}' % event),
        ]

    assert [answer.status for answer in answers] == [204, 200, 200]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=-1", "limit=x", "limit=", "limit=1001", "limit=1&limit=2", "limit=%31x",
        "after=-1", "after=9223372036854775808", "after=1.0", "after=%D9%A1", "order=random",
        "following=x", f"following={CART}", "type=1st", "type=keys", "tag=", "tag=%00",
        "unknown=1", "Limit=1", "a", "=1", "limit=%FF", "upto=x", "&&",
    ],
)  # fmt: skip
async def test_a_bad_parameter_is_refused(query: str) -> None:
    async with opened() as http:
        answer = await ask(http, "GET", f"/store/events?{query}".encode())

    assert answer.status == 400
    assert answer.json()["detail"]


async def test_an_unknown_parameter_is_told_the_known_ones() -> None:
    async with opened() as http:
        document = (await ask(http, "GET", b"/store/events?sort=x")).json()

    assert document["parameter"] == "sort"
    for name in ("following", "after", "type", "tag", "limit", "order"):
        assert name in document["detail"]


async def test_strict_contexts_refuse_types_that_nobody_declared() -> None:
    async with opened(make_shop(strict=True)) as http, client_of(http) as client:
        check_problem(await ask(http, "POST", POST_TO, b"{}"), 400, "invalid-name")
        answer = await client.post(f"/store/item_added/{CART}/{EVENT}", json=SNACKS)

        assert answer.status_code == 204


async def test_an_error_of_the_code_is_logged_and_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened() as http:
        http.site.app.contexts["store"].log = None  # type: ignore[assignment]  # a bug, for once
        with caplog.at_level(logging.ERROR):
            answer = await ask(http, "GET", b"/store/events")
        http.site.app.contexts.clear()

    document = check_problem(answer, 500, "internal-error")
    assert "NoneType" not in answer.body.decode()
    assert "Traceback" not in answer.body.decode()
    assert document["instance"] in caplog.text


async def check_unharmed(http: object) -> None:
    """Demand that nothing was stored, and that the server still does its work."""
    listing: Reply = await ask(http, "GET", b"/store/events")  # type: ignore[arg-type]
    assert listing.json() == {"events": []}
    target = f"/store/well/{OTHER_CART}/{EVENT}".encode()
    assert (await ask(http, "POST", target, b"{}")).status == 204  # type: ignore[arg-type]
