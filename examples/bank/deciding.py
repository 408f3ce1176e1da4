"""What every decision of an account asks first.

One rule: what was done before is answered with success and nothing more, whatever has become of the account
since; only then is it asked whether the thing can be done.

``cash``, ``transfers`` and ``requests`` stand on these.
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from examples.bank.account import Account, Stage, Transaction
from examples.bank.commands import AccountCommand, NextStep
from perdure import Rejected

#: What an account may owe.
OVERDRAFT_MAX = Decimal(100)

NewId = Callable[[], UUID]


class Step(NamedTuple):
    """A step of a transaction: the stage that it goes on from, and those behind it.

    What undoes something must always succeed, or the money is lost: a closed account takes it too.
    """

    follows: Stage
    done: tuple[Stage, ...]
    undoes: bool = False


def check_exists(account: Account, command: AccountCommand) -> None:
    """Raise ``Rejected`` unless this is the account that the command is meant for."""
    if not account.id:
        raise Rejected("Account does not exist")
    if account.id != command.account_id:
        raise Rejected(f"Account '{account.id}' is not '{command.account_id}'")


def check_open(account: Account) -> None:
    """Raise ``Rejected`` for a closed account."""
    if account.is_deleted:
        raise Rejected("Account deleted")


def check_funds(account: Account, amount: Decimal) -> None:
    """Raise ``Rejected`` when the account would owe too much."""
    if account.balance - amount < -OVERDRAFT_MAX:
        raise Rejected("Insufficient funds")


def check_time(timeout_at: datetime | None, now: datetime) -> None:
    """Raise ``Rejected`` once a transaction may no longer be gone on with."""
    if timeout_at is not None and now > timeout_at:
        raise Rejected("Transaction timed out")


def begins(
    account: Account,
    command: AccountCommand,
    transaction_id: str,
    stages: tuple[Stage, ...],
    amount: Decimal | None = None,
    other: str = "",
) -> bool:
    """Tell whether a transaction begins now. If not, it did before, and is at one of the stages.

    Raises ``Rejected`` when the account cannot begin any, or knows the id from something else.
    """
    check_exists(account, command)
    known = account.transactions.get(transaction_id)
    if known is None:
        check_open(account)
        return True
    is_same = known.stage in stages and amount in (None, known.amount) and known.other == other
    if not is_same:
        raise Rejected(f"Transaction '{transaction_id}' is known already, as something else")
    return False


def due(account: Account, command: NextStep, step: Step) -> Transaction | None:
    """Give the transaction when this step of it is to be taken now; ``None`` when it was before.

    Raises ``Rejected`` when it cannot be taken.
    """
    check_exists(account, command)
    known = account.transactions.get(command.transaction_id)
    if known is not None and known.stage in step.done:
        return None
    if not step.undoes:
        check_open(account)
    if known is None:
        raise Rejected(f"Transaction '{command.transaction_id}' not found")
    if known.stage is not step.follows:
        raise Rejected(
            f"Transaction '{command.transaction_id}' is {known.stage.value}, not {step.follows.value}"
        )
    return known
