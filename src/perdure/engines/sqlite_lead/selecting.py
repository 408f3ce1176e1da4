"""Criteria as SQL: an optimisation of ``Criteria.matches``, which the conformance suite compares."""

from typing import Any

from perdure.vocabulary.criteria import Criteria


def where(criteria: Criteria) -> tuple[str, list[Any]]:
    """Give the condition on ``events e JOIN entities n`` and its values, bound in this order.

    One type uses the index by type. Several do not: it would sort what the log holds in order already.
    """
    conditions: list[str] = []
    values: list[Any] = []
    alone = not criteria.entities
    for column, chosen in (("e.type", criteria.types), ("e.domain", criteria.domains)):
        if len(chosen) == 1 and alone:
            conditions.append(f"{column} = (SELECT no FROM names WHERE name = ?)")
        elif chosen:
            conditions.append(
                f"+{column} IN (SELECT no FROM names WHERE name IN ({_marks(chosen)}))"
            )
        values += chosen
    if criteria.entities:
        conditions.append(
            f"e.entity IN (SELECT no FROM entities WHERE id IN ({_marks(criteria.entities)}))"
        )
        values += criteria.entities
    for tag in criteria.tags:
        conditions.append(
            "e.position IN (SELECT position FROM event_tags "
            "WHERE tag = (SELECT no FROM names WHERE name = ?))"
        )
        values.append(tag)
    return " AND ".join(conditions) or "1", values


def _marks(values: tuple[Any, ...]) -> str:
    return ",".join("?" * len(values))
