"""The HTTP surface as one ASGI application: from a scope to a row, from an answer to the wire.

What all answers have in common happens here and nowhere else: the request id, the time limit, errors as
problem documents, HEAD and OPTIONS, CORS, the checksum, compression. The rows are in ``routes.table``.

No framework: a request passes through two small objects and no middleware, because recording an event must
cost little more than storing it.
"""

import asyncio
import gzip
from typing import Final
from urllib.parse import quote
from zlib import crc32

from structlog.contextvars import bind_contextvars

from perdure.runtime.app import App
from perdure.runtime.logs import logger as make_logger
from perdure.transports import cors
from perdure.transports.deadlines import Deadlines
from perdure.transports.exchange import (
    JSON,
    Answer,
    Receive,
    Request,
    Scope,
    Send,
    Site,
    Stream,
    is_sane_id,
)
from perdure.transports.parameters import Query
from perdure.transports.paths import Paths, Place, Row, split
from perdure.transports.problems import (
    CONTENT_TYPE,
    INTERNAL,
    AnswerFailed,
    Disconnected,
    Headers,
    MethodNotAllowed,
    RouteNotFound,
    document,
    headers_of,
    kind_of,
)
from perdure.transports.routes.table import ROWS
from perdure.transports.streams import send_parts
from perdure.vocabulary.errors import (
    ContextNotFound,
    HandlerFailed,
    OutcomeUnknown,
    Unavailable,
)

#: A smaller answer is not worth compressing; a larger one is compressed beside the event loop.
GZIP_BYTES_MIN: Final = 4 * 1024
GZIP_BESIDE_BYTES_MIN: Final = 64 * 1024
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"})
_BODILESS: Final = frozenset({204, 304})
_SUMMED: Final = frozenset({JSON, CONTENT_TYPE})

logger = make_logger("perdure.http")


class HttpApp:
    """The HTTP surface of an application. Set ``stopping`` when the server stops: streams end then."""

    def __init__(self, app: App) -> None:
        self.site = Site(app, ROWS)
        self._paths = Paths(ROWS)
        self._deadlines = Deadlines(app.settings.handler_seconds_max)
        self._cors = cors.fields(app.settings.cors)
        self._common: Headers = ((b"x-content-type-options", b"nosniff"), *self._cors)
        self._clock = app.environment.clock
        self._id_prefix = f"{app.environment.chance.bits(48):012x}"
        self._named = 0

    @property
    def stopping(self) -> asyncio.Event:
        """Once it is set, readiness is 503 and every stream ends."""
        return self.site.stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _decline(scope, receive, send)
            return
        began = self._clock.monotonic()
        request = Request(self.site, scope, receive)
        request.id = self._name(request)
        bind_contextvars(request_id=request.id)
        row: Row | None = None
        answer: Answer | Stream
        try:
            if scope["method"] == "OPTIONS":
                answer = self._say_options(request)
            else:
                row = self._find(request)
                answer = await self._handle(row, request)
        except Disconnected:
            return
        except Exception as failure:
            answer = _refuse(failure, request)
        self._count(row, scope["method"], answer.status, began)
        if isinstance(answer, Stream):
            await self._send_stream(request, answer, send)
        else:
            await self._send(request, answer, send)

    # -- from a request to its row -------------------------------------------------------------

    def _name(self, request: Request) -> str:
        given = request.headers.get(b"x-request-id")
        if given is not None and is_sane_id(given):
            return given.decode()
        self._named += 1
        return f"{self._id_prefix}-{self._named:x}"

    def _place(self, request: Request) -> Place:
        """Find where the path leads; an unknown context is no other place than nowhere."""
        scope = request.scope
        if "raw_path" not in scope:
            scope["raw_path"] = quote(scope["path"]).encode()
        segments = request.segments = split(scope["raw_path"])
        place = self._paths.find(segments)
        if place is None:
            raise RouteNotFound
        if place.is_in_context:
            request.enter(segments[0])
        return place

    def _find(self, request: Request) -> Row:
        place, method = self._place(request), request.scope["method"]
        row = place.rows.get("GET" if method == "HEAD" else method)
        if row is None:
            raise MethodNotAllowed(place.allowed)
        query: bytes = request.scope["query_string"]
        if query:
            request.query = Query.parse(query, row.parameters)
        return row

    def _say_options(self, request: Request) -> Answer:
        """Say what is allowed at a path. To a browser that asks first, the same at every path."""
        try:
            allowed: Headers = ((b"allow", self._place(request).allowed),)
        except (RouteNotFound, ContextNotFound):
            if not self._cors:
                raise
            allowed = ()
        return Answer(200, b"", (*allowed, *(cors.PREFLIGHT if self._cors else ())))

    async def _handle(self, row: Row, request: Request) -> Answer | Stream:
        """Let the row answer, within the time that a request has."""
        task = self._deadlines.begin()
        try:
            answer: Answer | Stream = await row.handler(request)
        except asyncio.CancelledError:
            if not self._deadlines.end(task):
                raise
            if request.is_at_stake:  # the store may be about to write it
                raise OutcomeUnknown("the request was cut off while it was written") from None
            raise Unavailable("the request was cut off: it took too long") from None
        finally:
            self._deadlines.end(task)
        return answer

    def _count(self, row: Row | None, method: str, status: int, began: float) -> None:
        path = "" if row is None else row.path
        self.site.served[path, method if method in _METHODS else "other", status] += 1
        if row is not None and row.figure:
            meter = self.site.app.meter
            meter.timing(row.figure).add(self._clock.monotonic() - began)

    # -- from an answer to the wire ------------------------------------------------------------

    async def _send(self, request: Request, answer: Answer, send: Send) -> None:
        body = answer.body
        headers = [
            (b"x-request-id", request.id.encode()),
            (b"cache-control", answer.cache),
            *self._common,
            *answer.headers,
        ]
        if answer.status not in _BODILESS:
            if body:
                headers.append((b"content-type", answer.content_type))
            if answer.content_type in _SUMMED and body:
                headers.append((b"x-perhap-crc32", b"%d" % crc32(body)))
            if len(body) >= GZIP_BYTES_MIN:
                body, headers = await _compress(request, body, headers)
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if request.scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})

    async def _send_stream(self, request: Request, stream: Stream, send: Send) -> None:
        headers = [
            (b"x-request-id", request.id.encode()),
            (b"content-type", stream.content_type),
            (b"cache-control", b"no-store"),
            *self._common,
            *stream.headers,
        ]
        await send({"type": "http.response.start", "status": stream.status, "headers": headers})
        if request.scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await send_parts(stream, request.receive, send, self.stopping)
        except Exception:  # too late to say so: the answer is left unfinished
            logger.exception("a stream broke off")


def _refuse(failure: Exception, request: Request) -> Answer:
    """Make the problem document of a failure; what it hides goes to the log."""
    kind = kind_of(failure)
    if kind is INTERNAL:
        logger.error("a request failed", exc_info=failure)
    elif isinstance(failure, HandlerFailed | AnswerFailed):
        logger.error("a function failed", cause=str(failure), exc_info=failure)
    elif kind.status >= 500 and kind.detail:
        logger.warning("a request was not carried out", problem=kind.slug, cause=str(failure))
    body = document(failure, kind, request.id)
    return Answer(kind.status, body, headers_of(failure, kind), CONTENT_TYPE)


async def _compress(
    request: Request, body: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Compress a large body for a client that takes it so; its ``ETag`` is a weak one then."""
    varies = (b"vary", b"accept-encoding")
    if not request.accepts_gzip():
        return body, [*headers, varies]
    if len(body) < GZIP_BESIDE_BYTES_MIN:
        compressed = gzip.compress(body, 1, mtime=0)
    else:
        compressed = await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
    kept = [
        (name, b"W/" + value if name == b"etag" and value[:1] == b'"' else value)
        for name, value in headers
    ]
    return compressed, [*kept, varies, (b"content-encoding", b"gzip")]


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what is not HTTP: there is nothing to start or stop here, and no socket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1000})
    elif scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
