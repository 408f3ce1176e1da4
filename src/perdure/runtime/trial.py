"""Would a parked key go on with today's code? Folded for a look: nothing is written, nothing is given out.

The same reading and folding as in the react loop, over a shelf of its own that is thrown away.
"""

import traceback
from collections.abc import Mapping
from uuid import UUID

import msgspec

from perdure.core.definition import Definition
from perdure.core.reacting import Checkpoint, ParkedKey, RecordNames, Routed
from perdure.core.reactor import Reactor
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.discards import Discards, load_discards
from perdure.runtime.folder import Folder, Writes
from perdure.runtime.hanging import Waiting, hangs_still
from perdure.runtime.pacing import Pacer
from perdure.runtime.parking import Parking
from perdure.runtime.routing import Router
from perdure.runtime.shelf import Shelf
from perdure.runtime.watchdog import Watchdog
from perdure.vocabulary.events import RecordedEvent

#: Fold at most so many waiting events; they are in memory together.
TRIED_MAX = 100_000
_TRACEBACK_CHARS_MAX = 8_000


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a trial: true when everything that waits can be folded.

    ``events`` is how many were looked at: the first 100,000. Otherwise ``position`` and ``event_id`` are
    those of the event that fails, ``cause`` and ``traceback`` say of what.
    """

    events: int
    position: int = 0
    event_id: UUID | None = None
    cause: str = ""
    traceback: str = ""

    def __bool__(self) -> bool:
        """Tell whether it would succeed."""
        return not self.cause


async def try_out(
    log: Log,
    definitions: Mapping[str, Definition],
    context: str,
    reactor: Reactor,
    parked: ParkedKey,
    clock: Clock,
    watchdog: Watchdog,
) -> Trial:
    """Fold what waits behind a parked key; what did not return is not called while it is the same code."""
    if hangs_still(reactor, parked, watchdog.seconds):
        return _stands(parked, 0)
    names, discards = RecordNames(reactor.name), Discards()
    await load_discards(log, names, discards)
    parking = Parking(log, reactor.name, names, clock, retries_max=0)
    await parking.load()
    waiting = {k: v for k, v in parking.sources.items() if not (parked.source and k == parked.key)}
    record = await log.record("checkpoint", names.slot_key)
    checkpoint = msgspec.json.decode(record.value, type=Checkpoint) if record else Checkpoint()
    shelf = Shelf(log, reactor, names, capacity=0)
    shelf.generation = checkpoint.generation
    folder = Folder(
        log,
        definitions,
        context,
        reactor,
        shelf,
        parking.sources,
        discards,
        Pacer(clock),
        watchdog,
    )
    router = Router(log, context, reactor, discards, watchdog)
    retried = Waiting(parked.key, parked.since, parked.source)
    writes, routed = Writes(), Routed({}, [])
    upto = checkpoint.position
    async for events, last in router.queued(parked, checkpoint.position, TRIED_MAX):
        upto = upto if parked.source else last
        router.add(events, waiting, routed, live_from=checkpoint.live_from, retried=retried)
    by_key = routed.by_key
    if not parked.source:
        by_key = {parked.key: by_key[parked.key]} if parked.key in by_key else {}
    count = sum(map(len, by_key.values()))
    first = next((parking.keys[key] for key in by_key if key in parking.keys), None)
    if parked.source and first is not None:
        return _stands(first, count)  # that comes first
    for unreadable in routed.unreadable if parked.source else ():
        return _failed(count, unreadable.event, unreadable.failure)
    if parked.left_out:
        await folder.refold(parked, writes)
    if not writes.failed:
        await folder.fold(by_key, upto, writes, retried)
    for one in writes.failed:
        return _failed(count, one.failure.event, one.failure.__cause__ or one.failure)
    return Trial(events=count)


def _stands(parked: ParkedKey, count: int) -> Trial:
    return Trial(
        events=count,
        position=parked.position,
        event_id=UUID(parked.event_id),
        cause=parked.cause,
        traceback=parked.traceback,
    )


def _failed(count: int, event: RecordedEvent, cause: BaseException) -> Trial:
    return Trial(
        events=count,
        position=event.position,
        event_id=event.event_id,
        cause=f"{type(cause).__name__}: {cause}"[:1000],
        traceback="".join(traceback.format_exception(cause))[-_TRACEBACK_CHARS_MAX:],
    )
