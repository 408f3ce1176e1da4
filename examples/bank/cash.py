"""Cash at the counter, debts let off, and the end of an account.

One rule: an account may owe a hundred and no more, and is let off what it owes no more than twice.

Pure decisions: an account and a command make events. ``transfers`` and ``requests`` are of the same kind.
"""

from examples.bank.account import Account, Stage
from examples.bank.commands import DeleteAccount, DepositFunds, ForgiveDebt, WithdrawFunds
from examples.bank.deciding import (
    OVERDRAFT_MAX,
    NewId,
    begins,
    check_exists,
    check_funds,
)
from examples.bank.events import AccountDeleted, DebtForgiven, FundsDeposited, FundsWithdrawn
from perdure import Rejected

TIMES_FORGIVEN_MAX = 2
DEBT_FORGIVEN_MAX = OVERDRAFT_MAX


def deposit_funds(
    account: Account, command: DepositFunds, *, new_id: NewId
) -> list[FundsDeposited]:
    """Take cash in."""
    transaction_id = command.transaction_id or str(new_id())
    if not begins(account, command, transaction_id, (Stage.DEPOSITED,), command.amount):
        return []
    balance = account.balance + command.amount
    return [FundsDeposited(account.id, command.amount, balance, transaction_id)]


def withdraw_funds(
    account: Account, command: WithdrawFunds, *, new_id: NewId
) -> list[FundsWithdrawn]:
    """Give cash out."""
    transaction_id = command.transaction_id or str(new_id())
    if not begins(account, command, transaction_id, (Stage.WITHDRAWN,), command.amount):
        return []
    check_funds(account, command.amount)
    balance = account.balance - command.amount
    return [FundsWithdrawn(account.id, command.amount, balance, transaction_id)]


def forgive_debt(account: Account, command: ForgiveDebt, *, new_id: NewId) -> list[DebtForgiven]:
    """Let the account off all that it owes."""
    transaction_id = command.transaction_id or str(new_id())
    if not begins(account, command, transaction_id, (Stage.FORGIVEN,)):
        return []
    debt = -account.balance
    if not 0 < debt <= DEBT_FORGIVEN_MAX:
        raise Rejected("Forgiveness not applicable")
    if account.times_forgiven >= TIMES_FORGIVEN_MAX:
        raise Rejected("Forgiveness quota exceeded")
    return [DebtForgiven(account.id, debt, transaction_id)]


def delete_account(account: Account, command: DeleteAccount) -> list[AccountDeleted]:
    """Close the account; it is closed once."""
    check_exists(account, command)
    return [] if account.is_deleted else [AccountDeleted(account.id)]
