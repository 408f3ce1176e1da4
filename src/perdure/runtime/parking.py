"""Keys that stand still behind an event that keeps failing.

A key whose reaction raises is parked in the same commit that moves the checkpoint past it: its later
events wait in the log, in order, and other keys go on. It is tried again with back-off, then once more
whenever the process starts (the function may have been mended). An event that cannot even be read parks
its *entity* as a source: nobody knows which key it had. What did not return is parked at the next start, by
the watchdog's mark, and tried again only when its code has changed.
"""

import traceback

import msgspec

from perdure.core.reacting import ParkedKey, RecordNames, Unreadable
from perdure.core.system import KeyParked, KeyReleased
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.asking import forget
from perdure.runtime.folder import Failed
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.watchdog import Hung
from perdure.vocabulary.commits import Put
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import event_ticks, id_text, parse_id
from perdure.vocabulary.names import SYSTEM_PREFIX

IDLE_SECONDS = 1.0
FIRST_RETRY_SECONDS = 1.0
_TRACEBACK_CHARS_MAX = 8_000
_PAGE = 1000

logger = make_logger("perdure.parking")


class Parking:
    """The parked keys and sources of one reactor, as stored and in hand."""

    def __init__(
        self, log: Log, reactor: str, names: RecordNames, clock: Clock, retries_max: int
    ) -> None:
        self._log, self._reactor, self._names, self._clock = log, reactor, names, clock
        self._retries_max = retries_max
        self.keys: dict[str, ParkedKey] = {}
        self.sources: dict[str, ParkedKey] = {}
        self._due: dict[tuple[bool, str], float] = {}
        self._news: list[KeyParked | KeyReleased] = []

    async def load(self) -> None:
        """Read what is parked from the log's records."""
        for one in (self.keys, self.sources, self._news, self._due):
            one.clear()
        for source, home in ((False, self.keys), (True, self.sources)):
            prefix, after = self._names.parked("", source=source), ""
            while records := await self._log.records(
                "parked", prefix=prefix, after=after, limit=_PAGE
            ):
                for record in records:
                    parked = msgspec.json.decode(record.value, type=ParkedKey)
                    home[parked.key] = parked
                after = records[-1].key

    def find(self, key: str, *, source: bool) -> ParkedKey | None:
        """Give a parked key, or source."""
        return (self.sources if source else self.keys).get(key)

    def park_key(self, failed: Failed) -> Put:
        """Park a key whose fold failed; give the record to write."""
        failure = failed.failure
        return self._park_failed(
            failed.key, failed.since, failure.event, failure.__cause__ or failure, source=False
        )

    def park_source(self, unreadable: Unreadable) -> Put:
        """Park the entity of an event that could not be read; give the record to write."""
        event = unreadable.event
        return self._park_failed(
            id_text(event.entity), event.position, event, unreadable.failure, source=True
        )

    def park_hung(self, hung: Hung, since: int) -> Put:
        """Park what did not return, for longer than this process; give the record to write.

        ``since`` is the first position that is not processed, unless the key was parked before.
        """
        before = self.find(hung.key, source=hung.source)
        return self._park(
            ParkedKey(
                key=hung.key,
                since=before.since if before else since,
                position=hung.position,
                event_id=hung.event_id,
                cause=f"{hung.label} did not return within {hung.seconds:g} s",
                traceback=hung.stack,
                attempts=self._retries_max + 1,
                source=hung.source,
                code=hung.code,
                type=hung.type,
                seconds=hung.seconds,
                left_out=before.left_out if before else "",
            ),
            hung.type,
        )

    def move(self, parked: ParkedKey, since: int) -> Put:
        """Say that a parked key's events before ``since`` are folded now."""
        return self._write(msgspec.structs.replace(parked, since=since, left_out=""))

    def try_again(self, parked: ParkedKey) -> Put:
        """Begin again at the first attempt, because an operator says so; give the record to write."""
        return self._write(msgspec.structs.replace(parked, attempts=0))

    def leave_out(self, parked: ParkedKey) -> Put:
        """Go on without the event that failed, which is discarded; give the record to write.

        Where the model holds it, because it failed only at a refold, that is told: it must come out again.
        """
        ids = {parked.left_out} if parked.left_out else set()
        if parked.position < parked.since:
            ids.add(parked.event_id)
        first = min(ids, key=lambda id_: (event_ticks(parse_id(id_)), parse_id(id_)), default="")
        return self._write(msgspec.structs.replace(parked, attempts=0, code="", left_out=first))

    def release(self, parked: ParkedKey) -> list[Put]:
        """Let a key go on; give the records to remove."""
        (self.sources if parked.source else self.keys).pop(parked.key, None)
        self._due.pop((parked.source, parked.key), None)
        self._news.append(KeyReleased(self._reactor, parked.key, parked.position))
        for one in self.sources.values():
            if not one.attempts:  # it was to go on, and had to wait for this key
                self._due[True, one.key] = self._clock.monotonic()
        logger.info("key released", reactor=self._reactor, key=parked.key)
        name = self._names.parked(parked.key, source=parked.source)
        return [
            Put("parked", name, None),
            forget(self._names, parked.key, source=parked.source),
        ]

    def due(self, *, everything: bool) -> list[ParkedKey]:
        """Give the keys to try again now; or all of them."""
        parked = [*self.sources.values(), *self.keys.values()]
        now = self._clock.monotonic()
        return [p for p in parked if everything or self._due.get((p.source, p.key), now + 1) <= now]

    def wait_seconds(self) -> float:
        """Say how long the loop may sleep before the next key is due."""
        now = self._clock.monotonic()
        return max(0.0, min([IDLE_SECONDS, *(due - now for due in self._due.values())]))

    def news(self) -> list[KeyParked | KeyReleased]:
        """Take what happened since the last time, to be announced."""
        news, self._news = self._news, []
        return news

    def _park_failed(
        self, key: str, since: int, event: RecordedEvent, cause: BaseException, *, source: bool
    ) -> Put:
        before = self.find(key, source=source)
        attempts = before.attempts if before and not before.code else 0
        parked = ParkedKey(
            key=key,
            since=since,
            position=event.position,
            event_id=id_text(event.id),
            cause=f"{type(cause).__name__}: {cause}"[:1000],
            traceback="".join(traceback.format_exception(cause))[-_TRACEBACK_CHARS_MAX:],
            attempts=attempts + 1,
            source=source,
            left_out=before.left_out if before else "",
        )
        return self._park(parked, event.type)

    def _park(self, parked: ParkedKey, event_type: str) -> Put:
        key, source = parked.key, parked.source
        if parked.attempts <= self._retries_max:
            wait = FIRST_RETRY_SECONDS * 5.0 ** (parked.attempts - 1)
            self._due[source, key] = self._clock.monotonic() + wait
        else:
            self._due.pop((source, key), None)
        is_news = key not in (self.sources if source else self.keys)
        if is_news and not event_type.startswith(SYSTEM_PREFIX):
            self._news.append(KeyParked(self._reactor, key, parked.position, parked.cause))
        logger.error(
            "key parked",
            reactor=self._reactor,
            key=key,
            position=parked.position,
            attempts=parked.attempts,
            cause=parked.cause,
        )
        return self._write(parked)

    def _write(self, parked: ParkedKey) -> Put:
        (self.sources if parked.source else self.keys)[parked.key] = parked
        name = self._names.parked(parked.key, source=parked.source)
        return Put("parked", name, msgspec.json.encode(parked))
