"""A saga read and checked: a reactor with two models of a key, the user's and where it stands."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args, get_origin

import msgspec

from perdure.core.answers import CommandAnswered, SagaStatus, answered_type
from perdure.core.codec import Codec
from perdure.core.context import CommandType
from perdure.core.event_type import EventType
from perdure.core.reactions import Delivery, Models, Reaction, read_reaction
from perdure.core.reactor import Reactor, read_service
from perdure.core.saga import Saga
from perdure.core.signatures import hints_of, label_of, parameters_of
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.messages import Complete, Done, Refused


class Step(Reaction, frozen=True, kw_only=True):
    """One reaction of a saga: passed over once it is complete."""

    inner: Reaction

    def call(
        self, models: Models, run: Sequence[Delivery], key: str
    ) -> tuple[Models, Sequence[Any]]:
        """Take an event on, unless the saga is finished."""
        model, status = models
        if status.is_complete:
            return models, ()
        (after,), outputs = self.inner.call((model,), run, key)
        ends = any(type(output) is Complete for output in outputs)
        given = [output for output in outputs if type(output) is not Complete]
        at = run[-1].event.happened_at
        return (after, SagaStatus(ends, status.began_at or at, at)), given


class Outcomes(Reaction, frozen=True, kw_only=True):
    """Takes what became of the saga's commands to the function that asked for it; to none, where none did."""

    by_command: Mapping[tuple[bool, str], tuple[Reaction, Codec[Any]]]

    def call(
        self, models: Models, run: Sequence[Delivery], key: str
    ) -> tuple[Models, Sequence[Any]]:
        """Hand the outcome over as ``Done`` or ``Refused``."""
        (delivery,) = run
        told: CommandAnswered = delivery.payload
        found = self.by_command.get((told.accepted, told.command))
        if found is None:
            return models, ()
        reaction, codec = found
        command = codec.decode(msgspec.json.encode(told.data))
        outcome: Any = (
            Done(command, told.command_id, told.reply)
            if told.accepted
            else Refused(command, told.command_id, told.reason)
        )
        return reaction.call(models, (Delivery(delivery.event, outcome, delivery.fresh),), key)


def read_saga(
    saga: Saga[Any],
    types: Mapping[str, EventType],
    by_class: Mapping[type[Any], EventType],
    command_type: Callable[[type[Any]], CommandType],
) -> Reactor:
    """Read a saga's functions. Raises ``DefinitionError``."""
    owner = f"{saga.context}.{saga.name}"
    events, outcomes = _sort(saga, owner)
    declared = answered_type(saga.name)
    plain = Saga(saga.context, saga.name, saga.models[saga.name], by=saga.by or "")
    plain.reactions = events
    reactor = read_service(plain, types, by_class)
    model = saga.models[saga.name]
    by_command: dict[tuple[bool, str], tuple[Reaction, Codec[Any]]] = {}
    for function, accepted, cls in outcomes:
        command = command_type(cls)
        reaction = _read_outcome(function, model, owner)
        if (accepted, command.name) in by_command:
            raise DefinitionError(
                f"{reaction.label}: the outcome is taken by another function already"
            )
        by_command[accepted, command.name] = reaction, command.codec
    reactions: dict[str, Reaction] = {n: _step(r) for n, r in reactor.reactions.items()}
    if by_command:
        first = next(iter(by_command.values()))[0]
        reactions[declared.name] = _step(_outcomes(first, by_command))
    by = reactor.by

    def key_of(payload: Any) -> object:
        return payload.key if type(payload) is CommandAnswered else by(payload) if by else ""

    return msgspec.structs.replace(
        reactor,
        domains=(saga.name, f"{saga.name}.status"),
        codecs=(*reactor.codecs, Codec(SagaStatus)),
        initial=(*reactor.initial, SagaStatus()),
        by=key_of,
        criteria=Criteria(types=tuple(sorted(reactions))),
        reactions=reactions,
        payloads={**reactor.payloads, declared.name: declared},
        is_saga=True,
    )


def _sort(
    saga: Saga[Any], owner: str
) -> tuple[
    list[tuple[Callable[..., Any], tuple[str, ...]]],
    list[tuple[Callable[..., Any], bool, type[Any]]],
]:
    """Tell the functions that take events from those that take outcomes."""
    events: list[tuple[Callable[..., Any], tuple[str, ...]]] = []
    outcomes: list[tuple[Callable[..., Any], bool, type[Any]]] = []
    for function, names in saga.reactions:
        label = label_of(function, owner)
        hints = hints_of(function, label)
        positional, _ = parameters_of(function, label, least=2, shape="(model, event)")
        hint = hints.get(positional[-1])
        origin = get_origin(hint)
        if origin in (Done, Refused):
            (cls,) = get_args(hint)
            outcomes.append((function, origin is Done, cls))
        else:
            events.append((function, names))
    return events, outcomes


def _read_outcome(function: Callable[..., Any], model: type[Any], owner: str) -> Reaction:
    reaction = read_reaction(function, (model,), owner, by_name=True)
    return msgspec.structs.replace(reaction, plain=not reaction.wants)


def _step(inner: Reaction) -> Step:
    return Step(**_like(inner), inner=inner)


def _outcomes(
    first: Reaction, by_command: Mapping[tuple[bool, str], tuple[Reaction, Codec[Any]]]
) -> Outcomes:
    return Outcomes(**_like(first), by_command=by_command)


def _like(reaction: Reaction) -> dict[str, Any]:
    return {
        "function": reaction.function,
        "label": reaction.label,
        "classes": reaction.classes,
        "models": (0, 1),
        "wants": reaction.wants,
        "enveloped": reaction.enveloped,
        "batched": False,
    }
