"""Sagas: they coordinate entities over time, and hear of what became of their commands exactly once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from perdure import (
    After,
    App,
    Complete,
    Context,
    DefinitionError,
    Done,
    EntityKind,
    Refused,
    Rejected,
    Saga,
    Send,
    Settings,
)
from perdure.ports.engine import Engine
from perdure.runtime import undelivered
from perdure.testing import ManualClock, ManualEnvironment
from tests.runtime.support import Opener, OutlivingEngine, opener

__all__ = ["opener"]


@dataclass(frozen=True)
class Moved:
    amount: int


@dataclass(frozen=True)
class TransferAsked:
    transfer: str
    source: UUID
    target: UUID
    amount: int


@dataclass(frozen=True)
class TransferLate:
    transfer: str


@dataclass(frozen=True)
class Take:
    amount: int


@dataclass(frozen=True)
class Give:
    amount: int


@dataclass(frozen=True)
class Account:
    balance: int = 0


@dataclass(frozen=True)
class Transfer:
    source: UUID | None = None
    target: UUID | None = None
    amount: int = 0
    step: str = "new"


def bank() -> tuple[Context, EntityKind[Account], Saga[Transfer]]:
    context = Context("bank")
    for cls in (Moved, TransferAsked, TransferLate):
        context.event(cls)
    account = context.entity("account", Account)

    @account.update
    def moved(state: Account, event: Moved) -> Account:
        return Account(state.balance + event.amount)

    @account.handle
    def take(state: Account, command: Take) -> Sequence[Moved]:
        if command.amount > state.balance:
            raise Rejected("Insufficient funds")
        return [Moved(-command.amount)]

    @account.handle
    def give(state: Account, command: Give) -> Sequence[Moved]:
        if command.amount == 13:
            raise Rejected("unlucky")
        return [Moved(command.amount)]

    saga = context.saga("transfer", Transfer, by="transfer")

    @saga.react
    def asked(model: Transfer, event: TransferAsked) -> tuple[Transfer, list[Send | After]]:
        model = Transfer(event.source, event.target, event.amount, "taking")
        late = After(timedelta(minutes=5), TransferLate(event.transfer), name="late")
        return model, [Send(Take(event.amount), to=account[event.source]), late]

    @saga.react
    def taken(model: Transfer, outcome: Done[Take]) -> tuple[Transfer, list[Send]]:
        assert model.target is not None
        return replace(model, step="giving"), [Send(Give(model.amount), to=account[model.target])]

    @saga.react
    def not_taken(model: Transfer, outcome: Refused[Take]) -> tuple[Transfer, list[Complete]]:
        return replace(model, step=f"failed: {outcome.reason}"), [Complete()]

    @saga.react
    def given(model: Transfer, outcome: Done[Give]) -> tuple[Transfer, list[Complete]]:
        step = "undone" if model.step == "undoing" else "done"
        return replace(model, step=step), [Complete()]

    @saga.react
    def not_given(model: Transfer, outcome: Refused[Give]) -> tuple[Transfer, list[Send]]:
        assert model.source is not None
        back = Give(model.amount + 1000)  # the fee for bad luck, handed back
        return replace(model, step="undoing"), [Send(back, to=account[model.source])]

    @saga.react
    def late(model: Transfer, event: TransferLate) -> Transfer:
        return replace(model, step=f"{model.step}, late")

    return context, account, saga


async def ends(app: App, saga: Saga[Transfer], key: str) -> Transfer:
    models = app.context("bank").models
    for _ in range(4000):
        view = await models.read("transfer.status", key)
        if b'"is_complete":true' in view.json:
            return await app.model(saga[key])
        await asyncio.sleep(0.005)
    model: Transfer = await app.model(saga[key])
    raise AssertionError(model)


async def ask(app: App, source: UUID, target: UUID, amount: int, key: str) -> None:
    event = TransferAsked(key, source, target, amount)
    context = bank()[0]
    await app.append(context.new(uuid4(), event))


async def test_a_saga_sends_and_hears_of_the_outcome(opener: Opener) -> None:
    context, account, saga = bank()
    ann, ben = uuid4(), uuid4()
    async with opener(context) as app:
        await app.send(account[ann], Give(100))
        await ask(app, ann, ben, 30, "t1")

        assert (await ends(app, saga, "t1")).step == "done"
        assert (await app.model(account[ann])).balance == 70
        assert (await app.model(account[ben])).balance == 30


async def test_a_rejection_comes_with_its_reason(opener: Opener) -> None:
    context, account, saga = bank()
    ann, ben = uuid4(), uuid4()
    async with opener(context) as app:
        await ask(app, ann, ben, 30, "t1")

        assert (await ends(app, saga, "t1")).step == "failed: Insufficient funds"
        assert (await app.model(account[ben])).balance == 0


async def test_what_was_done_is_undone_when_the_rest_is_refused(opener: Opener) -> None:
    context, account, saga = bank()
    ann, ben = uuid4(), uuid4()
    async with opener(context) as app:
        await app.send(account[ann], Give(100))
        await ask(app, ann, ben, 13, "t1")

        assert (await ends(app, saga, "t1")).step == "undone"
        assert (await app.model(account[ann])).balance == 1100
        assert (await app.model(account[ben])).balance == 0


async def test_many_at_once_conserve_what_there_is(opener: Opener) -> None:
    context, account, saga = bank()
    owners = [uuid4() for _ in range(4)]
    async with opener(context) as app:
        for owner in owners:
            await app.send(account[owner], Give(50))
        for number in range(24):
            source, target = owners[number % 4], owners[(number + 1) % 4]
            await ask(app, source, target, 7, f"t{number}")
        for number in range(24):
            await ends(app, saga, f"t{number}")
        balances = [(await app.model(account[owner])).balance for owner in owners]

    assert sum(balances) == 200


async def test_a_restart_at_any_time_doubles_nothing(opener: Opener) -> None:
    context, account, saga = bank()
    ann, ben = uuid4(), uuid4()
    async with opener(context) as app:
        await app.send(account[ann], Give(100))
        for number in range(10):
            await ask(app, ann, ben, 5, f"t{number}")
    for _ in range(6):
        async with opener(bank()[0]) as app:
            await asyncio.sleep(0)
    async with opener(bank()[0]) as app:
        steps = {(await ends(app, saga, f"t{number}")).step for number in range(10)}
        balances = [(await app.model(account[owner])).balance for owner in (ann, ben)]

    assert steps == {"done"}
    assert balances == [50, 50]


async def test_what_comes_after_the_end_is_passed_over(opener: Opener) -> None:
    context, _, saga = bank()
    ann = uuid4()
    async with opener(context) as app:
        await ask(app, ann, uuid4(), 1, "t1")
        ended = await ends(app, saga, "t1")
        done = await app.append(context.new(ann, TransferLate("t1")))

        assert await app.model(saga["t1"], after=done.position) == ended


def open_manual(engine: Engine, clock: ManualClock) -> App:
    environment = ManualEnvironment(clock=clock)
    return App([bank()[0]], engine, environment, Settings(), version="test")


async def test_an_event_that_says_it_is_late_reaches_its_saga() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)
    context, _, saga = bank()
    async with open_manual(engine, clock) as app:
        await app.append(context.new(uuid4(), TransferLate("t2")))
        for _ in range(200):
            await asyncio.sleep(0)
        assert (await app.model(saga["t2"])).step == "new, late"


async def test_an_operator_who_gives_a_command_up_is_heard_of() -> None:
    context = Context("bank")
    context.event(TransferAsked)
    context.event(Moved)
    account = context.entity("account", Account)

    @account.update
    def moved(state: Account, event: Moved) -> Account:
        return state

    @account.handle
    def take(state: Account, command: Take) -> Sequence[Moved]:
        raise ValueError("broken")

    saga = context.saga("transfer", Transfer, by="transfer")

    @saga.react
    def asked(model: Transfer, event: TransferAsked) -> tuple[Transfer, list[Send]]:
        return replace(model, step="taking"), [Send(Take(1), to=account[event.source])]

    @saga.react
    def not_taken(model: Transfer, outcome: Refused[Take]) -> tuple[Transfer, list[Complete]]:
        return replace(model, step=outcome.reason), [Complete()]

    clock = ManualClock()
    environment = ManualEnvironment(clock=clock)
    app = App([context], OutlivingEngine(clock), environment, Settings(), version="test")
    async with app:
        await app.append(context.new(uuid4(), TransferAsked("t1", uuid4(), uuid4(), 1)))
        log = app.context("bank").log
        while not (intents := await log.intents("command")):
            await asyncio.sleep(0)
        await undelivered.discard(log, intents[0].id, at=clock.now())
        for _ in range(4000):
            if (await app.model(saga["t1"])).step != "taking":
                break
            clock.advance(0.2)
            await asyncio.sleep(0)

        assert (await app.model(saga["t1"])).step == "discarded by an operator"


async def test_a_saga_is_listed_with_where_it_stands(opener: Opener) -> None:
    context, account, saga = bank()
    ann = uuid4()
    async with opener(context) as app:
        await app.send(account[ann], Give(10))
        await ask(app, ann, uuid4(), 1, "t1")
        await ask(app, ann, uuid4(), 99, "t2")
        await ends(app, saga, "t1")
        await ends(app, saga, "t2")
        listed = await app.context("bank").models.page("transfer.status")

    assert [view.key for view in listed] == ["t1", "t2"]
    assert all(b'"is_complete":true' in view.json for view in listed)


def test_an_outcome_is_taken_by_one_function() -> None:
    context, _, saga = bank()

    @saga.react
    def again(model: Transfer, outcome: Done[Take]) -> Transfer:
        return model

    with pytest.raises(DefinitionError, match="taken by another function already"):
        App([context], OutlivingEngine(ManualClock()), ManualEnvironment(), Settings(), version="t")


def test_a_key_that_is_no_field_is_told() -> None:
    context = Context("bank")
    context.event(Moved)
    saga = context.saga("transfer", Transfer, by="transfer")

    @saga.react
    def moved(model: Transfer, event: Moved) -> Transfer:
        return model

    with pytest.raises(DefinitionError, match="by='transfer' is not a field of Moved"):
        App([context], OutlivingEngine(ManualClock()), ManualEnvironment(), Settings(), version="t")
