"""Who is silent, slow or deaf for too long is cut off; who waits for us is not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from perdure.transports.limits import HttpLimits
from perdure.transports.server import HttpServer
from tests.transports.wire import (
    CHUNKED,
    GET,
    HOST,
    LAST,
    SMUGGLED,
    Client,
    exchange,
    get,
    problem,
    read_body,
    serving,
    statuses,
)

ON_BOTH_LOOPS = True


@pytest.mark.parametrize("begun", [b"", b"GET", get()[:-2], b"\r\n"])
async def test_a_head_that_does_not_come_is_timed_out(begun: bytes) -> None:
    async with serving(HttpLimits(header_seconds_max=0.2)) as (_, server):
        answer = await exchange(server.address, begun)

        assert statuses(answer) == [408]
        assert problem(answer)["type"] == "urn:perdure:problem:request-timeout"


@pytest.mark.parametrize(
    ("begun", "drop"),
    [(b"GET /slow HTTP/1.1\r\nX: ", b"y"), (b"", b"\r\n"), (CHUNKED, b"1\r\nx\r\n")],
    ids=["head", "blank lines", "body"],
)
async def test_a_trickling_client_is_timed_out(begun: bytes, drop: bytes) -> None:
    limits = HttpLimits(header_seconds_max=0.2, body_grace_seconds=0.2)
    async with serving(limits) as (app, server):
        client = await Client.connect(server.address)
        await client.send(begun)
        answer = asyncio.ensure_future(client.read_to_end())
        with suppress(ConnectionError):
            while not answer.done():
                await client.send(drop)
                await asyncio.sleep(0.01)
        await client.close()

        assert statuses(await answer) == [408]
        assert app.executed == []


async def test_a_body_is_timed_out_even_when_it_is_fast_enough() -> None:
    limits = HttpLimits(body_seconds_max=0.3, body_grace_seconds=0.1, body_bytes_per_second_min=1)
    async with serving(limits) as (app, server):
        head = b"POST /good HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n"
        answer = await exchange(server.address, head + b"x" * 60_000)

        assert statuses(answer) == [408]
        assert app.executed == []


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with serving(HttpLimits(keep_alive_seconds=0.2)) as (app, server):
        answer = await exchange(server.address, GET)

        assert statuses(answer) == [200]
        assert b"connection: close" not in answer
        assert len(app.executed) == 1


async def test_a_request_that_takes_long_to_answer_is_not_timed_out() -> None:
    limits = HttpLimits(header_seconds_max=0.1, keep_alive_seconds=0.1, body_grace_seconds=0.1)
    async with serving(limits) as (app, server):
        slow = await Client.connect(server.address)
        await slow.send(get(start=b"GET /slow HTTP/1.1"))
        await app.started.acquire()
        # Another connection lives through every deadline that the slow one has.
        assert statuses(await exchange(server.address)) == [408]
        assert statuses(await exchange(server.address, GET)) == [200]
        app.release.set()

        assert statuses(await slow.read_to_end()) == [200]
        await slow.close()


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    finished = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        finished.set()

    limits = HttpLimits(write_stall_seconds_max=0.2, header_seconds_max=0.1)
    async with HttpServer(endless, "127.0.0.1", 0, limits) as server:
        client = await Client.connect(server.address)
        await client.send(GET)

        await asyncio.wait_for(finished.wait(), 5)
        await client.close()


async def test_a_head_that_came_too_slowly_is_not_executed_when_it_is_whole_at_last() -> None:
    async with serving(HttpLimits(header_seconds_max=0.1)) as (app, server):
        client = await Client.connect(server.address)
        await client.send(get(start=b"GET /slow HTTP/1.1") + SMUGGLED[:-2])
        await app.started.acquire()
        # A silent connection is timed out after the head that waits behind the slow request.
        assert statuses(await exchange(server.address)) == [408]
        await client.send(b"\r\n" + SMUGGLED)
        app.release.set()
        answer = await client.read_to_end()
        await client.close()

        assert statuses(answer) == [200, 408]
        assert [path for _, path, _ in app.executed] == ["/slow"]


async def test_a_client_that_waits_to_be_told_to_continue_is_not_slow() -> None:
    limits = HttpLimits(body_grace_seconds=0.3, header_seconds_max=0.7)
    async with serving(limits) as (app, server):
        client = await Client.connect(server.address)
        fields = HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        await client.send(b"POST /patient HTTP/1.1\r\n" + fields)
        await app.started.acquire()
        assert statuses(await exchange(server.address)) == [408]  # so much time has passed
        app.release.set()
        await client.read_until(b"Continue\r\n\r\n")
        await client.send(b"hello")

        assert statuses(await client.read_to_end()) == [200]
        await client.close()


@pytest.mark.parametrize("pieces", [1, 200])
async def test_a_client_that_reads_slowly_gets_everything(pieces: int) -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        piece = {"type": "http.response.body", "body": b"x" * (size // pieces), "more_body": True}
        for _ in range(pieces):
            await send(piece)
        await send({"type": "http.response.body"})

    size = 12_000_000
    limits = HttpLimits(write_stall_seconds_max=0.4, header_seconds_max=0.1)
    async with HttpServer(large, "127.0.0.1", 0, limits) as server:
        client = await Client.connect(server.address)
        await client.send(LAST)
        answer = bytearray()
        while piece := await client.reader.read(65_536):
            answer += piece
            await asyncio.sleep(0.005)  # slower, in all, than a stall may be
        await client.close()

        assert answer.count(b"x") == size
        assert answer.endswith(b"\r\n0\r\n\r\n")
