"""A kind of entity as the user declares it: it decides on itself.

``handle`` says what a command makes of the state, ``update`` what an event makes of it. An entity is never
created: every id names one, and what nobody has sent anything to has the initial state.
"""

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar
from uuid import UUID

from perdure.core.values import Outputs
from perdure.vocabulary.ids import entity_id, entity_named, id_text
from perdure.vocabulary.references import EntityRef

M = TypeVar("M")
C = TypeVar("C")
R = TypeVar("R")
P = ParamSpec("P")


class EntityKind(Generic[M]):
    """A kind of entity: functions from a state and a command to events, and from an event to a state.

    Made by ``Context.entity``. ``account[entity_id]`` names one.
    """

    def __init__(
        self,
        context: str,
        name: str,
        state: type[M],
        *,
        raw: bool,
        snapshot_every: int,
        snapshots_kept: int,
        version: int,
        idle_seconds: float,
    ) -> None:
        self.context, self.name, self.state = context, name, state
        self.raw, self.version, self.idle_seconds = raw, version, idle_seconds
        self.snapshot_every, self.snapshots_kept = snapshot_every, snapshots_kept
        self.updates: list[Callable[..., Any]] = []
        self.handlers: list[Callable[..., Any]] = []
        self.queries: list[Callable[..., Any]] = []

    def update(self, function: Callable[Concatenate[M, P], M], /) -> Callable[Concatenate[M, P], M]:
        """Add a function ``(state, event) -> state``; the annotation says which events it takes.

        The keyword-only parameters ``at``, ``entity`` and ``event_id`` are given by name. Returns the
        function unchanged.
        """
        self.updates.append(function)
        return function

    def handle(
        self, function: Callable[Concatenate[M, C, P], Outputs], /
    ) -> Callable[Concatenate[M, C, P], Outputs]:
        """Add a function ``(state, command) -> [events, and what else to give out]``.

        The annotation of its second parameter says which command it takes. It must not act, only say:
        events (about this entity), ``Send``, effects, ``After``, ``At``, ``Cancel``, ``Emit``, ``Statement``,
        ``Reply``, ``Stop``. An empty list changes nothing and is accepted; ``raise Rejected("why")`` says no.
        The keyword-only parameters ``now``, ``entity``, ``version``, ``command_id``, ``principal`` and
        ``new_id`` are given by name, the same whenever the same command is handled. Returns the
        function unchanged.
        """
        self.handlers.append(function)
        return function

    def query(self, function: Callable[[M], R], /) -> Callable[[M], R]:
        """Name a function that says something about a state, for ``?query=NAME`` over HTTP.

        In Python give the function itself: ``app.model(account[id], query=balance)``. Returns the function
        unchanged.
        """
        self.queries.append(function)
        return function

    def __getitem__(self, key: UUID | str) -> EntityRef[M]:
        """Name an entity by its id. Raises ``InvalidId``."""
        return EntityRef(self.context, self.name, id_text(entity_id(key)))

    def named(self, natural_key: str) -> EntityRef[M]:
        """Name the entity that belongs to a natural key, such as an account number."""
        return self[entity_named(self.name, natural_key)]
