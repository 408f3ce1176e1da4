"""Accounts at work: the bank's cash on Perdure, as far as it needs one account (S5B.11)."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import perdure
from examples.bank.app import account, bank
from examples.bank.commands import (
    AccountCommand,
    CreateAccount,
    DeleteAccount,
    DepositFunds,
    ForgiveDebt,
    Request,
    Transfer,
    WithdrawFunds,
)
from examples.bank.deciding import OVERDRAFT_MAX
from perdure import Accepted, App, Rejected

D = Decimal
FIRST, SECOND = "000001", "000002"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/store"


async def ask(app: App, command: AccountCommand) -> Accepted[Any] | Rejected:
    """Send a command to the account that decides on it."""
    return await app.send(account.named(command.account_id), command)


async def balance_after(app: App, command: AccountCommand) -> Decimal:
    outcome = await ask(app, command)
    assert isinstance(outcome, Accepted), outcome
    balance: Decimal = outcome.state.balance
    return balance


async def refusal(app: App, command: AccountCommand) -> str:
    outcome = await ask(app, command)
    assert isinstance(outcome, Rejected), outcome
    return outcome.reason


async def test_the_first_half_of_the_driver(store: str) -> None:
    async with perdure.open(bank, store=store) as app:
        await app.send(CreateAccount("HSPBC"))
        await app.send(CreateAccount("Natalie", D(100)))

        assert await balance_after(app, DepositFunds(FIRST, D("50.50"))) == D("50.50")
        assert await refusal(app, WithdrawFunds(SECOND, D(250))) == "Insufficient funds"
        assert await balance_after(app, WithdrawFunds(SECOND, D(150))) == -50
        assert await balance_after(app, ForgiveDebt(SECOND)) == 0
        assert await balance_after(app, Transfer(FIRST, "SOMEID", D(20))) == D("30.50")
        assert await balance_after(app, Request(SECOND, FIRST, D("15.43"))) == D("30.50")

        assert await refusal(app, DepositFunds("000003", D(1))) == "Account does not exist"
        await ask(app, DeleteAccount(FIRST))
        assert await refusal(app, DepositFunds(FIRST, D(1))) == "Account deleted"


async def test_a_transaction_moves_money_once_however_often_it_is_sent(store: str) -> None:
    async with perdure.open(bank, store=store) as app:
        await app.send(CreateAccount("Natalie"))
        deposit = DepositFunds(FIRST, D(10), "paid in at the counter")

        outcomes = [await ask(app, deposit) for _ in range(3)]

        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert {outcome.version for outcome in outcomes if isinstance(outcome, Accepted)} == {2}
        assert (await app.model(account.named(FIRST))).balance == 10


async def test_withdrawals_at_once_never_take_more_than_there_is(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store"

    async with perdure.open(bank, store=store) as one, perdure.open(bank, store=store) as two:
        await one.send(CreateAccount("Natalie", D(100)))
        outcomes = await asyncio.gather(
            *(ask(app, WithdrawFunds(FIRST, D(15))) for app in [one, two] * 10)
        )

        taken = sum(isinstance(outcome, Accepted) for outcome in outcomes)
        assert taken == 13  # 200 in steps of 15
        assert {o.reason for o in outcomes if isinstance(o, Rejected)} == {"Insufficient funds"}
        model = await two.model(account.named(FIRST))
        assert model.balance == 100 - 15 * taken >= -OVERDRAFT_MAX


async def test_an_account_is_the_same_after_a_restart(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store"

    async with perdure.open(bank, store=store) as app:
        await app.send(CreateAccount("Natalie", D("0.10")))
        await ask(app, Transfer(FIRST, SECOND, D("0.05"), "t"))
        await ask(app, Request(SECOND, FIRST, D("15.43"), "r"))
        before = await app.model(account.named(FIRST))
    async with perdure.open(bank, store=store) as app:
        assert await app.model(account.named(FIRST)) == before
        assert before.balance == D("0.05")
        assert len(before.transactions) == 3
