"""A server to send appends to: Perdure's, or the same server with a handler that stores nothing.

``python -m benchmarks.server perdure STORE`` or ``... nothing``. It says its port, and serves until its
standard input ends. What the empty handler does is read the body and answer as an append is answered.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

import perdure
from benchmarks.processes import pin, tell
from benchmarks.workload import context
from perdure.transports.http import HttpApp
from perdure.transports.limits import HttpLimits
from perdure.transports.server import HttpServer, new_event_loop

ANSWER = {
    "type": "http.response.start",
    "status": 204,
    "headers": [(b"perdure-position", b"1234567"), (b"perdure-durability", b"durable")],
}
END = {"type": "http.response.body", "body": b""}


async def store_nothing(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and say that all is well."""
    while (await receive()).get("more_body"):
        pass
    await send(ANSWER)
    await send(END)


async def serve(what: str, *stores: str) -> None:
    """Serve until standard input ends."""
    limits = HttpLimits(connections_per_address_max=1_000, in_flight_max=1_000)
    async with AsyncExitStack() as stack:
        handler: Any = store_nothing
        if what == "perdure":
            (store,) = stores
            app = await stack.enter_async_context(perdure.open(context(), store=store))
            handler = HttpApp(app)
        server = await stack.enter_async_context(HttpServer(handler, "127.0.0.1", 0, limits))
        tell({"port": server.address[1]})
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Serve what was asked for, on the server's core."""
    pin("server")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(*sys.argv[1:]))


if __name__ == "__main__":
    main()
