"""An account: what its events say it is.

One rule: an account remembers every transaction that touched it, and at which stage it is. So
whatever comes twice is known by its id, and whatever comes out of turn is known by the stage.

The functions below fold events into an account. What it decides on commands is in ``cash``, ``transfers`` and
``requests``, on the ground of ``deciding``.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import Enum

from examples.bank.events import (
    AccountCreated,
    AccountDeleted,
    DebtForgiven,
    FundsDeposited,
    FundsWithdrawn,
    RequestApproved,
    RequestCreated,
    RequestCredited,
    RequestDebited,
    RequestDebitRolledBack,
    RequestReceived,
    RequestRejected,
    RequestRejectionReceived,
    TransferCredited,
    TransferDebited,
    TransferDebitRolledBack,
)


class Stage(Enum):
    """How far a transaction has come, as this account sees it."""

    DEPOSITED = "deposited"
    WITHDRAWN = "withdrawn"
    FORGIVEN = "forgiven"

    TRANSFER_DEBITED = "transfer_debited"
    TRANSFER_DEBIT_ROLLED_BACK = "transfer_debit_rolled_back"
    TRANSFER_CREDITED = "transfer_credited"

    # of a request, in the account that asks
    REQUEST_CREATED = "request_created"
    REQUEST_REJECTION_RECEIVED = "request_rejection_received"
    REQUEST_CREDITED = "request_credited"

    # of a request, in the account that is asked
    REQUEST_RECEIVED = "request_received"
    REQUEST_APPROVED = "request_approved"
    REQUEST_REJECTED = "request_rejected"
    REQUEST_DEBITED = "request_debited"
    REQUEST_DEBIT_ROLLED_BACK = "request_debit_rolled_back"


@dataclass(frozen=True, slots=True)
class Transaction:
    """Money on the move. ``other`` is the account at the other end, if there is one."""

    stage: Stage
    amount: Decimal
    other: str = ""
    timeout_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """An account; without an ``id`` it was never opened."""

    id: str = ""
    name: str = ""
    balance: Decimal = Decimal(0)
    is_deleted: bool = False
    times_forgiven: int = 0
    transactions: dict[str, Transaction] = field(default_factory=dict)


def created(account: Account, event: AccountCreated) -> Account:
    """Open the account."""
    return replace(account, id=event.account_id, name=event.name)


def deleted(account: Account, event: AccountDeleted) -> Account:
    """Close the account."""
    return replace(account, is_deleted=True)


def deposited(account: Account, event: FundsDeposited) -> Account:
    """Add cash."""
    known = Transaction(Stage.DEPOSITED, event.amount)
    return _noted(account, event.transaction_id, known, event.balance)


def withdrawn(account: Account, event: FundsWithdrawn) -> Account:
    """Take cash out."""
    known = Transaction(Stage.WITHDRAWN, event.amount)
    return _noted(account, event.transaction_id, known, event.balance)


def forgiven(account: Account, event: DebtForgiven) -> Account:
    """Cancel the debt, and count how often that was done."""
    known = Transaction(Stage.FORGIVEN, event.amount)
    noted = _noted(account, event.transaction_id, known, account.balance + event.amount)
    return replace(noted, times_forgiven=account.times_forgiven + 1)


def transfer_debited(account: Account, event: TransferDebited) -> Account:
    """Send money off."""
    known = Transaction(Stage.TRANSFER_DEBITED, event.amount, event.funded_account_id)
    return _noted(account, event.transaction_id, known, event.balance)


def transfer_credited(account: Account, event: TransferCredited) -> Account:
    """Take in money that was sent."""
    known = Transaction(Stage.TRANSFER_CREDITED, event.amount, event.funding_account_id)
    return _noted(account, event.transaction_id, known, event.balance)


def transfer_debit_rolled_back(account: Account, event: TransferDebitRolledBack) -> Account:
    """Take back what could not be delivered."""
    stage = Stage.TRANSFER_DEBIT_ROLLED_BACK
    return _advanced(account, event.transaction_id, stage, event.balance)


def request_created(account: Account, event: RequestCreated) -> Account:
    """Remember what was asked for, and of whom."""
    stage, other = Stage.REQUEST_CREATED, event.funding_account_id
    known = Transaction(stage, event.amount, other, event.timeout_at)
    return _noted(account, event.transaction_id, known, account.balance)


def request_received(account: Account, event: RequestReceived) -> Account:
    """Remember who asks for what."""
    stage, other = Stage.REQUEST_RECEIVED, event.funded_account_id
    known = Transaction(stage, event.amount, other, event.timeout_at)
    return _noted(account, event.transaction_id, known, account.balance)


def request_approved(account: Account, event: RequestApproved) -> Account:
    """Remember that the owner said yes."""
    return _advanced(account, event.transaction_id, Stage.REQUEST_APPROVED, account.balance)


def request_rejected(account: Account, event: RequestRejected) -> Account:
    """Remember that the owner said no."""
    return _advanced(account, event.transaction_id, Stage.REQUEST_REJECTED, account.balance)


def request_rejection_received(account: Account, event: RequestRejectionReceived) -> Account:
    """Wait for the money no longer."""
    stage = Stage.REQUEST_REJECTION_RECEIVED
    return _advanced(account, event.transaction_id, stage, account.balance)


def request_debited(account: Account, event: RequestDebited) -> Account:
    """Send off the money that was asked for."""
    return _advanced(account, event.transaction_id, Stage.REQUEST_DEBITED, event.balance)


def request_debit_rolled_back(account: Account, event: RequestDebitRolledBack) -> Account:
    """Take back what could not be delivered."""
    stage = Stage.REQUEST_DEBIT_ROLLED_BACK
    return _advanced(account, event.transaction_id, stage, event.balance)


def request_credited(account: Account, event: RequestCredited) -> Account:
    """Take in the money that was asked for."""
    return _advanced(account, event.transaction_id, Stage.REQUEST_CREDITED, event.balance)


def _noted(account: Account, id_: str, transaction: Transaction, balance: Decimal) -> Account:
    return replace(
        account, balance=balance, transactions={**account.transactions, id_: transaction}
    )


def _advanced(account: Account, id_: str, stage: Stage, balance: Decimal) -> Account:
    return _noted(account, id_, replace(account.transactions[id_], stage=stage), balance)
