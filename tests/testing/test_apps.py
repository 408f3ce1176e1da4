"""An application under a test's clock runs until it rests, and says what keeps it from resting."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perdure
from perdure import (
    Accepted,
    After,
    App,
    Context,
    EffectFailed,
    Emit,
    EntityKind,
    EntityRef,
    HandlerFailed,
    Rejected,
    Retry,
    Send,
)
from perdure.engines.sqlite import SqliteEngine
from perdure.ports.engine import Engine
from perdure.testing.apps import NeverAtRest, OutlivingEngine, let_pass, open_app, run_until_idle
from perdure.testing.clock import ManualClock
from perdure.testing.commands import commands_of
from perdure.testing.scenarios import Scenario
from tests.testing.lending import (
    Book,
    Bought,
    Buy,
    Overdue,
    Shelf,
    Waiting,
    Wished,
    book,
    library,
    shelf,
    wish,
)

SECOND = timedelta(seconds=1)
READERS = {"reader": st.sampled_from(["", "ann", "ben"])}


@dataclass(frozen=True)
class Noted:
    text: str


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class Ring:
    text: str


@dataclass(frozen=True)
class Notes:
    texts: tuple[str, ...] = ()


def notebook(
    give: Any, *, retry: Retry | None = None
) -> tuple[Context, EntityKind[Notes], list[str]]:
    """Make a context of notes: a command gives what ``give`` makes of its text; and what rang."""
    context = Context("notes")
    context.event(Noted)
    note = context.entity("note", Notes)
    rang: list[str] = []

    @note.update
    def noted(state: Notes, event: Noted) -> Notes:
        return Notes((*state.texts, event.text))

    @note.handle
    def write(state: Notes, command: Note) -> Sequence[Any]:
        given: Sequence[Any] = give(note, command.text)
        return given

    @context.effect(retry=retry)
    async def ring(effect: Ring, *, attempt: int) -> None:
        rang.append(f"{effect.text} {attempt}")
        if effect.text == "broken" or (effect.text == "busy" and attempt < 3):
            raise ConnectionError(effect.text)
        if effect.text == "gone":
            raise EffectFailed("nobody is there")

    return context, note, rang


@pytest.fixture(params=["memory", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Engine, ManualClock]:
    clock = ManualClock()
    if request.param == "memory":
        return OutlivingEngine(clock), clock
    return SqliteEngine(tmp_path / "store", clock), clock


async def put(app: App, note: EntityKind[Notes], text: str) -> UUID:
    id_ = uuid4()
    assert isinstance(await app.send(note[id_], Note(text)), Accepted)
    return id_


async def test_everything_that_follows_from_a_command_has_happened(
    engine: tuple[Engine, ManualClock],
) -> None:
    store, clock = engine
    async with open_app(library, engine=store, clock=clock) as app:
        emma = book.named("emma")
        await app.append(library.new(emma.key, Bought("Emma")))
        await app.append(library.new(uuid4(), Wished("ann", UUID(emma.key))))
        rest = await run_until_idle(app)

        assert await app.model(emma) == Book("Emma", "ann", 1)
        assert await app.model(wish["ann"]) == Waiting("got it")
        assert await app.model(shelf.ref) == Shelf(1)
        assert (rest.seconds, rest.parked, rest.timers) == (0, (), 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(commands_of(library, ids=2, by_field=READERS), max_size=8))
async def test_a_scenario_says_what_an_application_says(
    story: list[tuple[EntityRef[Any] | None, Any]],
) -> None:
    told = Scenario(library)
    async with open_app(library, react=False) as app:
        for number, (to, command) in enumerate(story):
            if isinstance(command, Buy):
                continue  # it writes a table, which there is none of in memory
            sent = (command,) if to is None else (to, command)
            try:
                outcome = await app.send(*sent, command_id=f"c{number}")
            except HandlerFailed as failure:
                with pytest.raises(HandlerFailed, match=re.escape(str(failure))):
                    told.when(command, to=to, command_id=f"c{number}")
                continue
            decided = told.when(command, to=to, command_id=f"c{number}")
            told = decided.after
            if isinstance(outcome, Rejected):
                assert decided.rejection == outcome.reason
                continue
            assert decided.rejection is None
            assert (decided.state, decided.version) == (outcome.state, outcome.version)
            assert decided.reply == outcome.reply
            assert tuple(each.event_id for each in decided.envelopes) == outcome.events


async def test_an_attempt_that_is_made_again_gets_the_time_for_it(
    engine: tuple[Engine, ManualClock],
) -> None:
    context, note, rang = notebook(lambda note, text: [Ring(text)], retry=Retry(jitter=0))
    store, clock = engine
    async with open_app(context, engine=store, clock=clock) as app:
        await put(app, note, "busy")
        rest = await run_until_idle(app)

    assert rang == ["busy 1", "busy 2", "busy 3"]
    assert rest.seconds == pytest.approx(5, abs=1)  # 1 s, then 4 s
    assert rest.parked == ()


async def test_what_is_parked_rests_and_is_told_and_so_does_what_waits_behind_it() -> None:
    context, note, rang = notebook(
        lambda note, text: [Ring(text), Ring("behind")], retry=Retry(attempts=2)
    )

    async with open_app(context) as app:
        await put(app, note, "broken")
        await put(app, note, "gone")
        rest = await run_until_idle(app)

    assert rest.parked == ("notes: effect to ring: ConnectionError: broken",)
    assert sorted(rang) == ["behind 1", "broken 1", "broken 2", "gone 1"]


async def test_a_key_that_is_parked_is_told() -> None:
    context = Context("notes")
    context.event(Noted)

    @context.service("notes", Notes, single=True).react
    def noted(model: Notes, event: Noted) -> Notes:
        raise ValueError("no ink")

    async with open_app(context) as app:
        await app.append(context.new(uuid4(), Noted("x")))
        rest = await run_until_idle(app)

    assert rest.parked == ("notes: notes '': ValueError: no ink",)


async def test_time_passes_to_the_next_timer_when_it_is_asked_to() -> None:
    context, note, _ = notebook(
        lambda note, text: [After(SECOND * 10, Noted("soon")), After(SECOND * 60, Noted("later"))]
    )
    async with open_app(context) as app:
        id_ = await put(app, note, "x")
        assert (await run_until_idle(app)).timers == 2

        rest = await run_until_idle(app, advance_to_next=True)
        assert (rest.seconds, rest.timers) == (10, 1)
        assert await app.model(note[id_]) == Notes(("soon",))

        await run_until_idle(app, advance_to_next=True)
        assert (await run_until_idle(app, advance_to_next=True)).seconds == 0
        assert await app.model(note[id_]) == Notes(("soon", "later"))


async def test_time_passes_from_timer_to_timer(engine: tuple[Engine, ManualClock]) -> None:
    context, note, _ = notebook(lambda note, text: [])
    store, clock = engine
    hours = note[uuid4()]
    context.tick("hourly", "0 * * * *", lambda at: Noted(f"{at:%H:%M}"), entity=UUID(hours.key))

    async with open_app(context, engine=store, clock=clock) as app:
        rest = await let_pass(app, timedelta(hours=3, minutes=30))

        assert rest.seconds == 3.5 * 3600
        assert await app.model(hours) == Notes(("01:00", "02:00", "03:00"))
        assert [event.happened_at.minute async for event in app.events()] == [0, 0, 0]


async def test_what_was_recorded_outlives_an_application_when_the_engine_does() -> None:
    clock = ManualClock()
    engine = OutlivingEngine(clock)
    context, note, rang = notebook(lambda note, text: [Noted(text), After(SECOND * 9, Ring(text))])
    async with open_app(context, clock=clock, engine=engine) as app:
        id_ = await put(app, note, "kept")
    clock.advance(10)

    async with open_app(context, clock=clock, engine=engine) as app:
        await run_until_idle(app)
        assert await app.model(note[id_]) == Notes(("kept",))
        assert rang == ["kept 1"]


async def test_what_goes_on_for_ever_is_named() -> None:
    context, note, _ = notebook(
        lambda note, text: [Noted(text), Send(Note(text), to=note.named("x"))]
    )
    async with open_app(context) as app:
        await put(app, note, "ping")
        with pytest.raises(NeverAtRest, match=r"command to notes \(of .*\) is due"):
            await run_until_idle(app, looks_max=200)


async def test_what_needs_more_time_than_there_is_is_named() -> None:
    context, note, _ = notebook(lambda note, text: [Ring(text)])

    async with open_app(context) as app:
        await put(app, note, "broken")
        with pytest.raises(NeverAtRest, match=r"effect to ring \(of .*\) is due"):
            await run_until_idle(app, seconds_max=20)


async def test_timers_that_set_themselves_for_ever_are_told() -> None:
    context, note, _ = notebook(lambda note, text: [After(SECOND, Note(text))])

    async with open_app(context) as app:
        await put(app, note, "again")
        with pytest.raises(NeverAtRest, match="more than 5 timers fell due"):
            await let_pass(app, timedelta(minutes=1), timers_max=5)


async def test_contexts_rest_together() -> None:
    shop, office = Context("shop"), Context("office")
    shop.event(Noted)
    office.event(Overdue)

    @shop.service("notes", Notes, single=True).react
    def noted(model: Notes, event: Noted) -> tuple[Notes, list[Emit]]:
        return model, [Emit(event=Overdue(event.text), context="office")]

    overdue = office.service("overdue", Notes, single=True)

    @overdue.react
    def late(model: Notes, event: Overdue) -> Notes:
        return Notes((*model.texts, event.reader))

    async with open_app(shop, office) as app:
        await app.append(shop.new(uuid4(), Noted("x")), context="shop")
        await run_until_idle(app)
        assert await app.model(overdue.ref) == Notes(("x",))


async def test_config_goes_to_the_effects_and_settings_to_the_application() -> None:
    context = Context("notes")
    context.event(Noted)
    note = context.entity("note", Notes)
    seen: list[Any] = []

    @note.update
    def noted(state: Notes, event: Noted) -> Notes:
        return state

    @note.handle
    def write(state: Notes, command: Note) -> list[Ring]:
        return [Ring(command.text)]

    @context.effect()
    async def ring(effect: Ring, *, config: Any) -> None:
        seen.append(config)

    async with open_app(context, config="bell", wait_seconds_max=1) as app:
        await app.send(note[uuid4()], Note("x"))
        await run_until_idle(app)
        assert app.settings.wait_seconds_max == 1
    assert seen == ["bell"]


async def test_an_application_that_runs_by_the_machines_clock_is_refused() -> None:
    async with perdure.open(library, store="memory://") as app:
        with pytest.raises(TypeError, match="runs by a SystemClock"):
            await run_until_idle(app)


async def test_an_application_that_only_reads_is_at_rest() -> None:
    async with open_app(library, react=False) as app:
        await app.append(library.new(uuid4(), Bought("Emma")))
        assert (await run_until_idle(app)).seconds == 0
