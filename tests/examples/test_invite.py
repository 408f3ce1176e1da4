"""Inviting customers: the functions by themselves, and the same ones on every shell (S4, A.9)."""

import asyncio
import sqlite3
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

import perdure
from examples.invite.app import invitations
from examples.invite.functions import (
    CUSTOMERS_TABLE,
    Customer,
    CustomerInvited,
    InviteCustomer,
    invite,
    needs,
    normalised,
    project,
    write,
)
from perdure import Emit, InvalidData, Rejected, Reply, Statement, matching
from tests.examples.inviting import InProcess, Shell, acceptance, shell

MADE_ID = UUID(int=7, version=4)
INVITED = CustomerInvited(MADE_ID, "hello@you.com")
TOLD = {"id": str(MADE_ID), "email": "hello@you.com", "invited": True}

SHELLS = ["by hand", "memory", "sqlite", "memory, http", "sqlite, http"]


# --- the functions --------------------------------------------------------------------------------


def test_a_new_address_becomes_a_customer() -> None:
    outputs = invite(InviteCustomer("hello@you.com"), [], new_id=lambda: MADE_ID)

    tags = ("email:hello@you.com",)
    assert outputs == [Emit(event=INVITED, entity=MADE_ID, tags=tags, fresh=True), Reply(TOLD)]
    assert project(Customer(), INVITED) == Customer(MADE_ID, "hello@you.com", invited=True)


def test_what_is_looked_up_is_the_address_in_its_one_spelling() -> None:
    wanted = matching(CustomerInvited, tags=["email:hello@you.com"])

    assert needs(InviteCustomer("hello@you.com")) == wanted
    assert needs(InviteCustomer(" Hello@You.COM\n")) == wanted


@pytest.mark.parametrize("blank", ["", "   ", "\t\n"])
def test_an_address_is_required(blank: str) -> None:
    with pytest.raises(Rejected, match="Email is required"):
        invite(InviteCustomer(blank), [], new_id=uuid4)


def test_the_table_takes_a_row_for_each_customer() -> None:
    row = (str(MADE_ID), "hello@you.com", True)

    sql = "INSERT INTO customers (id, email, invited) VALUES (?, ?, ?)"
    assert write(INVITED) == [Statement(sql, row, rows=1)]


@pytest.mark.parametrize(
    ("email", "complaint"),
    [("x" * 251, "250 characters at most"), ("a\x00b", "printable"), ("a\ud800b", "printable")],
)
def test_what_cannot_be_an_address_is_refused(email: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        InviteCustomer(email)


@pytest.mark.parametrize("email", ["", "Hello@you.com", " hello@you.com"])
def test_an_invitation_holds_the_one_spelling(email: str) -> None:
    with pytest.raises(ValueError, match="not a normalised e-mail address"):
        CustomerInvited(MADE_ID, email)


@given(st.text(max_size=300))
def test_whatever_can_be_invited_can_be_looked_up_and_is_one_address(email: str) -> None:
    try:
        command = InviteCustomer(email)
    except ValueError:
        return
    assert normalised(normalised(email)) == normalised(email)
    assert needs(command) == needs(InviteCustomer(f" {normalised(email)} "))


# --- the shells -----------------------------------------------------------------------------------


@pytest.fixture(params=SHELLS)
async def any_shell(request: pytest.FixtureRequest, tmp_path: Path):
    async with shell(request.param, tmp_path / "store") as opened:
        yield opened


async def test_every_shell_is_accepted(any_shell: Shell) -> None:
    await acceptance(any_shell)


async def test_of_64_at_once_one_makes_the_customer_and_the_others_get_that_one(
    any_shell: Shell,
) -> None:
    spellings = ["hello@you.com", "Hello@you.com", " HELLO@YOU.COM ", "hello@You.com\n"]

    told = await asyncio.gather(*(any_shell.invite(spellings[n % 4]) for n in range(64)))

    assert told == [told[0]] * 64
    assert await any_shell.customer(told[0]["id"]) == told[0]


# --- the table ------------------------------------------------------------------------------------


def customers(database: Path) -> list[tuple[str, str, int]]:
    with sqlite3.connect(database) as connection:
        return connection.execute("SELECT * FROM customers ORDER BY email").fetchall()


async def test_the_table_can_be_written_again_from_history(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store"
    async with perdure.open(invitations(keeps_table=True), store=store) as app:
        shell = InProcess(app)
        told = [await shell.invite(f"{n % 20:02}@you.com") for n in range(30)]
        expected = sorted({(one["email"], one["id"]) for one in told})

        elsewhere = sqlite3.connect(tmp_path / "elsewhere.db")
        elsewhere.execute(CUSTOMERS_TABLE)
        async for written in app.writes():
            for statement in written.statements:
                elsewhere.execute(statement.sql, statement.parameters)
        elsewhere.commit()
        elsewhere.close()
        live = customers(tmp_path / "store" / "invite.db")

        assert [(email, id_) for id_, email, _ in live] == expected
        assert {invited for *_, invited in live} == {1}
        assert customers(tmp_path / "elsewhere.db") == live
        assert await app.rewrite() == 20
        assert customers(tmp_path / "store" / "invite.db") == live


async def test_the_table_refuses_a_second_customer_of_one_address(tmp_path: Path) -> None:
    """Also one that nobody could find, because it was recorded without its tag."""
    context = invitations(keeps_table=True)
    untagged = context.new(MADE_ID, INVITED)
    again = context.new(uuid4(), CustomerInvited(uuid4(), "hello@you.com"))

    async with perdure.open(context, store=f"sqlite:///{tmp_path}/store") as app:
        await app.append(untagged)
        with pytest.raises(InvalidData, match="UNIQUE constraint failed"):
            await app.append(again)
        with pytest.raises(Rejected, match="UNIQUE constraint failed"):
            await InProcess(app).invite("hello@you.com")

        assert [event.entity_id async for event in app.events()] == [MADE_ID]
    assert customers(tmp_path / "store" / "invite.db") == [(str(MADE_ID), "hello@you.com", 1)]
