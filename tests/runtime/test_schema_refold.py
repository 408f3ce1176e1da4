"""Late events across versions: models are those of a sorted fold, whoever recorded what."""

import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from perdure import App, Context, NewEvent
from tests.runtime.evolving import (
    Deposited,
    DepositedAtFirst,
    Exchanged,
    PaidOut,
    Statement,
    Withdrawn,
    evolved,
    first_bank,
    line_of,
    lines,
    today_s_bank,
)
from tests.runtime.support import Opener, at_second, opener

__all__ = ["opener"]


def parts_of(event: NewEvent) -> list[Deposited | Withdrawn]:
    """What an event comes to, worked out without an upcaster."""
    data = msgspec.json.decode(event.data)
    match event.type, event.metadata:
        case "deposited", b"":
            return [Deposited(round(data["amount"] * 100), "EUR")]
        case "deposited", _:
            return [Deposited(**data)]
        case "exchanged", _ if data["sold"]:
            return [
                Withdrawn(data["sold"], data["sold_currency"]),
                Deposited(data["bought"], data["bought_currency"]),
            ]
        case "exchanged", _:
            return []
    return [Withdrawn(**data)]


def arrivals(seed: int, accounts: Sequence[UUID]) -> tuple[list[NewEvent], list[NewEvent]]:
    """Make events of the first version and of today's, each in an order of arrival of its own."""
    chance = random.Random(seed)
    first, bank = first_bank(), today_s_bank()
    old: list[NewEvent] = []
    new: list[NewEvent] = []
    for number in range(1, 400):
        cents, currency = number * 100, chance.choice(["EUR", "USD"])
        choice = chance.randrange(6)
        id_ = at_second(number, node=chance.getrandbits(40))
        account = chance.choice(accounts)
        if choice == 0:
            event: Any = DepositedAtFirst(Decimal(number))
        elif choice == 1:
            event = PaidOut(cents, currency)
        elif choice == 2:
            event = Exchanged(cents * chance.randrange(2), "EUR", cents + 1, "USD")
        else:
            event = chance.choice([Deposited, Withdrawn])(cents, currency)
        made = (first if choice < 3 else bank).new(account, event, id=id_)
        (old if choice < 3 else new).append(made)
    return (
        sorted(old, key=lambda _: chance.random()),
        sorted(new, key=lambda event: event.ticks + chance.randrange(2) * 10**9),
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_models_are_those_of_a_sorted_fold_across_versions(opener: Opener, seed: int) -> None:
    """Half of today's events happened long before what arrived before them: keys fold again."""
    accounts = [uuid4(), uuid4()]
    old, new = arrivals(seed, accounts)
    async with opener(first_bank()) as app:
        await app.append(*old)

    async with opener(today_s_bank(), batch_events=40) as app:
        token = 0
        for start in range(0, len(new), 20):
            token = (await app.append(*new[start : start + 20])).position
        await assert_models(app, accounts, [*old, *new], token)

        assert all(
            app.context("bank").loops[name].refolds for name in ("of_account", "of_currency")
        )


async def assert_models(
    app: App, accounts: Sequence[UUID], events: list[NewEvent], token: int
) -> None:
    happened = sorted(events, key=lambda event: (event.ticks, event.id))
    parts = [part for event in happened for part in parts_of(event)]
    assert await lines(app, "of_bank", "", token) == tuple(map(line_of, parts))
    for currency in ("EUR", "USD"):
        wanted = tuple(line_of(part) for part in parts if part.currency == currency)
        assert await lines(app, "of_currency", currency, token) == wanted
    for account in accounts:
        for domain, ordered in (("of_account", happened), ("as_recorded", events)):
            mine = [part for e in ordered if e.entity == account.bytes for part in parts_of(e)]
            assert await lines(app, domain, account, token) == tuple(map(line_of, mine))


async def test_a_late_event_refolds_a_key_that_an_earlier_application_folded(
    opener: Opener,
) -> None:
    """The service is the same in both; the keys of its models were found by the first."""

    def with_service(bank: Context, taken: Any) -> Context:
        service = bank.service("of_currency", Statement, by=lambda event: event.currency)

        def happened(model: Statement, event: Any) -> Statement:
            return Statement((*model.lines, f"{event.cents} {event.currency}"))

        happened.__annotations__["event"] = taken
        service.react(happened)
        return bank

    first, account = with_service(first_bank(), PaidOut), uuid4()
    async with opener(first) as app:
        for second in (10, 30):
            await app.append(first.new(account, PaidOut(second, "EUR"), id=at_second(second)))
        await lines(app, "of_currency", "EUR", 2)

    bank = with_service(evolved(Context("bank")), Withdrawn)
    async with opener(bank) as app:
        late = bank.new(account, Withdrawn(20, "EUR"), id=at_second(20))
        token = (await app.append(late)).position

        assert await lines(app, "of_currency", "EUR", token) == ("10 EUR", "20 EUR", "30 EUR")
