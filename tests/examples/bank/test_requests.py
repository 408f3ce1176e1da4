"""What an account says about a request for money, its own or another's (S5B.6)."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from examples.bank.commands import (
    AcceptRequest,
    CreditRequest,
    DebitRequest,
    GetRequestApproval,
    NotifyRequestRejected,
    RejectRequest,
    Request,
    RollbackRequestDebit,
)
from examples.bank.events import (
    AccountDeleted,
    RequestApproved,
    RequestCreated,
    RequestCredited,
    RequestDebited,
    RequestDebitRolledBack,
    RequestReceived,
    RequestRejected,
    RequestRejectionReceived,
)
from tests.examples.bank.scenario import ME, NOW, OTHER, TIMEOUT_AT, given, opened

D = Decimal
TEN = D(10)
TOO_LATE = TIMEOUT_AT + timedelta(microseconds=1)

# I ask, and the other is to pay.
CREATED = RequestCreated(OTHER, ME, TEN, "t", TIMEOUT_AT)
CREDITED = RequestCredited(ME, TEN, D(110), "t")
TOLD = RequestRejectionReceived(ME, "t")
ASK = Request(OTHER, ME, TEN, "t")
CREDIT = CreditRequest(ME, "t")
NOTIFY = NotifyRequestRejected(ME, "t")

# The other asks, and I am to pay.
RECEIVED = RequestReceived(ME, OTHER, TEN, "t", TIMEOUT_AT)
APPROVED = RequestApproved(ME, "t")
REJECTED = RequestRejected(ME, "t")
DEBITED = RequestDebited(ME, TEN, D(90), "t")
RETURNED = RequestDebitRolledBack(ME, TEN, D(100), "t")
BE_ASKED = GetRequestApproval(ME, OTHER, TEN, "t", TIMEOUT_AT)
ACCEPT = AcceptRequest(ME, "t")
REJECT = RejectRequest(ME, "t")
DEBIT = DebitRequest(ME, "t")
ROLL_BACK = RollbackRequestDebit(ME, "t")

#: Each command with the events before it and the event that it makes: the ways a request can go.
HAPPY = [
    ([], ASK, CREATED),
    ([CREATED], CREDIT, CREDITED),
    ([CREATED], NOTIFY, TOLD),
    ([], BE_ASKED, RECEIVED),
    ([RECEIVED], ACCEPT, APPROVED),
    ([RECEIVED], REJECT, REJECTED),
    ([RECEIVED, APPROVED], DEBIT, DEBITED),
    ([RECEIVED, APPROVED, DEBITED], ROLL_BACK, RETURNED),
]
#: Each command with histories in which it was done before.
DONE = [
    ([CREATED], ASK),
    ([CREATED, CREDITED], ASK),
    ([CREATED, TOLD], ASK),
    ([CREATED, CREDITED], CREDIT),
    ([CREATED, TOLD], NOTIFY),
    ([RECEIVED], BE_ASKED),
    ([RECEIVED, REJECTED], BE_ASKED),
    ([RECEIVED, APPROVED], BE_ASKED),
    ([RECEIVED, APPROVED, DEBITED], BE_ASKED),
    ([RECEIVED, APPROVED, DEBITED, RETURNED], BE_ASKED),
    ([RECEIVED, APPROVED], ACCEPT),
    ([RECEIVED, APPROVED, DEBITED], ACCEPT),
    ([RECEIVED, APPROVED, DEBITED, RETURNED], ACCEPT),
    ([RECEIVED, REJECTED], REJECT),
    ([RECEIVED, APPROVED, DEBITED], DEBIT),
    ([RECEIVED, APPROVED, DEBITED, RETURNED], DEBIT),
    ([RECEIVED, APPROVED, DEBITED, RETURNED], ROLL_BACK),
]
STEPS = [ACCEPT, REJECT, DEBIT, CREDIT, NOTIFY, ROLL_BACK]


@pytest.mark.parametrize(("before", "command", "event"), HAPPY)
def test_a_request_goes_on(before: list[Any], command: Any, event: Any) -> None:
    given(*opened(100), *before).when(command).then(event)


@pytest.mark.parametrize(("before", "command", "event"), HAPPY)
def test_a_request_goes_on_until_its_last_moment(
    before: list[Any], command: Any, event: Any
) -> None:
    if command is not ASK:
        given(*opened(100), *before).when(command, TIMEOUT_AT).then(event)


@pytest.mark.parametrize("now", [NOW, TOO_LATE], ids=["in time", "too late"])
@pytest.mark.parametrize("since", [[], [AccountDeleted(ME)]], ids=["open", "deleted"])
@pytest.mark.parametrize(("before", "command"), DONE)
def test_what_was_done_before_succeeds_and_changes_nothing(
    before: list[Any], command: Any, since: list[Any], now: Any
) -> None:
    given(*opened(100), *before, *since).when(command, now).then()


@pytest.mark.parametrize("command", STEPS)
def test_a_transaction_that_nobody_knows_is_not_found(command: Any) -> None:
    given(*opened(100)).when(command).refused("Transaction 't' not found")


@pytest.mark.parametrize(
    ("before", "command"),
    [(before, one) for before, one, _ in HAPPY if one not in (ASK, ROLL_BACK)],
)
def test_a_request_times_out(before: list[Any], command: Any) -> None:
    given(*opened(100), *before).when(command, TOO_LATE).refused("Transaction timed out")


def test_money_on_its_way_comes_back_however_late_and_to_a_deleted_account() -> None:
    sent = [*opened(100), RECEIVED, APPROVED, DEBITED]

    given(*sent).when(ROLL_BACK, TOO_LATE).then(RETURNED)
    given(*sent, AccountDeleted(ME)).when(ROLL_BACK).then(RETURNED)


def test_a_request_that_is_accepted_is_not_rejected_any_more() -> None:
    accepted = given(*opened(100), RECEIVED, APPROVED)
    paid = given(*opened(100), RECEIVED, APPROVED, DEBITED)

    accepted.when(REJECT).refused("Transaction 't' is request_approved, not request_received")
    paid.when(REJECT).refused("Transaction 't' is request_debited, not request_received")


def test_a_request_that_is_rejected_is_not_accepted_any_more() -> None:
    rejected = given(*opened(100), RECEIVED, REJECTED)

    rejected.when(ACCEPT).refused("Transaction 't' is request_rejected, not request_received")
    rejected.when(DEBIT).refused("Transaction 't' is request_rejected, not request_approved")


def test_nothing_is_debited_before_the_owner_has_said_yes() -> None:
    asked = given(*opened(100), RECEIVED)

    asked.when(DEBIT).refused("Transaction 't' is request_received, not request_approved")


def test_nothing_comes_back_that_was_not_debited() -> None:
    accepted = given(*opened(100), RECEIVED, APPROVED)

    accepted.when(ROLL_BACK).refused("Transaction 't' is request_approved, not request_debited")


def test_a_request_ends_in_one_way() -> None:
    paid, told = given(*opened(100), CREATED, CREDITED), given(*opened(100), CREATED, TOLD)

    paid.when(NOTIFY).refused("Transaction 't' is request_credited, not request_created")
    told.when(CREDIT).refused("Transaction 't' is request_rejection_received, not request_created")


def test_a_request_is_paid_with_an_overdraft_of_a_hundred_at_most() -> None:
    exact = RequestReceived(ME, OTHER, D(200), "t", TIMEOUT_AT)
    over = RequestReceived(ME, OTHER, D("200.01"), "t", TIMEOUT_AT)

    given(*opened(100), exact, APPROVED).when(DEBIT).then(RequestDebited(ME, D(200), D(-100), "t"))
    given(*opened(100), over, APPROVED).when(DEBIT).refused("Insufficient funds")


@pytest.mark.parametrize(
    ("before", "command"),
    [
        (CREATED, Request(OTHER, ME, D(11), "t")),
        (CREATED, Request("000003", ME, TEN, "t")),
        (CREATED, BE_ASKED),
        (RECEIVED, GetRequestApproval(ME, OTHER, D(11), "t", TIMEOUT_AT)),
        (RECEIVED, GetRequestApproval(ME, "000003", TEN, "t", TIMEOUT_AT)),
        (RECEIVED, ASK),
    ],
)
def test_one_id_is_one_request(before: Any, command: Any) -> None:
    given(*opened(100), before).when(command).refused(
        "Transaction 't' is known already, as something else"
    )
