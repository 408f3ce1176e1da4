"""Entities: created from nothing, deciding on themselves, folded from whatever is on their stream."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from perdure import (
    Accepted,
    CommandNotFound,
    Context,
    ContextNotFound,
    EntityRef,
    HandlerFailed,
    InvalidId,
    InvalidInput,
    NotCaughtUp,
    Rejected,
    WrongVersion,
    entity_named,
)
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Store,
    Withdraw,
    Withdrawn,
    accepted,
    balance,
    bank_of_accounts,
    declared,
    deposited,
    memory,
    recorded,
    store,
    withdrawn,
    written,
)
from tests.runtime.support import at_second, raw

__all__ = ["memory", "store"]


# --- what a command comes to ----------------------------------------------------------------------


async def test_an_entity_comes_from_nothing_and_takes_several_commands(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]

    async with store.open(bank) as app:
        assert await app.model(mine) == Account()
        first = accepted(await app.send(mine, Deposit(5)))
        second = accepted(await app.send(mine, Withdraw(2)))

        assert first == Accepted(
            state=Account(5, (5,)),
            version=1,
            position=first.position,
            command_id=first.command_id,
            events=first.events,
        )
        assert (second.state, second.version) == (Account(3, (5, -2)), 2)
        assert second.position > first.position
        events = await recorded(app)
        assert [event.event_id for event in events] == [*first.events, *second.events]
        assert [event.type for event in events] == ["deposited", "withdrawn"]
        assert await app.model(mine, after=second.position) == second.state
        assert await app.model(account[uuid4()]) == Account()


async def test_a_rejection_is_an_outcome_that_changes_nothing(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account.named("000001")
    assert mine.key == str(entity_named("account", "000001"))

    async with store.open(bank) as app:
        await app.send(mine, Deposit(5))
        outcome = await app.send(mine, Withdraw(6))

        assert isinstance(outcome, Rejected)
        assert outcome.reason == "there are 5 only"
        assert await app.model(mine) == Account(5, (5,))
        assert len(await recorded(app)) == 1


async def test_a_union_a_single_value_a_tuple_and_nothing_at_all_are_taken(store: Store) -> None:
    bank = declared()
    account = bank.entity("account", Account)
    account.update(deposited)
    account.update(withdrawn)

    @account.handle
    def either(state: Account, command: Deposit | Withdraw) -> Any:
        if isinstance(command, Deposit):
            return Deposited(command.amount)
        if command.amount == 0:
            return []
        return (Withdrawn(command.amount), Deposited(1))

    mine = account[uuid4()]
    async with store.open(bank) as app:
        nothing = accepted(await app.send(mine, Withdraw(0)))
        assert (nothing.state, nothing.version, nothing.events) == (Account(), 0, ())
        assert accepted(await app.send(mine, Deposit(3))).state == Account(3, (3,))
        two = accepted(await app.send(mine, Withdraw(2)))
        assert (two.state, two.version, len(two.events)) == (Account(2, (3, -2, 1)), 3, 2)
        nothing = accepted(await app.send(mine, Withdraw(0)))
        assert (nothing.state, nothing.version) == (two.state, 3)
        assert nothing.position >= two.position


@dataclass(frozen=True)
class Foreign:
    amount: int


@dataclass(frozen=True)
class Measured:
    grams: float


def forgets(state: Account, command: Deposit) -> Any:
    return None


def gives_text(state: Account, command: Deposit) -> Any:
    return ["deposited"]


def gives_a_foreign_event(state: Account, command: Deposit) -> Any:
    return [Deposited(1), Foreign(1)]


def gives_what_json_cannot_say(state: Account, command: Deposit) -> Any:
    return [Deposited(1), Measured(float("nan"))]


def gives_what_an_update_gives_on(state: Account, command: Deposit) -> Any:
    return Measured(1.5)


def gives_what_cannot_be_folded(state: Account, command: Deposit) -> Any:
    return [Deposited(1), Withdrawn(1)]


def raises(state: Account, command: Deposit) -> Any:
    raise ZeroDivisionError("by zero")


def yields(state: Account, command: Deposit) -> Any:
    yield Deposited(1)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (forgets, "a return is forgotten"),
        (gives_text, "gave out str"),
        (gives_a_foreign_event, "Foreign, which is not an event of a context 'bank'"),
        (gives_what_json_cannot_say, "NaN.*/grams"),
        (gives_what_cannot_be_folded, "an update failed on what it gave: ValueError: overdrawn"),
        (gives_what_an_update_gives_on, "gives_out is an update: it cannot give anything out"),
        (raises, "ZeroDivisionError: by zero"),
        (yields, "gave out generator"),
    ],
)
async def test_a_function_that_fails_is_named_and_nothing_is_written(
    store: Store, function: Callable[..., Any], reason: str
) -> None:
    bank = declared()
    bank.event(Measured)
    other = Context("other")
    other.event(Foreign)
    account = bank.entity("account", Account, snapshot_every=1)
    account.update(deposited)
    account.handle(function)

    @account.update
    def overdraws(state: Account, event: Withdrawn) -> Account:
        raise ValueError("overdrawn")

    @account.update
    def gives_out(state: Account, event: Measured) -> Any:
        return state, [Deposited(1)]

    mine = account[uuid4()]
    async with store.open(bank, other) as app:
        before = await written(app, "bank")
        with pytest.raises(HandlerFailed, match=f"bank.account: {function.__name__}.*{reason}"):
            await app.send(mine, Deposit(1))

        assert await written(app, "bank") == before
        assert await app.model(mine) == Account()


async def test_a_command_that_nobody_handles_says_who_does(store: Store) -> None:
    bank, account = bank_of_accounts()
    service = bank.service("statement", Account)
    service.react(deposited)
    elsewhere: EntityRef[Account] = EntityRef("shop", "account", str(uuid4()))

    async with store.open(bank) as app:
        with pytest.raises(CommandNotFound, match=r"bank\.account does not handle Foreign"):
            await app.send(account[uuid4()], Foreign(1))
        with pytest.raises(CommandNotFound, match="no LOW handler of bank handles Deposit"):
            await app.send(Deposit(1))
        with pytest.raises(CommandNotFound, match="no kind of entity is named 'statement'"):
            await app.send(EntityRef("bank", "statement", str(uuid4())), Deposit(1))
        with pytest.raises(ContextNotFound, match="shop"):
            await app.send(elsewhere, Deposit(1))
        with pytest.raises(InvalidId):
            account["not an id"]


# --- what a function is given by name -------------------------------------------------------------


async def test_what_is_given_by_name_is_the_same_when_it_is_decided_again(store: Store) -> None:
    bank, plain = bank_of_accounts()
    careful, given = declared(), []
    account = careful.entity("account", Account)
    account.update(deposited)
    account.update(withdrawn)

    @account.handle
    def noted(
        state: Account,
        command: Deposit,
        *,
        now: datetime,
        entity: UUID,
        version: int,
        command_id: str,
        principal: str | None,
        new_id: Callable[[], UUID],
    ) -> list[Deposited]:
        ids = (new_id(), new_id())
        assert ids[0] != ids[1]
        assert {id_.version for id_ in ids} == {4}
        given.append((version, (now, entity, command_id, principal, ids)))
        return [Deposited(command.amount)]

    mine = account[uuid4()]
    async with store.open(careful) as app, store.open(bank) as faster:
        await app.send(mine, Deposit(1))
        await faster.send(plain[mine.key], Deposit(2))
        outcome = accepted(await app.send(mine, Deposit(3), command_id="c", principal="ann"))

    assert outcome.state == Account(6, (1, 2, 3))
    (_, first), (stale, decided), (fresh, again) = given
    assert (stale, fresh) == (1, 2)
    assert decided == again
    now, entity, command_id, principal, ids = again
    assert (entity, command_id, principal) == (UUID(mine.key), "c", "ann")
    assert datetime.now(UTC) - timedelta(minutes=5) < now <= datetime.now(UTC)
    assert not set(ids) & set(first[4])
    assert (first[3], first[1]) == (None, entity)


async def test_events_say_who_and_why(store: Store) -> None:
    bank, account = bank_of_accounts()

    async with store.open(bank) as app:
        await app.send(account[uuid4()], Deposit(1), command_id="c-1", principal="ann")
        await app.send(account[uuid4()], Deposit(2), command_id="c-2", correlation_id="all of it")
        told = [msgspec.json.decode(event.metadata) for event in await recorded(app)]

    assert told == [
        {"principal": "ann", "correlation_id": "c-1", "command_id": "c-1"},
        {"correlation_id": "all of it", "command_id": "c-2"},
    ]


# --- conditions, queries, and what it was once ----------------------------------------------------


async def test_a_command_on_a_version_that_is_gone_changes_nothing(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]

    async with store.open(bank) as app, store.open(bank) as other:
        await app.send(mine, Deposit(1), expected_version=0)
        await other.send(mine, Deposit(2), expected_version=1)
        before = await written(app, "bank")
        with pytest.raises(WrongVersion, match="is at version 2, not 1") as refused:
            await app.send(mine, Deposit(3), expected_version=1, command_id="c")
        assert (refused.value.expected, refused.value.actual) == (1, 2)
        with pytest.raises(WrongVersion):
            await app.send(mine, Withdraw(100), expected_version=7)

        assert await written(app, "bank") == before
        third = accepted(await app.send(mine, Deposit(3), expected_version=2, command_id="c"))
        assert (third.state, third.repeated) == (Account(6, (1, 2, 3)), False)


async def test_a_query_is_all_that_the_sender_gets(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]

    async with store.open(bank) as app:
        assert accepted(await app.send(mine, Deposit(7), query=balance)).state == 7
        assert await app.model(mine, query=balance) == 7
        assert await app.model(mine, query=lambda state: state.entries) == (7,)
        rejected = await app.send(mine, Withdraw(8), query=balance)
        assert isinstance(rejected, Rejected)


async def test_a_state_is_told_as_it_was_and_how_it_came_to_be(store: Store) -> None:
    bank, account = bank_of_accounts()
    mine = account[uuid4()]
    entity = UUID(mine.key)
    events = [
        raw("deposited", entity, b'{"amount":%d}' % n, at_second(60 * n)) for n in range(1, 5)
    ]

    async with store.open(bank) as app:
        positions = [(await app.append(event)).position for event in events]
        await app.append(raw("noise", entity, b"{}"), raw("deposited", uuid4(), b'{"amount":9}'))

        for count, position in enumerate(positions, 1):
            entries = tuple(range(1, count + 1))
            assert await app.model(mine, as_of=position) == Account(sum(entries), entries)
        at = datetime(2026, 11, 1, 12, 2, tzinfo=UTC)
        assert await app.model(mine, at=at) == Account(3, (1, 2))
        assert await app.model(mine, as_of=positions[0], at=at) == Account(1, (1,))
        assert await app.model(mine, as_of=positions[-1], query=balance) == 10
        with pytest.raises(InvalidInput, match="not recorded yet"):
            await app.model(mine, as_of=10**6)
        with pytest.raises(NotCaughtUp):
            await app.model(mine, after=10**6)
        story = [step async for step in app.context("bank").models.story("account", mine.key)]

    assert [step.event.position for step in story] == positions
    assert [msgspec.json.decode(step.json)["balance"] for step in story] == [1, 3, 6, 10]
