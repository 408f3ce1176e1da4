"""LOW handlers: what is looked up is never stale, and what is written rests on it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure import (
    Accepted,
    App,
    Context,
    Emit,
    EntityKind,
    Envelope,
    HandlerFailed,
    InvalidInput,
    ModelRef,
    Rejected,
    Reply,
    Service,
    entity_named,
    matching,
)
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Store,
    Withdrawn,
    accepted,
    bank_of_accounts,
    declared,
    deposited,
    memory,
    payloads,
    recorded,
    store,
    withdrawn,
    written,
)
from tests.runtime.support import at_second

__all__ = ["memory", "store"]


# --- entities -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transfer:
    source: UUID
    target: UUID
    amount: int


def transferring_bank() -> tuple[Context, EntityKind[Account]]:
    bank, account = bank_of_accounts()

    def needs(command: Transfer) -> Any:
        return account[command.source], account[command.target]

    @bank.low(needs)
    def transfer(command: Transfer, source: Account, target: Account) -> list[Any]:
        if command.amount > source.balance:
            raise Rejected(f"there are {source.balance} only")
        return [
            Emit(event=Withdrawn(command.amount), entity=command.source),
            Emit(event=Deposited(command.amount), entity=command.target, tags=("by:transfer",)),
            Reply([source.balance - command.amount, target.balance + command.amount]),
        ]

    return bank, account


async def test_a_decision_over_two_entities_writes_both_or_none(store: Store) -> None:
    bank, account = transferring_bank()
    ann, ben = uuid4(), uuid4()

    async with store.open(bank) as app, store.open(bank) as other:
        await app.send(account[ann], Deposit(10))
        done = accepted(await app.send(Transfer(ann, ben, 7)))
        assert (done.state, done.version, done.reply) == (None, 0, [3, 7])
        assert len(done.events) == 2
        await other.send(account[ann], Deposit(1))  # what this one has in memory is stale now
        rejected = await app.send(Transfer(ann, ben, 5))
        assert isinstance(rejected, Rejected)
        assert rejected.reason == "there are 4 only"
        assert accepted(await app.send(Transfer(ann, ben, 4))).reply == [0, 11]

        assert await app.model(account[ann]) == Account(0, (10, -7, 1, -4))
        assert await other.model(account[ben]) == Account(11, (7, 4))
        events = await recorded(app)
        assert [event.tags for event in events if event.entity == ben.bytes] == [
            ("by:transfer",)
        ] * 2


async def test_money_is_neither_lost_nor_made_while_all_transfer_at_once(store: Store) -> None:
    bank, account = transferring_bank()
    ids = [uuid4() for _ in range(4)]

    async with store.open(bank) as app, store.open(bank) as other:
        for id_ in ids:
            await app.send(account[id_], Deposit(20))
        outcomes = await asyncio.gather(
            *(
                (app, other)[n % 2].send(Transfer(ids[n % 4], ids[(n + 1 + n // 4 % 3) % 4], 1 + n))
                for n in range(24)
            )
        )
        states = [await app.model(account[id_]) for id_ in ids]
        assert [await other.model(account[id_]) for id_ in ids] == states

    assert sum(state.balance for state in states) == 80
    assert min(state.balance for state in states) >= 0
    done = sum(isinstance(outcome, Accepted) for outcome in outcomes)
    assert sum(len(state.entries) for state in states) == 4 + 2 * done


# --- models ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Audit:
    """A command that tells what was found."""

    entity: UUID


def audited_bank(by: str) -> tuple[Context, Service[Account]]:
    bank = declared()
    options = {"single": {"single": True}, "amount": {"by": "amount"}}.get(by, {})
    statement: Service[Account] = bank.service("statement", Account, **options)  # type: ignore[arg-type]
    statement.react(deposited)
    statement.react(withdrawn)

    def needs(command: Audit) -> ModelRef[Account]:
        if by == "single":
            return ModelRef("bank", "statement", "")
        return statement[command.entity]

    @bank.low(needs)
    def audit(command: Audit, found: Account) -> list[Any]:
        return [Emit(event=Withdrawn(found.balance), entity=command.entity), Reply(found.entries)]

    return bank, statement


@pytest.mark.parametrize("by", ["entity", "single"])
@pytest.mark.parametrize("reacting", [True, False])
async def test_a_model_that_was_looked_up_has_everything_in_it(
    store: Store, by: str, reacting: bool
) -> None:
    bank, _ = audited_bank(by)
    mine, other = uuid4(), uuid4()

    async with store.open(bank, react=reacting) as app:
        for n in range(1, 4):
            await app.append(bank.new(mine, Deposited(n), id=at_second(n)))
        await app.append(bank.new(other, Deposited(9), id=at_second(5)))
        told = accepted(await app.send(Audit(mine))).reply
        assert told == ([1, 2, 3] if by == "entity" else [1, 2, 3, 9])
        again = accepted(await app.send(Audit(mine))).reply
        assert again == [*told, -sum(told)]


@pytest.mark.parametrize("by", ["entity", "single"])
async def test_a_late_event_is_folded_in_before_anybody_decides(store: Store, by: str) -> None:
    bank, _ = audited_bank(by)
    mine = uuid4()
    ref: ModelRef[Account] = ModelRef("bank", "statement", str(mine) if by == "entity" else "")
    async with store.open(bank, react=True) as app:
        for n in (2, 3):
            done = await app.append(bank.new(mine, Deposited(n), id=at_second(n)))
        kept = await app.model(ref, after=done.position)
        assert kept == Account(5, (2, 3))

    async with store.open(bank) as app:  # nothing reacts here: the kept model stays as it is
        await app.append(bank.new(mine, Deposited(1), id=at_second(1)))
        await app.append(bank.new(mine, Deposited(4), id=at_second(4)))
        assert await app.model(ref) == kept
        assert accepted(await app.send(Audit(mine))).reply == [1, 2, 3, 4]


async def test_a_model_keyed_by_a_field_cannot_be_guarded(store: Store) -> None:
    bank, _ = audited_bank("amount")

    async with store.open(bank) as app:
        before = await written(app, "bank")
        with pytest.raises(InvalidInput, match="keyed by a field, which no guard can hold"):
            await app.send(Audit(uuid4()))
        assert await written(app, "bank") == before


# --- what goes wrong, and what goes elsewhere -----------------------------------------------------


@dataclass(frozen=True)
class Invited:
    email: str


@dataclass(frozen=True)
class Invite:
    email: str


@dataclass(frozen=True)
class Found:
    """A command that founds an entity, which must not be there."""

    entity: UUID


async def test_an_entity_that_must_be_new_and_is_not_is_refused(store: Store) -> None:
    bank = declared()

    @bank.low()
    def found(command: Found) -> list[Emit]:
        return [Emit(event=Deposited(n), entity=command.entity, fresh=True) for n in (1, 2)]

    mine = uuid4()
    async with store.open(bank) as app:
        assert len(accepted(await app.send(Found(mine))).events) == 2
        before = [event.event_id async for event in app.events()]
        outcome = await app.send(Found(mine))
        assert isinstance(outcome, Rejected)
        assert outcome.reason == f"entity {mine} exists already"
        assert [event.event_id async for event in app.events()] == before


def needs_what_fails(command: Found) -> Any:
    raise ZeroDivisionError("no needs")


def needs_too_much(command: Found) -> Any:
    return matching(Deposited), matching(Deposited)


def needs_nonsense(command: Found) -> Any:
    return "the account"


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        (needs_what_fails, "ZeroDivisionError: no needs"),
        (needs_too_much, "takes 1 things, and 2 are looked up"),
        (needs_nonsense, "str cannot be looked up"),
    ],
)
async def test_needs_that_fail_are_named_and_nothing_is_written(
    memory: Store, needs: Callable[[Found], Any], reason: str
) -> None:
    bank = declared()

    @bank.low(needs)
    def decides(command: Found, found: Sequence[Envelope[Deposited]]) -> list[Any]:
        return []

    async with memory.open(bank) as app:
        before = await written(app, "bank")
        with pytest.raises(HandlerFailed, match=f"decides.*{reason}"):
            await app.send(Found(uuid4()))
        assert await written(app, "bank") == before


async def test_an_event_without_an_entity_is_refused(memory: Store) -> None:
    bank = declared()

    @bank.low()
    def bare(command: Found) -> list[Any]:
        return [Deposited(1)]

    async with memory.open(bank) as app:
        with pytest.raises(HandlerFailed, match="bare Deposited: say Emit"):
            await app.send(Found(uuid4()))


async def test_needs_may_reject(store: Store) -> None:
    bank = declared()

    def needs(command: Found) -> Any:
        raise Rejected("not today")

    @bank.low(needs)
    def decides(command: Found, found: Account) -> list[Any]:
        return []

    async with store.open(bank) as app:
        for _ in range(2):
            outcome = await app.send(Found(uuid4()))
            assert isinstance(outcome, Rejected)
            assert outcome.reason == "not today"


async def test_an_event_for_another_context_is_given_out_and_recorded_there_once(
    store: Store,
) -> None:
    bank = declared()
    audit = Context("audit")
    audit.event("seen")(Invited)

    @bank.low()
    def both(command: Invite) -> list[Emit]:
        there = entity_named("guest", command.email)
        return [
            Emit(event=Invited(command.email), entity=there, context="audit", tags=("a:b",)),
            Emit(event=Deposited(1), entity=there),
        ]

    async with store.open(bank, audit, react=True) as app:
        await app.send(Invite("ann"), context="bank", command_id="c")
        again = accepted(await app.send(Invite("ann"), context="bank", command_id="c"))
        assert (again.repeated, len(again.events)) == (True, 1)
        events = await _eventually(app, "audit", 1)
        assert await app.context("bank").log.intents("emit") == []

    assert payloads(events) == [{"email": "ann"}]
    assert (events[0].type, events[0].tags) == ("seen", ("a:b",))
    assert events[0].entity_id == entity_named("guest", "ann")


async def _eventually(app: App, context: str, count: int) -> list[Any]:
    log = app.context(context).log
    async with asyncio.timeout(10):
        while len(events := await recorded(app, context)) < count:
            await log.advanced(await log.head(), 0.05)
        while await app.context("bank").log.intents("emit"):
            await asyncio.sleep(0.005)
    return events
