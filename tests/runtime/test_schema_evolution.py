"""What one version of an application recorded, a later one reads: chained, renamed, split, parked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from perdure import Accepted, App, Context, Envelope, Parked, Rejected
from perdure.vocabulary.ids import event_ticks
from tests.runtime.evolving import (
    Deposited,
    DepositedAtFirst,
    Exchanged,
    Noticed,
    PaidOut,
    Statement,
    Withdrawn,
    evolved,
    first_bank,
    in_cents,
    in_euro,
    line_of,
    lines,
    today_s_bank,
)
from tests.runtime.support import Opener, at_second, opener, raw

__all__ = ["opener"]


async def test_a_later_application_reads_what_an_earlier_one_recorded(opener: Opener) -> None:
    first, account = first_bank(), uuid4()
    async with opener(first) as app:
        await app.append(
            first.new(account, DepositedAtFirst(Decimal("12.34")), id=at_second(1)),
            first.new(account, PaidOut(200, "EUR"), id=at_second(2)),
            first.new(account, Exchanged(100, "EUR", 110, "USD"), id=at_second(3)),
            first.new(account, Exchanged(0, "EUR", 0, "USD"), id=at_second(4)),
        )
    async with opener(Context("bank")) as app:
        event = raw("deposited", account, b'{"cents":5}', at_second(5))
        await app.append(msgspec.structs.replace(event, metadata=b'{"schema":2}'))

    bank = today_s_bank()
    async with opener(bank) as app:
        token = (await app.append(bank.new(account, Deposited(7, "USD"), id=at_second(6)))).position
        everything = (
            "Deposited 1234 EUR",
            "Withdrawn 200 EUR",
            "Withdrawn 100 EUR",
            "Deposited 110 USD",
            "Deposited 5 EUR",
            "Deposited 7 USD",
        )

        assert token == 6
        for domain, key in (("of_account", account), ("as_recorded", account), ("of_bank", "")):
            assert await lines(app, domain, key, token) == everything
        for currency in ("EUR", "USD"):
            wanted = tuple(line for line in everything if line.endswith(currency))
            assert await lines(app, "of_currency", currency, token) == wanted


async def test_what_is_recorded_stays_as_it_is(opener: Opener) -> None:
    first, account = first_bank(), uuid4()
    async with opener(first) as app:
        await app.append(first.new(account, DepositedAtFirst(Decimal("12.34"))))
    bank = today_s_bank()
    async with opener(bank) as app:
        await app.append(bank.new(account, Deposited(1, "EUR")))
        events = [event async for event in app.events()]

    assert [(event.type, event.data, event.metadata) for event in events] == [
        ("deposited", b'{"amount":12.34}', b""),
        ("deposited", b'{"cents":1,"currency":"EUR"}', b'{"schema":3}'),
    ]


async def test_a_model_as_of_an_earlier_place_is_told_in_today_s_words(opener: Opener) -> None:
    first, account = first_bank(), uuid4()
    async with opener(first) as app:
        await app.append(
            first.new(account, PaidOut(1, "EUR"), id=at_second(1)),
            first.new(account, Exchanged(2, "EUR", 3, "USD"), id=at_second(2)),
            first.new(account, Exchanged(0, "EUR", 0, "USD"), id=at_second(3)),
        )
    async with opener(today_s_bank()) as app:
        models = app.context("bank").models
        await lines(app, "of_currency", "USD", 3)
        view = await models.as_of("of_currency", "USD", position=3, at=None)
        story = [step.event.type async for step in models.story("of_account", str(account))]

    assert msgspec.json.decode(view.json) == {"lines": ["Deposited 3 USD"]}
    assert story == ["paid_out", "exchanged"]


async def test_an_old_type_may_still_be_appended_and_gives_out_what_its_parts_do(
    opener: Opener,
) -> None:
    bank = evolved(Context("bank"))
    service = bank.service("noticing", Statement)

    @service.react
    def happened(
        model: Statement, event: Envelope[Deposited | Withdrawn]
    ) -> tuple[Statement, list[Noticed]]:
        line = f"{event.type}: {line_of(event.data)}"
        return Statement((*model.lines, line)), [Noticed(line)]

    account = uuid4()
    old = b'{"sold":2,"sold_currency":"EUR","bought":3,"bought_currency":"USD"}'
    async with opener(bank) as app:
        token = (await app.append(raw("exchanged", account, old, at_second(1)))).position
        await app.append(raw("paid_out", account, b'{"cents":1,"currency":"EUR"}', at_second(2)))
        live = app.context("bank")
        while (await live.size()).events < 5:
            await live.log.advanced(await live.head(), 0.02)
        given = [event async for event in app.events() if event.type == "noticed"]
        seen = await lines(app, "noticing", account, token + 1)

    wanted = [
        "withdrawn: Withdrawn 2 EUR",
        "deposited: Deposited 3 USD",
        "withdrawn: Withdrawn 1 EUR",
    ]
    assert [msgspec.json.decode(event.data)["line"] for event in given] == wanted
    assert seen == tuple(wanted)
    assert all(event.ticks > event_ticks(at_second(1).bytes) for event in given)


async def test_what_a_reaction_gives_out_is_recorded_with_its_version(opener: Opener) -> None:
    bank = evolved(Context("bank"))
    service = bank.service("bonus", Statement)

    @service.react
    def withdrawn(model: Statement, event: Withdrawn) -> tuple[Statement, list[Deposited]]:
        return model, [Deposited(event.cents // 100, event.currency)]

    async with opener(bank) as app:
        await app.append(bank.new(uuid4(), Withdrawn(500, "EUR")))
        live = app.context("bank")
        while (await live.size()).events < 2:
            await live.log.advanced(await live.head(), 0.02)
        given = [event async for event in app.events() if event.type == "deposited"]

    assert [msgspec.json.decode(event.metadata)["schema"] for event in given] == [3]


async def test_what_is_appended_without_a_version_has_today_s(opener: Opener) -> None:
    bank, account = today_s_bank(), uuid4()
    async with opener(bank) as app:
        event = raw("deposited", account, b'{"cents":1,"currency":"EUR"}', at_second(1))
        token = (await app.append(event)).position

        assert await lines(app, "of_account", account, token) == ("Deposited 1 EUR",)
        (stored,) = [event async for event in app.events()]
        assert stored.metadata == b'{"schema":3}'


async def test_a_batched_reaction_takes_renamed_events_in_runs_and_parts_alone(
    opener: Opener,
) -> None:
    first, account = first_bank(), uuid4()
    async with opener(first) as app:
        await app.append(
            *(first.new(account, PaidOut(n, "EUR"), id=at_second(n)) for n in range(1, 4)),
            first.new(account, Exchanged(4, "EUR", 4, "USD"), id=at_second(4)),
            first.new(account, PaidOut(5, "EUR"), id=at_second(5)),
        )
    bank = evolved(Context("bank"))
    service = bank.service("runs", Statement)

    @service.react
    def withdrawn(model: Statement, events: Sequence[Withdrawn]) -> Statement:
        return Statement((*model.lines, " ".join(str(event.cents) for event in events)))

    async with opener(bank) as app:
        assert await lines(app, "runs", account, 5) == ("1 2 3", "4", "5")


@dataclass(frozen=True)
class Account:
    cents: int = 0
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pay:
    cents: int


async def test_an_entity_decides_on_what_an_earlier_application_recorded(opener: Opener) -> None:
    first, account = first_bank(), uuid4()
    async with opener(first) as app:
        await app.append(
            first.new(account, DepositedAtFirst(Decimal("12.34")), id=at_second(1)),
            first.new(account, Exchanged(100, "EUR", 110, "USD"), id=at_second(2)),
            first.new(account, PaidOut(200, "EUR"), id=at_second(3)),
        )
    bank = evolved(Context("bank"))
    kind = bank.entity("account", Account)

    @kind.update
    def moved(state: Account, event: Deposited | Withdrawn) -> Account:
        sign = 1 if isinstance(event, Deposited) else -1
        return Account(state.cents + sign * event.cents, (*state.told, line_of(event)))

    @kind.handle
    def pay(state: Account, command: Pay) -> list[Deposited]:
        if command.cents > state.cents:
            raise Rejected(f"there are {state.cents}")
        return [Deposited(command.cents, "EUR")]

    async with opener(bank) as app:
        paid = await app.send(kind[account], Pay(1044))
        refused = await app.send(kind[account], Pay(5000))
        (*_, last) = [event async for event in app.events()]

    assert isinstance(paid, Accepted)
    assert paid.version == 4
    assert paid.state.told == (
        "Deposited 1234 EUR",
        "Withdrawn 100 EUR",
        "Deposited 110 USD",
        "Withdrawn 200 EUR",
        "Deposited 1044 EUR",
    )
    assert isinstance(refused, Rejected)
    assert (last.type, msgspec.json.decode(last.metadata)["schema"]) == ("deposited", 3)


async def test_a_failing_upcaster_parks_the_entity_and_no_other(opener: Opener) -> None:
    first, ill, well = first_bank(), uuid4(), uuid4()
    async with opener(first) as app:
        for second, account in enumerate((ill, well, ill, well)):
            deposited = DepositedAtFirst(Decimal(second))
            await app.append(first.new(account, deposited, id=at_second(second)))

    def bank_with(upcaster: Any) -> Context:
        bank = Context("bank")
        bank.event("deposited", version=2)(Withdrawn)
        bank.upcast("deposited", 1)(upcaster)

        @bank.service("of_account", Statement).react
        def deposited(model: Statement, event: Withdrawn) -> Statement:
            return Statement((*model.lines, line_of(event)))

        return bank

    def failing(data: dict[str, Any]) -> dict[str, Any]:
        if data["amount"] == 2:
            raise ValueError("two is too much")
        return in_euro(in_cents(data))

    async with opener(bank_with(failing)) as app:
        assert await lines(app, "of_account", well, 4) == ("Withdrawn 100 EUR", "Withdrawn 300 EUR")
        with pytest.raises(Parked, match="ValueError: two is too much"):
            await lines(app, "of_account", ill, 4)

    async with opener(bank_with(lambda data: in_euro(in_cents(data)))) as app:
        await until_free(app)

        assert await lines(app, "of_account", ill, 4) == ("Withdrawn 0 EUR", "Withdrawn 200 EUR")


async def test_an_event_of_a_newer_application_is_parked_not_misread(opener: Opener) -> None:
    """While nodes are being replaced one by one, an old one may see what a new one records."""

    def bank_of(version: int) -> Context:
        bank = Context("bank")
        bank.event("withdrawn", version=version)(Withdrawn)
        if version > 1:
            bank.upcast("withdrawn", 1)(lambda data: data | {"cents": data["cents"] * 100})

        @bank.service("of_account", Statement).react
        def withdrawn(model: Statement, event: Withdrawn) -> Statement:
            return Statement((*model.lines, line_of(event)))

        return bank

    old, new, account = bank_of(1), bank_of(2), uuid4()
    async with opener(old, react=False) as app:
        await app.append(old.new(account, Withdrawn(1, "EUR"), id=at_second(1)))
    async with opener(new, react=False) as app:
        await app.append(new.new(account, Withdrawn(250, "EUR"), id=at_second(2)))
    async with opener(old) as app:
        with pytest.raises(Parked, match="recorded in version 2; this application knows 1"):
            await lines(app, "of_account", account, 2)
    async with opener(new) as app:
        await until_free(app)

        assert (await lines(app, "of_account", account, 2))[-1] == "Withdrawn 250 EUR"


async def until_free(app: App) -> None:
    live = app.context("bank")
    async with asyncio.timeout(20):
        while await live.log.records("parked", prefix="of_account/"):
            await live.log.advanced(await live.head(), 0.02)
