"""A command whose function never returns: the process ends, and the command is refused at the next start."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import pytest

from perdure import Accepted, App, Context, EntityKind, HandlerFailed, Settings
from perdure.ports.engine import Engine
from perdure.runtime.environment import SystemEnvironment
from perdure.runtime.watchdog import Watchdog
from tests.runtime.ending import SECONDS, Ending, ProcessEndedError
from tests.runtime.support import OutlivingEngine


@dataclass(frozen=True)
class Turned:
    pass


@dataclass(frozen=True)
class Turn:
    pass


@dataclass(frozen=True)
class Wheel:
    turns: int = 0


def wheels(spin: Callable[[], object]) -> tuple[Context, EntityKind[Wheel]]:
    garage = Context("garage")
    garage.event(Turned)
    wheel = garage.entity("wheel", Wheel)

    @wheel.update
    def turned(state: Wheel, event: Turned) -> Wheel:
        return Wheel(state.turns + 1)

    @wheel.handle
    def turn(state: Wheel, command: Turn) -> list[Turned]:
        if state.turns == 1:
            spin()
        return [Turned()]

    return garage, wheel


def mended() -> tuple[Context, EntityKind[Wheel]]:
    garage, wheel = wheels(lambda: None)
    wheel.handlers.clear()

    @wheel.handle
    def turn(state: Wheel, command: Turn) -> list[Turned]:
        return [Turned()]

    return garage, wheel


def open_app(garage: Context, engine: Engine, ending: Ending) -> App:
    settings = Settings(function_seconds_max=SECONDS)
    app = App([garage], engine, SystemEnvironment(), settings, version="test")
    app.watchdog = Watchdog(SECONDS, end=ending.end)
    return app


async def test_what_hung_is_named_and_refused_until_it_is_mended() -> None:
    engine = OutlivingEngine(SystemEnvironment().clock)
    one, other = uuid4(), uuid4()
    ending = Ending()
    garage, wheel = wheels(ending.spin)
    async with open_app(garage, engine, ending) as app:
        await app.send(wheel[one], Turn())
        with pytest.raises(ProcessEndedError):
            await app.send(wheel[one], Turn())
        await ending.wait()

    garage, wheel = wheels(ending.spin)
    async with open_app(garage, engine, Ending()) as app:
        with pytest.raises(HandlerFailed, match=r"turn failed: it did not return within 0\.4 s"):
            await app.send(wheel[one], Turn())
        assert isinstance(await app.send(wheel[other], Turn()), Accepted)
        assert await app.model(wheel[one]) == Wheel(1)

    garage, wheel = mended()
    async with open_app(garage, engine, Ending()) as app:
        outcome = await app.send(wheel[one], Turn())
        assert isinstance(outcome, Accepted)
        assert outcome.state == Wheel(2)
