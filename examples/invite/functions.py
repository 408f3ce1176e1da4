"""Inviting a customer by e-mail: nobody is invited twice.

One rule: these functions are the business, and are expected never to change while what runs them does.
They take values and give values: ``needs`` says what to look up, ``invite`` decides, ``write`` keeps
a table of the shell's own, ``project`` makes the model that can be asked for.

``app`` is one shell. A unit test is another: it calls the functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from perdure import Emit, Envelope, Matching, Rejected, Reply, Statement, matching

#: What there is room for in the tag that an invitation carries.
EMAIL_LENGTH_MAX = 250

CUSTOMERS_TABLE = """
CREATE TABLE IF NOT EXISTS customers (
    id TEXT NOT NULL,
    email TEXT NOT NULL PRIMARY KEY,
    invited INTEGER NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class InviteCustomer:
    """Invite the owner of this e-mail address.

    Raises:
        ValueError: the address is too long, or holds what cannot be printed.
    """

    email: str

    def __post_init__(self) -> None:
        address = normalised(self.email)
        if len(address) > EMAIL_LENGTH_MAX:
            raise ValueError(f"an e-mail address has {EMAIL_LENGTH_MAX} characters at most")
        if not address.isprintable():
            raise ValueError("an e-mail address has printable characters only")


@dataclass(frozen=True, slots=True)
class CustomerInvited:
    """Somebody was invited, and is a customer from now on.

    Raises:
        ValueError: the address is missing, or not normalised.
    """

    customer_id: UUID
    email: str

    def __post_init__(self) -> None:
        if not self.email or self.email != normalised(self.email):
            raise ValueError(f"{self.email!r} is not a normalised e-mail address")


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as asked for; ``id`` is missing until there is one."""

    id: UUID | None = None
    email: str = ""
    invited: bool = False


def normalised(email: str) -> str:
    """Give the one spelling of an address: without blanks around it, and in lower case.

    The standard lets a mail server tell ``Ann@`` from ``ann@``; none does, and people type both.
    """
    return email.strip().casefold()


def needs(command: InviteCustomer) -> Matching[CustomerInvited]:
    """Look up whether this address was invited before."""
    return matching(CustomerInvited, tags=[_tag(command.email)])


def invite(
    command: InviteCustomer,
    found: Sequence[Envelope[CustomerInvited]],
    *,
    new_id: Callable[[], UUID],
) -> list[Emit | Reply]:
    """Invite a fresh customer, or give the one whose address this is.

    Raises:
        Rejected: there is no address.
    """
    email = normalised(command.email)
    if not email:
        raise Rejected("Email is required")
    if found:
        return [_reply(found[0].data)]
    invited = CustomerInvited(new_id(), email)
    return [
        Emit(event=invited, entity=invited.customer_id, tags=(_tag(email),), fresh=True),
        _reply(invited),
    ]


def write(event: CustomerInvited) -> list[Statement]:
    """Keep the table of customers. Its primary key refuses a second customer of one address."""
    row = (str(event.customer_id), event.email, True)
    return [Statement("INSERT INTO customers (id, email, invited) VALUES (?, ?, ?)", row, rows=1)]


def project(model: Customer, event: CustomerInvited) -> Customer:
    """Make the customer that can be asked for."""
    return Customer(event.customer_id, event.email, invited=True)


def _tag(email: str) -> str:
    return f"email:{normalised(email)}"


def _reply(invited: CustomerInvited) -> Reply:
    return Reply({"id": str(invited.customer_id), "email": invited.email, "invited": True})
