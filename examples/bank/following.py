"""What follows from a transfer or a request: the sagas that carry them to their end.

One rule: money that left an account arrives, or comes back. Each function takes where a transaction
stands and what happened, and says where it stands then and which command comes next. Commands are decided on
by the accounts; a saga never says what is in one.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

from examples.bank.commands import (
    AccountCommand,
    CreditRequest,
    CreditTransfer,
    DebitRequest,
    GetRequestApproval,
    NotifyRequestRejected,
    RollbackRequestDebit,
    RollbackTransferDebit,
)
from examples.bank.creation import ACCOUNT
from examples.bank.events import (
    RequestApproved,
    RequestCreated,
    RequestRejected,
    TransferDebited,
)
from perdure import Complete, Done, EntityRef, Refused, Send, entity_named


@dataclass(frozen=True)
class Movement:
    """Where a transfer or a request stands: between which accounts, how much, which step."""

    funding: str = ""
    funded: str = ""
    amount: Decimal = Decimal(0)
    transaction_id: str = ""
    step: str = ""
    reason: str = ""


Next = tuple[Movement, list[Send | Complete]]


def send(command: AccountCommand) -> Send:
    """Address a command to the account that decides on it."""
    account = entity_named(ACCOUNT, command.account_id)
    return Send(command, to=EntityRef("bank", ACCOUNT, str(account)))


# --- a transfer -----------------------------------------------------------------------------------


def transfer_debited(model: Movement, event: TransferDebited) -> Next:
    """The money is on its way: let it arrive."""
    model = Movement(
        event.funding_account_id,
        event.funded_account_id,
        event.amount,
        event.transaction_id,
        "debited",
    )
    credit = CreditTransfer(model.funding, model.funded, model.amount, model.transaction_id)
    return model, [send(credit)]


def transfer_credited(model: Movement, outcome: Done[CreditTransfer]) -> Next:
    """It arrived."""
    return replace(model, step="credited"), [Complete()]


def transfer_not_credited(model: Movement, outcome: Refused[CreditTransfer]) -> Next:
    """It cannot arrive: let it come back."""
    model = replace(model, step="rolling back", reason=outcome.reason)
    return model, [send(RollbackTransferDebit(model.funding, model.transaction_id))]


def transfer_rolled_back(model: Movement, outcome: Done[RollbackTransferDebit]) -> Next:
    """It came back."""
    return replace(model, step="rolled back"), [Complete()]


def transfer_stuck(model: Movement, outcome: Refused[RollbackTransferDebit]) -> Next:
    """It can neither arrive nor come back: somebody has to look at this."""
    raise RuntimeError(f"transfer {model.transaction_id!r}: {outcome.reason}")


# --- a request ------------------------------------------------------------------------------------


def request_created(model: Movement, event: RequestCreated) -> Next:
    """Somebody asks for money: ask the other."""
    model = Movement(
        event.funding_account_id,
        event.funded_account_id,
        event.amount,
        event.transaction_id,
        "asking",
    )
    ask = GetRequestApproval(
        model.funding, model.funded, model.amount, model.transaction_id, event.timeout_at
    )
    return model, [send(ask)]


def request_not_received(model: Movement, outcome: Refused[GetRequestApproval]) -> Next:
    """The other cannot be asked."""
    return _refuse(model, outcome.reason)


def request_rejected(model: Movement, event: RequestRejected) -> Next:
    """The other said no."""
    return _refuse(model, "rejected")


def request_approved(model: Movement, event: RequestApproved) -> Next:
    """The other said yes: send the money off."""
    model = replace(model, step="approved")
    return model, [send(DebitRequest(model.funding, model.transaction_id))]


def request_debited(model: Movement, outcome: Done[DebitRequest]) -> Next:
    """The money is on its way: let it arrive."""
    model = replace(model, step="debited")
    return model, [send(CreditRequest(model.funded, model.transaction_id))]


def request_not_debited(model: Movement, outcome: Refused[DebitRequest]) -> Next:
    """The money is not there."""
    return _refuse(model, outcome.reason)


def request_credited(model: Movement, outcome: Done[CreditRequest]) -> Next:
    """It arrived."""
    return replace(model, step="credited"), [Complete()]


def request_not_credited(model: Movement, outcome: Refused[CreditRequest]) -> Next:
    """It cannot arrive: let it come back."""
    model = replace(model, step="rolling back", reason=outcome.reason)
    return model, [send(RollbackRequestDebit(model.funding, model.transaction_id))]


def request_rolled_back(model: Movement, outcome: Done[RollbackRequestDebit]) -> Next:
    """It came back."""
    return replace(model, step="rolled back"), [Complete()]


def request_stuck(model: Movement, outcome: Refused[RollbackRequestDebit]) -> Next:
    """It can neither arrive nor come back: somebody has to look at this."""
    raise RuntimeError(f"request {model.transaction_id!r}: {outcome.reason}")


def refusal_told(model: Movement, outcome: Done[NotifyRequestRejected]) -> Next:
    """Who asked knows that nothing comes."""
    return replace(model, step="refused"), [Complete()]


def refusal_not_told(model: Movement, outcome: Refused[NotifyRequestRejected]) -> Next:
    """Who asked is not there any more, or has stopped waiting."""
    return replace(model, step="refused", reason=outcome.reason), [Complete()]


def _refuse(model: Movement, reason: str) -> Next:
    model = replace(model, step="refusing", reason=reason)
    return model, [send(NotifyRequestRejected(model.funded, model.transaction_id))]
