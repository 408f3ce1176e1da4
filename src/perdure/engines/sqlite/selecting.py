"""Criteria as SQL: numbers for names, and the index that finds the fewest rows.

One rule: SQL only narrows. What it selects is compared with ``Criteria.matches`` once it is decoded, so a
damaged index can hide an event but never serve a wrong one.
"""

import json
from typing import NamedTuple, TypeAlias

import apsw

from perdure.engines.sqlite.connection import fetch_value
from perdure.vocabulary.criteria import Criteria

Parameters: TypeAlias = dict[str, object]

#: With more types or domains than this the log is read as it is: they are likely to be most of it.
_ARMS_MAX = 32

WITHIN = "position > :after AND position <= :upto"


class Numbers(NamedTuple):
    """Criteria with every name looked up; what is not stored is left out."""

    types: tuple[int, ...]
    domains: tuple[int, ...]
    entities: tuple[int, ...]
    tags: tuple[int, ...]

    @property
    def dimensions(self) -> int:
        """How many fields select."""
        return sum(map(bool, self))


class Selection(NamedTuple):
    """A piece of SQL and what is bound in it."""

    sql: str
    parameters: Parameters


def look_up(connection: apsw.Connection, criteria: Criteria) -> Numbers | None:
    """Look up the numbers of criteria; ``None`` when nothing that is stored can match."""

    def find(sql: str, values: tuple[object, ...]) -> tuple[int, ...]:
        found = (fetch_value(connection, sql, (value,)) for value in dict.fromkeys(values))
        return tuple(no for no in found if no is not None)

    by_name = "SELECT no FROM perdure_names WHERE name = ?"
    numbers = Numbers(
        find(by_name, criteria.types),
        find(by_name, criteria.domains),
        find("SELECT no FROM perdure_entities WHERE id = ?", criteria.entities),
        find(by_name, criteria.tags),
    )
    is_met = (
        bool(numbers.types) >= bool(criteria.types)
        and bool(numbers.domains) >= bool(criteria.domains)
        and bool(numbers.entities) >= bool(criteria.entities)
        and len(numbers.tags) == len(set(criteria.tags))
    )
    return numbers if is_met else None


def positions(numbers: Numbers, order: str) -> Selection | None:
    """Select positions ``WITHIN`` by the index on tags, types or domains, in order (``ASC``, ``DESC``).

    ``None`` when none of them serves. Of two fields that select the first is used, and the rest is left.
    """
    if numbers.tags:
        parameters: Parameters = {f"tag{i}": tag for i, tag in enumerate(numbers.tags)}
        others = "".join(
            f" AND EXISTS (SELECT 1 FROM perdure_event_tags o "
            f"WHERE o.tag = :tag{i} AND o.position = t.position)"
            for i in range(1, len(numbers.tags))
        )
        sql = f"SELECT position FROM perdure_event_tags t WHERE tag = :tag0 AND {WITHIN}{others}"
        return Selection(f"{sql} ORDER BY position {order}", parameters)
    for column, values in (("type", numbers.types), ("domain", numbers.domains)):
        if 0 < len(values) <= _ARMS_MAX:
            arms = (
                f"SELECT position FROM perdure_events INDEXED BY perdure_events_by_{column} "
                f"WHERE {column} = :{column}{i} AND {WITHIN}"
                for i in range(len(values))
            )
            # SQLite merges the arms as it goes, for each comes out of its index in order
            parameters = {f"{column}{i}": value for i, value in enumerate(values)}
            return Selection(f"{' UNION ALL '.join(arms)} ORDER BY 1 {order}", parameters)
    return None


def conditions(numbers: Numbers) -> Selection:
    """Write all of the criteria but the entities as conditions on an event ``e``."""
    parameters: Parameters = {f"tag{i}": tag for i, tag in enumerate(numbers.tags)}
    parts = [
        f"EXISTS (SELECT 1 FROM perdure_event_tags o WHERE o.tag = :{name} AND o.position = e.position)"
        for name in parameters
    ]
    for column, values in (("type", numbers.types), ("domain", numbers.domains)):
        if values:
            parts.append(f"e.{column} IN (SELECT value FROM json_each(:{column}s))")
            parameters[f"{column}s"] = json.dumps(values)
    return Selection(" AND ".join(parts) or "TRUE", parameters)


def is_few(connection: apsw.Connection, selection: Selection, bounds: Parameters, few: int) -> bool:
    """Tell whether a selection of positions finds no more than so many."""
    sql = f"SELECT count(*) FROM (SELECT 1 FROM ({selection.sql}) LIMIT {few + 1})"
    return bool(fetch_value(connection, sql, selection.parameters | bounds) <= few)
