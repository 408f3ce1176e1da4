"""Ticks: events that a schedule records, such as the end of every hour.

A schedule is a cron expression in UTC. Which ticks there are follows from it alone: the same on every
node and after every restart.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from cronsim import CronSim

from perdure.core.event_type import EventType
from perdure.core.schedules import TickDeclaration
from perdure.vocabulary.errors import HandlerFailed
from perdure.vocabulary.events import Metadata, NewEvent
from perdure.vocabulary.ids import decided_id, micros_of, moment_of, ticks_at, ticks_of


class Tick(msgspec.Struct, frozen=True):
    """A tick, read: its schedule, and how its events are made."""

    declared: TickDeclaration
    by_class: Mapping[type[Any], EventType]

    @property
    def target(self) -> str:
        """Name the tick with its schedule: another schedule is another series."""
        return f"{self.declared.name} {self.declared.schedule}"

    def next_after(self, micros: int) -> int:
        """Give the time of the next tick after a time, both in microseconds since 1970."""
        return micros_of(
            ticks_at(next(CronSim(self.declared.schedule, moment_of(ticks_of(micros)))))
        )

    def id_at(self, due: int) -> bytes:
        """Give the id of the tick of a time: of its intent, and of its event."""
        return decided_id(f"tick/{self.declared.name}", ticks_of(due), 0)

    def event_at(self, due: int) -> NewEvent:
        """Make the event of the tick of a time: it happened then. Raises ``HandlerFailed``."""
        label = f"tick {self.declared.name!r}"
        try:
            event = self.declared.make(moment_of(ticks_of(due)))
        except Exception as failure:
            raise HandlerFailed(label, f"{type(failure).__name__}: {failure}") from failure
        declared = self.by_class.get(type(event))
        if declared is None:
            raise HandlerFailed(label, f"it gave {type(event).__name__}, no event of this context")
        return NewEvent(
            type=declared.name,
            entity=self.declared.entity,
            id=self.id_at(due),
            data=declared.codec.encode_strictly(event),
            metadata=msgspec.json.encode(Metadata(schema=declared.version)),
        )
