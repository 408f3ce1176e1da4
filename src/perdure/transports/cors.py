"""Letting browsers in from another origin: the fields that say so. Off unless an origin is set.

The answers are the same at every path, so that a browser that asks learns nothing about what is there.
"""

from typing import Final

from perdure.transports.problems import Headers

#: What a script may read of an answer, besides its body.
_EXPOSED = (
    b"etag, link, location, perdure-durability, perdure-position, retry-after, x-perhap-crc32, "
    b"x-request-id"
)
#: What a browser is told that asks before it sends; methods that a path does not have are 405 there.
PREFLIGHT: Final[Headers] = (
    (b"access-control-allow-methods", b"GET, HEAD, PUT, POST, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        (
            b"content-type, accept, authorization, idempotency-key, if-match, if-none-match, "
            b"last-event-id, perdure-after, perdure-wait, traceparent, x-correlation-id, x-request-id"
        ),
    ),
    (b"access-control-max-age", b"86400"),
)


def fields(origin: str) -> Headers:
    """Give the fields of every answer for an origin that may call; none for none."""
    if not origin:
        return ()
    return (
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED),
    )
