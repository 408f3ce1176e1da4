"""Transfers: an account sends money to another.

One rule: money leaves the one account first, and then arrives at the other or comes back. In between
it is in the events: debited, and neither credited nor rolled back.

Each function is one account's part of it. Pure decisions, like those in ``cash`` and ``requests``.
"""

from examples.bank.account import Account, Stage
from examples.bank.commands import CreditTransfer, RollbackTransferDebit, Transfer
from examples.bank.deciding import NewId, Step, begins, check_funds, due
from examples.bank.events import TransferCredited, TransferDebited, TransferDebitRolledBack

ROLL_BACK = Step(Stage.TRANSFER_DEBITED, (Stage.TRANSFER_DEBIT_ROLLED_BACK,), undoes=True)


def transfer(account: Account, command: Transfer, *, new_id: NewId) -> list[TransferDebited]:
    """Send money off."""
    transaction_id = command.transaction_id or str(new_id())
    receiver, amount = command.funded_account_id, command.amount
    stages = (Stage.TRANSFER_DEBITED, Stage.TRANSFER_DEBIT_ROLLED_BACK)
    if not begins(account, command, transaction_id, stages, amount, receiver):
        return []
    check_funds(account, amount)
    balance = account.balance - amount
    return [TransferDebited(account.id, receiver, amount, balance, transaction_id)]


def credit_transfer(account: Account, command: CreditTransfer) -> list[TransferCredited]:
    """Take in what another account has sent."""
    sender, amount = command.funding_account_id, command.amount
    stages = (Stage.TRANSFER_CREDITED,)
    if not begins(account, command, command.transaction_id, stages, amount, sender):
        return []
    balance = account.balance + amount
    return [TransferCredited(sender, account.id, amount, balance, command.transaction_id)]


def roll_back_transfer_debit(
    account: Account, command: RollbackTransferDebit
) -> list[TransferDebitRolledBack]:
    """Take back what could not be delivered."""
    sent = due(account, command, ROLL_BACK)
    if sent is None:
        return []
    balance = account.balance + sent.amount
    return [TransferDebitRolledBack(account.id, sent.amount, balance, command.transaction_id)]
