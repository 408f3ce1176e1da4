"""Keys that stand still behind an event that keeps failing.

A key whose reaction raises is parked in the same commit that moves the checkpoint past it: its later
events wait in the log, in order, and other keys go on. It is tried again with back-off, then once more
whenever the process starts (the function may have been mended). An event that cannot even be read parks
its *entity* as a source: nobody knows which key it had. What did not return is parked at the next start, by
the watchdog's mark, and tried again only when its code has changed.
"""

import traceback
from collections.abc import Sequence

import msgspec

from perdure.core.folding import FoldFailed
from perdure.core.reacting import ParkedKey, RecordNames, Unreadable
from perdure.core.reactions import Delivery
from perdure.core.system import KeyParked, KeyReleased
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.watchdog import Hung
from perdure.vocabulary.commits import Put
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.ids import id_text
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
        self.keys, self.sources, self._news, self._due = {}, {}, [], {}
        for source, home in ((False, self.keys), (True, self.sources)):
            prefix = after = self._names.parked("", source=source)
            while records := await self._log.records(
                "parked", prefix=prefix, after=after, limit=_PAGE
            ):
                for record in records:
                    parked = msgspec.json.decode(record.value, type=ParkedKey)
                    home[parked.key] = parked
                after = records[-1].key

    def park_key(self, key: str, deliveries: Sequence[Delivery], failure: FoldFailed) -> Put:
        """Park a key behind these deliveries, none of which was folded; give the record to write."""
        since = min(delivery.event.position for delivery in deliveries)
        return self._park_failed(
            key, since, failure.event, failure.__cause__ or failure, source=False
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
        before = (self.sources if hung.source else self.keys).get(hung.key)
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
            ),
            hung.type,
        )

    def move(self, parked: ParkedKey, since: int) -> Put:
        """Say that a parked key's events before ``since`` are folded now."""
        return self._write(msgspec.structs.replace(parked, since=since))

    def release(self, parked: ParkedKey) -> Put:
        """Let a key go on; give the record to remove."""
        (self.sources if parked.source else self.keys).pop(parked.key, None)
        self._due.pop((parked.source, parked.key), None)
        self._news.append(KeyReleased(self._reactor, parked.key, parked.position))
        logger.info("key released", reactor=self._reactor, key=parked.key)
        return Put("parked", self._names.parked(parked.key, source=parked.source), None)

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
        before = (self.sources if source else self.keys).get(key)
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
