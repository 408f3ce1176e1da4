"""Named timers: set, replaced and taken back by the name an entity gave them.

A timer is an intent that is due later. A named one has a record besides, which moves with every change; the
intent knows the revision it was set at, and what finds the record elsewhere when it falls due was replaced
or taken back. The record of a timer that is gone stays, empty, so that revisions never repeat.
"""

from collections.abc import Sequence

import msgspec

from perdure.core.outputs import TimerChange
from perdure.core.parcels import Parcel, pack
from perdure.ports.engine import Log
from perdure.runtime import undelivered
from perdure.vocabulary.commits import Guard, Intent, Put, Record, RecordAt, Settle

KIND = "timer"


class Timers:
    """The named timers of one context."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def set(
        self,
        changes: Sequence[TimerChange],
        guards: list[Guard],
        puts: list[Put],
        intents: list[Intent | Settle],
    ) -> None:
        """Add what changes named timers, in this order; the last change under a name counts."""
        names = list(dict.fromkeys(change.record for change in changes))
        records = {record.key: record for record in await self._log.records(KIND, names)}
        for name in names:
            last = [change for change in changes if change.record == name][-1]
            self._change(records.get(name), last, guards, puts, intents)

    @staticmethod
    def _change(
        record: Record | None,
        change: TimerChange,
        guards: list[Guard],
        puts: list[Put],
        intents: list[Intent | Settle],
    ) -> None:
        revision = record.revision if record else 0
        if change.parcel is None and (record is None or not record.value):
            return  # nothing is there to be taken back
        guards.append(RecordAt(KIND, change.record, revision))
        if record is not None and record.value:
            intents.append(Settle(record.value))
            puts.append(undelivered.remove(record.value))
        if change.parcel is None:
            puts.append(Put(KIND, change.record, b""))
            return
        parcel = msgspec.structs.replace(change.parcel, timer=change.record, revision=revision + 1)
        puts.append(Put(KIND, change.record, change.intent_id))
        intents.append(
            Intent(
                id=change.intent_id,
                kind=change.kind,
                target=change.target,
                ordering=change.ordering,
                payload=pack(parcel),
                due=change.due,
            )
        )


def fired(parcel: Parcel) -> tuple[tuple[RecordAt, ...], tuple[Put, ...]]:
    """Give the guard that a named timer still stands, and the write that says it has fired."""
    if not parcel.timer:
        return (), ()
    guard = RecordAt(KIND, parcel.timer, parcel.revision)
    return (guard,), (Put(KIND, parcel.timer, b""),)
