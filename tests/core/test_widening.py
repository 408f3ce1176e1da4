"""Entities and writers take what was recorded under an old name, as one event each."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from perdure import Context, Statement
from perdure.core.definition import define
from perdure.core.kinds import EntityState
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import make_event_id


@dataclass(frozen=True)
class Deposited:
    cents: int


@dataclass(frozen=True)
class FeeCharged:
    cents: int


@dataclass(frozen=True)
class Balance:
    cents: int = 0
    told: tuple[str, ...] = ()


def bank() -> Context:
    context = Context("bank")
    context.event("deposited", version=2)(Deposited)
    context.event(FeeCharged)

    @context.upcast("deposited", 1, into=["deposited", "fee_charged"])
    def split(data: dict[str, Any]) -> list[Any]:
        return [{"cents": data["gross"]}, ("fee_charged", {"cents": data["fee"]})]

    context.upcast("paid_in", 1, into="deposited")(lambda data: data)
    context.upcast("noise", 1, into=["fee_charged"])(lambda data: [])
    return context


def recorded(version: int, type_: str, data: bytes, metadata: bytes = b"") -> RecordedEvent:
    return RecordedEvent(
        position=version * 10,
        version=version,
        ticks=version,
        recorded_at=0,
        type=type_,
        entity=UUID(int=7).bytes,
        id=make_event_id(version, 0, 0),
        data=data,
        metadata=metadata,
    )


HISTORY = [
    recorded(1, "paid_in", b'{"gross":100,"fee":1}'),
    recorded(2, "noise", b"{}"),
    recorded(3, "deposited", b'{"gross":50,"fee":2}'),
    recorded(4, "unheard", b"{}"),
    recorded(5, "deposited", b'{"cents":7}', b'{"schema":2}'),
]


def test_an_entity_folds_old_events_each_as_one_version() -> None:
    context = bank()
    account = context.entity("account", Balance)

    @account.update
    def deposited(state: Balance, event: Deposited, *, entity: UUID) -> Balance:
        return Balance(state.cents + event.cents, (*state.told, f"+{event.cents}"))

    @account.update
    def charged(state: Balance, event: FeeCharged) -> Balance:
        return Balance(state.cents - event.cents, (*state.told, f"-{event.cents}"))

    kind = define(context).kinds["account"]

    assert kind.advance(kind.begin(), HISTORY) == EntityState(
        Balance(154, ("+100", "-1", "+50", "-2", "+7")), version=5, ticks=5, position=50
    )
    assert kind.reactor.criteria.types == ("deposited", "fee_charged", "noise", "paid_in")


def test_an_entity_skips_the_parts_it_does_not_take() -> None:
    context = bank()
    account = context.entity("account", Balance)

    @account.update
    def charged(state: Balance, event: FeeCharged) -> Balance:
        return Balance(state.cents - event.cents)

    kind = define(context).kinds["account"]

    assert kind.advance(kind.begin(), HISTORY).state == Balance(-3)


def test_a_reaction_by_name_gets_a_dictionary_in_today_s_shape() -> None:
    context = bank()
    service = context.service("seen", Balance)

    @service.react("fee_charged")
    def charged(model: Balance, event: dict[str, Any]) -> Balance:
        return Balance(model.cents + event["cents"])

    reactor = define(context).reactors["seen"]
    read = [reactor.read(event) for event in HISTORY if event.type in reactor.criteria.types]

    assert [[part.payload for part in parts.items] for parts in read] == [
        [{"cents": 1}],
        [],
        [{"cents": 2}],
        [],
    ]


def test_writers_run_over_history_in_today_s_words() -> None:
    context = bank()

    @context.write
    def deposited(event: Deposited, *, entity: UUID) -> list[Statement]:
        return [Statement("INSERT INTO deposits VALUES (?, ?)", (str(entity), event.cents))]

    @context.write
    def charged(event: FeeCharged) -> list[Statement]:
        return [Statement("INSERT INTO fees VALUES (?)", (event.cents,))]

    statements = define(context).statements(HISTORY)

    assert [statement.parameters[-1] for statement in statements] == [100, 1, 50, 2, 7]
