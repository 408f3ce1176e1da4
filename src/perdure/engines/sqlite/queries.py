"""The smaller questions: each a function of a connection that reads.

Events, records and intents are compared with their checksums. Lists of entities and domains are not: they
come from indexes alone.
"""

from collections.abc import Sequence
from itertools import islice, takewhile
from sys import maxsize

import apsw
from msgspec.structs import replace

from perdure.engines.sqlite.connection import fetch, fetch_value
from perdure.engines.sqlite.rows import (
    INTENT_COLUMNS,
    RECORD_COLUMNS,
    Decoder,
    read_intent,
    read_record,
)
from perdure.engines.sqlite.scan import first_match
from perdure.engines.sqlite.selecting import (
    Numbers,
    Parameters,
    Selection,
    conditions,
    is_few,
    look_up,
    positions,
)
from perdure.engines.sqlite.view import EVENT_BY_ID, LAST_OF_ENTITY
from perdure.vocabulary.commits import Intent, Record
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import event_ticks
from perdure.vocabulary.reading import Size

#: Lists that are merged at once.
_LISTS_MAX = 32

_RECORD = f"SELECT {RECORD_COLUMNS} FROM perdure_records WHERE kind = ? AND key "
_INTENT = f"SELECT {INTENT_COLUMNS} FROM perdure_intents WHERE id = ?"
_OF_KIND = (
    f"SELECT {INTENT_COLUMNS} FROM perdure_intents INDEXED BY perdure_intents_by_due "
    "WHERE kind = :kind AND due <= :upto AND "
)
#: The rest of one due time, then the later ones: two steps into the index, merged as they come. Of
#: ``(due, seq) > (:due, :place)`` SQLite would use the first half alone, and walk over the others.
_INTENTS = (
    f"{_OF_KIND} due = :due AND seq > :place UNION ALL {_OF_KIND} due > :due "
    "ORDER BY due, seq LIMIT :limit"
)
#: Before and behind every due time there is.
_FIRST, _LAST = (-(2**63), 0), 2**63 - 1
_DOMAINS = """WITH RECURSIVE found (no) AS (
    SELECT min(domain) FROM perdure_domain_entities
    UNION ALL
    SELECT (SELECT min(domain) FROM perdure_domain_entities WHERE domain > found.no)
    FROM found WHERE found.no IS NOT NULL
) SELECT name FROM perdure_names JOIN found USING (no) ORDER BY name"""


def head(connection: apsw.Connection) -> int:
    """Give the highest position."""
    return _one(connection, "SELECT max(position) FROM perdure_events")


def version(connection: apsw.Connection, decoder: Decoder, entity: bytes) -> int:
    """Give how many events the entity has, by the last of them."""
    events: list[RecordedEvent] = []
    sql = LAST_OF_ENTITY.replace("= ?", "= (SELECT no FROM perdure_entities WHERE id = ?)")
    decoder.decode(connection, fetch(connection, sql, (entity,)), events, maxsize)
    return events[0].version if events else 0


def events(
    connection: apsw.Connection, decoder: Decoder, ids: Sequence[bytes]
) -> list[RecordedEvent]:
    """Give the events stored under these ids, by position."""
    found: list[RecordedEvent] = []
    for id_ in set(ids):
        rows = fetch(connection, EVENT_BY_ID, (event_ticks(id_), id_))
        decoder.decode(connection, rows, found, maxsize)
    return sorted(found, key=lambda event: event.position)


def domains(connection: apsw.Connection) -> list[str]:
    """Give the domains that events carry, in order of name; one step in the index for each."""
    return [name for (name,) in fetch(connection, _DOMAINS)]


def record(connection: apsw.Connection, kind: str, key: str) -> Record | None:
    """Give one record, or ``None``."""
    found = fetch(connection, _RECORD + "= ?", (kind, key))
    return next(map(read_record, found), None)


def records_under(connection: apsw.Connection, kind: str, keys: Sequence[str]) -> list[Record]:
    """Give the records under these keys, in order of key."""
    found = (record(connection, kind, key) for key in sorted(set(keys)))
    return [each for each in found if each is not None]


def records_from(
    connection: apsw.Connection, kind: str, prefix: str, after: str, limit: int
) -> list[Record]:
    """Give a page of the records whose key begins with a prefix, in order of key, behind ``after``."""
    # SQLite orders text by its bytes, as Python does by its characters: those of a prefix are together.
    start, sign = (after, ">") if after >= prefix else (prefix, ">=")
    sql = f"{_RECORD}{sign} ? ORDER BY key LIMIT ?"
    beginning = prefix.encode()
    rows = fetch(connection, sql, (kind, start, limit))
    return list(map(read_record, takewhile(lambda row: row[1].startswith(beginning), rows)))


def intent(connection: apsw.Connection, id_: bytes) -> Intent | None:
    """Give one open intent, or ``None``."""
    return next(map(read_intent, fetch(connection, _INTENT, (id_,))), None)


def intents(
    connection: apsw.Connection,
    kind: str,
    upto: int | None,
    after: tuple[int, int] | None,
    limit: int,
) -> list[Intent]:
    """Give the open intents of a kind that are due up to some time, behind ``after``."""
    due, place = after or _FIRST
    latest = _LAST if upto is None else upto
    bound = {"kind": kind, "upto": latest, "due": due, "place": place, "limit": limit}
    return list(map(read_intent, fetch(connection, _INTENTS, bound)))


def size(connection: apsw.Connection) -> Size:
    """Count what is stored. Positions and entities are numbered without a hole."""
    return Size(
        head(connection),
        _one(connection, "SELECT max(no) FROM perdure_entities"),
        len(domains(connection)),
        _one(connection, "PRAGMA page_count") * _one(connection, "PRAGMA page_size"),
    )


def entities(
    connection: apsw.Connection, decoder: Decoder, criteria: Criteria, after: bytes, limit: int
) -> list[bytes]:
    """Give the entities that have a matching event, in order of id, behind ``after``."""
    numbers = look_up(connection, criteria)
    if numbers is None or limit == 0:
        return []
    if numbers.entities:
        candidates = sorted(entity for entity in set(criteria.entities) if entity > after)
        each = (replace(criteria, entities=(entity,)) for entity in candidates)
        matching = (c.entities[0] for c in each if first_match(connection, decoder, c, 0))
        return list(islice(matching, limit))
    wanted = _entities_listed(numbers) or _entities_of_few(connection, decoder, numbers)
    wanted = wanted or _entities_walked(numbers)
    parameters = {**wanted.parameters, "behind": after, "limit": limit}
    rows = fetch(connection, f"{wanted.sql} ORDER BY id LIMIT :limit", parameters)
    return [id_ for (id_,) in rows]


def _entities_listed(numbers: Numbers) -> Selection | None:
    """Domains alone have lists of their own."""
    if numbers.dimensions != 1 or not 0 < len(numbers.domains) <= _LISTS_MAX:
        return None
    lists = " UNION ".join(
        f"SELECT entity AS id FROM perdure_domain_entities WHERE domain = :domain{i} AND entity > :behind"
        for i in range(len(numbers.domains))
    )
    return Selection(lists, {f"domain{i}": domain for i, domain in enumerate(numbers.domains)})


def _entities_of_few(
    connection: apsw.Connection, decoder: Decoder, numbers: Numbers
) -> Selection | None:
    """When few events are candidates, look at each."""
    bounds: Parameters = {"after": 0, "upto": head(connection)}
    few = positions(numbers, "ASC")
    if few is None or not is_few(connection, few, bounds, decoder.settings.sorted_max):
        return None
    rest = conditions(numbers)
    sql = (
        f"SELECT DISTINCT n.id AS id FROM ({few.sql}) p "
        "JOIN perdure_events e ON e.position = p.position "
        f"JOIN perdure_entities n ON n.no = e.entity WHERE n.id > :behind AND {rest.sql}"
    )
    return Selection(sql, few.parameters | rest.parameters | bounds)


def _entities_walked(numbers: Numbers) -> Selection:
    """Else walk through the entities, until enough of them have a matching event."""
    wanted = conditions(numbers)
    sql = (
        "SELECT id FROM perdure_entities n WHERE id > :behind AND EXISTS "
        "(SELECT 1 FROM perdure_events e INDEXED BY perdure_events_by_entity "
        f"WHERE e.entity = n.no AND {wanted.sql})"
    )
    return Selection(sql, wanted.parameters)


def _one(connection: apsw.Connection, sql: str) -> int:
    return fetch_value(connection, sql) or 0
