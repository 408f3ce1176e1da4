"""Opening an account.

One rule: numbers are given out one by one, and none twice. So the number and the account are written
together, on condition that nobody else has taken the number meanwhile.

A decision over two entities: the sequence of numbers, which is looked up, and the account, which is fresh.
``app`` says where the sequence is found.
"""

from dataclasses import dataclass

from examples.bank.commands import CreateAccount
from examples.bank.deciding import NewId
from examples.bank.events import AccountCreated, AccountIdProvisioned, FundsDeposited
from examples.bank.fields import ACCOUNT_ID_LENGTH
from perdure import Emit, Rejected, Reply, entity_named

#: The names of the entities: those of accounts are made with their ids.
ACCOUNT, NUMBERS, SEQUENCE = "account", "account_numbers", "accounts"
_NUMBER_MAX = 10**ACCOUNT_ID_LENGTH - 1


@dataclass(frozen=True, slots=True)
class AccountNumbers:
    """How many account numbers were given out; the last one is that number."""

    provisioned: int = 0


def provisioned(numbers: AccountNumbers, event: AccountIdProvisioned) -> AccountNumbers:
    """Count a number that was given out."""
    return AccountNumbers(numbers.provisioned + 1)


def create_account(
    command: CreateAccount, numbers: AccountNumbers, *, new_id: NewId
) -> list[Emit | Reply]:
    """Open an account under the next number, and tell it.

    Raises:
        Rejected: there are no numbers left.
    """
    number = numbers.provisioned + 1
    if number > _NUMBER_MAX:
        raise Rejected("No account number is left")
    account_id = f"{number:0{ACCOUNT_ID_LENGTH}d}"
    sequence, account = entity_named(NUMBERS, SEQUENCE), entity_named(ACCOUNT, account_id)
    outputs: list[Emit | Reply] = [
        Emit(event=AccountIdProvisioned(account_id), entity=sequence),
        Emit(event=AccountCreated(account_id, command.name), entity=account, fresh=True),
    ]
    if command.initial_deposit is not None:
        amount = command.initial_deposit
        deposited = FundsDeposited(account_id, amount, amount, str(new_id()))
        outputs.append(Emit(event=deposited, entity=account))
    return [*outputs, Reply(account_id)]
