"""The rules of the bank's fields: nothing malformed can be made."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from examples.bank import commands, events
from examples.bank.commands import (
    AcceptRequest,
    CreateAccount,
    CreditTransfer,
    DeleteAccount,
    DepositFunds,
    GetRequestApproval,
    Request,
    Transfer,
)
from examples.bank.events import FundsDeposited
from examples.bank.fields import RULES, Checked
from tests.examples.bank.scenario import ME, OTHER, TIMEOUT_AT

TEN = Decimal(10)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: CreateAccount("Anna"), "name has 5 to 15 characters, not 'Anna'"),
        (lambda: CreateAccount("A" * 16), "name has 5 to 15 characters"),
        (lambda: CreateAccount("Natalie", Decimal(0)), "initial_deposit is more than 0"),
        (lambda: DeleteAccount("00001"), "account_id has exactly 6 characters, not '00001'"),
        (lambda: DeleteAccount("0000001"), "account_id has exactly 6 characters"),
        (lambda: DepositFunds(ME, Decimal(0)), "amount is more than 0 and at most 1,000,000"),
        (lambda: DepositFunds(ME, Decimal(-1)), "amount is more than 0"),
        (lambda: DepositFunds(ME, Decimal("1000000.01")), "amount is more than 0 and at most"),
        (lambda: DepositFunds(ME, Decimal("0.001")), "in whole cents"),
        (lambda: DepositFunds(ME, Decimal("NaN")), "amount is more than 0"),
        (lambda: DepositFunds(ME, Decimal("sNaN")), "amount is more than 0"),
        (lambda: DepositFunds(ME, Decimal("Infinity")), "amount is more than 0"),
        (lambda: DepositFunds(ME, TEN, ""), "transaction_id has 1 to 50 characters"),
        (lambda: DepositFunds(ME, TEN, "x" * 51), "transaction_id has 1 to 50 characters"),
        (lambda: AcceptRequest("1", "t"), "funding_account_id has exactly 6 characters"),
        (lambda: Transfer(ME, "2", TEN), "funded_account_id has exactly 6 characters"),
        (lambda: Transfer(ME, ME, TEN), "cannot send to itself"),
        (lambda: Request(ME, ME, TEN), "request from itself"),
        (lambda: CreditTransfer(ME, ME, TEN, "t"), "cannot send to itself"),
        (lambda: GetRequestApproval(ME, ME, TEN, "t", TIMEOUT_AT), "request from itself"),
        (
            lambda: GetRequestApproval(ME, OTHER, TEN, "t", datetime(2026, 11, 2)),  # noqa: DTZ001
            "timeout_at has a time zone",
        ),
        (lambda: FundsDeposited(ME, Decimal(0), Decimal(0), "t"), "amount is more than 0"),
    ],
)
def test_what_breaks_a_rule_cannot_be_made(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_the_bounds_themselves_are_allowed() -> None:
    assert CreateAccount("HSPBC").initial_deposit is None
    assert CreateAccount("A" * 15, Decimal("0.01")).initial_deposit == Decimal("0.01")
    assert DepositFunds(ME, Decimal(1_000_000), "x" * 50).amount == 10**6
    assert DepositFunds(ME, Decimal("1E+6")).amount == 10**6
    assert DepositFunds(ME, TEN).transaction_id is None


def test_what_breaks_a_rule_cannot_be_read_either() -> None:
    body = b'{"account_id":"000001","amount":50.505}'

    with pytest.raises(msgspec.ValidationError, match="in whole cents"):
        msgspec.json.decode(body, type=DepositFunds)


@pytest.mark.parametrize("module", [commands, events])
def test_every_command_and_every_event_is_checked(module: Any) -> None:
    declared = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]

    assert len(declared) > 15
    for value in declared:
        assert is_dataclass(value)
        assert issubclass(value, Checked)
        assert {field.name for field in fields(value)} <= {*RULES, "balance"}
