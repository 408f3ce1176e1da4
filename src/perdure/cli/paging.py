"""Reading records and intents a page at a time, so that memory stays the same however many there are."""

from collections.abc import AsyncIterator

from perdure.ports.engine import Log
from perdure.vocabulary.commits import Intent, Record

_PAGE = 1000
#: An intent may hold a megabyte: not too many at a time.
_INTENTS = 100


async def records(log: Log, kind: str, prefix: str = "") -> AsyncIterator[Record]:
    """Give all records of a kind whose key has the prefix, in order of key."""
    after = ""
    while page := await log.records(kind, prefix=prefix, after=after, limit=_PAGE):
        for record in page:
            yield record
        after = page[-1].key


async def intents(log: Log, kind: str, *, due: int | None = None) -> AsyncIterator[list[Intent]]:
    """Give the open intents of a kind in pages, in the order in which they are due.

    With ``due``, in microseconds since 1970, only those due at or before it.
    """
    after: tuple[int, int] | None = None
    while page := await log.intents(kind, due=due, after=after, limit=_INTENTS):
        yield page
        after = page[-1].due, page[-1].place
