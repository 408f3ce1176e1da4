"""What the bank can be asked to do.

One rule: a command names the account that decides on it, as ``account_id``. Those that move money take a
``transaction_id``: the same id again is the same request again, and moves nothing. Left out, one is made.

The owner of an account sends the first half; the rest is what transfers and requests ask of the accounts
on their way. ``account`` and the modules beside it say what becomes of each.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

from examples.bank.fields import Checked


@dataclass(frozen=True, slots=True)
class CreateAccount(Checked):
    """Open an account, with some money in it or with none."""

    name: str
    initial_deposit: Decimal | None = None


@dataclass(frozen=True, slots=True)
class DepositFunds(Checked):
    """Bring cash."""

    account_id: str
    amount: Decimal
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class WithdrawFunds(Checked):
    """Take cash. The account may be overdrawn by a hundred."""

    account_id: str
    amount: Decimal
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class ForgiveDebt(Checked):
    """Let the account off what it owes, up to a hundred, and no more than twice in its life."""

    account_id: str
    transaction_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteAccount(Checked):
    """Close the account. Closing it again changes nothing."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Transfer(Checked):
    """Send money to another account."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    transaction_id: str | None = None

    @property
    def account_id(self) -> str:
        """The sender decides."""
        return self.funding_account_id


@dataclass(frozen=True, slots=True)
class Request(Checked):
    """Ask another account for money."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    transaction_id: str | None = None

    @property
    def account_id(self) -> str:
        """The asker decides."""
        return self.funded_account_id


# --- on the way of a transfer ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreditTransfer(Checked):
    """Take in money that another account has sent."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    transaction_id: str

    @property
    def account_id(self) -> str:
        """The receiver decides."""
        return self.funded_account_id


@dataclass(frozen=True, slots=True)
class _OfFunding(Checked):
    """A step of a transaction that the account which the money comes from decides on."""

    funding_account_id: str
    transaction_id: str

    @property
    def account_id(self) -> str:
        """The account that the money comes from decides."""
        return self.funding_account_id


@dataclass(frozen=True, slots=True)
class _OfFunded(Checked):
    """A step of a transaction that the account which the money goes to decides on."""

    funded_account_id: str
    transaction_id: str

    @property
    def account_id(self) -> str:
        """The account that the money goes to decides."""
        return self.funded_account_id


@dataclass(frozen=True, slots=True)
class RollbackTransferDebit(_OfFunding):
    """Take back money that could not be delivered."""


# --- on the way of a request ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GetRequestApproval(Checked):
    """Be asked for money, until ``timeout_at``."""

    funding_account_id: str
    funded_account_id: str
    amount: Decimal
    transaction_id: str
    timeout_at: datetime

    @property
    def account_id(self) -> str:
        """The account that is asked decides."""
        return self.funding_account_id


@dataclass(frozen=True, slots=True)
class AcceptRequest(_OfFunding):
    """Say yes to a request for money."""


@dataclass(frozen=True, slots=True)
class RejectRequest(_OfFunding):
    """Say no to a request for money."""


@dataclass(frozen=True, slots=True)
class NotifyRequestRejected(_OfFunded):
    """Be told that the money will not come."""


@dataclass(frozen=True, slots=True)
class DebitRequest(_OfFunding):
    """Send the money off that was asked for."""


@dataclass(frozen=True, slots=True)
class CreditRequest(_OfFunded):
    """Take in the money that was asked for."""


@dataclass(frozen=True, slots=True)
class RollbackRequestDebit(_OfFunding):
    """Take back money that was asked for and could not be delivered."""


#: A step of a transaction that the account knows already.
NextStep: TypeAlias = (
    RollbackTransferDebit
    | AcceptRequest
    | RejectRequest
    | NotifyRequestRejected
    | DebitRequest
    | CreditRequest
    | RollbackRequestDebit
)
#: Whatever one account decides on.
AccountCommand: TypeAlias = (
    NextStep
    | DepositFunds
    | WithdrawFunds
    | ForgiveDebt
    | DeleteAccount
    | Transfer
    | Request
    | CreditTransfer
    | GetRequestApproval
)
