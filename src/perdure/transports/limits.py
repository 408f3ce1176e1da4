"""What one HTTP server takes on from the network, and how a client is told that it went over.

One rule: everything a stranger can make the server hold (bytes, fields, connections, time) has a
number in ``HttpLimits``. ``Admission`` keeps the counts that span connections; ``Refusal`` is the
answer, always the last thing that is said on a connection.

Enforced by ``guard`` for each connection; chosen by ``server`` and, later, by the settings.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one HTTP server. Each must be above zero; the unit is in the name.

    ``in_flight_max`` bounds requests that have not begun to answer: streams and WebSockets, which
    live long and do little, are bounded by ``connections_max`` instead. ``body_bytes_max`` is
    enforced by the application, which alone knows what a route takes.
    """

    request_line_bytes_max: int = 8 * 1024
    header_bytes_max: int = 16 * 1024
    header_fields_max: int = 64
    body_bytes_max: int = 4 * 1024 * 1024
    websocket_message_bytes_max: int = 64 * 1024

    header_seconds_max: float = 10
    body_seconds_max: float = 30
    body_bytes_per_second_min: float = 1024
    #: How long a body may be as slow as it likes before its rate is looked at.
    body_grace_seconds: float = 5
    keep_alive_seconds: float = 15
    #: How long what was written to a client may stay unread, none of it moving.
    write_stall_seconds_max: float = 30
    #: How long a refused client is still listened to, so that it can read the refusal.
    linger_seconds: float = 1
    shutdown_seconds_max: float = 10

    connections_max: int = 1000
    connections_per_address_max: int = 100
    in_flight_max: int = 200
    #: Requests that wait, on one connection, for the one before them.
    pipelined_max: int = 64
    retry_after_seconds: int = 1

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above zero, not {getattr(self, name)}")


#: What can be wrong before the application is asked: the last part of the problem's type, its
#: status and its title.
PROBLEMS: Final = MappingProxyType(
    {
        "malformed-request": (HTTPStatus.BAD_REQUEST, "Malformed request"),
        "method-not-allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed"),
        "request-timeout": (HTTPStatus.REQUEST_TIMEOUT, "Request took too long to arrive"),
        "target-too-long": (HTTPStatus.REQUEST_URI_TOO_LONG, "Request line too long"),
        "headers-too-large": (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Header section too large",
        ),
        "internal-error": (HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error"),
        "overloaded": (HTTPStatus.SERVICE_UNAVAILABLE, "Too busy to take this on"),
    }
)

#: For how long a count of the streams is good enough.
STREAM_COUNT_SECONDS: Final = 0.01


class Refusal(Exception):
    """A request, or a connection, that the server will not take on.

    ``problem`` is a key of ``PROBLEMS``; ``detail`` tells the client what was wrong; ``fields``
    are further header fields of the answer.
    """

    def __init__(self, problem: str, detail: str, *fields: tuple[bytes, bytes]) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail
        self.fields = fields

    def response(self, server_fields: list[tuple[bytes, bytes]]) -> bytes:
        """The whole answer, RFC 9457 problem document included, ready to be written."""
        status, title = PROBLEMS[self.problem]
        document = {
            "type": f"urn:perdure:problem:{self.problem}",
            "title": title,
            "status": status.value,
            "detail": self.detail,
        }
        body = msgspec.json.encode(document)
        fields = [
            *server_fields,
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *self.fields,
        ]
        head = b"".join(b"%s: %s\r\n" % field for field in fields)
        return b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), head, body)


class Admission:
    """The counts that span the connections of one server.

    ``vacant`` is set while nobody is connected. ``refusals`` counts what was refused, by problem.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self.vacant = asyncio.Event()
        self.vacant.set()
        self.refusals: Counter[str] = Counter()
        self._streams = 0
        self._count_again_at = 0.0
        self._is_open = True
        self._total = 0
        self._by_address: Counter[str] = Counter()

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_open = False

    def enter(self, address: str) -> None:
        """Give a connection from ``address`` a seat.

        Raises:
            Refusal: there is none; the caller must not ``leave``.
        """
        if not self._is_open:
            raise self.overloaded("The server is stopping.")
        if self._total >= self.limits.connections_max:
            raise self.overloaded("There are too many connections.")
        if self._by_address[address] >= self.limits.connections_per_address_max:
            raise self.overloaded("There are too many connections from your address.")
        self._total += 1
        self._by_address[address] += 1
        self.vacant.clear()

    def leave(self, address: str) -> None:
        """Give the seat back."""
        self._total -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        if not self._total:
            self.vacant.set()

    def is_crowded(self, running: int, count_streams: Callable[[], int], now: float) -> bool:
        """Whether ``running`` requests, less those that are streams, are as many as may be.

        Asked for each request that comes while many run, so the streams are counted only now and
        then, and before anybody is refused.
        """
        in_flight_max = self.limits.in_flight_max
        if now >= self._count_again_at or running - self._streams >= in_flight_max:
            self._streams = count_streams()
            self._count_again_at = now + STREAM_COUNT_SECONDS
        return running - self._streams >= in_flight_max

    def overloaded(self, detail: str) -> Refusal:
        """A refusal that says when to come again."""
        return Refusal(
            "overloaded", detail, (b"retry-after", b"%d" % self.limits.retry_after_seconds)
        )
