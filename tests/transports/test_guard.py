"""The guard on whole connections: order, bodies, and room."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from perdure.transports.limits import HttpLimits
from tests.transports.wire import (
    CHUNKED,
    GET,
    HOST,
    LAST,
    SMUGGLED,
    Address,
    Client,
    Recorder,
    eventually,
    exchange,
    get,
    problem,
    serving,
    statuses,
)

ON_BOTH_LOOPS = True

BROKEN_CHUNK = CHUNKED + b"1\r\nxyz\r\n0\r\n\r\n"


async def test_requests_on_one_connection_are_answered_in_their_order() -> None:
    sized = b"POST /b HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nsized"
    chunked = CHUNKED + b"2\r\nch\r\n5\r\nunked\r\n0\r\nX: y\r\n\r\n"
    async with serving() as (app, server):
        answer = await exchange(server.address, GET + sized + chunked + LAST)

        assert statuses(answer) == [200] * 4
        assert [body for _, _, body in app.executed] == [b"", b"sized", b"chunked", b""]
        assert answer.index(b"sized") < answer.index(b"chunked")


async def test_a_trailer_is_no_header() -> None:
    async with serving() as (app, server):
        request = CHUNKED + b"5\r\nhello\r\n0\r\nAuthorization: me\r\n\r\n"
        await exchange(server.address, request + LAST)

        assert [path for _, path, _ in app.executed] == ["/good", "/last"]
        assert all(b"authorization" not in dict(scope["headers"]) for scope in app.scopes)


async def test_a_client_that_expects_100_is_told_to_continue() -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        fields = HOST + b"Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
        await client.send(b"POST /good HTTP/1.1\r\n" + fields)
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hello")
        answer = await client.read_to_end()
        await client.close()

        assert statuses(answer) == [200]
        assert app.executed == [("POST", "/good", b"hello")]


async def test_head_gets_a_head_and_the_connection_goes_on() -> None:
    async with serving() as (app, server):
        answer = await exchange(server.address, get(start=b"HEAD /good HTTP/1.1") + LAST)

        first, second = answer.split(b"HTTP/1.1 200 OK")[1:]
        assert first.endswith(b"\r\n\r\n")
        assert second.endswith(b"\r\n\r\nok")
        assert [method for method, _, _ in app.executed] == ["HEAD", "GET"]


async def test_what_was_asked_before_a_bad_request_is_answered_first() -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        await client.send(get(start=b"GET /slow HTTP/1.1") + get(b"X : y") + SMUGGLED)
        await app.started.acquire()
        app.release.set()
        answer = await client.read_to_end()
        await client.close()

        assert statuses(answer) == [200, 400]
        assert [path for _, path, _ in app.executed] == ["/slow"]


async def test_a_body_that_breaks_while_its_request_waits_is_never_executed() -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        await client.send(get(start=b"GET /slow HTTP/1.1") + GET + BROKEN_CHUNK + SMUGGLED)
        await app.started.acquire()
        app.release.set()
        answer = await client.read_to_end()
        await client.close()

        assert statuses(answer) == [200, 200, 400]
        assert [path for _, path, _ in app.executed] == ["/slow", "/good"]
        assert len(app.scopes) == 2


async def test_the_application_is_told_when_a_body_breaks() -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        await client.send(CHUNKED + b"1\r\n")
        await app.started.acquire()
        await client.send(b"xyz\r\n")
        answer = await client.read_to_end()
        await client.close()

        assert statuses(answer) == [400]
        await asyncio.wait_for(app.disconnected.wait(), 5)
        assert app.executed == []


async def test_a_request_whose_body_broke_cannot_answer_after_the_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        await client.send(CHUNKED.replace(b"/good", b"/late") + b"1\r\n")
        await app.started.acquire()
        await client.send(b"xyz\r\n")
        answer = await client.read_to_end()
        app.release.set()
        await asyncio.wait_for(app.finished.wait(), 5)
        await client.close()

        assert statuses(answer) == [400]
        assert caplog.text == ""


async def test_an_answer_that_has_begun_is_cut_when_the_body_breaks() -> None:
    async with serving() as (_, server):
        client = await Client.connect(server.address)
        await client.send(CHUNKED.replace(b"/good", b"/duplex") + b"1\r\n")
        assert statuses(await client.read_until(b"hello")) == [200]
        await client.send(b"xyz\r\n")

        assert await client.read_to_end() == b"\r\n"
        await client.close()


async def test_an_answer_that_began_before_the_body_was_whole_closes_as_it_said() -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        await client.send(CHUNKED.replace(b"/good", b"/duplex"))
        assert b"\r\nconnection: close\r\n" in await client.read_until(b"hello")
        await client.send(b"0\r\n\r\n" + SMUGGLED)

        assert (await client.read_to_end()).endswith(b"bye\r\n0\r\n\r\n")
        await client.close()
        assert app.executed == []


async def test_too_many_waiting_requests_are_refused_after_the_others_are_answered() -> None:
    async with serving(HttpLimits(pipelined_max=3)) as (app, server):
        client = await Client.connect(server.address)
        await client.send(get(start=b"GET /slow HTTP/1.1") + GET * 10)
        await app.started.acquire()
        app.release.set()
        answer = await client.read_to_end()
        await client.close()

        assert statuses(answer) == [200] * 4 + [503]
        assert len(app.executed) == 4


async def test_a_stream_learns_of_the_disconnect_also_with_a_request_behind_it() -> None:
    async with serving() as (app, server):
        client = await Client.connect(server.address)
        await client.send(get(start=b"GET /stream HTTP/1.1"))
        await client.read_until(b"hello")
        await client.send(GET)
        await client.close()

        await asyncio.wait_for(app.disconnected.wait(), 5)
        assert app.executed == []


async def test_nothing_is_executed_after_the_client_said_close() -> None:
    async with serving() as (app, server):
        answer = await exchange(server.address, LAST + SMUGGLED)

        assert statuses(answer) == [200]
        assert [path for _, path, _ in app.executed] == ["/last"]


async def test_an_upgrade_to_something_unknown_is_ignored_and_what_follows_too() -> None:
    async with serving() as (app, server):
        request = get(b"Connection: upgrade", b"Upgrade: h2c", start=b"GET /good HTTP/1.1")
        answer = await exchange(server.address, request + SMUGGLED, SMUGGLED)

        assert statuses(answer) == [200]
        assert b"connection: close\r\n" in answer
        assert [path for _, path, _ in app.executed] == ["/good"]


# Bodies that are not read


async def test_an_early_answer_closes_and_the_rest_of_the_body_is_not_executed() -> None:
    async with serving() as (app, server):
        head = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n"
        answer = await exchange(server.address, head + SMUGGLED, SMUGGLED)

        assert statuses(answer) == [413]
        assert b"connection: close\r\n" in answer
        assert answer.endswith(b"too much")
        assert app.executed == []


async def test_an_early_answer_arrives_though_the_client_keeps_sending() -> None:
    async with serving() as (_, server):
        client = await Client.connect(server.address)
        await client.send(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 9000000\r\n\r\n")
        answer = asyncio.ensure_future(client.read_to_end())
        with suppress(ConnectionError):
            for _ in range(30):
                await client.send(b"x" * 65_536)

        assert statuses(await answer) == [413]
        await client.close()


async def test_an_early_answer_to_a_whole_request_keeps_the_connection() -> None:
    async with serving() as (app, server):
        head = b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello"
        answer = await exchange(server.address, head + LAST)

        assert statuses(answer) == [413, 200]
        assert [path for _, path, _ in app.executed] == ["/last"]


# Heads that do not end


@pytest.mark.parametrize("head", [get(b"X: y")[:-2], get()[:-2] + b"X: "], ids=["many", "one"])
async def test_an_endless_head_is_cut_off_soon(head: bytes) -> None:
    more = b"X: y\r\n" * 1000 if head.endswith(b"\n") else b"y" * 6000
    async with serving(HttpLimits(body_bytes_max=65_536)) as (app, server):
        client = await Client.connect(server.address)
        await client.send(head)
        answer = asyncio.ensure_future(client.read_to_end())
        sent = 0
        with suppress(ConnectionError):
            while not answer.done():
                await client.send(more)
                await asyncio.sleep(0)
                sent += len(more)
        await client.close()

        assert sent < 1_000_000
        assert statuses(await answer) == [431]
        assert app.executed == []


# Room


async def is_served(address: Address) -> bool:
    with suppress(ConnectionError):
        return statuses(await exchange(address, LAST)) == [200]
    return False


@pytest.mark.parametrize(
    "limits", [HttpLimits(connections_max=2), HttpLimits(connections_per_address_max=2)]
)
async def test_one_connection_too_many_is_told_when_to_come_again(limits: HttpLimits) -> None:
    async with serving(limits) as (_, server):
        clients = [await Client.connect(server.address) for _ in range(2)]
        for client in clients:
            await client.send(GET)
            await client.read_until(b"ok")

        answer = await exchange(server.address)
        assert statuses(answer) == [503]
        assert b"\r\nretry-after: 1\r\n" in answer
        assert problem(answer)["status"] == 503

        await clients[0].close()
        await eventually(lambda: is_served(server.address))
        await clients[1].close()


async def test_requests_under_way_are_bounded_and_streams_are_not_counted() -> None:
    async with serving(HttpLimits(in_flight_max=2)) as (app, server):
        streams = [await Client.connect(server.address) for _ in range(3)]
        for stream in streams:
            await stream.send(get(start=b"GET /stream HTTP/1.1"))
            await stream.read_until(b"hello")
        slow = [await Client.connect(server.address) for _ in range(2)]
        for client in slow:
            await client.send(get(start=b"GET /slow HTTP/1.1"))
        await eventually(lambda: reached(app, "/slow", 2))

        answer = await exchange(server.address, GET)
        assert statuses(answer) == [503]
        assert ("GET", "/good", b"") not in app.executed

        app.release.set()
        for client in slow:
            await client.read_until(b"ok")
        assert await is_served(server.address)
        for client in streams + slow:
            await client.close()


async def test_streams_that_have_ended_make_no_room() -> None:
    async with serving(HttpLimits(in_flight_max=2)) as (app, server):
        streams = [await Client.connect(server.address) for _ in range(3)]
        for stream in streams:
            await stream.send(get(start=b"GET /stream HTTP/1.1"))
            await stream.read_until(b"hello")
        assert await is_served(server.address)
        for stream in streams:
            await stream.close()
        slow = [await Client.connect(server.address) for _ in range(2)]
        for client in slow:
            await client.send(get(start=b"GET /slow HTTP/1.1"))
        await eventually(lambda: reached(app, "/slow", 2))

        await eventually(lambda: is_overloaded(server.address))
        for client in slow:
            await client.close()


async def is_overloaded(address: Address) -> bool:
    return statuses(await exchange(address, LAST)) == [503]


async def reached(app: Recorder, path: str, times: int) -> bool:
    return times == [executed for _, executed, _ in app.executed].count(path)
