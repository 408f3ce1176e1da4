"""The life of one connection: its seat, its deadlines, and its last words.

One rule: every connection ends. A client that is silent, slow or deaf for too long is cut off; one
that was refused is told why, after the answers to what it asked before, and hears nothing more.

One timer for each connection compares deadlines when it happens to fire, so a request costs no
timer. What may come in on a connection is decided in ``guard``, which builds on this.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from perdure.transports.limits import Admission, HttpLimits, Refusal

NEVER: Final = float("inf")


class Stage(enum.Enum):
    """What the parser is in the middle of."""

    BETWEEN = enum.auto()  # requests
    HEAD = enum.auto()
    BODY = enum.auto()
    DEAF = enum.auto()  # nothing that comes is parsed any more


#: The stages by their own names, because every request passes through them.
BETWEEN, HEAD, BODY, DEAF = Stage


class Connection(HttpToolsProtocol):
    """A connection that can be refused and timed out.

    The reader of requests keeps ``stage``, ``since`` (when the stage, idleness or lingering began,
    by the loop's clock), ``body_bytes``, ``is_excused`` (the client waits for us, or did so lately)
    and ``running`` (``cycle`` is the newest request, which may wait for the one that is running).
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        limits: HttpLimits,
        admission: Admission,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.limits = limits
        self.admission = admission
        self.stage = BETWEEN
        self.since = 0.0
        self.body_bytes = 0
        self.is_excused = False
        self.running: RequestResponseCycle | None = None
        self.is_lingering = False
        self.parting: Parting
        self._address = ""
        self._is_seated = False
        self._deferred: Refusal | None = None
        self._stalled_since: float | None = None  # since when nothing gets through to the client
        self._unsent_bytes = 0  # when we last looked
        self._timer: asyncio.TimerHandle | None = None
        self._tick = min(
            limits.header_seconds_max,
            limits.keep_alive_seconds,
            limits.body_grace_seconds,
            limits.body_seconds_max,
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a seat, or answer 503 and close."""
        super().connection_made(transport)
        self.parting = Parting(transport, self)
        self._address = self.client[0] if self.client else ""
        self.since = self.loop.time()
        self._arm(self._tick)
        try:
            self.admission.enter(self._address)
        except Refusal as refusal:
            self.stage = DEAF
            self._write(refusal)
            transport.close()
        else:
            self._is_seated = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the seat back and tell the request that is running, also with others behind it."""
        self._disarm()
        if self._is_seated:
            self.admission.leave(self._address)
        self.stage = DEAF
        self._disconnect_running()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note since when the client does not read."""
        self._stalled_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stalled_since = None
        super().resume_writing()

    def handle_websocket_upgrade(self) -> None:
        """Hand over to the WebSocket protocol, which gives the seat back (``server``)."""
        self._disarm()
        self.go_deaf()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """Go on to the next request of the pipeline, to a refusal that waited, or to idleness."""
        self.server_state.total_requests += 1
        if self.is_lingering or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self.running, app = self.pipeline.pop()
            self._start_asgi_task(self.running, app)
        elif self._deferred is not None:
            self._say_last(self._deferred)
        elif self.stage is BETWEEN:
            self.since = self.loop.time()

    @property
    def is_answering(self) -> bool:
        """Whether the answer to a request is under way."""
        return self.running is not None and not self.running.response_complete

    @property
    def is_streaming(self) -> bool:
        """Whether an answer has begun and not ended."""
        running = self.running
        return running is not None and running.response_started and not running.response_complete

    # Last words

    def refuse(self, refusal: Refusal) -> None:
        """Hear no more; say why, after the answers to what was asked before."""
        is_in_body = self.stage is BODY
        self.go_deaf()
        if is_in_body and not self.pipeline:
            self._disconnect_running()
            if self.cycle.response_started:
                self.linger()  # an answer that stops short says enough
            else:
                self._say_last(refusal)
            return
        if is_in_body:
            self.pipeline.popleft()  # the request that broke, which has not been started
        if self.is_answering:
            self._deferred = refusal
        else:
            self._say_last(refusal)

    def _say_last(self, refusal: Refusal) -> None:
        if not self.transport.is_closing():
            self._write(refusal)
            self.linger()

    def _write(self, refusal: Refusal) -> None:
        self.admission.refusals[refusal.problem] += 1
        self.transport.write(refusal.response(self.server_state.default_headers))

    def linger(self) -> None:
        """Close, but listen a moment longer.

        A socket that is closed with unread bytes resets the connection, and the client may never
        see the answer that was written to it.
        """
        if self.is_lingering or self.transport.is_closing():
            return
        self.is_lingering = True
        self.go_deaf()
        self.since = self.loop.time()
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self._arm(self.limits.linger_seconds)

    def go_deaf(self) -> None:
        """Parse nothing more of what comes."""
        self.stage = DEAF
        self.body_bytes = 0  # counts what is dropped from now on

    def _disconnect_running(self) -> None:
        running = self.running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()

    # Time

    def _arm(self, delay_seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(delay_seconds, self._look_at_the_clock)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_the_clock(self) -> None:
        now = self.loop.time()
        if self._is_stalled(now):
            self.transport.abort()
            return
        deadline = self._deadline(now)
        self._arm(min(self._tick, deadline - now) if now < deadline else self._tick)
        if now >= deadline and not self.transport.is_closing():
            self._time_out()

    def _is_stalled(self, now: float) -> bool:
        """Whether what was written has not moved for too long."""
        if self._stalled_since is None:
            if not self.transport.is_closing():
                return False
            self._stalled_since = now
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes < self._unsent_bytes:
            self._stalled_since = now
        self._unsent_bytes = unsent_bytes
        return now - self._stalled_since >= self.limits.write_stall_seconds_max

    def _deadline(self, now: float) -> float:
        limits = self.limits
        if self.is_lingering:
            return self.since + limits.linger_seconds
        if self.stage is HEAD:
            return self.since + limits.header_seconds_max
        if self.stage is BODY:
            waits_for_us = self.flow.read_paused or self.cycle.waiting_for_100_continue
            if waits_for_us or self.is_excused:  # or it did, the last time we looked
                self.since, self.body_bytes, self.is_excused = now, 0, waits_for_us
            earned = self.body_bytes / limits.body_bytes_per_second_min
            return self.since + min(limits.body_seconds_max, max(limits.body_grace_seconds, earned))
        if self.stage is DEAF or self.is_answering:
            return NEVER
        idle_seconds = (
            limits.header_seconds_max if self.cycle is None else limits.keep_alive_seconds
        )
        return self.since + idle_seconds

    def _time_out(self) -> None:
        is_idle = self.stage is BETWEEN and self.cycle is not None
        if self.is_lingering or is_idle:
            self.transport.close()
        else:
            part = "body" if self.stage is BODY else "head"
            self.refuse(Refusal("request-timeout", f"The {part} of the request came too slowly."))


class Parting(asyncio.Transport):
    """The transport as a cycle sees it while its request is coming in: to close it is to linger."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        super().__init__()
        self._transport = transport
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Pass it on."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether there is nothing more to be written."""
        return self._connection.is_lingering or self._transport.is_closing()

    def close(self) -> None:
        """Linger."""
        self._connection.linger()
