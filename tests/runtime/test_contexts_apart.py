"""Contexts have their own limits and loops (S3.F7): what one of them suffers, the other does not notice."""

import asyncio
from typing import Any

import pytest

from perdure import Accepted, Context, Emit, EntityKind, Send, Unavailable
from perdure.ports.engine import Log
from perdure.vocabulary.errors import StorageFull
from tests.runtime.delivering import (
    Between,
    Box,
    Do,
    Mail,
    Noted,
    Store,
    Through,
    World,
    accepted,
    boxes,
    is_done,
    noted,
    notes,
    open_intents,
    some_id,
    standing,
    store,
    turns,
)

__all__ = ["store"]


def mailing(name: str, give: Any = None) -> tuple[Context, EntityKind[Box]]:
    """Make a context that notes and mails each command."""
    context, box = boxes(
        give or (lambda command: [Noted(command.what), Mail(f"{name} {command.what}")]), name
    )

    @context.effect(concurrency=1)
    async def mail(effect: Mail, *, config: World) -> None:
        await config.act(effect.text)

    return context, box


async def test_an_effect_that_hangs_stops_no_effect_of_another_context(store: Store) -> None:
    ill, ill_box = mailing("ill")
    well, well_box = mailing("well")
    store.world.obstacles["ill 0"] = [asyncio.Event()]

    async with store.open(ill, well) as app:
        for number in range(5):
            await accepted(app, ill_box[some_id()], str(number))
            await accepted(app, well_box[some_id()], str(number))
        await store.until(lambda: is_done(app, "well"))

        assert sorted(store.world.done) == [f"well {number}" for number in range(5)]
        assert await open_intents(app, "ill") == 5


class Slow(Between):
    """A log whose writes of events wait until they may go on."""

    def __init__(self, log: Log, gate: asyncio.Event) -> None:
        super().__init__(log)
        self._gate = gate

    async def commit(self, commits: Any) -> Any:
        if any(commit.events for commit in commits):
            await self._gate.wait()
        return await self._log.commit(commits)


def one_by_one(store: Store, wrap: Any) -> Through:
    """Make an engine that wraps the log of the first context it opens, and leaves the others."""
    opened: list[Log] = []

    def between(log: Log) -> Any:
        opened.append(log)
        return wrap(log) if len(opened) == 1 else log

    return Through(store.engine(), between)


async def test_a_context_that_is_full_refuses_and_the_other_takes_commands(store: Store) -> None:
    ill, ill_box = mailing("ill")
    well, well_box = mailing("well")
    gate = asyncio.Event()
    engine = one_by_one(store, lambda log: Slow(log, gate))

    async with store.open(ill, well, engine=engine, commands_in_flight_max=1) as app:
        stuck = asyncio.create_task(app.send(ill_box[some_id()], Do("stuck")))
        await store.until(lambda: app.context("ill").commands.in_flight == 1)
        with pytest.raises(Unavailable, match="context 'ill'; nothing was written"):
            await app.send(ill_box[some_id()], Do("one too many"))
        for number in range(5):
            await accepted(app, well_box[some_id()], str(number))
        gate.set()

        assert isinstance(await stuck, Accepted)
        await accepted(app, ill_box[some_id()], "after")
        assert app.context("ill").commands.in_flight == 0


async def test_an_entity_that_is_stuck_stops_no_entity_of_another_context(store: Store) -> None:
    """Commands wait behind one another for the entity; whoever waits behind them waits in vain."""
    ill, ill_box = mailing("ill")
    well, well_box = mailing("well")
    gate, one = asyncio.Event(), some_id()
    engine = one_by_one(store, lambda log: Slow(log, gate))

    async with store.open(ill, well, engine=engine) as app:
        stuck = [asyncio.create_task(app.send(ill_box[one], Do(str(n)))) for n in range(10)]
        await turns()
        for number in range(5):
            await accepted(app, well_box[one], str(number))
        await store.until(lambda: is_done(app, "well"))
        assert not any(task.done() for task in stuck)
        gate.set()
        await asyncio.gather(*stuck)

        assert sorted(await notes(app, ill_box[one])) == list(map(str, range(10)))


class Full(Between):
    """A log without room, until there is."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self.is_full = False

    async def commit(self, commits: Any) -> Any:
        if self.is_full:
            raise StorageFull("the disk is full")
        return await self._log.commit(commits)


async def test_what_goes_to_a_context_without_room_waits_and_the_rest_is_delivered(
    store: Store,
) -> None:
    ill, ill_box = mailing("ill", lambda command: [Noted(command.what)])
    target = some_id()

    def give(command: Do) -> list[Any]:
        given: dict[str, list[Any]] = {
            "emit": [Emit(event=Noted("emitted"), entity=target, context="ill")],
            "send": [Send(Do("sent"), to=ill_box[target])],
            "mail": [Mail("mailed")],
            "own": [Send(Do("note"), to=well_box[target])],
        }
        return given.get(command.what, [Noted(command.what)])

    well, well_box = mailing("well", give)
    logs: list[Full] = []

    def wrap(log: Log) -> Any:
        logs.append(Full(log))
        return logs[0]

    async with store.open(ill, well, engine=one_by_one(store, wrap)) as app:
        logs[0].is_full = True
        for what in ("emit", "send", "mail", "own"):
            await accepted(app, well_box[some_id()], what)
        await noted(store, app, well_box[target], "note", step=0.1)
        await store.until(lambda: store.world.done == ["mailed"], step=0.1)
        store.clock.advance(600)
        await turns()
        assert await open_intents(app, "well") == 2
        logs[0].is_full = False
        await store.until(lambda: is_done(app, "well"), step=0.5)

        assert sorted(await notes(app, ill_box[target])) == ["emitted", "sent"]
        assert await standing(app, "well") == []
