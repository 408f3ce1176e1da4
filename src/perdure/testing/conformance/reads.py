"""Every read is a filter and a sort: all combinations of bounds, orders and criteria."""

import random
from collections.abc import Iterator
from itertools import product

import pytest

from perdure.ports.engine import Log
from perdure.testing.conformance.oracle import expected_ids
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    CAT,
    DAN,
    DAWN,
    Maker,
    id_at,
    ids,
    read,
    store,
)
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.criteria import EVERYTHING, Criteria
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import TICKS_PER_MILLISECOND
from perdure.vocabulary.reading import Order, Read

ORDERS: tuple[Order, ...] = ("recorded", "happened")
CRITERIA = [
    EVERYTHING,
    Criteria(types=("opened",)),
    Criteria(types=("opened", "closed", "never")),
    Criteria(domains=("notes",)),
    Criteria(domains=("notes", "Notes", "other")),
    Criteria(entities=(ANN,)),
    Criteria(entities=(BEN, CAT, DAN)),
    Criteria(entities=(DAN,)),
    Criteria(tags=("red",)),
    Criteria(tags=("red", "blue")),
    Criteria(types=("opened",), domains=("notes",)),
    Criteria(types=("closed",), entities=(ANN, BEN), tags=("blue",)),
    Criteria(types=("never",)),
]


def varied(make: Maker, number: int) -> list[NewEvent]:
    """Make events of all sorts: late and early ones, ids of each version, many at one tick."""
    chance = random.Random(1)  # noqa: S311 - made to be the same each time

    def event(node: int) -> NewEvent:
        milliseconds = chance.randrange(12) * TICKS_PER_MILLISECOND
        return make.event(
            chance.choice((ANN, BEN, CAT)),
            chance.choice(("opened", "closed", "Opened")),
            id=id_at(
                DAWN + milliseconds, chance.choice((node, 2**40 - node)), chance.choice((1, 6, 7))
            ),
            domain=chance.choice((None, "notes", "Notes")),
            tags=chance.choice(((), ("red",), ("blue", "red"), ("re", "d"))),
        )

    return [event(node) for node in range(1, number + 1)]


class Reads(EngineUnderTest):
    """Which events, in which order, from where."""

    @pytest.fixture
    async def full(self, log: Log, make: Maker) -> list[RecordedEvent]:
        """All events of a log that holds all sorts."""
        events = varied(make, 72)
        for start in range(0, len(events), 5):
            await store(log, *events[start : start + 5])
        stored = [recorded for event in events for recorded in await log.events([event.id])]
        assert ids(stored) == ids(events)
        return stored

    @pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
    @pytest.mark.parametrize("order", ORDERS)
    async def test_a_read_is_a_filter_and_a_sort(
        self, log: Log, full: list[RecordedEvent], order: Order, backwards: bool
    ) -> None:
        for request in _requests(full, order, backwards):
            assert ids(await read(log, request)) == expected_ids(full, request), request

    async def test_an_empty_log_gives_no_batch(self, log: Log) -> None:
        for order, backwards in product(ORDERS, (False, True)):
            assert await read(log, Read(order=order, backwards=backwards)) == []

    async def test_a_long_read_comes_in_batches_and_misses_nothing(
        self, log: Log, make: Maker
    ) -> None:
        events = [make.event(bytes([n % 7]) * 16) for n in range(2500)]
        for start in range(0, len(events), 100):
            await store(log, *events[start : start + 100])

        batches = [ids(batch) async for batch in log.read(Read())]

        assert len(batches) > 1, "all 2500 events at once are no constant memory"
        assert [id_ for batch in batches for id_ in batch] == ids(events)
        for order, backwards in product(ORDERS, (False, True)):
            expected = ids(list(reversed(events)) if backwards else events)
            assert ids(await read(log, Read(order=order, backwards=backwards))) == expected
            some = Read(order=order, backwards=backwards, limit=1777)
            assert ids(await read(log, some)) == expected[:1777]

    async def test_pages_by_happened_stay_stable_below_upto(
        self, log: Log, make: Maker, full: list[RecordedEvent]
    ) -> None:
        for backwards in (False, True):
            pinned = Read(order="happened", backwards=backwards, upto=await log.head(), limit=7)
            at_the_time = expected_ids(await read(log), Read(order="happened", backwards=backwards))
            pages: list[bytes] = []
            following = None
            while page := await read(log, _behind(pinned, following)):
                pages += ids(page)
                following = page[-1].id
                await store(log, make.event(id=id_at(DAWN - 1 - len(pages), 9 + backwards)))
                await store(
                    log, make.event(id=id_at(page[0].ticks, 10**6 + len(pages) + backwards))
                )
            assert pages == at_the_time

    async def test_a_reader_among_writers_sees_no_gap(self, log: Log, make: Maker) -> None:
        await store(log, *make.events(600))
        seen: list[RecordedEvent] = []

        async for batch in log.read(Read()):
            seen += batch
            await store(log, make.event(), make.event(BEN))

        everything = await read(log)
        assert len(seen) >= 600
        assert seen == everything[: len(seen)]
        assert everything == seen + await read(log, Read(after=seen[-1].position))

    async def test_a_batch_by_happened_is_unmoved_by_late_events(
        self, log: Log, make: Maker
    ) -> None:
        await store(log, *make.events(600))
        pinned = Read(order="happened", upto=await log.head())
        expected = ids(await read(log))
        seen: list[bytes] = []

        async for batch in log.read(pinned):
            seen += ids(batch)
            await store(log, make.event(id=id_at(DAWN - len(seen))))

        assert seen == expected

    async def test_a_read_left_early_holds_nobody_up(self, log: Log, make: Maker) -> None:
        await store(log, *make.events(600))
        reading = log.read(Read())
        first = await anext(reading)

        await store(log, make.event(BEN))

        assert first == (await read(log))[: len(first)]
        assert await log.version(BEN) == 1


def _requests(full: list[RecordedEvent], order: Order, backwards: bool) -> Iterator[Read]:
    low, high, head = full[10].position, full[50].position, full[-1].position
    marks = [None, full[3].id, full[40].id] if order == "happened" else [None]
    bounds = [*product((0, low), (None, high, head + 10)), (0, 0), (head, None), (high, low)]
    for criteria, (after, upto), following, limit in product(
        CRITERIA, bounds, marks, (None, 0, 1, 9)
    ):
        yield Read(
            criteria=criteria,
            order=order,
            backwards=backwards,
            after=after,
            upto=upto,
            following=following,
            limit=limit,
        )


def _behind(request: Read, following: bytes | None) -> Read:
    return Read(
        order=request.order,
        backwards=request.backwards,
        upto=request.upto,
        limit=request.limit,
        following=following,
    )
