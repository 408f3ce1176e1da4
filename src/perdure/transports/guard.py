"""The hardened HTTP/1.1 protocol: what the server library and its parser let through, refused.

One rule: a connection on which a request was refused is closed, and nothing that came after that
request is executed. What was asked before it is answered first. The application only ever sees
requests with sound framing, one valid ``Host``, a bounded head, and a body that keeps coming.

Cheap on the way of a good request: the parser finds what is malformed, a field is looked at once
when it arrives, and one timer for each connection compares deadlines when it happens to fire.

The checks of a head are in ``heads``; the numbers, and the counts that span connections, in
``limits``; ``server`` makes one ``GuardedHttpProtocol`` for each connection.
"""

from __future__ import annotations

from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from perdure.transports.connection import BETWEEN, BODY, DEAF, HEAD, Connection
from perdure.transports.heads import (
    SINGLE_FIELDS,
    check_framing,
    check_host,
    check_size,
    check_start,
    check_target,
    malformed,
    too_large,
)
from perdure.transports.limits import Admission, HttpLimits, Refusal

#: What a request line holds besides its method and its target.
REQUEST_LINE_REST: Final = len("  HTTP/1.1\r\n")
#: Framing allowed for each chunk, in bytes, beyond the bytes of its data.
CHUNK_ALLOWANCE: Final = 16


class GuardedHttpProtocol(Connection):
    """One connection of a client that may be slow, broken or hostile."""

    parser: httptools.HttpRequestParser
    url: bytes

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        limits: HttpLimits,
        admission: Admission,
    ) -> None:
        super().__init__(config, server_state, app_state, limits=limits, admission=admission)
        self._target_bytes_max = limits.request_line_bytes_max - REQUEST_LINE_REST
        self._piece_bytes_max = limits.header_bytes_max
        self._piece_bytes = 0
        self._head_bytes = 0  # never less than the head has, at most one piece more
        self._framing_bytes = 0  # of a chunked body, beyond what its chunks allow
        self._single: dict[bytes, bytes] = {}
        self._valid_host = b""
        self._is_in_part = False  # whether a body has not come together with its head
        self._stays_open = False  # what to do once it is complete

    def shutdown(self) -> None:
        """Close once the request under way is answered."""
        self._stays_open = False
        super().shutdown()

    # Bytes in

    def data_received(self, data: bytes | memoryview) -> None:
        """Parse, in pieces no larger than a head may be, so that what is held stays flat."""
        size = self._piece_bytes = len(data)
        if size > self._piece_bytes_max:
            view = memoryview(data)
            for start in range(0, size, self._piece_bytes_max):
                self.data_received(view[start : start + self._piece_bytes_max])
            return
        stage = self.stage
        if stage is HEAD:
            self._head_bytes += size
        elif stage is BODY:
            self._framing_bytes += size
        elif stage is DEAF:
            self._drop(size)
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError as error:
            self.refuse(self._refusal_behind(error))
        else:
            if self.stage is not BETWEEN:
                self._check_unfinished()

    def _check_unfinished(self) -> None:
        """Cut off a head, a chunk extension or trailers that never end."""
        header_bytes_max = self.limits.header_bytes_max
        if self.stage is HEAD:
            # One piece may hold the end of an earlier request, hence twice.
            if self._head_bytes > 2 * header_bytes_max:
                self.refuse(too_large(self.limits))
        elif self.stage is BODY:
            if not self._is_in_part:
                self._await_body()
            self._framing_bytes = max(self._framing_bytes, 0)
            if self._framing_bytes > header_bytes_max:
                self.refuse(malformed("The chunked body is mostly extensions or trailers."))

    def _await_body(self) -> None:
        """Until the body is complete, an answer closes the connection (and says so)."""
        self._is_in_part = True
        self.since = self.loop.time()
        self.is_excused = self.expect_100_continue
        self._stays_open = self.cycle.keep_alive
        self.cycle.keep_alive = False
        self.cycle.transport = self.parting

    def _drop(self, size: int) -> None:
        """Ignore what a client sends after the end, within reason."""
        self.body_bytes += size
        if self.body_bytes > self.limits.body_bytes_max:
            self.transport.abort()

    def _upgrade(self) -> None:
        """Become a WebSocket; an upgrade to anything else is ignored, and so is what follows."""
        if not self._should_upgrade():
            self.cycle.keep_alive = False
            self.cycle.transport = self.parting
            self.go_deaf()
        elif self.is_answering:
            self.refuse(malformed("An upgrade must wait for the answers before it."))
        else:
            self.handle_websocket_upgrade()

    def _refusal_behind(self, error: httptools.HttpParserError) -> Refusal:
        """The refusal that a callback raised, or one made of the parser's complaint."""
        cause = error.__context__
        if not isinstance(error, httptools.HttpParserCallbackError):
            return malformed(f"{str(error).strip()}.")
        if isinstance(cause, Refusal):
            return cause
        if isinstance(cause, httptools.HttpParserInvalidURLError):
            return malformed("The request target is not valid.")
        self.logger.error("The head of a request could not be read", exc_info=cause)
        return Refusal("internal-error", "The request could not be read.")

    # Parser callbacks

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.stage = HEAD
        self.since = self.loop.time()
        self._head_bytes = self._piece_bytes
        self._single = {}

    def on_url(self, url: bytes) -> None:
        """Collect the target, up to the limit of the request line."""
        self.url += url
        if len(self.url) > self._target_bytes_max:
            limit = self.limits.request_line_bytes_max
            raise Refusal("target-too-long", f"The request line may have {limit} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a field; those that frame the request may come once."""
        name = name.lower()
        if name in SINGLE_FIELDS:
            if name in self._single:
                raise malformed(f"The field {name.decode()} may be given only once.")
            self._single[name] = value
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head; only a sound one gets a cycle, and so the application."""
        has_body = self._check_head()
        if self.pipeline or len(self.tasks) >= self.limits.in_flight_max:
            self._check_room()
        super().on_headers_complete()
        if not self.pipeline:
            self.running = self.cycle
        elif len(self.pipeline) < self.limits.pipelined_max:
            self.flow.resume_reading()  # else nobody notices when the client goes away
        if has_body:
            self.stage = BODY
            self.body_bytes = 0
            self._framing_bytes = 0
            self._is_in_part = False
            self.headers = []  # trailers are parsed into the void, not into a scope in use

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._framing_bytes -= CHUNK_ALLOWANCE

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        self.body_bytes += len(body)
        self._framing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; if its answer has not begun, the connection may go on."""
        self.stage = BETWEEN
        super().on_message_complete()
        if self._stays_open:
            self._stays_open = False
            if not self.cycle.response_started:
                self.cycle.keep_alive = True

    # Checks of a head

    def _check_head(self) -> bool:
        """Raise a ``Refusal`` unless the head is sound; say whether a body follows."""
        version = self.parser.get_http_version()
        single = self._single
        check_start(version, self.parser.get_method())
        host = single.get(b"host")
        if not host or host != self._valid_host:
            self._valid_host = check_host(host)
        if not self.url.startswith(b"/"):
            check_target(self.url, self._valid_host)
        limits = self.limits
        if (
            len(self.headers) > limits.header_fields_max
            or self._head_bytes > limits.header_bytes_max
        ):
            check_size(self.headers, limits)
        if len(single) == 1:
            return False
        has_body = check_framing(version, single)
        if has_body and self.parser.should_upgrade():
            raise malformed("A request to upgrade may not have a body.")
        if b"expect" in single and version == "1.1":
            self.expect_100_continue = single[b"expect"].lower() == b"100-continue"
        return has_body

    def _check_room(self) -> None:
        limits = self.limits
        if len(self.pipeline) >= limits.pipelined_max:
            raise self.admission.overloaded("Too many requests wait on this connection.")
        # A task that has ended stays in the set until the loop comes round to it.
        running = sum(not task.done() for task in self.tasks)
        if running >= limits.in_flight_max and self.admission.is_crowded(
            running, self._count_streams, self.loop.time()
        ):
            raise self.admission.overloaded("Too many requests are under way.")

    def _count_streams(self) -> int:
        return sum(map(_is_streaming, self.connections))


def _is_streaming(connection: object) -> bool:
    """Whether a connection carries a stream; one that is not HTTP any more is a WebSocket."""
    return connection.is_streaming if isinstance(connection, Connection) else True
