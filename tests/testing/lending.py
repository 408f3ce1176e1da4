"""A library as the tests of the kit know it: one of every kind of function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from perdure import (
    After,
    Cancel,
    Complete,
    Context,
    Done,
    Emit,
    EntityRef,
    Envelope,
    Matching,
    Refused,
    Rejected,
    Reply,
    Send,
    Statement,
    Stop,
    matching,
)

WEEKS = timedelta(weeks=2)


@dataclass(frozen=True)
class Bought:
    title: str


@dataclass(frozen=True)
class Lent:
    reader: str


@dataclass(frozen=True)
class Returned:
    reader: str


@dataclass(frozen=True)
class Overdue:
    reader: str


@dataclass(frozen=True)
class Joined:
    reader: str
    number: int


@dataclass(frozen=True)
class Buy:
    title: str


@dataclass(frozen=True)
class Lend:
    reader: str


@dataclass(frozen=True)
class TakeBack:
    reader: str


@dataclass(frozen=True)
class Join:
    reader: str


@dataclass(frozen=True)
class Wish:
    reader: str
    book: UUID


@dataclass(frozen=True)
class Wished:
    reader: str
    book: UUID


@dataclass(frozen=True)
class Remind:
    reader: str


@dataclass(frozen=True)
class Thank:
    reader: str


@dataclass(frozen=True)
class Book:
    title: str = ""
    reader: str = ""
    loans: int = 0


@dataclass(frozen=True)
class Reader:
    loans: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shelf:
    lent: int = 0


@dataclass(frozen=True)
class Waiting:
    step: str = "new"


library = Context("library")
for cls in (Bought, Lent, Returned, Overdue, Joined, Wished):
    library.event(cls)

book = library.entity("book", Book)


@book.update
def bought(state: Book, event: Bought) -> Book:
    return Book(event.title)


@book.update
def lent(state: Book, event: Lent) -> Book:
    return replace(state, reader=event.reader, loans=state.loans + 1)


@book.update
def returned(state: Book, event: Returned) -> Book:
    if event.reader != state.reader:
        raise ValueError(f"{event.reader} has not got it")
    return replace(state, reader="")


@book.update
def overdue(state: Book, event: Overdue) -> Book:
    return state


@book.handle
def buy(state: Book, command: Buy) -> list[Bought | Reply | Statement]:
    if command.title == "the wrong one":
        return [Bought(command.title), Bought]  # type: ignore[list-item]  # a class is no event
    row = Statement("INSERT INTO books VALUES (?)", (command.title,))
    return [Bought(command.title), Reply({"title": command.title}), row]


@book.handle
def lend(
    state: Book, command: Lend, *, now: datetime, entity: UUID, version: int
) -> list[Lent | After]:
    if state.reader:
        raise Rejected(f"{state.reader} has it, of version {version} of {entity.hex[-2:]}")
    return [Lent(command.reader), After(WEEKS, Overdue(command.reader), name="due")]


@book.handle
def take_back(state: Book, command: TakeBack) -> list[Returned | Cancel | Remind | Thank | Stop]:
    return [
        Returned(command.reader),
        Cancel("due"),
        Thank(command.reader),
        Remind(command.reader),
        Stop(),
    ]


@library.effect()
async def remind(effect: Remind) -> None:
    raise AssertionError("a scenario carries nothing out")


@library.effect(delivery="at_most_once")
async def thank(effect: Thank) -> None:
    raise AssertionError("a scenario carries nothing out")


def needs_joined(command: Join) -> tuple[Matching[Joined], EntityRef[Book]]:
    if not command.reader:
        raise Rejected("who?")
    return matching(Joined, tags=[f"reader:{command.reader}"]), book.named("first")


@library.low(needs_joined)
def join(
    command: Join,
    found: Sequence[Envelope[Joined]],
    first: Book,
    *,
    new_id: Callable[[], UUID],
    principal: str | None,
) -> list[Any]:
    if found:
        return [Reply(found[0].data.number)]
    joined = Joined(command.reader, first.loans + 1)
    tags = (f"reader:{command.reader}",)
    fresh = UUID(int=7, version=4) if principal == "careless" else new_id()
    return [Emit(event=joined, entity=fresh, tags=tags, fresh=True), Reply(joined.number)]


readers = library.service("reader", Reader, by="reader")


@readers.react
def loan(model: Reader, event: Lent, *, at: datetime) -> Reader:
    return Reader((*model.loans, f"{at:%H:%M}"))


shelf = library.service("shelf", Shelf, single=True)


@shelf.react
def gone(model: Shelf, event: Lent) -> tuple[Shelf, list[Emit]]:
    if event.reader == "nobody":
        raise ValueError("nobody reads")
    after = Shelf(model.lent + 1)
    told = Emit(event=Wished(event.reader, UUID(int=9, version=4)), entity=UUID(int=9, version=4))
    return after, [told] if after.lent == 3 else []


wish = library.saga("wish", Waiting, by="reader")


@wish.react
def wished(model: Waiting, event: Wished) -> tuple[Waiting, list[Send | After]]:
    late = After(timedelta(days=1), Remind(event.reader), name="late")
    return Waiting("asking"), [Send(Lend(event.reader), to=book[event.book]), late]


@wish.react
def got(model: Waiting, outcome: Done[Lend]) -> tuple[Waiting, list[Cancel | Complete]]:
    return Waiting("got it"), [Cancel("late"), Complete()]


@wish.react
def not_got(model: Waiting, outcome: Refused[Lend]) -> tuple[Waiting, list[Remind]]:
    return Waiting(outcome.reason), [Remind("the librarian")]
