"""Streams of events: all there are as NDJSON, and all to come as server-sent events.

Both read from the log as fast as the client takes them, in constant memory: there is no queue that could
fill. A stream ends when its client is gone or the server stops, and looks up after every batch, because a
loop that never waits would stop everything else.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec

from perdure.runtime.live import LiveContext
from perdure.transports.event_json import write_event
from perdure.transports.exchange import EVENT_STREAM, Receive, Send, Stream
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read

T = TypeVar("T")

#: How long a client waits before it connects again.
RETRY_MILLISECONDS = 1000
FAREWELL = b": the server stops; connect again with Last-Event-ID\n\n"
#: Nothing but what is sent may stand between the client and the event: no proxy that collects.
UNBUFFERED = ((b"x-accel-buffering", b"no"),)


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Let go of an iteration at once when it is left early, not when it is collected one day."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def write_lines(live: LiveContext, request: Read) -> AsyncIterator[bytes]:
    """Give all events of a read, one a line."""
    async with closing(live.read(request)) as batches:
        async for events in batches:
            yield b"".join([write_event(event) + b"\n" for event in events])


async def write_frames(
    live: LiveContext, request: Read, heartbeat_seconds: float
) -> AsyncIterator[bytes]:
    """Give all events of a read, then each that comes, as server-sent events.

    A quiet time is bridged by comments, which move the client's ``Last-Event-ID`` past the events that
    were not selected, so that connecting again does not go through them again.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
    position = told = request.after
    while True:
        head = await live.advanced(position, heartbeat_seconds)
        if head > position:
            part = msgspec.structs.replace(request, after=position, upto=head)
            async with closing(live.read(part)) as batches:
                async for events in batches:
                    yield b"".join(map(_frame, events))
                    told = events[-1].position
            position = head
        else:
            yield b": \n\n" if told == position else f"id: {position}\n: \n\n".encode()
            told = position


def follow(live: LiveContext, request: Read, heartbeat_seconds: float) -> Stream:
    """Answer with the events of a read and all that follow them."""
    frames = write_frames(live, request, heartbeat_seconds)
    return Stream(EVENT_STREAM, frames, UNBUFFERED, FAREWELL)


async def send_parts(stream: Stream, receive: Receive, send: Send, stopping: asyncio.Event) -> None:
    """Send the parts of a stream until it ends, the client is gone, or the server stops.

    Leaves the answer unfinished when the stream fails, so that nobody takes a part for the whole.
    """
    pump = asyncio.create_task(_pump(stream.chunks, send))
    gone = asyncio.create_task(_gone(receive))
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((pump, gone, stop), return_when=asyncio.FIRST_COMPLETED)
        if pump.done():
            await pump
        elif gone.done():
            return
        else:
            await _end(pump)
            await _send(send, stream.farewell)
        await _send(send, b"", more=False)
    finally:
        for task in (pump, gone, stop):
            await _end(task)


async def _pump(chunks: AsyncIterator[bytes], send: Send) -> None:
    async with closing(chunks) as parts:
        async for part in parts:
            await _send(send, part)
            await asyncio.sleep(0)


async def _gone(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has let go of what it held."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # has been raised where it matters


async def _send(send: Send, part: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": part, "more_body": more})


def _frame(event: RecordedEvent) -> bytes:
    # One line of JSON and a name that was checked: neither can begin a field of its own.
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        event.position,
        event.type.encode(),
        write_event(event),
    )
