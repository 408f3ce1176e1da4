"""The shells that run the functions of ``examples.invite``, and what is expected of each of them.

The functions are the same; a shell is whatever looks up, operates and writes for them.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid1, uuid4

import httpx2
import pytest

import perdure
from examples.invite.app import customer, invitations
from examples.invite.functions import (
    Customer,
    CustomerInvited,
    InviteCustomer,
    invite,
    needs,
    project,
)
from perdure import Accepted, App, Emit, Envelope, Rejected, Reply
from perdure.transports.http import HttpApp

Told = dict[str, Any]


class Shell(Protocol):
    """Invites customers, and says who they are."""

    async def invite(self, email: str) -> Told:
        """Invite, and give the customer. Raises ``Rejected``."""
        ...

    async def customer(self, id_: str) -> Told:
        """Give a customer that was invited."""
        ...


class ByHand:
    """No framework at all: a list of events, and four lines that look up, operate and write."""

    def __init__(self) -> None:
        self.events: list[Envelope[CustomerInvited]] = []

    async def invite(self, email: str) -> Told:
        """Look up, operate, write."""
        command = InviteCustomer(email)
        wanted = set(needs(command).tags)
        found = [event for event in self.events if wanted <= set(event.tags)]
        return self._write(invite(command, found, new_id=uuid4))

    def _write(self, outputs: Sequence[Emit | Reply]) -> Told:
        reply: Told = {}
        for output in outputs:
            if isinstance(output, Reply):
                reply = output.value
            else:
                self.events.append(_recorded(output, len(self.events) + 1))
        return reply

    async def customer(self, id_: str) -> Told:
        """Fold what happened to the customer."""
        model = Customer()
        for event in self.events:
            if str(event.entity) == id_:
                model = project(model, event.data)
        return {"id": str(model.id), "email": model.email, "invited": model.invited}


class InProcess:
    """Perdure, asked in Python."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._seen = 0

    async def invite(self, email: str) -> Told:
        """Send the command."""
        outcome = await self.app.send(InviteCustomer(email))
        if isinstance(outcome, Rejected):
            raise outcome
        assert isinstance(outcome, Accepted)
        self._seen = max(self._seen, outcome.position)
        reply: Told = outcome.reply
        return reply

    async def customer(self, id_: str) -> Told:
        """Ask for the model."""
        model = await self.app.model(customer(UUID(id_)), after=self._seen)
        return {"id": str(model.id), "email": model.email, "invited": model.invited}


class OverHttp:
    """Perdure, asked over HTTP."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self._seen = 0

    async def invite(self, email: str) -> Told:
        """Post the command."""
        answer = await self.client.post("/invite/commands/invite_customer", json={"email": email})
        told = answer.json()
        if answer.status_code == 422:
            raise Rejected(told["detail"])
        assert answer.status_code == 200, told
        self._seen = max(self._seen, told["position"])
        reply: Told = told["reply"]
        return reply

    async def customer(self, id_: str) -> Told:
        """Get the model."""
        answer = await self.client.get(f"/invite/customer/{id_}/model?after={self._seen}")
        model: Told = answer.json()["model"]
        return model


@asynccontextmanager
async def shell(name: str, directory: Path) -> AsyncIterator[Shell]:
    """Open a shell by its name."""
    if name == "by hand":
        yield ByHand()
        return
    where, _, how = name.partition(", ")
    on_sqlite = where == "sqlite"
    store = f"sqlite:///{directory}" if on_sqlite else "memory://"
    async with perdure.open(invitations(keeps_table=on_sqlite), store=store) as app:
        if how == "http":
            transport = httpx2.ASGITransport(app=HttpApp(app))
            async with httpx2.AsyncClient(transport=transport, base_url="http://x.test") as client:
                yield OverHttp(client)
        else:
            yield InProcess(app)


async def acceptance(shell: Shell) -> None:
    """Demand what every shell must do, whatever it is made of."""
    invited = await shell.invite("hello@you.com")
    assert invited == {"id": invited["id"], "email": "hello@you.com", "invited": True}
    assert UUID(invited["id"]).version == 4
    assert await shell.customer(invited["id"]) == invited

    assert await shell.invite("hello@you.com") == invited
    assert await shell.invite("  Hello@YOU.com ") == invited

    other = await shell.invite("someone@else.com")
    assert other["invited"]
    assert other["id"] != invited["id"]
    assert await shell.customer(other["id"]) == other
    assert await shell.customer(invited["id"]) == invited

    for blank in ("", " \t "):
        with pytest.raises(Rejected, match="Email is required"):
            await shell.invite(blank)


def _recorded(emit: Emit, position: int) -> Envelope[CustomerInvited]:
    assert emit.entity is not None
    assert emit.fresh
    return Envelope(
        data=emit.event,
        type="customer_invited",
        entity=emit.entity,
        event_id=uuid1(),
        at=datetime.now(UTC),
        position=position,
        domain=emit.domain,
        tags=emit.tags,
    )
