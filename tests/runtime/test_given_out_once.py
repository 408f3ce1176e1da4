"""Promise 8: what a service gives out arises once; folding again, whatever for, gives out nothing."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

import pytest

from perdure import After, App, Committed, Context, Emit, EntityKind, EntityRef, Send, Service
from perdure.testing import ManualClock
from tests.runtime.delivering import (
    Box,
    Do,
    Mail,
    Noted,
    Store,
    World,
    boxes,
    is_done,
    notes,
    some_id,
    store,
)
from tests.runtime.support import at_second

__all__ = ["store"]


@dataclass(frozen=True)
class Seen:
    """A model; ``Counted`` is what it is after a change of its class."""

    what: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counted:
    what: tuple[str, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Happened:
    what: str


def watching(model: type[Any] = Seen) -> tuple[Context, EntityKind[Box], Service[Any]]:
    """Make a service that gives out one of everything for each event, and boxes to send to."""
    shop, box = boxes(lambda command: [Noted(command.what)])
    shop.event(Happened)
    shop.effect()(mail)
    watch = shop.service("watch", model)

    def happened(model: Any, event: Happened, *, entity: UUID) -> tuple[Any, list[Any]]:
        what = (*model.what, event.what)
        after = Seen(what) if type(model) is Seen else Counted(what, len(what))
        return after, [
            Noted(f"{event.what} emitted"),
            Emit(event=Noted(f"{event.what} about"), entity=entity),
            Send(Do(f"{event.what} sent"), to=box[entity]),
            After(timedelta(seconds=30), Noted(f"{event.what} later")),
            Mail(event.what),
        ]

    happened.__annotations__["model"] = model
    watch.react(happened)
    return shop, box, watch


async def mail(effect: Mail, *, config: World) -> None:
    await config.act(effect.text)


async def happen(app: App, shop: Context, entity: UUID, what: str, second: float) -> Committed:
    return await app.append(shop.new(entity, Happened(what), id=at_second(second)))


@pytest.fixture
def late_store(store: Store) -> Store:
    """The store, at a time when the events of these tests are none of the future's."""
    store.clock.step((at_second(0).time - ManualClock().now() * 10 - 0x01B21DD213814000) / 1e7)
    return store


async def everything(store: Store, app: App, ref: EntityRef[Box], *what: str) -> None:
    """Insist that all was given out once for each of these, and that no more comes."""
    await store.until(lambda: is_done(app), step=1)
    parts = ("emitted", "about", "sent", "later")
    assert sorted(await notes(app, ref)) == sorted(f"{w} {p}" for w in what for p in parts)
    assert sorted(store.world.texts()) == sorted(what)


async def test_a_service_gives_out_effects_events_commands_and_timers(late_store: Store) -> None:
    shop, box, _ = watching()
    one = some_id()

    async with late_store.open(shop) as app:
        await happen(app, shop, one, "a", 1)
        await late_store.until(lambda: has_given(app, box[one], 3), step=0.01)
        await everything(late_store, app, box[one], "a")


async def test_an_event_that_comes_late_gives_out_and_those_after_it_not_again(
    late_store: Store,
) -> None:
    shop, box, watch = watching()
    one = some_id()

    async with late_store.open(shop) as app:
        for what, second in (("b", 20), ("c", 30), ("a", 10)):
            await happen(app, shop, one, what, second)
            await late_store.until(partial(has_seen, app, watch[one], what), step=0.01)
        assert await app.model(watch[one]) == Seen(("a", "b", "c"))
        await everything(late_store, app, box[one], "a", "b", "c")


@pytest.mark.parametrize("why", ["restart", "rebuild"])
async def test_folding_again_gives_out_nothing(
    late_store: Store, why: Literal["restart", "rebuild"]
) -> None:
    shop, box, watch = watching()
    one = some_id()
    async with late_store.open(shop) as app:
        for second, what in enumerate("abc"):
            await happen(app, shop, one, what, second)
        await late_store.until(lambda: has_seen(app, watch[one], "c"), step=0.01)
        await everything(late_store, app, box[one], "a", "b", "c")

    shop, box, watch = watching(Counted if why == "rebuild" else Seen)
    async with late_store.open(shop) as app:
        await happen(app, shop, one, "d", 10)
        await late_store.until(lambda: has_seen(app, watch[one], "d"), step=0.01)
        model = await app.model(watch[one])
        assert model == (Counted(tuple("abcd"), 4) if why == "rebuild" else Seen(tuple("abcd")))
        await everything(late_store, app, box[one], "a", "b", "c", "d")


async def test_a_new_service_gives_out_nothing_for_what_was_there_before(
    late_store: Store,
) -> None:
    before, box = boxes(lambda command: [Noted(command.what)])
    before.event(Happened)
    one = some_id()
    async with late_store.open(before) as app:
        await happen(app, before, one, "old", 1)

    shop, box, watch = watching()
    async with late_store.open(shop) as app:
        await happen(app, shop, one, "new", 2)
        await late_store.until(lambda: has_seen(app, watch[one], "new"), step=0.01)
        assert (await app.model(watch[one])).what == ("old", "new")
        await everything(late_store, app, box[one], "new")


async def test_an_event_that_is_repeated_gives_out_nothing_again(late_store: Store) -> None:
    shop, box, watch = watching()
    one = some_id()

    async with late_store.open(shop) as app:
        await happen(app, shop, one, "a", 1)
        await late_store.until(lambda: has_seen(app, watch[one], "a"), step=0.01)
        assert (await happen(app, shop, one, "a", 1)).repeated
        await everything(late_store, app, box[one], "a")


async def has_seen(app: App, ref: Any, what: str) -> bool:
    return what in (await app.model(ref)).what


async def has_given(app: App, ref: EntityRef[Box], count: int) -> bool:
    return len(await notes(app, ref)) == count
