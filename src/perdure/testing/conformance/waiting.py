"""Waiting for the log to move on, instead of asking again and again.

The engine's clock has to go by itself here: the time-out is waited for.
"""

import asyncio
import contextlib

from perdure.ports.engine import Log
from perdure.testing.conformance.samples import BEN, Maker, commit, read, store
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, EntityAt, Put
from perdure.vocabulary.errors import Unavailable
from perdure.vocabulary.reading import Read

#: A time-out that no test reaches: whoever waits is woken, or the bound below fails the test.
LONG_SECONDS = 60.0
BOUND_SECONDS = 15.0


class Waiting(EngineUnderTest):
    """``advanced``: a hint that there is something to read."""

    async def test_it_returns_at_once_when_the_head_is_above(self, log: Log, make: Maker) -> None:
        head = (await store(log, make.event())).position

        async with asyncio.timeout(BOUND_SECONDS):
            assert await log.advanced(0, LONG_SECONDS) == head
            assert await log.advanced(head - 1, LONG_SECONDS) == head

    async def test_it_gives_the_head_at_the_time_out(self, log: Log, make: Maker) -> None:
        assert await log.advanced(0, 0.01) == 0
        head = (await store(log, make.event())).position

        assert await log.advanced(head, 0.01) == head
        assert await log.advanced(head + 100, 0.01) == head
        assert await log.advanced(head, 0) == head

    async def test_a_commit_wakes_everybody_who_waits(self, log: Log, make: Maker) -> None:
        head = (await store(log, make.event())).position
        async with asyncio.timeout(BOUND_SECONDS):
            waiters = [asyncio.create_task(log.advanced(head, LONG_SECONDS)) for _ in range(20)]
            await asyncio.sleep(0)

            position = (await store(log, make.event())).position

            assert await asyncio.gather(*waiters) == [position] * 20

    async def test_only_events_wake(self, log: Log, make: Maker) -> None:
        event = make.event()
        head = (await store(log, event)).position
        async with asyncio.timeout(BOUND_SECONDS):
            waiter = asyncio.create_task(log.advanced(head, LONG_SECONDS))
            await asyncio.sleep(0)

            await store(log, event)
            await commit(log, Commit(guards=(EntityAt(BEN, 1),), events=(make.event(),)))
            await commit(log, Commit(records=(Put("model", "k", b"v"),)))
            position = (await store(log, make.event())).position

            assert await waiter == position

    async def test_it_waits_until_that_position_is_passed(self, log: Log, make: Maker) -> None:
        beyond = (await store(log, make.event())).position + 1
        async with asyncio.timeout(BOUND_SECONDS):
            waiter = asyncio.create_task(log.advanced(beyond, LONG_SECONDS))
            while not waiter.done():
                await store(log, make.event())

            assert await waiter > beyond

    async def test_one_who_gives_up_leaves_the_others_waiting(self, log: Log, make: Maker) -> None:
        async with asyncio.timeout(BOUND_SECONDS):
            gone, patient = (asyncio.create_task(log.advanced(0, LONG_SECONDS)) for _ in range(2))
            await asyncio.sleep(0)
            gone.cancel()

            position = (await store(log, make.event())).position

            assert await patient == position
            assert gone.cancelled()

    async def test_a_reader_that_waits_misses_nothing(self, log: Log, make: Maker) -> None:
        async def follow() -> list[int]:
            positions: list[int] = []
            while len(positions) < 60:
                after = positions[-1] if positions else 0
                await log.advanced(after, LONG_SECONDS)
                positions += [event.position for event in await read(log, Read(after=after))]
            return positions

        async with asyncio.timeout(BOUND_SECONDS):
            reader = asyncio.create_task(follow())
            receipts = [await store(log, *make.events(2)) for _ in range(30)]

            assert await reader == [r.position for receipt in receipts for r in receipt.receipts]

    async def test_closing_the_log_ends_the_waiting(self, log: Log) -> None:
        waiter = asyncio.create_task(log.advanced(0, LONG_SECONDS))
        await asyncio.sleep(0)

        await log.close()

        async with asyncio.timeout(BOUND_SECONDS):
            with contextlib.suppress(Unavailable):
                assert await waiter == 0
