"""The table of hostile requests: what is refused, with what, and that nothing after it is executed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.transports.limits import HttpLimits
from tests.transports.wire import (
    CHUNKED,
    GET,
    HOST,
    SMUGGLED,
    Client,
    exchange,
    get,
    problem,
    serving,
    statuses,
)

ON_BOTH_LOOPS = True


def post(*fields: bytes, body: bytes = b"x") -> bytes:
    return get(*fields, start=b"POST /bad HTTP/1.1") + body


def chunks(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


def encoded(*fields: bytes, start: bytes = b"POST /bad HTTP/1.1") -> bytes:
    """A request whose body is sound, if it is chunked."""
    return get(*fields, start=start) + b"1\r\nx\r\n0\r\n\r\n"


MALFORMED = {
    "no host": get(host=b""),
    "no host in 1.0": get(start=b"GET /bad HTTP/1.0", host=b""),
    "two hosts": get(HOST.strip()),
    "empty host": get(host=b"Host:\r\n"),
    "host with a path": get(host=b"Host: a/b\r\n"),
    "host with a space": get(host=b"Host: a b\r\n"),
    "host with a user": get(host=b"Host: user@a\r\n"),
    "host list": get(host=b"Host: a, b/\r\n"),
    "host with a bad port": get(host=b"Host: a:8x\r\n"),
    "host with a broken bracket": get(host=b"Host: [::1\r\n"),
    "version 2.0": get(start=b"GET /bad HTTP/2.0"),
    "version 1.2": get(start=b"GET /bad HTTP/1.2"),
    "version 0.9": get(start=b"GET /bad HTTP/0.9"),
    "no version": get(start=b"GET /bad"),
    "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "unknown method": get(start=b"FROB /bad HTTP/1.1"),
    "lower case method": get(start=b"get /bad HTTP/1.1"),
    "tab in the request line": get(start=b"GET\t/bad HTTP/1.1"),
    "space in the target": get(start=b"GET /b ad HTTP/1.1"),
    "control in the target": get(start=b"GET /b\x01ad HTTP/1.1"),
    "high byte in the target": get(start=b"GET /b\xffad HTTP/1.1"),
    "target is no path": get(start=b"GET bad HTTP/1.1"),
    "target has no path": get(start=b"GET http://example.test HTTP/1.1"),
    "target of another host": get(start=b"GET http://other.test/bad HTTP/1.1"),
    "target is a star": get(start=b"OPTIONS * HTTP/1.1"),
    "bare lf": b"GET /bad HTTP/1.1\nHost: a\n\n",
    "bare lf after a field": b"GET /bad HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare lf at the end": b"GET /bad HTTP/1.1\r\nHost: a\r\n\n",
    "bare cr": get(b"X: a\rY: b"),
    "folded line": get(b"X: a\r\n b"),
    "space before colon": get(b"X : a"),
    "space before the first field": get(host=b" Host: a\r\n"),
    "no colon": get(b"X"),
    "empty name": get(b": a"),
    "nul in a value": get(b"X: a\x00b"),
    "control in a value": get(b"X: a\x01b"),
    "delete in a value": get(b"X: a\x7fb"),
    "control in a name": get(b"X\x01: a"),
    "length with plus": post(b"Content-Length: +1"),
    "length with minus": post(b"Content-Length: -1"),
    "length with inner space": post(b"Content-Length: 1 1"),
    "length with trailing space": post(b"Content-Length: 1 "),
    "length with trailing tab": post(b"Content-Length: 1\t"),
    "length in hex": post(b"Content-Length: 0x1"),
    "length empty": post(b"Content-Length:"),
    "length list": post(b"Content-Length: 1, 1"),
    "length twice, equal": post(b"Content-Length: 1", b"Content-Length: 1"),
    "length twice, different": post(b"Content-Length: 1", b"Content-Length: 2"),
    "length beyond 64 bit": post(b"Content-Length: 99999999999999999999999"),
    "length and encoding": encoded(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
    "encoding and length": encoded(b"Transfer-Encoding: chunked", b"Content-Length: 1"),
    "encoding gzip, chunked": encoded(b"Transfer-Encoding: gzip, chunked"),
    "encoding chunked, gzip": encoded(b"Transfer-Encoding: chunked, gzip"),
    "encoding gzip": encoded(b"Transfer-Encoding: gzip"),
    "encoding identity": encoded(b"Transfer-Encoding: identity"),
    "encoding xchunked": encoded(b"Transfer-Encoding: xchunked"),
    "encoding with vertical tab": encoded(b"Transfer-Encoding: \x0bchunked"),
    "encoding with trailing space": encoded(b"Transfer-Encoding: chunked "),
    "encoding twice": encoded(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "encoding in two fields": encoded(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
    "encoding in 1.0": encoded(b"Transfer-Encoding: chunked", start=b"POST /bad HTTP/1.0"),
    "chunk size in hex notation": chunks(b"0x1\r\nx\r\n0\r\n\r\n"),
    "chunk size negative": chunks(b"-1\r\nx\r\n0\r\n\r\n"),
    "chunk size with space": chunks(b"1 \r\nx\r\n0\r\n\r\n"),
    "chunk size beyond 64 bit": chunks(b"fffffffffffffffff\r\nx\r\n0\r\n\r\n"),
    "chunk longer than said": chunks(b"1\r\nxyz\r\n0\r\n\r\n"),
    "chunk with bare lf": chunks(b"1\nx\n0\n\n"),
    "chunk extension with lf": chunks(b"1;a\nb\r\nx\r\n0\r\n\r\n"),
    "chunk extension with quoted lf": chunks(b'1;a="\n"\r\nx\r\n0\r\n\r\n'),
    "chunk extension with cr": chunks(b"1;a\rb\r\nx\r\n0\r\n\r\n"),
    "chunk extension with nul": chunks(b"1;a\x00b\r\nx\r\n0\r\n\r\n"),
    "chunk extension without end": chunks(b"1;" + b"a" * 70_000 + b"\r\nx\r\n0\r\n\r\n"),
    "chunks that are mostly extension": chunks(
        (b"1;" + b"a" * 999 + b"\r\nx\r\n") * 99 + b"0\r\n\r\n"
    ),
    "trailers without end": chunks(b"0\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"),
    "trailer that is a host": chunks(b"0\r\nHost: b\r\n\r\n"),
    "upgrade with a body": post(
        b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 1"
    ),
}
OTHER = {
    "trace": (405, get(start=b"TRACE /bad HTTP/1.1")),
    "connect": (405, get(start=b"CONNECT bad:80 HTTP/1.1")),
    "long target": (414, get(start=b"GET /" + b"a" * 9_000 + b" HTTP/1.1")),
    "target without end": (414, b"GET /" + b"a" * 100_000),
    "one long field": (431, get(b"X: " + b"a" * 17_000)),
    "many bytes in fields": (431, get(*[b"X: " + b"a" * 996] * 17)),
    "many fields": (431, get(*[b"X: a"] * 64)),
    "field without end": (431, get(b"X: " + b"a" * 100_000)[:-4]),
    "fields without end": (431, get(*[b"X: " + b"a" * 200] * 1000)[:-2]),
}
HOSTILE = {name: (400, request) for name, request in MALFORMED.items()} | OTHER


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_request_is_refused_and_nothing_after_it_is_executed(name: str) -> None:
    status, request = HOSTILE[name]
    async with serving() as (app, server):
        answer = await exchange(server.address, request + SMUGGLED)

        assert [status] == statuses(answer)
        assert status == problem(answer)["status"]
        assert app.executed == []


async def test_a_refusal_is_a_problem_document() -> None:
    async with serving() as (_, server):
        answer = await exchange(server.address, get(start=b"TRACE /bad HTTP/1.1"))

        assert problem(answer) == {
            "type": "urn:perdure:problem:method-not-allowed",
            "title": "Method not allowed",
            "status": 405,
            "detail": "TRACE is not allowed.",
        }
        assert b"\r\nallow: GET, HEAD, OPTIONS, POST\r\n" in answer
        assert server.refusals == {"method-not-allowed": 1}


GOOD = {
    "get": GET,
    "get in 1.0": get(start=b"GET /good HTTP/1.0"),
    "host with a port": get(start=b"GET /good HTTP/1.1", host=b"Host: a.test:8080\r\n"),
    "host in brackets": get(start=b"GET /good HTTP/1.1", host=b"Host: [::1]:80\r\n"),
    "full target": get(start=b"GET http://example.test/good HTTP/1.1"),
    "upper case chunked": get(b"Transfer-Encoding: CHUNKED", start=b"POST /good HTTP/1.1")
    + b"5\r\nhello\r\n0\r\n\r\n",
    "chunk extension": CHUNKED + b"5;a=b\r\nhello\r\n0\r\n\r\n",
    "tiny chunks": CHUNKED + b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n",
    "length zero": get(b"Content-Length: 0", start=b"POST /good HTTP/1.1"),
    "as many fields as may be": get(*[b"X: a"] * 62, start=b"GET /good HTTP/1.1"),
    "as many bytes as may be": get(b"X: " + b"a" * (16 * 1024 - 64), start=b"GET /good HTTP/1.1"),
    "long target": get(start=b"GET /good?" + b"a" * (8 * 1024 - 21) + b" HTTP/1.1"),
}


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_request_is_executed_once(name: str) -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        await client.send(GOOD[name])
        head = await client.read_until(b"\r\n\r\n")
        await client.close()

        assert statuses(head) == [200]
        assert [path for _, path, _ in app.executed] == ["/good"]


# Laws


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(min_value=1, max_value=250), max_size=12))
async def test_where_the_bytes_are_cut_makes_no_difference(cuts: set[int]) -> None:
    whole = GET + CHUNKED + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n" + get(b"X : y") + SMUGGLED
    places = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(places)]
    async with serving() as (app, server):
        answer = await exchange(server.address, *pieces)

        assert statuses(answer) == [200, 200, 400]
        assert [body for _, _, body in app.executed] == [b"", b"hello"]


@settings(max_examples=60, deadline=None)
@given(noise=st.binary(min_size=1, max_size=200))
async def test_noise_is_refused_or_waited_for_but_never_executed(noise: bytes) -> None:
    async with serving(HttpLimits(header_seconds_max=0.05)) as (app, server):
        answer = await exchange(server.address, noise)

        assert statuses(answer) in ([400], [408])
        assert app.executed == []
