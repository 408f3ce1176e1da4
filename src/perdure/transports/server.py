"""The HTTP server: one listener in the event loop of its caller, stopped in bounded time.

One rule: the caller owns the process. The server installs no signal handlers, runs no lifespan,
changes no event loop policy and never exits; it starts, serves, and stops when it is told to.

The protocol of each connection is ``guard``; its numbers are ``limits``. ``cli`` turns signals
into ``stop``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from types import TracebackType
from typing import Any, Final, Self

import uvicorn
from uvicorn.server import ServerState

from perdure.transports.guard import GuardedHttpProtocol
from perdure.transports.limits import Admission, HttpLimits

#: What a request has, after its connection was cut, to end by itself before it is cancelled,
#: and to end after that.
LAST_WORDS_SECONDS: Final = 0.1
CANCELLED_SECONDS: Final = 1.0
#: How often the Date field of the answers is renewed.
DATE_SECONDS: Final = 1.0


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop: uvloop's where it is installed. For ``asyncio.Runner(loop_factory=...)``."""
    if importlib.util.find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


class HttpServer:
    """Serves an ASGI application over HTTP/1.1 and WebSocket, within ``limits``.

    Port 0 takes a free port; ``address`` says which. ``on_stopping`` is called once when a
    graceful stop begins, after the server has stopped accepting and before it waits: streams that
    the application ends then are ended properly; others are cut when time is up.
    """

    def __init__(
        self,
        app: Any,
        host: str,
        port: int,
        limits: HttpLimits | None = None,
        *,
        access_log: bool = False,
        on_stopping: Callable[[], None] | None = None,
    ) -> None:
        self.limits = limits or HttpLimits()
        self._host = host
        self._port = port
        self._access_log = access_log
        self._on_stopping = on_stopping
        self._admission = Admission(self.limits)
        self._config = self._configure(app)
        self._state = ServerState()
        self._listener: asyncio.Server | None = None
        self._date_timer: asyncio.TimerHandle | None = None
        self._is_stopping = False
        self._at_once = asyncio.Event()
        self._stopped = asyncio.Event()

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that are listened on.

        Raises:
            RuntimeError: the server has not been started.
        """
        if self._listener is None or not self._listener.sockets:
            raise RuntimeError("The server is not listening; start it first.")
        host, port = self._listener.sockets[0].getsockname()[:2]
        return host, port

    @property
    def refusals(self) -> Counter[str]:
        """How often something was refused before the application saw it, by problem."""
        return self._admission.refusals.copy()

    async def start(self) -> None:
        """Bind and accept.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._renew_date(loop)
        try:
            self._listener = await loop.create_server(
                self._protocol, self._host, self._port, backlog=self._config.backlog
            )
        except OSError:
            self._stop_dates()
            raise

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Start unless started, serve until ``stop`` is set or the task is cancelled, then stop.

        Raises:
            OSError: the address cannot be bound.
        """
        if self._listener is None:
            await self.start()
        try:
            await stop.wait()
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Refuse new connections, finish what is under way, cut what has not ended in time.

        Takes ``shutdown_seconds_max`` and about a second at most. Called again while the first
        call waits, it stops at once; called after, it does nothing.
        """
        if self._is_stopping:
            self.stop_now()
            await self._stopped.wait()
            return
        self._is_stopping = True
        self._admission.close()
        if self._listener is not None:
            self._listener.close()
        try:
            if self._on_stopping is not None:
                self._on_stopping()
            for connection in list(self._state.connections):
                connection.shutdown()
            await self._wait_in_bound()
        finally:
            await self._cut()
            self._stop_dates()
            self._stopped.set()

    def stop_now(self) -> None:
        """Cut short the graceful stop that is under way, or the next one. For signal handlers."""
        self._at_once.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def _configure(self, app: Any) -> uvicorn.Config:
        has_websockets = importlib.util.find_spec("websockets") is not None
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http=GuardedHttpProtocol,
            ws="websockets-sansio" if has_websockets else "none",
            ws_max_size=self.limits.websocket_message_bytes_max,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
        )
        config.load()
        if config.ws_protocol_class is not None:
            config.ws_protocol_class = seated(config.ws_protocol_class, self._admission)
        return config

    def _protocol(self) -> asyncio.Protocol:
        protocol = GuardedHttpProtocol(
            self._config, self._state, {}, limits=self.limits, admission=self._admission
        )
        protocol.access_log = self._access_log
        return protocol

    def _renew_date(self, loop: asyncio.AbstractEventLoop) -> None:
        date = formatdate(time.time(), usegmt=True).encode()
        self._state.default_headers = [(b"date", date)]
        self._date_timer = loop.call_later(DATE_SECONDS, self._renew_date, loop)

    def _stop_dates(self) -> None:
        if self._date_timer is not None:
            self._date_timer.cancel()

    async def _wait_in_bound(self) -> None:
        finished = asyncio.ensure_future(self._finished())
        at_once = asyncio.ensure_future(self._at_once.wait())
        try:
            await asyncio.wait(
                (finished, at_once),
                timeout=self.limits.shutdown_seconds_max,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            finished.cancel()
            at_once.cancel()

    async def _finished(self) -> None:
        """Return when no request is under way and nobody is connected."""
        while self._state.tasks:
            await asyncio.wait(set(self._state.tasks))
        await self._admission.vacant.wait()

    async def _cut(self) -> None:
        """Close what is still open; cancel the requests that do not end even so."""
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=LAST_WORDS_SECONDS)
        for task in self._state.tasks:
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(set(self._state.tasks), timeout=CANCELLED_SECONDS)


def seated(websocket_protocol: Any, admission: Admission) -> Any:
    """The WebSocket protocol class that gives back, at the end, the seat it took over."""

    class SeatedWebSocketProtocol(websocket_protocol):  # type: ignore[misc]
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            admission.leave(self.client[0] if self.client else "")

    return SeatedWebSocketProtocol
