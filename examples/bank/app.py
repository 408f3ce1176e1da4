"""The bank, wired to Perdure: which events there are, and who decides on which command.

One rule: there is no logic here. ``perdure serve examples.bank.app:app`` runs it; ``README.md`` says what to
ask it then.
"""

from examples.bank import account as accounts
from examples.bank import cash, creation, events, following, requests, transfers
from examples.bank.account import Account
from examples.bank.commands import CreateAccount
from examples.bank.creation import AccountNumbers
from examples.bank.following import Movement
from perdure import Context, EntityRef

bank = Context("bank")

bank.event("account_id_provisioned")(events.AccountIdProvisioned)
bank.event("account_created")(events.AccountCreated)
bank.event("account_deleted")(events.AccountDeleted)
bank.event("funds_deposited")(events.FundsDeposited)
bank.event("funds_withdrawn")(events.FundsWithdrawn)
bank.event("debt_forgiven")(events.DebtForgiven)
bank.event("transfer_debited")(events.TransferDebited)
bank.event("transfer_credited")(events.TransferCredited)
bank.event("transfer_debit_rolled_back")(events.TransferDebitRolledBack)
bank.event("request_created")(events.RequestCreated)
bank.event("request_received")(events.RequestReceived)
bank.event("request_approved")(events.RequestApproved)
bank.event("request_rejected")(events.RequestRejected)
bank.event("request_rejection_received")(events.RequestRejectionReceived)
bank.event("request_debited")(events.RequestDebited)
bank.event("request_debit_rolled_back")(events.RequestDebitRolledBack)
bank.event("request_credited")(events.RequestCredited)

# An account: what its events make of it, and what it decides on.
account = bank.entity(creation.ACCOUNT, Account)
account.update(accounts.created)
account.update(accounts.deleted)
account.update(accounts.deposited)
account.update(accounts.withdrawn)
account.update(accounts.forgiven)
account.update(accounts.transfer_debited)
account.update(accounts.transfer_credited)
account.update(accounts.transfer_debit_rolled_back)
account.update(accounts.request_created)
account.update(accounts.request_received)
account.update(accounts.request_approved)
account.update(accounts.request_rejected)
account.update(accounts.request_rejection_received)
account.update(accounts.request_debited)
account.update(accounts.request_debit_rolled_back)
account.update(accounts.request_credited)

account.handle(cash.deposit_funds)
account.handle(cash.withdraw_funds)
account.handle(cash.forgive_debt)
account.handle(cash.delete_account)
account.handle(transfers.transfer)
account.handle(transfers.credit_transfer)
account.handle(transfers.roll_back_transfer_debit)
account.handle(requests.request)
account.handle(requests.get_request_approval)
account.handle(requests.accept_request)
account.handle(requests.reject_request)
account.handle(requests.notify_request_rejected)
account.handle(requests.debit_request)
account.handle(requests.credit_request)
account.handle(requests.roll_back_request_debit)

# The numbers of accounts. Every new account is decided on here, so this one is worth a snapshot.
account_numbers = bank.entity(creation.NUMBERS, AccountNumbers, snapshot_every=100)
account_numbers.update(creation.provisioned)


def needs(command: CreateAccount) -> EntityRef[AccountNumbers]:
    """Look up which account number is next."""
    return account_numbers.named(creation.SEQUENCE)


bank.low(needs)(creation.create_account)

# What follows from a transfer, and from a request, until money is where it belongs.
transfer = bank.saga("transfer", Movement, by="transaction_id")
transfer.react(following.transfer_debited)
transfer.react(following.transfer_credited)
transfer.react(following.transfer_not_credited)
transfer.react(following.transfer_rolled_back)
transfer.react(following.transfer_stuck)

request = bank.saga("request", Movement, by="transaction_id")
request.react(following.request_created)
request.react(following.request_not_received)
request.react(following.request_rejected)
request.react(following.request_approved)
request.react(following.request_debited)
request.react(following.request_not_debited)
request.react(following.request_credited)
request.react(following.request_not_credited)
request.react(following.request_rolled_back)
request.react(following.request_stuck)
request.react(following.refusal_told)
request.react(following.refusal_not_told)

app = bank
