"""Names of contexts, domains and event types, and which ones are reserved.

Names are compared letter by letter, never folded. None may look like a UUID, because a path segment
that does is an id; none may be a reserved word, because those are the other segments of the paths.
"""

import re
from collections.abc import Sequence

from perdure.vocabulary.errors import InvalidName, LimitExceeded

#: Path segments inside a context that are not names of domains or types.
RESERVED_SEGMENTS = frozenset(
    {"keys", "events", "event", "model", "models", "commands", "queries", "live"}
)
#: Path segments at the root that are not contexts.
RESERVED_CONTEXTS = frozenset(
    {
        "livez",
        "readyz",
        "metrics",
        "openapi.json",
        "asyncapi.json",
        "graphql",
        "console",
        "ping",
        "stats",
        "v1",
        "clients",
    }
)
#: Tags of one event.
TAGS_MAX = 64
#: Types that only the server records: what it did itself.
SYSTEM_PREFIX = "perdure."

_CONTEXT = re.compile(r"[a-z][a-z0-9_]{0,47}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
_LIKE_UUID = re.compile(r"[0-9a-fA-F-]{30,38}")
_TAG = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}")


def check_context(name: str) -> str:
    """Return a context name, or raise ``InvalidName`` saying which rule it breaks."""
    if _CONTEXT.fullmatch(name) is None:
        raise InvalidName(
            f"{name[:64]!r} is not a context name: a-z first, then a-z, 0-9 or _, 48 at most"
        )
    if name in RESERVED_CONTEXTS:
        raise InvalidName(f"{name!r} is a reserved word, not a context name")
    return name


def check_name(name: str, what: str = "name") -> str:
    """Return the name of a domain or an event type, or raise ``InvalidName``."""
    if _NAME.fullmatch(name) is None:
        raise InvalidName(
            f"{name[:64]!r} is not a {what}: a letter first, then letters, digits, '_', '.' or '-', "
            "128 at most"
        )
    if name in RESERVED_SEGMENTS:
        raise InvalidName(f"{name!r} is a reserved word, not a {what}")
    if looks_like_id(name):
        raise InvalidName(f"{name!r} looks like a UUID, so it cannot be a {what}")
    return name


def check_tag(tag: str) -> str:
    """Return a tag (1 to 256 characters, no control, no lone surrogate), or raise ``InvalidName``."""
    if _TAG.fullmatch(tag) is None:
        raise InvalidName(f"{tag[:64]!r} is not a tag: 1 to 256 characters without controls")
    return tag


def check_tags(tags: Sequence[str]) -> None:
    """Check the tags of an event. Raises ``LimitExceeded`` for too many, ``InvalidName`` for a bad one."""
    if len(tags) > TAGS_MAX:
        raise LimitExceeded(f"an event may have {TAGS_MAX} tags, not {len(tags)}", "tags")
    for tag in tags:
        check_tag(tag)


def looks_like_id(text: str) -> bool:
    """Tell whether a path segment is meant as an id: well-formed or not."""
    return _LIKE_UUID.fullmatch(text) is not None
