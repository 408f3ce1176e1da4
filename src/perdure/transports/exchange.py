"""One request and its answer, as the routes see them.

A route takes a ``Request`` and returns an ``Answer``, or a ``Stream`` for what has no foreseeable end; it
raises for everything else. It never sees ASGI: ``http`` turns the one into the other, and adds what all
answers have in common.

``Request`` reads nothing before it is asked to: most of what a head holds is never looked at.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from perdure.runtime.app import App
from perdure.runtime.live import LiveContext
from perdure.transports.parameters import Query
from perdure.transports.paths import Row
from perdure.transports.problems import Disconnected, Headers, UnsupportedMediaType
from perdure.vocabulary.errors import InvalidInput, TooLarge
from perdure.vocabulary.events import Metadata

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Final = b"application/json"
NDJSON: Final = b"application/x-ndjson"
EVENT_STREAM: Final = b"text/event-stream"

_ANYTHING = frozenset({b"*/*", b"application/*"})
_VISIBLE = re.compile(rb"[!-~]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# A bare token, or a string of RFC 8941 (the draft of the field); both mean the same key.
_REQUEST_KEY = re.compile(
    rb"""(?P<token>[A-Za-z0-9!#$%&'*+.^_`|~:/=-]{1,255})|"(?P<quoted>[ !#-\[\]-~]{1,255})\""""
)


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. ``content_type`` counts only when there is a body; ``cache`` says who may keep it."""

    status: int = 200
    body: bytes = b""
    headers: Headers = ()
    content_type: bytes = JSON
    cache: bytes = b"no-store"


class Stream(msgspec.Struct, frozen=True):
    """An answer in parts, made while it is sent; ``farewell`` ends it when the server stops."""

    content_type: bytes
    chunks: AsyncIterator[bytes]
    headers: Headers = ()
    farewell: bytes = b""
    status: int = 200


class Site:
    """What all requests to one application share."""

    def __init__(self, app: App, rows: Sequence[Row]) -> None:
        self.app, self.rows = app, rows
        self.stopping = asyncio.Event()
        self.served: Counter[tuple[str, str, int]] = Counter()  # by path of the row, method, status
        self.durability = app.durability.encode()


class Request:
    """One request. ``segments`` is its path, decoded; ``id`` names it in answers and in the log.

    ``headers`` are its fields by name in lower case; those given several times are joined.
    ``is_at_stake`` is set when a write has been handed to the store: from then on nobody may say
    that it failed only because it takes long.
    """

    def __init__(self, site: Site, scope: Scope, receive: Receive) -> None:
        self.site, self.scope, self.receive = site, scope, receive
        self.headers = _by_name(scope["headers"])
        self.id = ""
        self.live: LiveContext  # set by ``enter``: the router does it for paths in a context
        self.segments: list[str] = []
        self.query = Query()
        self.is_at_stake = False

    @property
    def app(self) -> App:
        """The application that is asked."""
        return self.site.app

    def enter(self, context: str) -> LiveContext:
        """Find the context that is asked. Raises ``ContextNotFound``."""
        self.live = self.site.app.context(context)
        return self.live

    def link_next(self, **values: str | int | None) -> tuple[bytes, bytes]:
        """Make the field that links to the next page: this request, with these parameters changed."""
        target = self.scope["raw_path"] + b"?" + self.query.changed(**values).encode()
        return b"link", b"<" + target + b'>; rel="next"'

    # -- what the client can take --------------------------------------------------------------

    def accepts(self, *offers: bytes) -> bytes:
        """Give the media type that the client likes best; the first offer when it likes none."""
        accepted = self.headers.get(b"accept", b"*/*")
        if accepted == b"*/*":
            return offers[0]
        best, best_weight = offers[0], 0.0
        for item in accepted.lower().split(b","):
            given, _, rest = item.partition(b";")
            media, weight = given.strip(), _weight(rest)
            if media in _ANYTHING:
                media = offers[0]
            if media in offers and weight > best_weight:
                best, best_weight = media, weight
        return best

    def accepts_gzip(self) -> bool:
        """Tell whether the client takes a compressed body."""
        for item in self.headers.get(b"accept-encoding", b"").lower().split(b","):
            coding, _, rest = item.partition(b";")
            if coding.strip() == b"gzip":
                return _weight(rest) > 0
        return False

    def has_already(self, etag: bytes) -> bool:
        """Tell whether the client holds this very answer: ``If-None-Match``, compared weakly."""
        held = self.headers.get(b"if-none-match")
        if held is None:
            return False
        tags = [tag.strip().removeprefix(b"W/") for tag in held.split(b",")]
        return etag.removeprefix(b"W/") in tags or tags == [b"*"]

    # -- what the client says of itself --------------------------------------------------------

    def metadata(self) -> bytes:
        """Give what the client says its events belong to; empty when it says nothing."""
        correlation, trace = self.belongs_to()
        if correlation is None and trace is None:
            return b""
        return msgspec.json.encode(Metadata(correlation_id=correlation, traceparent=trace))

    def belongs_to(self) -> tuple[str | None, str | None]:
        """Give the correlation id and the trace that the client names. Raises ``InvalidInput``."""
        correlation = self.headers.get(b"x-correlation-id")
        trace = self.headers.get(b"traceparent")
        if trace is not None and _TRACEPARENT.fullmatch(trace) is None:
            trace = None  # to be treated as if it were not there (W3C Trace Context, 3.2)
        if correlation is not None and _VISIBLE.fullmatch(correlation) is None:
            raise InvalidInput(
                "X-Correlation-Id is up to 128 visible ASCII characters", "X-Correlation-Id"
            )
        return (
            None if correlation is None else correlation.decode(),
            None if trace is None else trace.decode(),
        )

    def request_key(self) -> str | None:
        """Give the ``Idempotency-Key``; ``None`` when there is none. Raises ``InvalidInput``."""
        given = self.headers.get(b"idempotency-key")
        if given is None:
            return None
        found = _REQUEST_KEY.fullmatch(given)
        if found is None:
            raise InvalidInput(
                "Idempotency-Key is a token or a quoted string, 255 characters at most",
                "Idempotency-Key",
            )
        return str((found["token"] or found["quoted"]).decode())

    # -- the body ------------------------------------------------------------------------------

    def content_type(self, *taken: bytes) -> bytes:
        """Give the media type of the body, one of ``taken``. Raises ``UnsupportedMediaType``."""
        given = self.headers.get(b"content-type", b"")
        if b"content-encoding" in self.headers:
            raise UnsupportedMediaType("Send the body without a Content-Encoding.")
        if given in taken:
            return given
        media, *parameters = [part.strip().lower() for part in given.split(b";")]
        if media not in taken:
            known = b" or ".join(taken).decode()
            raise UnsupportedMediaType(f"The Content-Type must be {known} (curl: --json).")
        for parameter in parameters:
            name, _, value = parameter.partition(b"=")
            if name == b"charset" and value.strip(b'"') not in {b"utf-8", b"utf8"}:
                raise UnsupportedMediaType("The charset of the body must be UTF-8.")
        return media

    async def body(self, bytes_max: int) -> bytes:
        """Read the whole body. Raises ``TooLarge`` as soon as it is known to be."""
        self._check_length(bytes_max)
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > bytes_max:
                _too_large(bytes_max)
            return body
        parts = [part async for part in self._parts(message, bytes_max)]
        return b"".join(parts)

    async def body_or_nothing(self, bytes_max: int) -> bytes:
        """Read a body that may be left out; none is an object without members.

        A browser must say also of an empty body that it is JSON: so a page of another site, which may not say
        that without asking first, cannot have anything done.
        """
        body = await self.body(bytes_max)
        if body or b"origin" in self.headers:
            self.content_type(JSON)
        return body or b"{}"

    async def body_parts(self, bytes_max: int) -> AsyncIterator[bytes]:
        """Read the body as it comes in. Raises ``TooLarge`` as soon as it is known to be."""
        self._check_length(bytes_max)
        async for part in self._parts(await self.receive(), bytes_max):
            yield part

    async def _parts(self, message: Message, bytes_max: int) -> AsyncIterator[bytes]:
        size = 0
        while True:
            if message["type"] != "http.request":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size > bytes_max:
                _too_large(bytes_max)
            yield part
            if not message.get("more_body"):
                return
            message = await self.receive()

    def _check_length(self, bytes_max: int) -> None:
        length = self.headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 19 or int(length) > bytes_max:
            _too_large(bytes_max)


def _by_name(fields: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    headers = dict(fields)
    if len(headers) == len(fields):
        return headers
    joined: dict[bytes, bytes] = {}
    for name, value in fields:
        joined[name] = joined[name] + b", " + value if name in joined else value
    return joined


def _too_large(bytes_max: int) -> NoReturn:
    raise TooLarge(f"the body may have {bytes_max} bytes")


def _weight(parameters: bytes) -> float:
    """Read the ``q`` of an item of ``Accept``."""
    for parameter in parameters.split(b";"):
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def is_sane_id(value: bytes) -> bool:
    """Tell whether a client's own request id can be taken over: 1 to 128 visible characters."""
    return _VISIBLE.fullmatch(value) is not None
