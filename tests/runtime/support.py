"""What the runtime's tests share: stores that outlive an application, events at chosen times."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from perdure import App, Context, NewEvent, Settings
from perdure.engines.sqlite import SqliteEngine
from perdure.ports.engine import Engine
from perdure.runtime.environment import SystemEnvironment
from perdure.testing import OutlivingEngine as OutlivingEngine
from perdure.vocabulary.ids import make_event_id, ticks_at

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
Opener = Callable[..., App]


@pytest.fixture(params=["memory", "sqlite"])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Open applications one after another over one store, of each engine in turn."""
    environment = SystemEnvironment()
    outliving = OutlivingEngine(environment.clock)

    def open_app(*contexts: Context, react: bool = True, **settings: Any) -> App:
        engine: Engine = (
            outliving
            if request.param == "memory"
            else SqliteEngine(tmp_path / "store", environment.clock)
        )
        return App(contexts, engine, environment, Settings(**settings), version="test", react=react)

    return open_app


def at_second(second: float, node: int = 1) -> UUID:
    """Make the id of an event that happened so many seconds after ``START``."""
    ticks = ticks_at(START) + round(second * 10_000_000)
    return UUID(bytes=make_event_id(ticks, 0, node))


def raw(type_: str, entity: UUID, data: bytes, id_: UUID | None = None) -> NewEvent:
    """Make an event without a declared class."""
    return NewEvent(type=type_, entity=entity.bytes, data=data, id=id_.bytes if id_ else b"")
