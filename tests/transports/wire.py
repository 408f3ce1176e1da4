"""A tiny application that remembers what it was asked, and a client that speaks raw bytes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from perdure.transports.limits import HttpLimits
from perdure.transports.server import HttpServer

Address = tuple[str, int]

HOST = b"Host: example.test\r\n"
GET = b"GET /good HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"POST /good HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"

#: How long a test waits for what must happen; far more than it takes.
PATIENCE_SECONDS = 10


@dataclass
class Recorder:
    """Answers by path, and keeps every request that reached it whole."""

    executed: list[tuple[str, str, bytes]] = field(default_factory=list)
    scopes: list[dict[str, Any]] = field(default_factory=list)
    started: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    release: asyncio.Event = field(default_factory=asyncio.Event)
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.running += 1
        self.started.release()
        try:
            if scope["path"] == "/early":
                await respond(send, 413, b"too much")
            elif scope["path"] == "/late":
                await self.release.wait()
                await respond(send, 200, b"late")
            elif scope["path"] == "/duplex":
                await self._converse(receive, send)
            elif scope["path"] == "/patient":
                await self.release.wait()
                await self._answer(scope, receive, send)
            elif scope["path"] == "/stream":
                await self._stream(receive, send)
            else:
                await self._answer(scope, receive, send)
        finally:
            self.running -= 1
            self.finished.set()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        body = await read_body(receive)
        if body is None:
            self.disconnected.set()
            return
        self.executed.append((scope["method"], scope["path"], body))
        if scope["path"] == "/slow":
            await self.release.wait()
        await respond(send, 200, body or b"ok")

    async def _converse(self, receive: Any, send: Any) -> None:
        """An answer that begins before the body has come."""
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        await read_body(receive)
        await send({"type": "http.response.body", "body": b"bye"})

    async def _stream(self, receive: Any, send: Any) -> None:
        """An idle stream: the head, one chunk, then nothing until released or disconnected."""
        await read_body(receive)
        start = {"type": "http.response.start", "status": 200, "headers": []}
        await send(start)
        await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        waits = [asyncio.ensure_future(self.release.wait()), asyncio.ensure_future(receive())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.release.is_set():
            await send({"type": "http.response.body", "body": b"bye"})
        else:
            self.disconnected.set()


async def read_body(receive: Any) -> bytes | None:
    """The whole body, or None when the client went away before its end."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def respond(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving(limits: HttpLimits | None = None) -> AsyncIterator[tuple[Recorder, HttpServer]]:
    app = Recorder()
    async with HttpServer(app, "127.0.0.1", 0, limits, on_stopping=app.release.set) as server:
        yield app, server


def get(*fields: bytes, start: bytes = b"GET /bad HTTP/1.1", host: bytes = HOST) -> bytes:
    return start + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


class Client:
    """One connection that sends what it is told to, well-formed or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, address: Address) -> Client:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return cls(*await asyncio.open_connection(*address))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_until(self, end: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.readuntil(end)

    async def read_to_end(self) -> bytes:
        """What comes until the server closes; that it closes is part of what is asserted."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.writer.wait_closed()
        except OSError:
            return  # reset by the server: closed all the same


async def exchange(address: Address, *pieces: bytes) -> bytes:
    """Send the pieces one by one and return all that comes until the server closes."""
    client = await Client.connect(address)
    try:
        for piece in pieces:
            await client.send(piece)
            await asyncio.sleep(0)
        return await client.read_to_end()
    finally:
        await client.close()


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def problem(answer: bytes) -> dict[str, Any]:
    """The problem document that ends an answer, its media type checked."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"content-type: application/problem+json\r\n" in head
    assert b"connection: close" in head
    document = json.loads(body)
    assert isinstance(document, dict)
    return document


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once ``holds`` does; fail when it does not in good time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():  # what a stranger sees is no event of ours
            await asyncio.sleep(0.01)
