"""Opening accounts: one number each, and the account with it (S5B.5, P2.15)."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import perdure
from examples.bank import creation
from examples.bank.account import Account
from examples.bank.app import account, bank
from examples.bank.commands import CreateAccount
from examples.bank.creation import AccountNumbers, create_account
from examples.bank.events import AccountCreated, AccountIdProvisioned, FundsDeposited
from perdure import Accepted, App, Emit, Rejected, Reply, entity_named

TEN = Decimal(10)
MADE_ID = UUID(int=7, version=4)
SEQUENCE = entity_named("account_numbers", "accounts")
FIRST = entity_named("account", "000001")


def decide(command: CreateAccount, given_out: int = 0) -> list[Emit | Reply]:
    return create_account(command, AccountNumbers(given_out), new_id=lambda: MADE_ID)


# --- the decision ---------------------------------------------------------------------------------


def test_an_account_is_opened_under_the_next_number() -> None:
    number = Emit(event=AccountIdProvisioned("000001"), entity=SEQUENCE)
    created = Emit(event=AccountCreated("000001", "HSPBC"), entity=FIRST, fresh=True)

    assert decide(CreateAccount("HSPBC")) == [number, created, Reply("000001")]


def test_an_account_may_be_opened_with_money_in_it() -> None:
    *_, deposited, reply = decide(CreateAccount("Natalie", Decimal(100)), given_out=1)

    event = FundsDeposited("000002", Decimal(100), Decimal(100), str(MADE_ID))
    entity = entity_named("account", "000002")
    assert deposited == Emit(event=event, entity=entity)
    assert reply == Reply("000002")


def test_the_numbers_come_to_an_end() -> None:
    assert decide(CreateAccount("The last"), given_out=999_998)[-1] == Reply("999999")
    with pytest.raises(Rejected, match="No account number is left"):
        decide(CreateAccount("Too late"), given_out=999_999)


def test_each_number_that_is_given_out_counts() -> None:
    numbers = creation.provisioned(AccountNumbers(4), AccountIdProvisioned("000005"))

    assert numbers == AccountNumbers(5)


# --- the bank at work -----------------------------------------------------------------------------


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/store"


async def create(app: App, name: str, deposit: Decimal | None = None) -> str:
    outcome = await app.send(CreateAccount(name, deposit))
    assert isinstance(outcome, Accepted), outcome
    account_id: str = outcome.reply
    return account_id


async def told(app: App) -> list[tuple[UUID, int, str, Any]]:
    """Everything that happened: to whom, as which version, what."""
    types = bank.event_types
    return [
        (event.entity_id, event.version, event.type, types[event.type].codec.decode(event.data))
        async for event in app.events()
    ]


async def test_without_a_deposit_two_entities_are_written_in_one_commit(store: str) -> None:
    async with perdure.open(bank, store=store) as app:
        assert await create(app, "HSPBC") == "000001"

        assert await told(app) == [
            (SEQUENCE, 1, "account_id_provisioned", AccountIdProvisioned("000001")),
            (FIRST, 1, "account_created", AccountCreated("000001", "HSPBC")),
        ]
        assert await app.model(account.named("000001")) == Account("000001", "HSPBC")


async def test_with_a_deposit_there_is_a_third_event(store: str) -> None:
    async with perdure.open(bank, store=store) as app:
        assert await create(app, "Natalie", Decimal("100.50")) == "000001"

        number, created, (entity, version, type_, deposited) = await told(app)
        amount = Decimal("100.50")
        assert number[:3] == (SEQUENCE, 1, "account_id_provisioned")
        assert created[:3] == (FIRST, 1, "account_created")
        assert (entity, version, type_) == (FIRST, 2, "funds_deposited")
        assert deposited == FundsDeposited("000001", amount, amount, deposited.transaction_id)
        assert UUID(deposited.transaction_id).version == 4
        assert (await app.model(account.named("000001"))).balance == amount


async def test_accounts_created_at_once_have_consecutive_numbers(store: str) -> None:
    async with perdure.open(bank, store=store) as app:
        ids = await asyncio.gather(*(create(app, f"Name {n:02d}", TEN) for n in range(20)))

        assert sorted(ids) == [f"{n:06d}" for n in range(1, 21)]
        names = [(await app.model(account.named(id_))).name for id_ in ids]
        assert names == [f"Name {n:02d}" for n in range(20)]


async def test_two_applications_over_one_store_give_no_number_twice(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store"

    async with perdure.open(bank, store=store) as one, perdure.open(bank, store=store) as two:
        ids = await asyncio.gather(*(create(app, "Natalie") for app in [one, two] * 10))

        assert sorted(ids) == [f"{n:06d}" for n in range(1, 21)]


async def test_the_same_creation_again_makes_no_second_account(store: str) -> None:
    async with perdure.open(bank, store=store) as app:
        first = await app.send(CreateAccount("Natalie", TEN), command_id="one")
        again = await app.send(CreateAccount("Natalie", TEN), command_id="one")

        assert isinstance(first, Accepted)
        assert isinstance(again, Accepted)
        assert (first.reply, again.reply) == ("000001", "000001")
        assert again.repeated
        assert len(await told(app)) == 3


async def test_numbers_go_on_after_a_restart_and_over_a_snapshot(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store"

    async with perdure.open(bank, store=store) as app:
        await asyncio.gather(*(create(app, "Natalie") for _ in range(105)))
    async with perdure.open(bank, store=store) as app:
        assert await create(app, "Natalie") == "000106"
