"""What an account says to each command: in each state, once more, out of turn, too late (S5B.6)."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from examples.bank.commands import (
    AcceptRequest,
    CreditRequest,
    CreditTransfer,
    DebitRequest,
    DeleteAccount,
    DepositFunds,
    ForgiveDebt,
    GetRequestApproval,
    NotifyRequestRejected,
    RejectRequest,
    Request,
    RollbackRequestDebit,
    RollbackTransferDebit,
    Transfer,
    WithdrawFunds,
)
from examples.bank.events import (
    AccountDeleted,
    DebtForgiven,
    FundsDeposited,
    FundsWithdrawn,
    TransferCredited,
    TransferDebited,
    TransferDebitRolledBack,
)
from tests.examples.bank.scenario import (
    MADE_ID,
    ME,
    NOW,
    OTHER,
    TIMEOUT_AT,
    given,
    opened,
)

D = Decimal
TEN = D(10)
DELETED = AccountDeleted(ME)
SENT = TransferDebited(ME, OTHER, TEN, D(90), "t")
GOT = TransferCredited(OTHER, ME, TEN, D(110), "t")
RETURNED = TransferDebitRolledBack(ME, TEN, D(100), "t")
TRANSFER = Transfer(ME, OTHER, TEN, "t")
CREDIT = CreditTransfer(OTHER, ME, TEN, "t")
ROLL_BACK = RollbackTransferDebit(ME, "t")

EVERY_COMMAND = [
    DepositFunds(ME, TEN),
    WithdrawFunds(ME, TEN),
    ForgiveDebt(ME),
    DeleteAccount(ME),
    TRANSFER,
    CREDIT,
    ROLL_BACK,
    Request(OTHER, ME, TEN, "t"),
    GetRequestApproval(ME, OTHER, TEN, "t", TIMEOUT_AT),
    AcceptRequest(ME, "t"),
    RejectRequest(ME, "t"),
    NotifyRequestRejected(ME, "t"),
    DebitRequest(ME, "t"),
    CreditRequest(ME, "t"),
    RollbackRequestDebit(ME, "t"),
]
THAT_UNDO = [ROLL_BACK, RollbackRequestDebit(ME, "t")]


def _named(command: Any) -> str:
    return type(command).__name__


# --- every command --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=_named)
def test_an_account_that_was_never_opened_does_nothing(command: Any) -> None:
    given().when(command).refused("Account does not exist")


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=_named)
def test_an_account_does_not_act_for_another(command: Any) -> None:
    elsewhere = [type(event)(**{**_fields(event), "account_id": "000009"}) for event in opened()]

    given(*elsewhere).when(command).refused("Account '000009' is not '000001'")


@pytest.mark.parametrize(
    "command",
    [one for one in EVERY_COMMAND if one not in THAT_UNDO and not isinstance(one, DeleteAccount)],
    ids=_named,
)
def test_a_deleted_account_does_nothing_new(command: Any) -> None:
    given(*opened(100), DELETED).when(command).refused("Account deleted")


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}


# --- cash -----------------------------------------------------------------------------------------


def test_a_deposit_adds_to_the_balance() -> None:
    deposited = FundsDeposited(ME, D("50.50"), D("150.50"), "d")

    given(*opened(100)).when(DepositFunds(ME, D("50.50"), "d")).then(deposited)


def test_a_withdrawal_takes_from_the_balance() -> None:
    withdrawn = FundsWithdrawn(ME, TEN, D(90), "w")

    given(*opened(100)).when(WithdrawFunds(ME, TEN, "w")).then(withdrawn)


def test_an_account_may_be_overdrawn_by_a_hundred() -> None:
    withdrawn = FundsWithdrawn(ME, D(200), D(-100), "w")

    given(*opened(100)).when(WithdrawFunds(ME, D(200), "w")).then(withdrawn)


@pytest.mark.parametrize(
    "command", [WithdrawFunds(ME, D("200.01")), Transfer(ME, OTHER, D("200.01"))], ids=_named
)
def test_an_account_may_not_be_overdrawn_by_more(command: Any) -> None:
    given(*opened(100)).when(command).refused("Insufficient funds")


def test_without_a_transaction_id_one_is_made() -> None:
    made = str(MADE_ID)

    given(*opened()).when(DepositFunds(ME, TEN)).then(FundsDeposited(ME, TEN, TEN, made))
    given(*opened()).when(WithdrawFunds(ME, TEN)).then(FundsWithdrawn(ME, TEN, -TEN, made))
    given(*opened()).when(Transfer(ME, OTHER, TEN)).then(
        TransferDebited(ME, OTHER, TEN, -TEN, made)
    )


@pytest.mark.parametrize("since", [[], [DELETED]], ids=["open", "deleted"])
def test_cash_moves_once_in_a_transaction(since: list[Any]) -> None:
    deposited = FundsDeposited(ME, TEN, D(110), "d")
    withdrawn = FundsWithdrawn(ME, TEN, D(100), "w")
    story = given(*opened(100), deposited, withdrawn, *since)

    story.when(DepositFunds(ME, TEN, "d")).then()
    story.when(WithdrawFunds(ME, TEN, "w")).then()


@pytest.mark.parametrize(
    "command",
    [
        DepositFunds(ME, D(11), "d"),
        WithdrawFunds(ME, TEN, "d"),
        ForgiveDebt(ME, "d"),
        Transfer(ME, OTHER, TEN, "d"),
        CreditTransfer(OTHER, ME, TEN, "d"),
        Request(OTHER, ME, TEN, "d"),
        GetRequestApproval(ME, OTHER, TEN, "d", TIMEOUT_AT),
    ],
    ids=_named,
)
def test_the_id_of_one_transaction_is_not_taken_for_another(command: Any) -> None:
    deposited = FundsDeposited(ME, TEN, D(110), "d")

    given(*opened(100), deposited).when(command).refused(
        "Transaction 'd' is known already, as something else"
    )


# --- debts ----------------------------------------------------------------------------------------


def in_debt(debt: int, times_before: int = 0) -> list[Any]:
    """The events of an account that owes so much, and was let off so often before."""
    events = opened()
    for time in range(times_before):
        events += [
            FundsWithdrawn(ME, TEN, -TEN, f"w{time}"),
            DebtForgiven(ME, TEN, f"f{time}"),
        ]
    return [*events, FundsWithdrawn(ME, D(debt), D(-debt), "w")]


@pytest.mark.parametrize("times_before", [0, 1])
@pytest.mark.parametrize("debt", [1, 100])
def test_a_debt_is_forgiven_twice(debt: int, times_before: int) -> None:
    forgiven = DebtForgiven(ME, D(debt), "f")

    given(*in_debt(debt, times_before)).when(ForgiveDebt(ME, "f")).then(forgiven)


@pytest.mark.parametrize("times_before", [2, 3])
def test_a_debt_is_not_forgiven_a_third_time(times_before: int) -> None:
    given(*in_debt(50, times_before)).when(ForgiveDebt(ME)).refused("Forgiveness quota exceeded")


def test_who_owes_nothing_is_forgiven_nothing() -> None:
    given(*opened()).when(ForgiveDebt(ME)).refused("Forgiveness not applicable")
    given(*opened(100)).when(ForgiveDebt(ME)).refused("Forgiveness not applicable")


def test_a_debt_of_more_than_a_hundred_is_not_forgiven() -> None:
    given(*in_debt(101)).when(ForgiveDebt(ME)).refused("Forgiveness not applicable")


def test_after_forgiveness_the_balance_is_zero() -> None:
    forgiven = DebtForgiven(ME, D(100), "f")

    given(*in_debt(100), forgiven).when(DepositFunds(ME, TEN, "d")).then(
        FundsDeposited(ME, TEN, TEN, "d")
    )


def test_forgiving_once_more_in_one_transaction_changes_nothing() -> None:
    forgiven = DebtForgiven(ME, D(100), "f")

    given(*in_debt(100), forgiven).when(ForgiveDebt(ME, "f")).then()


# --- the end --------------------------------------------------------------------------------------


def test_an_account_is_deleted_once() -> None:
    given(*opened(100)).when(DeleteAccount(ME)).then(DELETED)
    given(*opened(100), DELETED).when(DeleteAccount(ME)).then()


# --- transfers ------------------------------------------------------------------------------------


def test_a_transfer_leaves_the_one_account() -> None:
    given(*opened(100)).when(TRANSFER).then(SENT)


def test_a_transfer_may_overdraw_by_a_hundred() -> None:
    sent = TransferDebited(ME, OTHER, D(200), D(-100), "t")

    given(*opened(100)).when(Transfer(ME, OTHER, D(200), "t")).then(sent)


def test_a_transfer_arrives_at_the_other() -> None:
    given(*opened(100)).when(CREDIT).then(GOT)


def test_a_transfer_that_could_not_be_delivered_comes_back() -> None:
    given(*opened(100), SENT).when(ROLL_BACK).then(RETURNED)


def test_money_comes_back_to_an_account_that_was_deleted_meanwhile() -> None:
    given(*opened(100), SENT, DELETED).when(ROLL_BACK).then(RETURNED)


@pytest.mark.parametrize("since", [[], [DELETED]], ids=["open", "deleted"])
def test_the_steps_of_a_transfer_are_taken_once(since: list[Any]) -> None:
    given(*opened(100), SENT, *since).when(TRANSFER).then()
    given(*opened(100), SENT, RETURNED, *since).when(TRANSFER).then()
    given(*opened(100), GOT, *since).when(CREDIT).then()
    given(*opened(100), SENT, RETURNED, *since).when(ROLL_BACK).then()


@pytest.mark.parametrize(
    "command", [Transfer(ME, OTHER, D(11), "t"), Transfer(ME, "000003", TEN, "t")]
)
def test_a_transaction_goes_to_one_account_with_one_amount(command: Transfer) -> None:
    given(*opened(100), SENT).when(command).refused(
        "Transaction 't' is known already, as something else"
    )


@pytest.mark.parametrize("since", [[], [DELETED]], ids=["open", "deleted"])
def test_what_was_never_sent_does_not_come_back(since: list[Any]) -> None:
    given(*opened(100), *since).when(ROLL_BACK).refused("Transaction 't' not found")


def test_what_was_received_does_not_come_back() -> None:
    given(*opened(100), GOT).when(ROLL_BACK).refused(
        "Transaction 't' is transfer_credited, not transfer_debited"
    )


def test_a_transfer_knows_no_hour() -> None:
    years_later = NOW + timedelta(days=4000)

    given(*opened(100), SENT).when(ROLL_BACK, years_later).then(RETURNED)
