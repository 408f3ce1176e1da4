"""What happens in the bank.

One rule: an event is a fact, and holds all that is needed to tell it: who, how much, in which
transaction, and the balance after it where it moved one.

*Funding* is the account that money comes from, *funded* the one that it goes to. ``account`` folds these
events into an account.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from examples.bank.fields import Checked


@dataclass(frozen=True, slots=True)
class AccountIdProvisioned(Checked):
    """An account number was given out, and never will be again."""

    account_id: str


@dataclass(frozen=True, slots=True)
class AccountCreated(Checked):
    """An account was opened, with nothing in it."""

    account_id: str
    name: str


@dataclass(frozen=True, slots=True)
class AccountDeleted(Checked):
    """An account was closed. What it held and owed stays on record."""

    account_id: str


@dataclass(frozen=True, slots=True)
class FundsDeposited(Checked):
    """Cash came in."""

    account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str


@dataclass(frozen=True, slots=True)
class FundsWithdrawn(Checked):
    """Cash went out."""

    account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str


@dataclass(frozen=True, slots=True)
class DebtForgiven(Checked):
    """The bank let the account off ``amount``, all that it owed. Its balance is zero."""

    account_id: str
    amount: Decimal
    transaction_id: str


# --- a transfer: an account sends money to another ------------------------------------------------


@dataclass(frozen=True, slots=True)
class TransferDebited(Checked):
    """The funding account sent the money off."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str


@dataclass(frozen=True, slots=True)
class TransferCredited(Checked):
    """The funded account got the money."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str


@dataclass(frozen=True, slots=True)
class TransferDebitRolledBack(Checked):
    """The money could not be delivered, and is back in the funding account."""

    funding_account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str


# --- a request: an account asks another for money -------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestCreated(Checked):
    """The funded account asks for money. It may be had until ``timeout_at``."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    transaction_id: str
    timeout_at: datetime


@dataclass(frozen=True, slots=True)
class RequestReceived(Checked):
    """The funding account was asked, and its owner may approve until ``timeout_at``."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    transaction_id: str
    timeout_at: datetime


@dataclass(frozen=True, slots=True)
class RequestApproved(Checked):
    """The owner of the funding account said yes."""

    funding_account_id: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class RequestRejected(Checked):
    """The owner of the funding account said no."""

    funding_account_id: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class RequestRejectionReceived(Checked):
    """The funded account was told that it will not get the money."""

    funded_account_id: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class RequestDebited(Checked):
    """The funding account sent the money off."""

    funding_account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str


@dataclass(frozen=True, slots=True)
class RequestDebitRolledBack(Checked):
    """The money could not be delivered, and is back in the funding account."""

    funding_account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str


@dataclass(frozen=True, slots=True)
class RequestCredited(Checked):
    """The funded account got the money it asked for."""

    funded_account_id: str
    amount: Decimal
    balance: Decimal
    transaction_id: str
