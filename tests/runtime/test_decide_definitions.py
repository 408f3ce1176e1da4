"""A function that decides and cannot work is an error at open, which names it."""

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional
from uuid import UUID, uuid4

import pytest

import perdure
from perdure import Context, DefinitionError, EntityKind, Envelope, InvalidName, matching
from perdure.core.definition import define
from tests.runtime.deciding import (
    Account,
    Deposit,
    Deposited,
    Store,
    Withdraw,
    accepted,
    balance,
    bank_of_accounts,
    declared,
    deposit,
    deposited,
    memory,
)

__all__ = ["memory"]


@dataclass(frozen=True)
class Other: ...


def deposit_again(state: Account, command: Deposit) -> list[Deposited]:
    return []


def unannotated(state: Account, command) -> list[Deposited]:
    return []


def wrong_state(state: Other, command: Deposit) -> list[Deposited]:
    return []


def stateless(state, command: Deposit) -> list[Deposited]:
    return []


def short(state: Account) -> list[Deposited]:
    return []


def long(state: Account, command: Deposit, more: int) -> list[Deposited]:
    return []


def starred(state: Account, *commands: Deposit) -> list[Deposited]:
    return []


def wants_colour(state: Account, command: Withdraw, *, colour: str) -> list[Deposited]:
    return []


def wants_text(state: Account, command: Withdraw, *, now: str) -> list[Deposited]:
    return []


def lists(state: Account, command: list[Deposit]) -> list[Deposited]:
    return []


async def waits(state: Account, command: Withdraw) -> list[Deposited]:
    return []


HANDLERS: list[tuple[Callable[..., Any], str]] = [
    (deposit_again, r"'deposit' is handled by bank\.account: deposit already"),
    (unannotated, "annotate 'command' with the command it takes"),
    (wrong_state, "annotate 'state' with Account"),
    (stateless, "annotate 'state' with Account"),
    (short, r"takes \(state, command\)"),
    (long, r"takes \(state, command\)"),
    (starred, r"\*commands cannot be given"),
    (wants_colour, "'colour' cannot be given by name; there are now, entity, version"),
    (wants_text, "'now' is a datetime"),
    (lists, r"list\[.*Deposit\] is not the class of a command"),
    (waits, "is async"),
]


def named(context: Context) -> None:
    """Read the context as ``open`` does."""
    perdure.open(context, store="memory://")


@pytest.mark.parametrize(("function", "reason"), HANDLERS)
def test_a_handler_that_cannot_be_called_is_named(
    function: Callable[..., Any], reason: str
) -> None:
    bank, account = bank_of_accounts()
    account.handle(function)

    name = rf"bank\.account: {function.__name__}: "
    with pytest.raises(DefinitionError, match=f"{name}.*{reason}"):
        named(bank)


def wants_position(state: Account, event: Other, *, position: int) -> Account:
    return state


def enveloped(state: Account, event: Envelope[Other]) -> Account:
    return state


def batched(state: Account, events: Sequence[Other]) -> Account:
    return state


def undeclared(state: Account, event: Account) -> Account:
    return state


def again(state: Account, event: Deposited) -> Account:
    return state


def foreign_state(state: Other, event: Other) -> Other:
    return state


async def late(state: Account, event: Other) -> Account:
    return state


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (wants_position, "an update folds one event .* cannot take 'position'"),
        (enveloped, "cannot take an envelope, or a run of events"),
        (batched, "cannot take an envelope, or a run of events"),
        (undeclared, "Account is not an event of this context"),
        (again, r"'deposited' is taken by bank\.account: deposited already"),
        (foreign_state, "not a model of this service, which keeps Account"),
        (late, "is async"),
    ],
)
def test_an_update_that_cannot_be_called_is_named(
    function: Callable[..., Any], reason: str
) -> None:
    bank, account = bank_of_accounts()
    bank.event(Other)
    account.update(function)

    with pytest.raises(DefinitionError, match=rf"bank\.account: {function.__name__}: .*{reason}"):
        named(bank)


def query_of_two(state: Account, more: int) -> int:
    return more


def query_by_name(state: Account, *, now: datetime) -> int:
    return 0


@pytest.mark.parametrize("function", [query_of_two, query_by_name])
def test_a_query_takes_the_state_alone(function: Callable[..., Any]) -> None:
    bank, account = bank_of_accounts()
    account.query(function)

    with pytest.raises(DefinitionError, match=rf"bank\.account: {function.__name__}: takes"):
        named(bank)


def test_two_queries_of_one_name_are_named() -> None:
    bank, account = bank_of_accounts()
    account.query(balance)

    with pytest.raises(DefinitionError, match=r"bank\.account: balance: two queries are named"):
        named(bank)


# --- LOW handlers ---------------------------------------------------------------------------------


def looks_at_nothing(command: Deposit, found: Account) -> list[Any]:
    return []


def takes_nothing() -> list[Any]:
    return []


def unannotated_low(command) -> list[Any]:
    return []


def takes_two(command: Deposit | Withdraw) -> list[Any]:
    return []


def wants_entity(command: Deposit, *, entity: UUID) -> list[Any]:
    return []


async def low_waits(command: Deposit) -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (looks_at_nothing, r"takes what nobody looks up; give low\(needs\)"),
        (takes_nothing, r"takes \(command, what was looked up"),
        (unannotated_low, "annotate 'command' with the command it takes"),
        (takes_two, "takes one class of command"),
        (wants_entity, "'entity' cannot be given by name; there are now, command_id"),
        (low_waits, "is async"),
    ],
)
def test_a_low_handler_that_cannot_be_called_is_named(
    function: Callable[..., Any], reason: str
) -> None:
    bank = declared()
    bank.low()(function)

    with pytest.raises(DefinitionError, match=f"bank: {function.__name__}: .*{reason}"):
        named(bank)


def test_two_low_handlers_of_one_command_are_named() -> None:
    bank = declared()

    @bank.low()
    def first(command: Deposit) -> list[Any]:
        return []

    @bank.low(lambda command: matching(Deposited))
    def second(command: Deposit, found: Sequence[Envelope[Deposited]]) -> list[Any]:
        return []

    with pytest.raises(DefinitionError, match=r"second: 'deposit' is handled by .*first already"):
        named(bank)


# --- effects, writes, kinds -----------------------------------------------------------------------


def test_an_effect_that_is_not_async_is_named() -> None:
    bank = declared()

    def prints(effect: Other) -> None: ...

    bank.effect()(prints)  # type: ignore[type-var]

    with pytest.raises(DefinitionError, match="prints: an effect is an async function"):
        named(bank)


def test_two_effects_of_one_class_are_named() -> None:
    bank = declared()

    @bank.effect()
    async def first(effect: Other) -> None: ...

    @bank.effect()
    async def second(effect: Other) -> None: ...

    with pytest.raises(DefinitionError, match=r"second: 'other' is carried out by .*first already"):
        named(bank)


def test_a_write_of_what_is_no_event_is_named() -> None:
    bank = declared()

    @bank.write
    def rows(event: Other) -> list[Any]:
        return []

    with pytest.raises(DefinitionError, match="rows: Other is not an event of this context"):
        named(bank)


def test_a_kind_that_cannot_work_is_named() -> None:
    bank = declared()
    account = bank.entity("account", Account)
    account.handle(deposit)

    with pytest.raises(DefinitionError, match=r"bank\.account folds nothing"):
        named(bank)
    with pytest.raises(DefinitionError, match="two kinds of entity are named 'account'"):
        bank.entity("account", Account)
    for wrong in ({"snapshot_every": -1}, {"snapshots_kept": 0}, {"idle_seconds": 0}):
        with pytest.raises(DefinitionError, match=r"bank\.till: snapshot_every is 0 or more"):
            bank.entity("till", Account, **wrong)  # type: ignore[arg-type]
    account.update(deposited)
    bank.service("account", Account).react(deposited)
    with pytest.raises(DefinitionError, match="two models are named 'account'"):
        named(bank)


def test_a_state_without_an_initial_value_is_named() -> None:
    @dataclass(frozen=True)
    class Needy:
        owner: str

    bank = declared()
    needy = bank.entity("needy", Needy)

    @needy.update
    def folds(state: Needy, event: Deposited) -> Needy:
        return state

    with pytest.raises(DefinitionError, match=r"bank\.needy: Needy\(\) is the initial"):
        named(bank)


# --- what works -----------------------------------------------------------------------------------


def test_a_command_is_named_in_snake_case_unless_pinned() -> None:
    bank, account = bank_of_accounts()
    bank.command("take.Out")(Withdraw)

    @bank.command
    @dataclass(frozen=True)
    class HTTPPing: ...

    @account.handle
    def ping(state: Account, command: HTTPPing) -> list[Deposited]:
        return []

    assert list(define(bank).kinds["account"].handlers) == ["deposit", "take.Out", "http_ping"]
    with pytest.raises(InvalidName):
        bank.command("no/name")


def test_a_decorated_function_is_returned_unchanged() -> None:
    bank = declared()
    account: EntityKind[Account] = bank.entity("account", Account)

    assert account.handle(deposit) is deposit
    assert account.update(deposited) is deposited
    assert account.query(balance) is balance
    assert bank.low()(takes_two) is takes_two


async def test_every_spelling_of_what_is_asked_for_by_name_is_taken(memory: Store) -> None:
    bank = declared()
    account = bank.entity("account", Account)
    account.update(deposited)

    @account.handle
    def old(
        state: Account,
        command: Deposit,
        *,
        principal: Optional[str],  # noqa: UP045
        new_id: typing.Callable[[], UUID],
        version,
    ) -> list[Deposited]:
        assert isinstance(new_id(), UUID)
        return [Deposited(command.amount + version)]

    async with memory.open(bank) as app:
        assert accepted(await app.send(account[uuid4()], Deposit(1))).state == Account(1, (1,))
