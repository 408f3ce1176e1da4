"""What makes the head of a request sound: version, method, host, target, framing, size.

One rule: what two readers of HTTP could understand differently is refused, not repaired. Each
check returns when all is well and raises a ``Refusal`` when it is not.

The parser has found what is malformed in the small (bare LF, folded lines, control characters);
``guard`` calls these once the fields are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from perdure.transports.limits import HttpLimits, Refusal

#: Fields that decide how a request is framed and where it goes: each at most once.
SINGLE_FIELDS: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"}
)
VERSIONS: Final = frozenset({"1.1", "1.0"})
REFUSED_METHODS: Final = frozenset({b"TRACE", b"CONNECT"})
ALLOWED_METHODS: Final = b"GET, HEAD, OPTIONS, POST"
SCHEMES: Final = frozenset({b"http", b"https"})
#: uri-host [":" port] of RFC 3986, not empty.
HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
#: A field takes this much besides its name and its value.
FIELD_REST_BYTES: Final = len(": \r\n")


def malformed(detail: str) -> Refusal:
    """The refusal of what is not sound HTTP."""
    return Refusal("malformed-request", detail)


def too_large(limits: HttpLimits) -> Refusal:
    """The refusal of a header section that is too long."""
    return Refusal(
        "headers-too-large", f"The header section may have {limits.header_bytes_max} bytes."
    )


def check_start(version: str, method: bytes) -> None:
    """Only HTTP/1.1 and 1.0; neither TRACE nor CONNECT."""
    if version not in VERSIONS:
        raise malformed(f"HTTP/{version} is not spoken here, only 1.1 and 1.0.")
    if method in REFUSED_METHODS:
        detail = f"{method.decode()} is not allowed."
        raise Refusal("method-not-allowed", detail, (b"allow", ALLOWED_METHODS))


def check_host(host: bytes | None) -> bytes:
    """A host there must be, and it must look like one."""
    if host is None or not HOST.fullmatch(host):
        raise malformed("Exactly one valid Host field is needed.")
    return host


def check_target(target: bytes, host: bytes) -> None:
    """A target that is no path must be a URL with a path, of the host in the ``Host`` field."""
    scheme, _, rest = target.partition(b"://")
    authority, slash, _ = rest.partition(b"/")
    if scheme.lower() not in SCHEMES or not slash or authority.lower() != host.lower():
        raise malformed("The request target must be a path.")


def check_framing(version: str, single: Mapping[bytes, bytes]) -> bool:
    """Whether a body follows, when there is one way only to tell where it ends."""
    length = single.get(b"content-length")
    encoding = single.get(b"transfer-encoding")
    if encoding is None:
        if length is None:
            return False
        if not length.isdigit():
            raise malformed("Content-Length must be digits only.")
        return int(length) > 0
    if length is not None:
        raise malformed("Transfer-Encoding and Content-Length exclude each other.")
    if encoding.lower() != b"chunked" or version == "1.0":
        raise malformed("The only Transfer-Encoding is chunked, in HTTP/1.1.")
    return True


def check_size(fields: Sequence[tuple[bytes, bytes]], limits: HttpLimits) -> None:
    """Bounded in fields and in bytes."""
    if len(fields) > limits.header_fields_max:
        raise Refusal(
            "headers-too-large", f"There may be {limits.header_fields_max} header fields."
        )
    size = sum(len(name) + len(value) + FIELD_REST_BYTES for name, value in fields)
    if size > limits.header_bytes_max:
        raise too_large(limits)
