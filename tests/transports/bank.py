"""A small bank for the tests of commands: every way in which a command can end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from perdure import Context, Emit, Envelope, Rejected, Reply, matching
from perdure.engines.memory import MemoryEngine, MemoryLog
from perdure.runtime.environment import SystemEnvironment
from perdure.vocabulary.commits import Commit, Verdict
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import make_event_id, ticks_of

ACCOUNT = "f2f47a95-fb61-4c5a-a83e-7a92210b09bb"
OTHER = "0e8400e2-9b41-41d4-a716-446655440000"


@dataclass(frozen=True)
class Opened:
    owner: str


@dataclass(frozen=True)
class Deposited:
    amount: Decimal


@dataclass(frozen=True)
class Withdrawn:
    amount: Decimal


@dataclass(frozen=True)
class Account:
    balance: Decimal = Decimal("0.00")
    owner: str = ""
    highest: float = 0


@dataclass(frozen=True)
class Deposit:
    amount: Decimal


@dataclass(frozen=True)
class Withdraw:
    amount: Decimal


@dataclass(frozen=True)
class Inspect:
    note: str = ""


@dataclass(frozen=True)
class Overflow:
    pass


@dataclass(frozen=True)
class Fail:
    how: str = "raise"


@dataclass(frozen=True)
class Transfer:
    source: UUID
    target: UUID
    amount: Decimal


@dataclass(frozen=True)
class Open:
    owner: str


@dataclass(frozen=True)
class Total:
    deposits: int = 0


class Explosion(Exception):
    """What a function under test raises."""


def make_bank(name: str = "bank") -> Context:
    """Make a bank: accounts, two LOW handlers, a service that counts deposits."""
    bank = Context(name)
    for event in (Opened, Deposited, Withdrawn):
        bank.event(event)
    account = bank.entity("account", Account)
    total = bank.service("total", Total, single=True)

    @account.update
    def opened(state: Account, event: Opened) -> Account:
        return Account(state.balance, event.owner)

    @account.update
    def deposited(state: Account, event: Deposited) -> Account:
        if event.amount == Decimal("1e18"):  # what JSON cannot say
            return Account(state.balance, state.owner, float("inf"))
        return Account(state.balance + event.amount, state.owner)

    @account.update
    def withdrawn(state: Account, event: Withdrawn) -> Account:
        return Account(state.balance - event.amount, state.owner)

    @account.handle
    def deposit(state: Account, command: Deposit) -> list[Deposited]:
        if command.amount <= 0:
            raise Rejected("nothing to deposit")
        return [Deposited(command.amount)]

    @account.handle
    def withdraw(state: Account, command: Withdraw) -> list[Withdrawn]:
        if state.balance < command.amount:
            raise Rejected(f"there are {state.balance}")
        return [Withdrawn(command.amount)]

    @account.handle
    def inspect(state: Account, command: Inspect, *, version: int, command_id: str) -> Reply:
        return Reply({"note": command.note, "version": version, "id": command_id})

    @account.handle
    def overflow(state: Account, command: Overflow) -> list[Deposited]:
        return [Deposited(Decimal("1e18"))]

    @account.handle
    def fail(state: Account, command: Fail) -> list[Deposited]:
        if command.how == "raise":
            raise Explosion("secret words of a stack trace")
        return None  # type: ignore[return-value]

    @account.query
    def balance(state: Account) -> Decimal:
        return state.balance

    @account.query
    def broken(state: Account) -> Decimal:
        raise Explosion("secret words of a query")

    def both(command: Transfer) -> object:
        return account[command.source], account[command.target]

    @bank.low(both)  # type: ignore[arg-type]
    def transfer(command: Transfer, source: Account, target: Account) -> list[Emit]:
        if source.balance < command.amount:
            raise Rejected("too little")
        return [
            Emit(event=Withdrawn(command.amount), entity=command.source),
            Emit(event=Deposited(command.amount), entity=command.target),
        ]

    def same_owner(command: Open) -> object:
        return matching(Opened, tags=(f"owner:{command.owner}",))

    @bank.low(same_owner)  # type: ignore[arg-type]
    def open_account(
        command: Open, found: Sequence[Envelope[Opened]], *, new_id: Callable[[], UUID]
    ) -> list[Emit | Reply]:
        if found:
            return [Reply({"account": str(found[0].entity)})]
        entity, tags = new_id(), (f"owner:{command.owner}",)
        event = Emit(event=Opened(command.owner), entity=entity, tags=tags, fresh=True)
        return [event, Reply({"account": str(entity)})]

    @total.react
    def counted(model: Total, event: Deposited) -> Total:
        return Total(model.deposits + 1)

    return bank


class Meddling(MemoryEngine):
    """A store in which somebody else writes to the account before each decision on it is written."""

    def __init__(self) -> None:
        super().__init__(SystemEnvironment().clock)
        self.meddles = True

    async def open(self, context: str, tables: Sequence[str] = ()) -> MemoryLog:
        log = await super().open(context, tables)
        commit, moments = log.commit, SystemEnvironment()

        async def meddled(commits: Sequence[Commit]) -> list[Verdict]:
            if self.meddles and any(c.events for c in commits):
                foreign = NewEvent(
                    type="noted",
                    entity=UUID(ACCOUNT).bytes,
                    id=_id_of(moments),
                    data=b"{}",
                )
                await commit([Commit(events=(foreign,))])
            return await commit(commits)

        log.commit = meddled  # type: ignore[method-assign]
        return log


def _id_of(environment: SystemEnvironment) -> bytes:
    return make_event_id(
        ticks_of(environment.clock.now()), environment.chance.bits(14), environment.chance.bits(48)
    )
