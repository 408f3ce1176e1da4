"""What the tests of the command line share: running it, lines of events, stores."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import perdure
from perdure import App, NewEvent
from perdure.vocabulary.ids import make_event_id
from tests.cli.applications import notes

ROOT = Path(__file__).parents[2]
NOTES = "tests.cli.applications:notes"
ENTITY = UUID("5a1e4c9e-3d8b-4b57-9a58-0b8d3a7c6f01")
#: Ticks of a morning in November 2025: the time of the first event.
MORNING = 139_816_097_610_000_000


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        """The answer as JSON, a value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Ended]


def command(*arguments: object) -> list[str]:
    """The real executable with these arguments."""
    return [sys.executable, "-m", "perdure", *map(str, arguments)]


def execute(*arguments: object, **options: Any) -> Ended:
    """Run the real executable at the project's root."""
    done = subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, timeout=30, check=False, **options
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until a condition holds that another process brings about."""
    late = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < late, "it never came to that"
        time.sleep(0.02)


def id_at(number: int) -> UUID:
    """The id of an event that happened so many seconds after the first."""
    return UUID(bytes=make_event_id(MORNING + number * 10_000_000, 0, 1))


def line(number: int, **members: Any) -> bytes:
    """An event as somebody else would write it, with the fewest members."""
    event = {
        "event_id": str(id_at(number)),
        "type": "noted",
        "entity_id": str(ENTITY),
        "data": {"text": f"note {number}"},
    }
    return json.dumps(event | members).encode() + b"\n"


def note(number: int, text: str = "", entity: UUID = ENTITY, **members: Any) -> NewEvent:
    """The same event, as Python makes it."""
    data = json.dumps({"text": text or f"note {number}", "stars": number}).encode()
    return NewEvent(type="noted", entity=entity.bytes, id=id_at(number).bytes, data=data, **members)


def record(store: str, events: Sequence[NewEvent]) -> int:
    """Record notes and let the models of the application follow them; give the last position."""

    async def recording() -> int:
        async with perdure.open(notes, store=store) as app:
            position = 0
            for event in events:
                position = (await app.append(event)).position
            await settled(app, position)
            return position

    return asyncio.run(recording())


async def settled(app: App, position: int) -> None:
    """Wait until the models have taken everything up to a position."""
    live = app.context("notes")
    for reactor in live.definition.reactors.values():
        await live.models.wait(reactor, position, 10)
