"""A reader of a subscription: gives the events of the slots it holds, and keeps their cursors.

Two things go on side by side. Whoever asks for the next event (``next``) takes the one before as done,
and reads the log, one batch at a time. The keeper, a task, renews leases, takes and gives back slots, and
saves cursors; it goes on while an event is being worked on, and it is never cut off in a write.

One rule holds both together: everything at or below ``_done(slot)`` was given, and asked past.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

from perdure.core.slots import slot_of
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.cursors import Cursors
from perdure.runtime.groups import Group
from perdure.runtime.logs import logger as make_logger
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import Corrupt, EngineError
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read

IDLE_SECONDS = 1.0
BACK_OFF_SECONDS_MAX = 10.0

logger = make_logger("perdure.subscriptions")


class Reader:
    """Works its share of the slots of one subscription, from ``begin`` to ``end``."""

    def __init__(
        self,
        name: str,
        log: Log,
        clock: Clock,
        criteria: Criteria,
        slots: int,
        group: Group,
        cursors: Cursors,
        *,
        lease_seconds: float,
        save_events: int,
        save_seconds: float,
    ) -> None:
        self.name, self._log, self._clock = name, log, clock
        self._criteria, self._slots, self._group, self._cursors = criteria, slots, group, cursors
        self._lease_seconds = lease_seconds
        self._save_events, self._save_seconds = save_events, save_seconds
        # where reading is: see _done
        self._held: dict[int, int] = {}
        self._leaving: dict[int, int] = {}
        self._passed = self._reached = 0
        self._turns = 0
        self._batch: deque[RecordedEvent] = deque()
        self._in_hand: RecordedEvent | None = None
        # what the keeper goes by
        self._wake, self._changed = asyncio.Event(), asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._ending = self._idle = self._is_registered = False
        self._renew_at = self._look_at = self._good_until = self._saved_at = clock.monotonic()
        self._unsaved = 0
        self._failure: Exception | None = None
        self.trouble = ""

    # -- giving events ---------------------------------------------------------------------------

    async def next(self) -> RecordedEvent | None:
        """Take the event that was given last as done, and give the next; ``None`` at the end."""
        self._finish_event()
        wait = 0.1
        while not self._ending:
            self._changed.clear()
            if self._clock.monotonic() >= self._good_until:  # frozen perhaps: others may have it
                self._wake.set()
                await self._changed.wait()
            elif (event := self._take()) is not None:
                return event
            elif not self._held:
                await self._changed.wait()
            else:
                try:
                    await self._fill()
                    wait = 0.1
                except Corrupt:
                    raise
                except EngineError as failure:
                    self._warn("subscription waits", failure)
                    await first_of(self._changed.wait(), self._clock.sleep(wait))
                    wait = min(wait * 2, BACK_OFF_SECONDS_MAX)
        if self._failure is not None:
            raise self._failure
        return None

    def _finish_event(self) -> None:
        """Take the event in hand as done."""
        event, self._in_hand = self._in_hand, None
        if event is None:
            return
        slot = slot_of(event.entity, self._slots)
        for home in (self._held, self._leaving):
            if slot in home:
                home[slot] = max(home[slot], event.position)
        self._unsaved += 1
        if self._unsaved >= self._save_events or slot in self._leaving:
            self._wake.set()

    def _take(self) -> RecordedEvent | None:
        """Take the next event that is ours from the batch, into the hand."""
        while self._batch:
            event = self._batch.popleft()
            done = self._held.get(slot_of(event.entity, self._slots))
            if done is not None and done < event.position:
                self._passed = event.position - 1
                self._in_hand, self._idle = event, False
                return event
        self._passed = self._reached
        return None

    async def _fill(self) -> None:
        """Read the next batch; or wait until there is one, or the keeper has news."""
        after, turn = self._reached, self._turns
        head = await self._log.head()
        if head <= after:
            if not self._idle:
                self._idle = True
                self._wake.set()
            # a store that fails while this waits says so again when it is read
            await first_of(self._changed.wait(), self._log.advanced(after, IDLE_SECONDS))
            return
        batch: list[RecordedEvent] = []
        request = Read(criteria=self._criteria, after=after, upto=head)
        async for batch in self._log.read(request):  # noqa: B007 - the first is enough
            break
        if turn == self._turns:
            self._batch.extend(batch)
            self._reached = batch[-1].position if batch else head

    # -- keeping slots ---------------------------------------------------------------------------

    def begin(self) -> "asyncio.Task[None]":
        """Start the keeper, once; give its task."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name=f"subscription {self.name}")
        return self._keeper

    def stop(self) -> None:
        """Ask for the end: what is asked for next is ``None``."""
        self._ending = True
        self._wake.set()
        self._changed.set()

    async def end(self, *, in_good_order: bool = False) -> None:
        """Save the cursors and give back the slots; the event in hand is done ``in_good_order``."""
        if in_good_order:
            self._finish_event()
        self.stop()
        if self._keeper is not None:
            await asyncio.shield(self._keeper)

    async def _keep(self) -> None:
        while not self._ending:
            self._wake.clear()
            try:
                await self._tend()
                self.trouble = ""
            except EngineError as failure:
                self._warn("subscription is not kept", failure)
            except Exception as failure:  # raised to whoever asks for the next event
                self._failure = failure
                self.stop()
            pulse = min(self._save_seconds, self._lease_seconds / 10)
            await first_of(self._wake.wait(), self._clock.sleep(pulse))
        try:
            await self._save()
            await self._group.leave()
        except EngineError as failure:
            self._warn("subscription not left in good order", failure)

    async def _tend(self) -> None:
        """Do what is due."""
        now = self._clock.monotonic()
        if not self._is_registered:
            await self._cursors.register()
            self._is_registered = True
        if now >= self._renew_at:
            await self._renew(now)
        if now >= self._look_at:
            await self._share_out()
            self._look_at = now + self._lease_seconds / 10
        spacing = self._save_seconds / 10 if self._idle else self._save_seconds
        if self._unsaved >= self._save_events or now >= self._saved_at + spacing:
            await self._save()
            self._saved_at = now
        await self._let_go()

    async def _renew(self, now: float) -> None:
        """Renew what is held; what others have taken is theirs."""
        try:
            await self._group.renew()
        finally:
            self._drop({*self._held, *self._leaving} - self._group.held)
        self._renew_at = now + self._lease_seconds / 3
        self._good_until = now + self._lease_seconds
        self._changed.set()

    async def _share_out(self) -> None:
        """Hold no more than a fair share, and no less when there are slots that nobody holds."""
        share = await self._group.share()
        for slot in sorted(self._held)[share:]:
            done = self._done(slot)
            del self._held[slot]
            self._leaving[slot] = done
        await self._group.take(share - len(self._held))
        for slot in self._group.held - {*self._held, *self._leaving}:
            self._begin_slot(slot, await self._cursors.claim(slot))

    def _begin_slot(self, slot: int, position: int) -> None:
        """Read for one more slot; start again from the earliest place that one of them is at.

        What the others have given already is passed over by what they have done.
        """
        if not self._held:
            self._read_from(position)
        elif position < self._reached:
            self._read_from(min(position, self._passed))
        self._held[slot] = position
        self._changed.set()

    def _read_from(self, position: int) -> None:
        self._batch.clear()
        self._passed = self._reached = position
        self._turns += 1

    async def _let_go(self) -> None:
        """Give back slots that are too many, but for that of the event in hand."""
        busy = slot_of(self._in_hand.entity, self._slots) if self._in_hand else None
        going = {slot: done for slot, done in self._leaving.items() if slot != busy}
        if going:
            await self._cursors.save(going)
            for slot in going:
                del self._leaving[slot]
                await self._group.give_back(slot)

    async def _save(self) -> None:
        """Move the cursors to where the slots are."""
        self._unsaved = 0
        done = {slot: self._done(slot) for slot in self._held} | self._leaving
        lost = await self._cursors.save(done)
        self._drop(lost)
        for slot in lost:
            await self._group.give_back(slot)

    def _drop(self, slots: set[int]) -> None:
        for slot in slots:
            self._held.pop(slot, None)
            self._leaving.pop(slot, None)

    def _done(self, slot: int) -> int:
        """Give the position up to which all events of a held slot are done."""
        return max(self._held[slot], self._passed)

    def _warn(self, what: str, failure: EngineError) -> None:
        if self.trouble != str(failure):  # else it is told already
            logger.warning(what, subscription=self.name, cause=str(failure))
        self.trouble = str(failure)


async def first_of(*waiting: Coroutine[Any, Any, object]) -> None:
    """Wait until one of them is done; the others are cut off."""
    tasks = [asyncio.ensure_future(one) for one in waiting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
