"""The law of the cache: whatever is kept, lost or stale, an entity is what its events say it is.

Three applications over one store, of which one forgets all but one state, are sent commands, see events
that come without one, are asked again, and are opened anew, in any order. A model of ten lines says what
they have to answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import (
    Accepted,
    App,
    Context,
    Emit,
    EntityKind,
    Rejected,
    Reply,
    Stop,
    WrongVersion,
)
from perdure.testing import SeededChance
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Passing,
    Store,
    Withdraw,
    Withdrawn,
    accepted,
    bank_of_accounts,
    deposited,
    recorded,
)

IDS = [UUID(int=n + 1, version=4) for n in range(3)]


@dataclass(frozen=True)
class Rest:
    """A command to stop."""


@dataclass(frozen=True)
class Transfer:
    source: UUID
    target: UUID
    amount: int


def bank_of(snapshot_every: int) -> tuple[Context, EntityKind[Account], EntityKind[Account]]:
    """Make a bank with two kinds of entity on one stream, and a decision over two entities."""
    bank, account = bank_of_accounts(snapshot_every=snapshot_every)
    paid_in = bank.entity("paid_in", Account, snapshot_every=snapshot_every)
    paid_in.update(deposited)

    @paid_in.handle
    def pay(state: Account, command: Deposit) -> list[Deposited]:
        return [Deposited(command.amount)]

    @account.handle
    def rest(state: Account, command: Rest) -> Stop:
        return Stop()

    def needs(command: Transfer) -> Any:
        return account[command.source], account[command.target]

    @bank.low(needs)
    def transfer(command: Transfer, source: Account, target: Account) -> list[Any]:
        if source.balance < command.amount:
            raise Rejected(f"there are {source.balance} only")
        return [
            Emit(event=Withdrawn(command.amount), entity=command.source),
            Emit(event=Deposited(command.amount), entity=command.target),
            Reply([source.balance, target.balance]),
        ]

    return bank, account, paid_in


@dataclass
class Expected:
    """What ought to be there: the amounts of each entity, in order."""

    entries: dict[UUID, list[int]] = field(default_factory=lambda: {id_: [] for id_ in IDS})

    def account(self, id_: UUID) -> Account:
        return Account(sum(self.entries[id_]), tuple(self.entries[id_]))

    def paid_in(self, id_: UUID) -> Account:
        amounts = tuple(amount for amount in self.entries[id_] if amount > 0)
        return Account(sum(amounts), amounts)

    def withdraw(self, id_: UUID, amount: int) -> bool:
        has_enough = sum(self.entries[id_]) >= amount
        if has_enough:
            self.entries[id_].append(-amount)
        return has_enough


class Bench:
    """The applications under test beside what is expected of them."""

    def __init__(self, store: Store, snapshot_every: int) -> None:
        self.store = store
        self.bank, self.account, self.paid_in = bank_of(snapshot_every)
        self.apps: list[App] = []
        self.opened = 0
        self.expected = Expected()
        self.sent: list[tuple[UUID, Any, Any]] = []

    async def open(self, place: int) -> None:
        """Open the application at a place anew: the first forgets all but one state."""
        settings: dict[str, Any] = {"cached_entities": 1} if place == 0 else {}
        self.opened += 1
        environment = Passing(chance=SeededChance(self.opened))  # no two make the same ids
        app = await self.store.open(self.bank, environment=environment, **settings).__aenter__()
        self.apps[place : place + 1] = [app]

    async def do(self, step: str, place: int, which: int, amount: int) -> None:
        app, id_ = self.apps[place], IDS[which]
        entries = self.expected.entries[id_]
        if step == "raw":
            await app.append(
                self.bank.new(id_, Deposited(amount)), self.bank.new(id_, Deposited(amount + 1))
            )
            entries += [amount, amount + 1]
        elif step == "restart":
            await app.close()
            await self.open(place)
        elif step == "again":
            await self.ask_again(app, amount)
        elif step == "look":
            assert await app.model(self.account[id_]) == self.expected.account(id_)
            assert await app.model(self.paid_in[id_]) == self.expected.paid_in(id_)
        elif step == "transfer":
            await self.transfer(app, id_, IDS[(which + 1) % 3], amount)
        elif step == "pay":
            entries.append(amount)
            outcome = accepted(await app.send(self.paid_in[id_], Deposit(amount)))
            assert outcome.state == self.expected.paid_in(id_)
            assert outcome.version == len(entries)
        else:
            await self.command(app, id_, step, amount)

    async def command(self, app: App, id_: UUID, step: str, amount: int) -> None:
        version = len(self.expected.entries[id_])
        command_id = f"{len(self.sent)}"
        command: Any = Rest()
        expected: Account | None = self.expected.account(id_)
        if step == "deposit":
            self.expected.entries[id_].append(amount)
            command, expected = Deposit(amount), self.expected.account(id_)
        elif step == "withdraw":
            done = self.expected.withdraw(id_, amount)
            command, expected = Withdraw(amount), self.expected.account(id_) if done else None
        with pytest.raises(WrongVersion):
            await app.send(self.account[id_], command, expected_version=version + 1)
        outcome = await app.send(
            self.account[id_], command, command_id=command_id, expected_version=version
        )
        if expected is None:
            assert isinstance(outcome, Rejected)
        else:
            state = accepted(outcome)
            assert (state.state, state.version) == (expected, len(expected.entries))
        self.sent.append((id_, command, outcome))

    async def transfer(self, app: App, source: UUID, target: UUID, amount: int) -> None:
        before = [sum(self.expected.entries[id_]) for id_ in (source, target)]
        outcome = await app.send(Transfer(source, target, amount))
        if self.expected.withdraw(source, amount):
            self.expected.entries[target].append(amount)
            assert accepted(outcome).reply == before
        else:
            assert isinstance(outcome, Rejected)
            assert outcome.reason == f"there are {before[0]} only"

    async def ask_again(self, app: App, number: int) -> None:
        if number < len(self.sent):
            id_, command, first = self.sent[number]
            again = await app.send(self.account[id_], command, command_id=f"{number}")
            if isinstance(first, Accepted):
                told = msgspec.structs.replace(accepted(again), position=first.position)
                assert told == msgspec.structs.replace(first, repeated=True)
            else:
                assert isinstance(again, Rejected)
                assert again.reason == first.reason

    async def finish(self) -> None:
        """See that all have the same states, that these are the right ones, and nothing is beside them."""
        for app in self.apps:
            for id_ in IDS:
                assert await app.model(self.account[id_]) == self.expected.account(id_)
                assert await app.model(self.paid_in[id_]) == self.expected.paid_in(id_)
        events = await recorded(self.apps[0])
        for id_ in IDS:
            own = [event for event in events if event.entity_id == id_]
            assert [e.version for e in own] == list(range(1, len(self.expected.entries[id_]) + 1))
            assert [e.ticks for e in own] == sorted({e.ticks for e in own})
        for app in self.apps:
            await app.close()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["deposit", "withdraw", "pay", "raw", "transfer", "rest", "look", "again", "restart"]
        ),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(1, 9),
    ),
    max_size=30,
)


async def run(store: Store, steps: Sequence[tuple[str, int, int, int]], every: int) -> None:
    bench = Bench(store, every)
    for place in range(3):
        await bench.open(place)
    for step in steps:
        await bench.do(*step)
    await bench.finish()


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, every=st.sampled_from([0, 1, 3]))
async def test_whatever_is_kept_lost_or_stale_the_answers_are_those_of_the_model(
    steps: list[tuple[str, int, int, int]], every: int
) -> None:
    await run(Store("memory", Path()), steps, every)


@settings(max_examples=4, deadline=None)
@given(steps=STEPS, every=st.sampled_from([0, 3]))
async def test_so_they_are_on_sqlite(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int, int]], every: int
) -> None:
    await run(Store("sqlite", tmp_path_factory.mktemp("law")), steps, every)
