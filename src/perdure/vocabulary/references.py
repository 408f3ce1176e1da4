"""Names of things that functions look up and send to: a model, an entity, events that match.

A reference is a value. Making one touches nothing; it is resolved by whoever it is given to.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.ids import entity_id
from perdure.vocabulary.names import check_tag

M = TypeVar("M")
E = TypeVar("E")


class ModelRef(msgspec.Struct, Generic[M], frozen=True):
    """Names one model: the context, the domain it is kept under, and its key."""

    context: str
    domain: str
    key: str


class EntityRef(ModelRef[M], Generic[M], frozen=True):
    """Names one entity of a kind; it need not exist yet. ``key`` is its id as text."""


class Matching(msgspec.Struct, Generic[E], frozen=True):
    """Names recorded events, for a LOW handler to look up: see ``matching``."""

    classes: tuple[type[Any], ...]
    tags: tuple[str, ...]
    entities: tuple[bytes, ...]

    def criteria(self, types: Sequence[str]) -> Criteria:
        """Give the selection, once the classes have their wire names."""
        return Criteria(types=tuple(types), tags=self.tags, entities=self.entities)


def matching(
    event: type[E], *, tags: Sequence[str] = (), entities: Sequence[UUID | str] = ()
) -> Matching[E]:
    """Name the recorded events of a type that carry all these tags and are about one of these entities.

    What a LOW handler looks up this way, it decides on: its commit fails, and it is run again, when
    another such event was recorded meanwhile (a dynamic consistency boundary).
    """
    return Matching(
        (event,),
        tuple(check_tag(tag) for tag in tags),
        tuple(entity_id(entity) for entity in entities),
    )
