"""Streams over real sockets: all of it, live, resumed, abandoned, ended by the server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from perdure import NewEvent
from perdure.transports.http import HttpApp
from perdure.transports.server import HttpServer
from perdure.vocabulary.ids import parse_id
from tests.transports.http_support import (
    CART,
    EVENT,
    OTHER_CART,
    check_problem,
    client_of,
    event_id,
    opened,
)
from tests.transports.wire import Client, eventually, exchange, problem, statuses

ON_BOTH_LOOPS = True


class Served:
    """An application behind a real server."""

    def __init__(self, http: HttpApp, server: HttpServer) -> None:
        self.http, self.server = http, server

    async def record(self, *numbers: int, type_: str = "seen", data: bytes = b"") -> int:
        """Record events by their numbers; give the last position."""
        events = [
            NewEvent(
                type=type_,
                entity=parse_id(CART),
                id=parse_id(event_id(n)),
                data=data or b'{"n":%d}' % n,
            )
            for n in numbers
        ]
        position = 0
        for start in range(0, len(events), 500):
            done = await self.http.site.app.append(*events[start : start + 500], context="store")
            position = done.position
        return position

    async def open(self, target: str, *fields: str) -> Client:
        """Ask for a stream, and read the head of the answer."""
        client = await Client.connect(self.server.address)
        head = "".join(f"{field}\r\n" for field in ("Host: shop.test", *fields))
        await client.send(f"GET {target} HTTP/1.1\r\n{head}\r\n".encode())
        client_head = await client.read_until(b"\r\n\r\n")
        assert statuses(client_head) == [200], client_head
        return client

    async def follow(self, target: str = "/store/events", *fields: str) -> Frames:
        """Follow events live."""
        return Frames(await self.open(target, "Accept: text/event-stream", *fields))


class Frames:
    """A reader of server-sent events, as a browser reads them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.last_id = ""
        self.comments = 0
        self._rest = b""

    async def next(self) -> dict[str, str]:
        """Give the next event, over comments and other blocks without data."""
        while True:
            block = await self._block()
            fields: dict[str, str] = {}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(": ")
                self.comments += not name
                fields[name] = value
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                return fields

    async def numbers(self, count: int) -> list[int]:
        """Give the numbers of the next events."""
        return [json.loads((await self.next())["data"])["data"]["n"] for _ in range(count)]

    async def _block(self) -> bytes:
        while b"\n\n" not in self._rest:
            size = int(await self.client.read_until(b"\r\n"), 16)
            if size == 0:
                raise EOFError
            async with asyncio.timeout(10):
                self._rest += (await self.client.reader.readexactly(size + 2))[:-2]
        block, _, self._rest = self._rest.partition(b"\n\n")
        return block


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Served]:
    async with opened(**settings) as http:
        server = HttpServer(http, "127.0.0.1", 0, on_stopping=http.stopping.set)
        async with server:
            yield Served(http, server)


async def test_a_follower_gets_what_was_recorded_and_then_what_is() -> None:
    async with serving() as served:
        await served.record(5, 3)
        frames = await served.follow()
        first, second = await frames.next(), await frames.next()
        await served.record(1)
        third = await frames.next()
        await frames.client.close()

    assert [f["id"] for f in (first, second, third)] == ["1", "2", "3"]
    assert {f["event"] for f in (first, second, third)} == {"seen"}
    event = json.loads(third["data"])
    assert (event["event_id"], event["position"]) == (event_id(1), 3)


async def test_a_follower_goes_on_where_it_was() -> None:
    async with serving() as served:
        await served.record(*range(10))
        frames = await served.follow("/store/events?after=2")
        assert await frames.numbers(3) == [2, 3, 4]
        await frames.client.close()

        again = await served.follow("/store/events?after=2", f"Last-Event-ID: {frames.last_id}")
        assert await again.numbers(2) == [5, 6]
        await again.client.close()
        behind = await served.follow(f"/store/events?following={event_id(7)}")
        assert await behind.numbers(2) == [8, 9]
        await behind.client.close()


async def test_a_follower_may_select() -> None:
    async with serving() as served:
        await served.record(0, type_="a")
        await served.record(1, type_="b")
        frames = await served.follow(f"/store/{CART}/events?type=b")
        nothing = await served.follow(f"/store/{OTHER_CART}", "X-Request-Id: other")
        await served.record(2, type_="a")
        await served.record(3, type_="b")

        assert await frames.numbers(2) == [1, 3]
        await frames.client.close()
        await nothing.client.close()


async def test_a_quiet_stream_beats_and_moves_the_cursor() -> None:
    async with serving(heartbeat_seconds=0.02) as served:
        frames = await served.follow("/store/events?type=rare")
        await served.record(*range(5))
        async with asyncio.timeout(10):
            while frames.last_id != "5":
                block = await frames._block()
                if found := re.search(rb"id: (\d+)\n: ", block):
                    frames.last_id = found[1].decode()
        assert await frames._block() == b": "
        await served.record(7, type_="rare")
        assert (await frames.next())["id"] == "6"
        await frames.client.close()


async def test_a_stream_is_not_to_be_buffered_and_says_when_to_come_again() -> None:
    async with serving() as served:
        client = await Client.connect(served.server.address)
        await client.send(
            b"GET /store/events HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"
        )
        head = (await client.read_until(b"\r\n\r\n")).lower()
        assert b"content-type: text/event-stream\r\n" in head
        assert b"x-accel-buffering: no\r\n" in head
        assert b"cache-control: no-store\r\n" in head
        await client.read_until(b"retry: 1000\n\n")
        await client.close()


async def test_no_payload_can_begin_a_field_of_its_own() -> None:
    async with serving() as served:
        frames = await served.follow()
        await served.record(0, data=rb'{"n":0,"a":"x\n\nid: 99\ndata: forged\r\revent: x"}')

        frame = await frames.next()

        assert (frame["id"], frame["event"]) == ("1", "seen")
        assert json.loads(frame["data"])["data"]["a"].startswith("x\n\nid: 99")
        await frames.client.close()


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 600, "9223372036854775808", "1, 2"])
async def test_a_last_event_id_that_is_none_of_ours_is_refused(last: str) -> None:
    async with opened() as http, client_of(http) as client:
        answer = await client.get(
            "/store/events", headers={"Accept": "text/event-stream", "Last-Event-ID": last}
        )

    assert check_problem(answer, 400, "invalid-input")["parameter"] == "Last-Event-ID"


@pytest.mark.parametrize("query", ["limit=5", "order=happened", "upto=9", "following=x"])
async def test_what_makes_no_sense_live_is_refused(query: str) -> None:
    async with opened() as http, client_of(http) as client:
        answer = await client.get(f"/store/events?{query}", headers={"Accept": "text/event-stream"})

    assert answer.status_code == 400


async def test_the_end_of_the_server_is_told_to_its_followers() -> None:
    async with serving() as served:
        clients = [(await served.follow()).client for _ in range(20)]
        async with asyncio.timeout(10):
            await served.server.stop()
        farewells = [await client.read_to_end() for client in clients]

        assert all(b": the server stops" in f and f.endswith(b"0\r\n\r\n") for f in farewells)
        for client in clients:
            await client.close()


async def test_a_follower_that_is_gone_leaves_nothing_behind() -> None:
    async with serving() as served:
        await served.record(*range(3))
        for _ in range(10):
            frames = await served.follow()
            await frames.numbers(1)
            await frames.client.close()

        async def is_over() -> bool:
            running = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
            return not served.server._state.tasks and not running & {"_pump", "_gone"}

        await eventually(is_over)


async def test_a_client_that_is_gone_in_the_middle_of_a_catch_up_stops_nothing() -> None:
    async with serving() as served:
        await served.record(*range(3000), data=b'{"a":"%b"}' % (b"x" * 2000))
        for accept in ("text/event-stream", "application/x-ndjson"):
            for _ in range(5):
                client = await served.open("/store/events", f"Accept: {accept}")
                await client.read_until(b"event_id")
                client.writer.transport.abort()
                answer = await exchange(
                    served.server.address,
                    b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                )
                assert statuses(answer) == [200]

        async def is_idle() -> bool:
            return not served.server._state.tasks

        await eventually(is_idle)


async def test_a_client_that_does_not_read_is_waited_for_and_not_written_to() -> None:
    async with serving() as served:
        await served.record(*range(4000), data=b'{"a":"%b"}' % (b"x" * 5000))
        client = await served.open("/store/events", "Accept: application/x-ndjson")

        async def other() -> bool:
            answer = await exchange(
                served.server.address,
                b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            )
            return statuses(answer) == [200]

        assert all([await other() for _ in range(20)])
        (connection,) = served.server._state.connections
        waiting = connection.transport.get_write_buffer_size()
        assert waiting < 4_000_000  # of the 20 MB that there are
        client.writer.transport.abort()


async def test_all_events_come_as_lines_over_the_wire() -> None:
    async with serving() as served:
        await served.record(*range(1000))
        host, port = served.server.address
        async with httpx2.AsyncClient(base_url=f"http://{host}:{port}") as client:
            headers = {"Accept": "application/x-ndjson"}
            async with client.stream("GET", "/store/events", headers=headers) as answer:
                body = await answer.aread()

    assert [json.loads(line)["data"]["n"] for line in body.splitlines()] == list(range(1000))


async def test_a_stream_that_breaks_off_is_not_taken_for_the_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as served:
        await served.record(*range(3000))
        live = served.http.site.app.contexts["store"]
        read = live.log.read

        async def broken(request: Any) -> AsyncIterator[Any]:
            async for events in read(request):
                yield events
                raise OSError("secret disk")

        live.log.read = broken  # type: ignore[method-assign]
        answer = await exchange(
            served.server.address,
            b"GET /store/events HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\n\r\n",
        )

    assert statuses(answer) == [200]
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"secret" not in answer
    assert "a stream broke off" in caplog.text


async def test_a_large_body_is_refused_before_it_is_sent() -> None:
    async with serving() as served:
        answer = await exchange(
            served.server.address,
            f"POST /store/seen/{CART}/{EVENT} HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n"
            "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n".encode(),
        )

    assert statuses(answer) == [413]
    assert problem(answer)["type"] == "urn:perdure:problem:too-large"


async def test_requests_on_one_connection_are_answered_in_turn() -> None:
    async with serving() as served:
        head = f"POST /store/seen/{CART}/{{}} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
        kind = "Content-Type: application/json\r\n\r\n{}"
        posts = "".join(head.format(event_id(n)) + kind for n in range(20))
        ping = "GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        answer = await exchange(served.server.address, (posts + ping).encode())

    assert statuses(answer) == [204] * 20 + [200]
    positions = [int(p) for p in re.findall(rb"perdure-position: (\d+)", answer)]
    assert positions == list(range(1, 21))
