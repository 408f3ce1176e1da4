"""Commands are made from their types: sound ones, to few entities, of every kind."""

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from perdure import Context, EntityRef
from perdure.testing.commands import commands_of
from perdure.testing.scenarios import Scenario
from tests.testing.lending import Join, Lend, TakeBack, book, library


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Inner:
    amount: Decimal
    inner: "Inner | None" = None


@dataclass(frozen=True)
class Everything:
    text: str
    number: int
    share: float
    yes: bool
    money: Decimal
    at: datetime
    on: date
    long: timedelta
    who: UUID
    colour: Colour
    small: Annotated[int, msgspec.Meta(ge=1, le=9)]
    inner: Inner
    choice: Literal["a", "b"]
    maybe: str | None = None
    many: list[Inner] = field(default_factory=list)
    pair: tuple[int, str] = (0, "")
    row: tuple[UUID, ...] = ()
    named: dict[str, int] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Positive:
    amount: Decimal

    def __post_init__(self) -> None:
        if self.amount <= 0:
            raise ValueError("an amount is more than nothing")


class Tight(msgspec.Struct, frozen=True):
    code: Annotated[str, msgspec.Meta(min_length=2)]


@attrs.frozen
class Attrs:
    number: int


class Validated(BaseModel):
    model_config = ConfigDict(frozen=True)
    number: int


@dataclass(frozen=True)
class State:
    count: int = 0


@dataclass(frozen=True)
class Happened:
    pass


def handling(*classes: type[Any]) -> Context:
    """Make a context whose one kind of entity takes commands of these classes."""
    context = Context("things")
    context.event(Happened)
    thing = context.entity("thing", State)

    @thing.update
    def happened(state: State, event: Happened) -> State:
        return State(state.count + 1)

    for cls in classes:

        def handle(state: State, command: Any) -> list[Happened]:
            return [Happened()]

        handle.__annotations__["command"] = cls
        thing.handle(handle)
    return context


some = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@some
@given(commands_of(library))
def test_every_command_is_for_who_handles_it(made: tuple[EntityRef[Any] | None, Any]) -> None:
    to, command = made

    assert (to is None) == isinstance(command, Join)
    if not isinstance(command, TakeBack):  # which fails for a book that nobody has
        Scenario(library).when(command, to=to)


@some
@given(commands_of(handling(Everything)))
def test_a_command_may_have_fields_of_any_kind(made: tuple[EntityRef[Any] | None, Any]) -> None:
    _, command = made

    assert isinstance(command, Everything)
    assert 1 <= command.small <= 9
    assert command.money == round(command.money, 2)
    assert command.at.tzinfo is not None
    assert {command.who, *command.row} <= {UUID(int=n, version=4) for n in (1, 2, 3)}
    assert len(command.text) <= 20


@some
@given(commands_of(handling(Positive, Tight, Attrs, Validated)))
def test_what_a_class_does_not_allow_is_never_made(
    made: tuple[EntityRef[Any] | None, Any],
) -> None:
    _, command = made

    assert isinstance(command, Positive | Tight | Attrs | Validated)
    if isinstance(command, Positive):
        assert command.amount > 0
    if isinstance(command, Tight):
        assert len(command.code) >= 2


def test_every_class_of_command_comes_up() -> None:
    for cls in (Positive, Tight, Attrs, Validated):
        made = commands_of(handling(Positive, Tight, Attrs, Validated))
        assert isinstance(find(made, lambda one, cls=cls: isinstance(one[1], cls))[1], cls)  # type: ignore[misc]


@some
@given(st.lists(commands_of(library, ids=1), max_size=8))
def test_entities_are_few_so_that_commands_meet(
    story: list[tuple[EntityRef[Any] | None, Any]],
) -> None:
    assert {to for to, _ in story} <= {book[UUID(int=1, version=4)], None}


readers = st.sampled_from(["ann", "ben"])


@some
@given(st.lists(commands_of(library, ids=1, by_field={"reader": readers}), max_size=6))
def test_fields_are_made_as_they_are_told_to_be(
    story: list[tuple[EntityRef[Any] | None, Any]],
) -> None:
    told = Scenario(library)
    lent = 0
    for to, command in story:
        if isinstance(command, Lend):
            assert command.reader in ("ann", "ben")
            outcome = told.when(command, to=to)
            told, lent = outcome.after, lent + (outcome.rejection is None)
    assert lent <= 1


@some
@given(commands_of(handling(Inner), by_type={Decimal: st.just(Decimal("1.5"))}))
def test_types_are_made_as_they_are_told_to_be(made: tuple[EntityRef[Any] | None, Any]) -> None:
    assert made[1].amount == Decimal("1.5")


def test_a_context_that_handles_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="handles no commands"):
        commands_of(Context("quiet"))


def test_without_hypothesis_it_says_what_to_install_and_the_rest_of_the_kit_works() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import perdure.testing\n"
        "try:\n    import perdure.testing.commands\n"
        "except ImportError as missing:\n    print(missing)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "pip install 'perdure[testing]'" in ran.stdout
