"""What the tests of deciding share: a small bank, and a store that outlives the applications over it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from perdure import Accepted, App, Context, EntityKind, RecordedEvent, Rejected, Settings
from perdure.engines.sqlite import SqliteEngine
from perdure.ports.engine import Engine
from perdure.ports.environment import Environment
from perdure.runtime.environment import SystemEnvironment
from perdure.testing import ManualClock, ManualEnvironment
from tests.runtime.support import OutlivingEngine

M = TypeVar("M")


@dataclass(frozen=True)
class Deposited:
    amount: int


@dataclass(frozen=True)
class Withdrawn:
    amount: int


@dataclass(frozen=True)
class Deposit:
    amount: int


@dataclass(frozen=True)
class Withdraw:
    amount: int


@dataclass(frozen=True)
class Account:
    """A state that remembers the order: an event that is lost, or folded twice, shows."""

    balance: int = 0
    entries: tuple[int, ...] = ()


def deposited(state: Account, event: Deposited) -> Account:
    return Account(state.balance + event.amount, (*state.entries, event.amount))


def withdrawn(state: Account, event: Withdrawn) -> Account:
    return Account(state.balance - event.amount, (*state.entries, -event.amount))


def deposit(_state: Account, command: Deposit) -> list[Deposited]:
    return [Deposited(command.amount)]


def withdraw(state: Account, command: Withdraw) -> list[Withdrawn]:
    if command.amount > state.balance:
        raise Rejected(f"there are {state.balance} only")
    return [Withdrawn(command.amount)]


def balance(state: Account) -> int:
    return state.balance


def declared() -> Context:
    """Make a bank that knows its events."""
    bank = Context("bank")
    bank.event(Deposited)
    bank.event(Withdrawn)
    return bank


def bank_of_accounts(**options: Any) -> tuple[Context, EntityKind[Account]]:
    """Make a bank whose accounts take deposits and give withdrawals."""
    bank = declared()
    account = bank.entity("account", Account, **options)
    account.update(deposited)
    account.update(withdrawn)
    account.handle(deposit)
    account.handle(withdraw)
    account.query(balance)
    return bank, account


class PassingClock(ManualClock):
    """A clock on which waiting makes the time pass, so that whoever tries again waits for nobody."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Passing(ManualEnvironment):
    """An environment of such a clock: each of these is as fast as the computer is."""

    clock: ManualClock = field(default_factory=PassingClock)


class Store:
    """A store over which applications are opened, one after another or at once."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self._directory = name, directory
        self._outliving = OutlivingEngine(SystemEnvironment().clock)

    def open(
        self,
        *contexts: Context,
        environment: Environment | None = None,
        react: bool = False,
        **settings: Any,
    ) -> App:
        """Open an application; ``react``: with its loops."""
        surroundings = environment or SystemEnvironment()
        engine: Engine = self._outliving
        if self.name == "sqlite":
            engine = SqliteEngine(self._directory, surroundings.clock)
        return App(
            contexts, engine, surroundings, Settings(**settings), version="test", react=react
        )


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Give a store of each engine in turn."""
    return Store(request.param, tmp_path / "store")


@pytest.fixture
def sqlite(tmp_path: Path) -> Store:
    """Give a store that takes statements."""
    return Store("sqlite", tmp_path / "store")


@pytest.fixture
def memory(tmp_path: Path) -> Store:
    """Give a store in memory, for what does not depend on the engine."""
    return Store("memory", tmp_path / "store")


def accepted(outcome: Accepted[M] | Rejected) -> Accepted[M]:
    """Give the outcome, which must be that the command was accepted."""
    assert isinstance(outcome, Accepted), outcome
    return outcome


async def recorded(app: App, context: str | None = None) -> list[RecordedEvent]:
    """Give all that is recorded."""
    return [event async for event in app.events(context=context)]


def payloads(events: Sequence[RecordedEvent]) -> list[Any]:
    """Give what events say."""
    return [msgspec.json.decode(event.data) for event in events]


async def written(app: App, context: str) -> dict[str, int]:
    """Count all that a failed command must not leave behind."""
    log = app.context(context).log
    kinds = ("command", "snapshot", "timer")
    records = {kind: len(await log.records(kind)) for kind in kinds}
    given = {kind: len(await log.intents(kind)) for kind in ("emit", "command", "effect")}
    return {"head": await log.head(), **records, **{f"intent {k}": n for k, n in given.items()}}


def folding(folded: list[int]) -> Callable[[Account, Deposited], Account]:
    """Make an update that notes what it folds: so that a state that is not in memory shows."""

    def deposited(state: Account, event: Deposited) -> Account:
        folded.append(event.amount)
        return Account(state.balance + event.amount, (*state.entries, event.amount))

    return deposited
