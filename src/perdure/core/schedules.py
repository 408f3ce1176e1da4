"""A tick as the user declares it: a name, a schedule, and how its events are made."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from cronsim import CronSim, CronSimError

from perdure.vocabulary.errors import DefinitionError


class TickDeclaration(msgspec.Struct, frozen=True):
    """A tick as the user declares it. See ``Context.tick``."""

    name: str
    schedule: str
    make: Callable[[datetime], Any]
    entity: bytes


def check_schedule(schedule: str, label: str) -> str:
    """Return a cron expression, or raise ``DefinitionError`` saying what is wrong with it."""
    try:
        CronSim(schedule, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as fault:
        raise DefinitionError(f"{label}: {schedule!r} is not a cron expression: {fault}") from fault
    return schedule
