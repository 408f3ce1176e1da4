"""Telling the story of one account: given these events, when this is asked, then that happens.

Calls the bank's own functions, found by what they take. No framework has a part in it.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from inspect import getmembers, isfunction, signature
from itertools import count
from types import ModuleType
from typing import Any, get_type_hints
from uuid import UUID

import pytest

from examples.bank import account as accounts
from examples.bank import cash, requests, transfers
from examples.bank.account import Account
from examples.bank.events import AccountCreated, FundsDeposited
from perdure import Rejected

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
TIMEOUT_AT = NOW + timedelta(minutes=30)
ME, OTHER = "000001", "000002"
MADE_ID = UUID(int=7, version=4)


def _routes(*modules: ModuleType, taken: str) -> dict[type, Callable[..., Any]]:
    """Find the public functions of the modules by the class of the parameter of this name."""
    functions = [
        function
        for module in modules
        for name, function in getmembers(module, isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]
    return {get_type_hints(function)[taken]: function for function in functions}


UPDATES = _routes(accounts, taken="event")
DECISIONS = _routes(cash, transfers, requests, taken="command")


def fold(events: Sequence[Any], account: Account | None = None) -> Account:
    """Give the account that these events make."""
    state = account or Account()
    for event in events:
        state = UPDATES[type(event)](state, event)
    return state


def decide(account: Account, command: Any, now: datetime = NOW, number: int = 7) -> list[Any]:
    """Give the events that the account makes of a command; ids made are ``number`` and on."""
    numbers = count(number)
    offered: dict[str, Any] = {
        "now": now, "new_id": lambda: UUID(int=next(numbers), version=4),
    }  # fmt: skip
    decision = DECISIONS[type(command)]
    asked = {name: offered[name] for name in signature(decision).parameters if name in offered}
    events: list[Any] = decision(account, command, **asked)
    return events


class When:
    """What was asked of an account; ``then`` or ``refused`` says what is to come of it."""

    def __init__(self, account: Account, command: Any, now: datetime) -> None:
        self._account, self._command, self._now = account, command, now

    def then(self, *events: Any) -> None:
        """Demand exactly these events; none: it succeeds and changes nothing."""
        assert decide(self._account, self._command, self._now) == list(events)

    def refused(self, reason: str) -> None:
        """Demand a rejection with this reason."""
        with pytest.raises(Rejected) as refusal:
            decide(self._account, self._command, self._now)
        assert refusal.value.reason == reason


class Given:
    """The events of an account so far."""

    def __init__(self, events: Sequence[Any]) -> None:
        self._account = fold(events)

    def when(self, command: Any, now: datetime = NOW) -> When:
        """Ask something of the account."""
        return When(self._account, command, now)


def given(*events: Any) -> Given:
    """Begin a story."""
    return Given(events)


def opened(deposit: int | str = 0) -> list[Any]:
    """Give the events of an account that was opened with so much in it."""
    created = AccountCreated(ME, "Natalie")
    amount = Decimal(deposit)
    return [created, FundsDeposited(ME, amount, amount, "first")] if amount else [created]
