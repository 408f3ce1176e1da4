"""A domain service as the user declares it, and references to its models."""

from collections.abc import Callable
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload
from uuid import UUID

from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.names import check_name
from perdure.vocabulary.references import ModelRef

M = TypeVar("M")
N = TypeVar("N")
P = ParamSpec("P")

#: One model, or a model and what is given out, or several models in the order they were taken.
Reaction1 = Callable[Concatenate[M, P], M]
ReactionN = Callable[Concatenate[M, P], tuple[M, *tuple[Any, ...]]]


class Service(Generic[M]):
    """A domain service: functions from a model and an event to a model.

    Made by ``Context.service``. ``service[entity]`` names a model of it, for ``app.model``.
    """

    def __init__(
        self,
        context: str,
        name: str,
        model: type[M],
        *,
        single: bool,
        by: str | Callable[[Any], object] | None,
        order: Literal["happened", "recorded"],
        domains: tuple[str, ...],
        emit_history: bool,
    ) -> None:
        if single and by is not None:
            raise DefinitionError(f"{context}.{name}: single and by exclude one another")
        self.context, self.name = context, name
        self.single, self.by = single, by
        self.order: Literal["happened", "recorded"] = order
        self.domains, self.emit_history = domains, emit_history
        self.models: dict[str, type[Any]] = {name: model}
        self.reactions: list[tuple[Callable[..., Any], tuple[str, ...]]] = []

    @overload
    def react(self, function: Reaction1[M, P], /) -> Reaction1[M, P]: ...
    @overload
    def react(self, function: ReactionN[M, P], /) -> ReactionN[M, P]: ...
    @overload
    def react(self, *types: str) -> Callable[[Callable[P, N]], Callable[P, N]]: ...

    def react(self, *given: Any) -> Any:
        """Add a function ``(model, event) -> model`` or ``-> (model, [events to give out])``.

        The annotation of its event says which events it takes: a class, a union, ``Envelope[...]`` of
        them, or ``Sequence[...]`` for runs of events at once. For types that no class was declared
        for, name them: ``@cart.react("item_seen")``; the event is then a ``dict``. The keyword-only
        parameters ``at``, ``entity``, ``event_id``, ``position`` and ``key`` are given by name. Returns
        the function unchanged.
        """
        if len(given) == 1 and callable(given[0]):
            self.reactions.append((given[0], ()))
            return given[0]
        names = tuple(check_name(name, "event type") for name in given)

        def add(function: Callable[P, N]) -> Callable[P, N]:
            self.reactions.append((function, names))
            return function

        return add

    def beside(self, name: str, model: type[N]) -> "Service[M]":
        """Keep another model of the same key, under its own name; a function may take both.

        ``def f(cart: Cart, visit: Visit, event: ItemAdded) -> tuple[Cart, Visit]``. All models of a key
        move together. Returns the service.
        """
        if check_name(name, "domain") in self.models:
            raise DefinitionError(f"{self.context}.{self.name}: two models are named {name!r}")
        self.models[name] = model
        return self

    def __getitem__(self, key: UUID | str) -> ModelRef[M]:
        """Name the model of an entity, or of a value of the ``by`` field."""
        if self.single:
            raise DefinitionError(f"{self.context}.{self.name} has a single model: {self.name}.ref")
        return ModelRef(self.context, self.name, str(key))

    @property
    def ref(self) -> ModelRef[M]:
        """Name the single model of the service."""
        if not self.single:
            raise DefinitionError(f"{self.context}.{self.name} has a model a key: {self.name}[key]")
        return ModelRef(self.context, self.name, "")
