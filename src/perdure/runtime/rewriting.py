"""Running ``write`` again over history: into the tables of before, or into another database."""

import re
from collections.abc import AsyncIterator

import msgspec

from perdure.core.definition import Definition
from perdure.ports.engine import Log
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    NothingAfter,
    Statement,
    StatementFailed,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import ConfigurationError, Contended, InvalidData
from perdure.vocabulary.reading import Read

ATTEMPTS = 5
_TABLE = re.compile(r"\s*CREATE\s+TABLE\s+IF\s+NOT\s+EXISTS\s+([A-Za-z_]\w*)\b", re.IGNORECASE)


class Written(msgspec.Struct, frozen=True):
    """What an event at a position changes in the user's own tables."""

    position: int
    statements: tuple[Statement, ...]


async def writes(
    log: Log, definition: Definition, *, after: int = 0, upto: int | None = None
) -> AsyncIterator[Written]:
    """Give what ``write`` makes of each recorded event, by position, in constant memory."""
    criteria = _written(definition)
    if not criteria.types:
        return
    async for events in log.read(Read(criteria=criteria, after=after, upto=upto)):
        for event in events:
            statements = definition.statements((event,))
            if statements:
                yield Written(event.position, statements)


async def rewrite(log: Log, definition: Definition) -> int:
    """Empty the context's own tables and write them again, in one commit; give how many events were in it.

    Raises ``Contended`` when events are recorded faster than this, ``InvalidData`` when a statement fails:
    the tables are as they were then.
    """
    tables = [table for sql in definition.tables for table in _TABLE.findall(sql)]
    if not tables:
        raise ConfigurationError(f"context {definition.name!r} declares no table of its own")
    for _ in range(ATTEMPTS):
        head, count = await log.head(), 0
        statements = [Statement(f"DELETE FROM {table}") for table in reversed(tables)]
        async for written in writes(log, definition, upto=head):
            statements += written.statements
            count += 1
        guard = NothingAfter(_written(definition), head)
        commit = Commit(guards=(guard,), statements=tuple(statements))
        (verdict,) = await log.commit([commit])
        if isinstance(verdict, Committed):
            return count
        if isinstance(verdict, StatementFailed):
            raise InvalidData(f"statement {verdict.index}: {verdict.reason}; no table was changed")
    raise Contended(f"the tables of {definition.name}", ATTEMPTS)


def _written(definition: Definition) -> Criteria:
    """Select the events that change tables, under all names they were ever recorded by."""
    names = {old for name in definition.writers for old in definition.upcasters.names_for(name)}
    return Criteria(types=tuple(sorted(names)))
