"""A whole application in a test: under a clock that the test holds, until nothing is under way any more.

One rule: time passes only as far as somebody waits for it. What runs, runs first; what is tried again after a
while gets that while; what is due later waits until it is asked for. ``scenarios`` needs none of this.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from perdure.core.context import Context
from perdure.core.parcels import KINDS
from perdure.engines.memory import MemoryEngine
from perdure.ports.engine import Engine
from perdure.runtime import undelivered
from perdure.runtime.app import App
from perdure.runtime.config import Settings
from perdure.runtime.live import LiveContext
from perdure.testing.clock import ManualClock, ManualEnvironment
from perdure.vocabulary.commits import Intent
from perdure.vocabulary.errors import NotCaughtUp

#: Turns of the event loop between two looks; more than any step of the runtime takes.
_TURNS = 40
#: Nothing has moved for so many looks: then only the clock can help. All but the first wait in earnest, for
#: an engine's threads and for effects that reach outside.
_LOOKS, _LOOK_SECONDS = 12, 0.002
#: So many looks are spent on what acts on the world before the clock goes on beside it: about half a second.
_PATIENCE = 200
_PAGE = 1000
_FAR = 1 << 62


class OutlivingEngine(MemoryEngine):
    """A memory engine that an application's end does not empty, as a file would not be."""

    async def close(self) -> None:
        """Keep everything for the next application."""


def open_app(
    *contexts: Context,
    clock: ManualClock | None = None,
    engine: Engine | None = None,
    config: Any = None,
    react: bool = True,
    **settings: Any,
) -> App:
    """Make an application in memory that a test drives: ``async with open_app(bank) as app``.

    ``clock`` is a fresh ``ManualClock`` unless one is given. ``engine=OutlivingEngine(clock)`` keeps what is
    recorded for the next application over it. ``config`` goes to the effects, ``settings`` are those of
    ``perdure.open``, by name.
    """
    environment = ManualEnvironment(clock=clock or ManualClock())
    return App(
        contexts,
        engine or MemoryEngine(environment.clock),
        environment,
        Settings(**settings),
        version="test",
        react=react,
        config=config,
    )


@dataclass(frozen=True)
class Rest:
    """An application at rest: nothing happens there until time passes or somebody comes.

    ``seconds`` went by on its clock meanwhile. ``parked`` are the keys and deliveries that stand still, each
    with its cause. ``timers`` counts what is due later.
    """

    seconds: float = 0.0
    parked: tuple[str, ...] = ()
    timers: int = 0


class NeverAtRest(AssertionError):
    """An application did not come to rest; the message says what was still under way."""


async def run_until_idle(
    app: App,
    *,
    advance_to_next: bool = False,
    seconds_max: float = 3600,
    looks_max: int = 20_000,
) -> Rest:
    """Let an application under a ``ManualClock`` run until nothing is under way.

    That is: the reactors have taken what is recorded, no command is being handled, and nothing is due to
    be delivered. Where only time helps (an attempt is to be made again), time passes, up to ``seconds_max``.
    Effects that are carried out at most once are written down nowhere: they get some turns, no more.
    With ``advance_to_next`` time then passes to the next timer, too, and the application runs on until
    it rests again. Raises ``NeverAtRest`` when that time was not enough, or when there was something new
    under way at each of ``looks_max`` looks.
    """
    clock = clock_of(app)
    began = clock.monotonic()
    await _settle(app, began + seconds_max, looks_max)
    if advance_to_next:
        following = await next_due(app)
        if following is not None:
            clock.advance((following - clock.now()) / 1_000_000)
            await _settle(app, clock.monotonic() + seconds_max, looks_max)
    parked, timers = await _standing(app)
    return Rest(clock.monotonic() - began, parked, timers)


async def let_pass(app: App, time: timedelta, *, timers_max: int = 10_000) -> Rest:
    """Let so much time pass, from timer to timer, each of them carried out at the moment it is due.

    Ends at rest, when exactly that time has passed; or a little later, where an attempt had to be made again.
    Raises ``NeverAtRest``, also when more than ``timers_max`` fell due.
    """
    clock = clock_of(app)
    began = clock.monotonic()
    end = clock.now() + time // timedelta(microseconds=1)
    await run_until_idle(app)
    for _ in range(timers_max):
        following = await next_due(app)
        upto = end if following is None else min(following, end)
        clock.advance(max(0, upto - clock.now()) / 1_000_000)
        rest = await run_until_idle(app)
        if upto >= end:
            return Rest(clock.monotonic() - began, rest.parked, rest.timers)
    raise NeverAtRest(
        f"more than {timers_max} timers fell due within {time}: do they set themselves?"
    )


def clock_of(app: App) -> ManualClock:
    """Give the clock of an application under test. Raises ``TypeError`` where it is not a test's."""
    clock = app.environment.clock
    if not isinstance(clock, ManualClock):
        raise TypeError(
            f"the application runs by a {type(clock).__name__}, which goes on by itself: open it with "
            "open_app(...), or with environment=ManualEnvironment()"
        )
    return clock


async def next_due(app: App) -> int | None:
    """Give when the next timer of an application falls due, in microseconds since 1970; or ``None``."""
    now = app.environment.clock.now()
    found = [
        intent.due
        for live in app.contexts.values()
        for kind in KINDS
        for intent in await live.log.intents(kind, after=(now, _FAR), limit=1)
    ]
    return min(found, default=None)


# -- at rest, or not ------------------------------------------------------------------------------


async def _settle(app: App, until: float, looks_max: int) -> None:
    """Let everything run that can; let time pass where nothing moves and something is to be done."""
    clock = clock_of(app)
    before: object = None
    under_way: list[str] = []
    still, patience = 0, _PATIENCE
    for _ in range(looks_max):
        await _turns(still)
        under_way = await _under_way(app)
        now = await _progress(app), under_way
        still = 0 if now != before else still + 1
        before = now
        if still and not under_way:
            return
        if still >= _LOOKS:
            if patience and _is_acting(app):  # on the world, whose time is another
                patience -= 1
                still = _LOOKS - 1
                continue
            pause = clock.next_waking()
            if pause is None or clock.monotonic() + pause > until:
                break
            clock.advance(pause)
            still = _LOOKS - 1
    raise NeverAtRest(_complaint(app, under_way, clock.monotonic()))


def _is_acting(app: App) -> bool:
    """Tell whether an effect, or another delivery, is under way."""
    return any(
        live.effects.running or (live.deliver is not None and live.deliver.running)
        for live in app.contexts.values()
    )


async def _turns(still: int) -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    if still > 1:
        await asyncio.sleep(_LOOK_SECONDS)


async def _progress(app: App) -> list[object]:
    """Give figures of which one moves whenever something was done."""
    found: list[object] = [sum(app.meter.counters.values())]
    for live in app.contexts.values():
        delivered = live.deliver.delivered if live.deliver else 0
        found += [await live.head(), delivered, live.commands.in_flight]
        found += [(loop.reached, loop.folded) for loop in live.loops.values()]
    return found


async def _under_way(app: App) -> list[str]:
    """Say what is still to be done now, whoever does it."""
    found: list[str] = []
    for name, live in app.contexts.items():
        if live.commands.in_flight:
            found.append(f"{name}: {live.commands.in_flight} commands are being handled")
        if live.effects.running:
            found.append(f"{name}: {live.effects.running} effects are carried out at most once")
        if live.deliver is None:
            continue  # it was opened without reacting
        head = await live.head()
        for reactor in live.definition.reactors.values():
            try:
                await live.models.wait(reactor, head, 0)
            except NotCaughtUp as behind:
                found.append(f"{name}: {behind}")
        if not await _is_working(live):
            found.append(f"{name}: its loops have not started")
        found += [
            f"{name}: {intent.kind} to {intent.target} (of {intent.ordering}) is due"
            async for intent in _due(live, app.environment.clock.now())
        ]
    return found


async def _is_working(live: LiveContext) -> bool:
    """Tell whether somebody works the loops of a context, and its ticks go on."""
    keys = ["deliver/0", *(loop.names.slot_key for loop in live.loops.values())]
    leases = await live.log.records("lease", keys)
    ticks = await live.log.intents("tick")
    held = sum(bool(lease.value) for lease in leases)
    return held == len(keys) and len(ticks) >= len(live.definition.ticks)


async def _due(live: LiveContext, now: int) -> AsyncIterator[Intent]:
    """Give what is due and does not stand still, nor behind something of its order that does."""
    parked = await undelivered.load(live.log)
    orders = {(each.kind, each.ordering) for each in parked.values()}
    for kind in KINDS:
        after: tuple[int, int] | None = None
        while page := await live.log.intents(kind, due=now, after=after, limit=_PAGE):
            for intent in page:
                if intent.id not in parked and (kind, intent.ordering) not in orders:
                    yield intent
            after = page[-1].due, page[-1].place


async def _standing(app: App) -> tuple[tuple[str, ...], int]:
    """Give what stands still, each with its cause, and how much is due later."""
    parked = [
        f"{view.context}: {view.reactor} {view.key!r}: {view.cause}" async for view in app.parked()
    ]
    later = 0
    now = app.environment.clock.now()
    for live in app.contexts.values():
        stands = await undelivered.load(live.log)
        parked += [f"{live.name}: {e.kind} to {e.target}: {e.cause}" for e in stands.values()]
        for kind in KINDS:
            after = now, _FAR
            while page := await live.log.intents(kind, after=after, limit=_PAGE):
                later += len(page)
                after = page[-1].due, page[-1].place
    return tuple(parked), later


def _complaint(app: App, under_way: list[str], seconds: float) -> str:
    shown = [*under_way[:10], *(f"{name}: {why}" for name, why in app.troubles().items())]
    more = f"\n  and {len(under_way) - 10} more" if len(under_way) > 10 else ""
    lines = "".join(f"\n  {line}" for line in shown)
    return f"the application never came to rest, after {seconds:g} s of its time:{lines}{more}"
