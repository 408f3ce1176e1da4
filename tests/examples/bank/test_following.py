"""The bank's driver scenario (S5B.11), and money that is never lost on its way."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from examples.bank.app import account, bank, request, transfer
from examples.bank.commands import (
    AcceptRequest,
    AccountCommand,
    CreateAccount,
    DeleteAccount,
    DepositFunds,
    ForgiveDebt,
    RejectRequest,
    Request,
    Transfer,
    WithdrawFunds,
)
from perdure import Accepted, App, Rejected
from perdure.core.saga import Saga
from tests.runtime.support import Opener, opener

__all__ = ["opener"]


async def create(app: App, name: str, deposit: str | None = None) -> str:
    outcome = await app.send(CreateAccount(name, None if deposit is None else Decimal(deposit)))
    assert isinstance(outcome, Accepted)
    return str(outcome.reply)


async def tell(app: App, command: AccountCommand) -> str | None:
    """Send a command to its account; give the reason when it is rejected."""
    outcome = await app.send(account.named(command.account_id), command)
    return outcome.reason if isinstance(outcome, Rejected) else None


async def ends(app: App, saga: Saga[Any], key: str) -> None:
    models = app.context("bank").models
    for _ in range(4000):
        if b'"is_complete":true' in (await models.read(f"{saga.name}.status", key)).json:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{saga.name} {key} has not ended")


async def happened(app: App, after: int = 0) -> list[str]:
    types = [event.type async for event in app.events(after=after)]
    return [type_ for type_ in types if not type_.startswith("perdure.")]


async def head(app: App) -> int:
    return await app.context("bank").head()


async def follow(
    app: App, commands: Sequence[AccountCommand], saga: Saga[Any], key: str
) -> list[str]:
    """Send commands, see the saga to its end, and give what happened."""
    before = await head(app)
    for command in commands:
        assert await tell(app, command) is None
    await ends(app, saga, key)
    return await happened(app, before)


async def test_the_driver_scenario_gives_the_listed_events(opener: Opener) -> None:
    async with opener(bank) as app:
        one = await create(app, "HSPBC")
        two = await create(app, "Natalie", "100")
        assert (one, two) == ("000001", "000002")
        assert await tell(app, DepositFunds(one, Decimal("50.50"))) is None
        assert await tell(app, WithdrawFunds(two, Decimal(250))) == "Insufficient funds"
        assert await tell(app, WithdrawFunds(two, Decimal(150))) is None
        assert await tell(app, ForgiveDebt(two)) is None
        assert await happened(app) == [
            "account_id_provisioned",
            "account_created",
            "account_id_provisioned",
            "account_created",
            "funds_deposited",
            "funds_deposited",
            "funds_withdrawn",
            "debt_forgiven",
        ]

        to_nobody = Transfer(one, "SOMEID", Decimal(20), "t1")
        assert await follow(app, [to_nobody], transfer, "t1") == [
            "transfer_debited",
            "transfer_debit_rolled_back",
        ]
        across = Transfer(one, two, Decimal(19), "t2")
        assert await follow(app, [across], transfer, "t2") == [
            "transfer_debited",
            "transfer_credited",
        ]

        assert await tell(app, Request(two, one, Decimal("15.43"), "r1")) is None
        await until_received(app, two, "r1")
        wrong = await tell(app, AcceptRequest(two, "fake"))
        assert wrong == "Transaction 'fake' not found"
        assert await follow(app, [AcceptRequest(two, "r1")], request, "r1") == [
            "request_approved",
            "request_debited",
            "request_credited",
        ]

        assert await tell(app, Request(one, two, Decimal(1000), "r2")) is None
        await until_received(app, one, "r2")
        assert await follow(app, [AcceptRequest(one, "r2")], request, "r2") == [
            "request_approved",
            "request_rejection_received",
        ]

        assert await tell(app, Request(one, two, Decimal(1000), "r3")) is None
        await until_received(app, one, "r3")
        assert await follow(app, [RejectRequest(one, "r3")], request, "r3") == [
            "request_rejected",
            "request_rejection_received",
        ]

        assert await tell(app, Request(two, one, Decimal("15.43"), "r4")) is None
        await until_received(app, two, "r4")
        assert await tell(app, DeleteAccount(one)) is None
        assert await follow(app, [AcceptRequest(two, "r4")], request, "r4") == [
            "request_approved",
            "request_debited",
            "request_debit_rolled_back",
        ]


async def until_received(app: App, account_id: str, transaction_id: str) -> None:
    for _ in range(4000):
        state = await app.model(account.named(account_id))
        if transaction_id in state.transactions:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{transaction_id} has not come to {account_id}")


async def test_transfers_to_and_fro_conserve_the_money_over_restarts(opener: Opener) -> None:
    async with opener(bank) as app:
        owners = [await create(app, f"Owner {number}", "100") for number in range(3)]
        for number in range(18):
            sender, receiver = owners[number % 3], owners[(number + 1) % 3]
            command = Transfer(sender, receiver, Decimal(number + 1), f"t{number}")
            assert await tell(app, command) is None
    async with opener(bank) as app:
        for number in range(18):
            await ends(app, transfer, f"t{number}")
        balances = [(await app.model(account.named(owner))).balance for owner in owners]
        types = await happened(app)

    assert sum(balances) == 300
    assert types.count("transfer_debited") == types.count("transfer_credited") == 18


async def test_who_opens_an_account_later_gets_nothing_of_what_was_rolled_back(
    opener: Opener,
) -> None:
    """W.2, and W.8 with it: what was given out once is not given out again."""
    async with opener(bank) as app:
        one = await create(app, "Sender", "100")
        await follow(app, [Transfer(one, "000002", Decimal(40), "t1")], transfer, "t1")
        two = await create(app, "Receiver")
    async with opener(bank) as app:
        third = await create(app, "Third", "1")
        await follow(app, [Transfer(third, two, Decimal(1), "t2")], transfer, "t2")
        balances = [(await app.model(account.named(owner))).balance for owner in (one, two)]

    assert balances == [100, 1]
