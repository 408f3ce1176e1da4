"""Subscriptions: ``async for event in app.subscribe("mailer", criteria)``, with a durable cursor.

The rule: the cursor moves past an event when the next one is asked for, so each is given at least once, in
order, and none is skipped. ``readers`` does the work, ``cursors`` says how a cursor is kept, ``groups`` who
reads what where several readers have one name.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from perdure.core.slots import SLOTS_MAX
from perdure.ports.engine import Log
from perdure.ports.environment import Environment
from perdure.runtime.cursors import Cursors, Start
from perdure.runtime.groups import Group
from perdure.runtime.readers import Reader
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import InvalidInput
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.names import check_name


class Subscription(AsyncIterator[RecordedEvent]):
    """A named reader of a context's log, as given by ``app.subscribe``: ``async for event in ...``.

    An event is done when the next one is asked for. One that was in hand when an exception, a cancellation
    or a ``break`` left the loop is given again to whoever reads under the name next; and so are, after a
    crash, those whose cursor was not saved yet. As ``async with app.subscribe(...) as events`` it is closed
    at the end of the block, and left without an exception the event in hand is done too.

    For one task at a time. A wait for the next event may be cut off and begun again.
    """

    def __init__(self, reader: Reader, begin: Callable[[Reader], None]) -> None:
        self._reader, self._begin = reader, begin
        self._is_asked = False
        self._unused: Callable[[], object] | None = None

    async def __aenter__(self) -> Self:
        """Begin."""
        self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; without an exception, the event in hand is done."""
        await self._reader.end(in_good_order=kind is None)

    async def __anext__(self) -> RecordedEvent:
        """Take the event before as done, and wait for the next one.

        Ends when the application closes. Raises ``ConfigurationError`` when the name was begun with another
        number of slots, ``InvalidInput`` for a start that is not recorded yet, ``Corrupt`` at a damaged
        event. Other failures of the store are waited out.
        """
        if self._is_asked:
            raise RuntimeError("a subscription is for one task at a time: open one for each")
        self._is_asked = True
        try:
            self._start()
            event = await self._reader.next()
        finally:
            self._is_asked = False
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Save the cursor and let others read; the event in hand comes again. Idempotent."""
        await self._reader.end()

    def _start(self) -> None:
        """Begin, once; a subscription that nobody has in hand any more is closed by itself."""
        if self._unused is None:
            self._begin(self._reader)
            loop, stop = asyncio.get_running_loop(), self._reader.stop
            ending = self._unused = weakref.finalize(self, _stop_in, loop, stop)
            ending.atexit = False


class Subscriptions:
    """The subscriptions that are open on one context here."""

    def __init__(
        self, log: Log, environment: Environment, token: str, lease_seconds: float
    ) -> None:
        self._log, self._environment = log, environment
        self._token, self._lease_seconds = token, lease_seconds
        self._opened = 0
        self._is_closed = False
        self._readers: dict[asyncio.Task[None], Reader] = {}

    def open(
        self,
        name: str,
        criteria: Criteria,
        *,
        start: Start,
        slots: int,
        save_events: int,
        save_seconds: float,
    ) -> Subscription:
        """Make a subscription; it begins when it is first asked for an event. See ``App.subscribe``."""
        check_name(name, "name of a subscription")
        if not 1 <= slots <= SLOTS_MAX:
            raise InvalidInput(f"{slots} slots: there are 1 to {SLOTS_MAX}", "slots")
        if save_events < 1 or save_seconds <= 0:
            raise InvalidInput("a cursor is saved every event, or every moment, at most", "save")
        self._opened += 1
        token, seconds = f"{self._token}.{self._opened}", self._lease_seconds
        reader = Reader(
            name,
            self._log,
            self._environment.clock,
            criteria,
            slots,
            Group(self._log, self._environment, name, slots, token, seconds),
            Cursors(self._log, name, slots, criteria, start),
            lease_seconds=seconds,
            save_events=save_events,
            save_seconds=save_seconds,
        )
        return Subscription(reader, self._begin)

    def troubles(self) -> dict[str, str]:
        """Say which subscriptions stand still, and why."""
        readers = self._readers.values()
        return {f"subscription {r.name}": r.trouble for r in readers if r.trouble}

    async def close(self) -> None:
        """Save every cursor, and end every loop over a subscription."""
        self._is_closed = True
        for reader in list(self._readers.values()):
            await reader.end()

    def _begin(self, reader: Reader) -> None:
        if self._is_closed:
            reader.stop()
            return
        keeper = reader.begin()
        self._readers[keeper] = reader
        keeper.add_done_callback(lambda _: self._readers.pop(keeper))


def _stop_in(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Stop a reader, from wherever its subscription was let go; in a loop that is closed it has."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(stop)
