"""Import gives out nothing: promise 8, in a store whose reactors are running."""

import asyncio
import io
from dataclasses import dataclass

import perdure
from perdure import App, Context
from perdure.cli.eventline import EventReader
from perdure.cli.intake import Intake, Source
from tests.cli.applications import Journal, Noted
from tests.cli.support import ENTITY, Cli, line, note, settled


@dataclass(frozen=True)
class Echoed:
    text: str


def echoing(*, emit_history: bool = False) -> Context:
    """A context that gives out an echo of each note."""
    context = Context("notes")
    context.event(Noted)
    context.event(Echoed)
    context.service("journal", Journal, emit_history=emit_history).react(echo)
    return context


def echo(model: Journal, event: Noted) -> tuple[Journal, list[Echoed]]:
    return Journal((*model.texts, event.text)), [Echoed(event.text)]


async def bring_in(app: App, *lines: bytes) -> None:
    live = app.context("notes")
    reader = EventReader(live.definition, ahead_seconds_max=86_400)
    source = Source(io.BufferedReader(io.BytesIO(b"".join(lines))), "lines")
    await Intake(live.log, reader, app.environment.clock, source).run(lambda done, count: None)


async def given_out(app: App, position: int) -> None:
    """Wait until nothing is left to be given out for the events up to a position."""
    await settled(app, position)
    log = app.context("notes").log
    async with asyncio.timeout(10):
        while await log.intents("emit"):
            await log.advanced(await log.head(), 0.01)


async def types(app: App) -> list[str]:
    return [event.type async for event in app.events()]


async def test_models_take_imported_events_in_but_nothing_is_given_out_for_them() -> None:
    context = echoing()
    async with perdure.open(context, store="memory://") as app:
        await bring_in(app, line(1), line(2))
        await given_out(app, 2)
        quiet = await types(app)
        position = (await app.append(note(3))).position
        await given_out(app, position)

        assert quiet == ["noted", "noted"]
        assert await types(app) == ["noted", "noted", "noted", "echoed"]
        journal = await app.model(context.services["journal"][ENTITY])
        assert journal.texts == ("note 1", "note 2", "note 3")


async def test_a_reactor_that_asks_for_history_gives_out_for_imported_events_too() -> None:
    async with perdure.open(echoing(emit_history=True), store="memory://") as app:
        await bring_in(app, line(1))
        await given_out(app, 1)

        assert await types(app) == ["noted", "echoed"]


def test_an_import_beside_a_running_application_gives_out_nothing(cli: Cli, store: str) -> None:
    context = echoing()
    lines = line(2) + line(3)
    importing = ["events", "import", "-", "--context", "notes", "--store", store]

    async def import_meanwhile() -> list[str]:
        async with perdure.open(context, store=store) as app:
            await given_out(app, (await app.append(note(1))).position)
            assert (await asyncio.to_thread(cli, *importing, stdin=lines)).code == 0
            await given_out(app, await app.context("notes").log.head())
            journal = await app.model(context.services["journal"][ENTITY])
            assert journal.texts == ("note 1", "note 2", "note 3")
            return await types(app)

    assert asyncio.run(import_meanwhile()) == ["noted", "echoed", "noted", "noted"]
