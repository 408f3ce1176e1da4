"""Inviting customers, on Perdure: the shell around ``functions``.

One rule: there is no logic here. ``perdure serve examples.invite.app:app`` runs it on a store that speaks
SQL; ``invitations(keeps_table=False)`` runs the same functions where there is none, such as in memory.
"""

from uuid import UUID

from examples.invite.functions import (
    CUSTOMERS_TABLE,
    Customer,
    CustomerInvited,
    invite,
    needs,
    project,
    write,
)
from perdure import Context, ModelRef


def invitations(*, keeps_table: bool) -> Context:
    """Wire the functions; ``keeps_table``: with a table of customers, written in the same commit."""
    context = Context("invite")
    context.event("customer_invited")(CustomerInvited)
    context.low(needs)(invite)
    context.service("customer", Customer).react(project)
    if keeps_table:
        context.table(CUSTOMERS_TABLE)
        context.write(write)
    return context


def customer(id_: UUID) -> ModelRef[Customer]:
    """Name a customer, for ``app.model``."""
    return ModelRef("invite", "customer", str(id_))


app = invitations(keeps_table=True)
