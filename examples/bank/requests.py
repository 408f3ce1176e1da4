"""Requests: an account asks another for money, and the other's owner says yes or no.

One rule: an answer stands. Who accepted cannot reject any more, and who rejected cannot accept.

The account that asks is the *funded* one, the account that is asked the *funding* one::

    funded     created ──────────▶ credited          after a yes, and the debit
                  └──────────────▶ rejection received after a no, or when the money is not there
    funding    received ─▶ approved ─▶ debited ─▶ debit rolled back
                  └──────▶ rejected

All of it has to be done in thirty minutes, except for undoing: money that is on its way comes back at
any time. Pure decisions, like those in ``cash`` and ``transfers``.
"""

from datetime import datetime, timedelta

from examples.bank.account import Account, Stage
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
from examples.bank.deciding import NewId, Step, begins, check_funds, check_time, due
from examples.bank.events import (
    RequestApproved,
    RequestCreated,
    RequestCredited,
    RequestDebited,
    RequestDebitRolledBack,
    RequestReceived,
    RequestRejected,
    RequestRejectionReceived,
)

TIMEOUT = timedelta(minutes=30)

ASKING = (Stage.REQUEST_CREATED, Stage.REQUEST_REJECTION_RECEIVED, Stage.REQUEST_CREDITED)
_DEBITED = (Stage.REQUEST_DEBITED, Stage.REQUEST_DEBIT_ROLLED_BACK)
_APPROVED = (Stage.REQUEST_APPROVED, *_DEBITED)
_REJECTED = (Stage.REQUEST_REJECTED,)
ASKED = (Stage.REQUEST_RECEIVED, *_APPROVED, *_REJECTED)

ACCEPT = Step(Stage.REQUEST_RECEIVED, _APPROVED)
REJECT = Step(Stage.REQUEST_RECEIVED, _REJECTED)
DEBIT = Step(Stage.REQUEST_APPROVED, _DEBITED)
ROLL_BACK = Step(Stage.REQUEST_DEBITED, (Stage.REQUEST_DEBIT_ROLLED_BACK,), undoes=True)
CREDIT = Step(Stage.REQUEST_CREATED, (Stage.REQUEST_CREDITED,))
NOTIFY = Step(Stage.REQUEST_CREATED, (Stage.REQUEST_REJECTION_RECEIVED,))


def request(
    account: Account, command: Request, *, now: datetime, new_id: NewId
) -> list[RequestCreated]:
    """Ask for money: it may come for thirty minutes."""
    transaction_id = command.transaction_id or str(new_id())
    asked, amount = command.funding_account_id, command.amount
    if not begins(account, command, transaction_id, ASKING, amount, asked):
        return []
    return [RequestCreated(asked, account.id, amount, transaction_id, now + TIMEOUT)]


def get_request_approval(
    account: Account, command: GetRequestApproval, *, now: datetime
) -> list[RequestReceived]:
    """Be asked for money."""
    asker, amount = command.funded_account_id, command.amount
    if not begins(account, command, command.transaction_id, ASKED, amount, asker):
        return []
    check_time(command.timeout_at, now)
    received = RequestReceived(
        account.id, asker, amount, command.transaction_id, command.timeout_at
    )
    return [received]


def accept_request(
    account: Account, command: AcceptRequest, *, now: datetime
) -> list[RequestApproved]:
    """Say yes. Whether the money is there is seen when it is debited."""
    asked = due(account, command, ACCEPT)
    if asked is None:
        return []
    check_time(asked.timeout_at, now)
    return [RequestApproved(account.id, command.transaction_id)]


def reject_request(
    account: Account, command: RejectRequest, *, now: datetime
) -> list[RequestRejected]:
    """Say no."""
    asked = due(account, command, REJECT)
    if asked is None:
        return []
    check_time(asked.timeout_at, now)
    return [RequestRejected(account.id, command.transaction_id)]


def notify_request_rejected(
    account: Account, command: NotifyRequestRejected, *, now: datetime
) -> list[RequestRejectionReceived]:
    """Be told that the money will not come."""
    asked = due(account, command, NOTIFY)
    if asked is None:
        return []
    check_time(asked.timeout_at, now)
    return [RequestRejectionReceived(account.id, command.transaction_id)]


def debit_request(
    account: Account, command: DebitRequest, *, now: datetime
) -> list[RequestDebited]:
    """Send off the money that was asked for."""
    asked = due(account, command, DEBIT)
    if asked is None:
        return []
    check_time(asked.timeout_at, now)
    check_funds(account, asked.amount)
    balance = account.balance - asked.amount
    return [RequestDebited(account.id, asked.amount, balance, command.transaction_id)]


def credit_request(
    account: Account, command: CreditRequest, *, now: datetime
) -> list[RequestCredited]:
    """Take in the money that was asked for."""
    asked = due(account, command, CREDIT)
    if asked is None:
        return []
    check_time(asked.timeout_at, now)
    balance = account.balance + asked.amount
    return [RequestCredited(account.id, asked.amount, balance, command.transaction_id)]


def roll_back_request_debit(
    account: Account, command: RollbackRequestDebit
) -> list[RequestDebitRolledBack]:
    """Take back what could not be delivered."""
    sent = due(account, command, ROLL_BACK)
    if sent is None:
        return []
    balance = account.balance + sent.amount
    return [RequestDebitRolledBack(account.id, sent.amount, balance, command.transaction_id)]
