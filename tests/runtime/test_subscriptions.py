"""Subscriptions: every selected event, in order, at least once, across restarts and readers."""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure import (
    App,
    ConfigurationError,
    Criteria,
    InvalidInput,
    InvalidName,
    RecordedEvent,
    Subscription,
)
from perdure.core.slots import slot_of
from tests.runtime.subscribing import ADDED, LEASE_SECONDS, Nodes, Removed, positions, record, shop
from tests.runtime.support import Opener, opener

__all__ = ["opener"]

READ_AT_ONCE_MAX = 500


# -- what is given ---------------------------------------------------------------------------------


async def test_a_new_name_gets_every_event_in_order_and_then_what_comes(opener: Opener) -> None:
    async with opener(shop) as app:
        before = await record(app, 1200, uuid4(), uuid4())
        events = app.subscribe("mailer")
        given = await positions(events, 1200)
        after = await record(app, 3, uuid4())
        given += await positions(events, 3)

    assert given == before + after == sorted(given)


async def test_only_what_the_criteria_select_is_given(opener: Opener) -> None:
    cart, other = uuid4(), uuid4()
    async with opener(shop) as app:
        await record(app, 4, cart, other)
        await app.append(shop.new(cart, Removed(1)), shop.new(other, Removed(2)))
        of_cart = Criteria(types=("removed", "unheard_of"), entities=(cart.bytes,))

        (event,) = [await anext(app.subscribe("one", of_cart))]
        added = await positions(app.subscribe("two", ADDED), 4)

    assert (event.type, event.entity_id) == ("removed", cart)
    assert added == [1, 2, 3, 4]


async def test_nothing_is_skipped_while_four_writers_append(opener: Opener) -> None:
    async with opener(shop) as app:
        events = app.subscribe("mailer")

        async def write() -> list[int]:
            entity = uuid4()
            return [p for n in range(40) for p in await record(app, 1 + n % 3, entity)]

        writing = [asyncio.create_task(write()) for _ in range(4)]
        given = await positions(events, 4 * 79)
        written = [p for task in writing for p in await task]

    assert given == sorted(written)


@pytest.mark.parametrize(("start", "first"), [("beginning", 1), ("now", 6), (3, 4), (0, 1)])
async def test_a_new_name_starts_where_it_is_told_to(
    opener: Opener, start: int, first: int
) -> None:
    async with opener(shop) as app:
        await record(app, 5, uuid4())
        events = app.subscribe("mailer", start=start)
        asked = asyncio.ensure_future(anext(events))
        while not await app.context("shop").log.records("cursor"):
            await asyncio.sleep(0.001)
        await record(app, 1, uuid4())

        assert (await asked).position == first


async def test_a_known_name_goes_on_where_it_was_whatever_the_start(opener: Opener) -> None:
    async with opener(shop) as app:
        await record(app, 5, uuid4())
        async with app.subscribe("mailer") as events:
            await positions(events, 2)

        assert await positions(app.subscribe("mailer", start="now"), 1) == [3]


async def test_a_reader_reads_no_further_than_a_batch_ahead() -> None:
    nodes = Nodes()
    async with nodes.node("one") as app:
        await record(app, 3000, uuid4())
        await positions(app.subscribe("mailer"), 5)

        assert 5 <= nodes.cables["one"].events <= READ_AT_ONCE_MAX


# -- when an event is done -------------------------------------------------------------------------


class Unlucky(Exception):
    """What a handler failed on."""


async def fail_at(position: int, events: Subscription) -> None:
    async for event in events:
        if event.position == position:
            raise Unlucky


async def test_after_a_restart_it_goes_on_behind_what_is_done(opener: Opener) -> None:
    async with opener(shop) as app:
        await record(app, 5, uuid4())
        events = app.subscribe("mailer")
        assert await positions(events, 3) == [1, 2, 3]  # and the third is in hand

    async with opener(shop) as app:
        assert await positions(app.subscribe("mailer"), 3) == [3, 4, 5]


async def test_an_event_that_a_handler_failed_on_comes_again(opener: Opener) -> None:
    async with opener(shop, lease_seconds=0.2) as app:
        await record(app, 3, uuid4())
        with pytest.raises(Unlucky):
            await fail_at(2, app.subscribe("mailer"))

        assert await positions(app.subscribe("mailer"), 2) == [2, 3]


async def test_so_does_one_that_a_block_is_left_on_by_an_exception(opener: Opener) -> None:
    async with opener(shop) as app:
        await record(app, 3, uuid4())
        with pytest.raises(Unlucky):
            async with app.subscribe("mailer") as events:
                await fail_at(2, events)

        assert await positions(app.subscribe("mailer"), 2) == [2, 3]


async def test_left_in_good_order_a_block_is_done_with_its_last_event(opener: Opener) -> None:
    async with opener(shop) as app:
        await record(app, 3, uuid4())
        async with app.subscribe("mailer") as events:
            async for event in events:
                if event.position == 2:
                    break

        assert await positions(app.subscribe("mailer"), 1) == [3]


async def test_closed_the_event_in_hand_comes_again(opener: Opener) -> None:
    async with opener(shop) as app:
        await record(app, 3, uuid4())
        events = app.subscribe("mailer")
        await positions(events, 2)
        await events.aclose()

        assert [event async for event in events] == []
        assert await positions(app.subscribe("mailer"), 1) == [2]


async def test_a_wait_that_is_cut_off_loses_nothing(opener: Opener) -> None:
    async with opener(shop) as app:
        events = app.subscribe("mailer")
        given: list[int] = []
        for turns in range(1, 30):
            asked = asyncio.ensure_future(anext(events))
            for _ in range(turns):
                await asyncio.sleep(0)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            if not asked.cancelled():
                given.append(asked.result().position)
            await record(app, 1, uuid4())
        given += await positions(events, 29 - len(given))

    assert given == list(range(1, 30))


async def test_a_loop_ends_when_the_application_closes(opener: Opener) -> None:
    async with opener(shop) as app:
        await record(app, 2, uuid4())
        given: list[int] = []

        async def follow() -> None:
            async for event in app.subscribe("mailer"):
                given.append(event.position)  # noqa: PERF401 - looked at from outside

        following = asyncio.create_task(follow())
        while len(given) < 2:
            await asyncio.sleep(0.001)

    await asyncio.wait_for(following, 5)
    assert [event async for event in app.subscribe("mailer")] == []


async def test_one_subscription_is_for_one_task(opener: Opener) -> None:
    async with opener(shop) as app:
        events = app.subscribe("mailer")
        asked = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="one task at a time"):
            await anext(events)
        asked.cancel()


@pytest.mark.parametrize(
    "wrong", [{"slots": 0}, {"slots": 2000}, {"save_events": 0}, {"save_seconds": 0}]
)
async def test_numbers_that_cannot_work_are_refused(opener: Opener, wrong: dict[str, int]) -> None:
    async with opener(shop) as app:
        with pytest.raises(InvalidInput):
            app.subscribe("mailer", **wrong)  # type: ignore[arg-type]
        with pytest.raises(InvalidName):
            app.subscribe("a/b")
        with pytest.raises(InvalidInput, match="position 9 is not recorded yet"):
            await anext(app.subscribe("mailer", start=9))


# -- crashes, and stores that fail -----------------------------------------------------------------


async def test_a_crash_before_the_next_is_asked_for_gives_the_event_again() -> None:
    nodes = Nodes()
    async with nodes.node("one") as one, nodes.node("two") as two:
        await record(one, 4, uuid4())
        events = one.subscribe("mailer")
        await positions(events, 3)

        async def is_saved() -> bool:
            return await nodes.cursor("mailer") == 2

        await nodes.until(is_saved)
        nodes.crash("one")

        assert await positions(two.subscribe("mailer"), 2) == [3, 4]


async def test_a_cursor_is_saved_after_so_many_events_without_time_passing() -> None:
    nodes = Nodes()
    async with nodes.node("one") as one:
        await record(one, 9, uuid4())
        await positions(one.subscribe("mailer", save_events=3), 8)
        for _ in range(100):
            await asyncio.sleep(0)

        assert 6 <= await nodes.cursor("mailer") <= 7


async def test_a_cursor_passes_what_was_not_selected() -> None:
    nodes = Nodes()
    async with nodes.node("one") as one:
        await record(one, 3, uuid4())
        asked = asyncio.ensure_future(anext(one.subscribe("mailer", Criteria(types=("removed",)))))

        async def is_saved() -> bool:
            return await nodes.cursor("mailer") == 3

        await nodes.until(is_saved)
        asked.cancel()


async def test_a_store_that_fails_is_waited_out_and_said_to_be_so() -> None:
    nodes = Nodes()
    async with nodes.node("one") as one:
        await record(one, 2, uuid4())
        events = one.subscribe("mailer")
        assert await positions(events, 2) == [1, 2]
        cable = nodes.cables["one"]
        cable.is_cut = True
        asked = asyncio.ensure_future(anext(events))

        async def is_told() -> bool:
            return "shop/subscription mailer" in one.troubles()

        await nodes.until(is_told)
        cable.is_cut = False
        await record(one, 1, uuid4())

        async def is_answered() -> bool:
            return asked.done() and not one.troubles()

        await nodes.until(is_answered)
        assert (await asked).position == 3


# -- several readers of one name -------------------------------------------------------------------


async def waits(nodes: Nodes, asked: "asyncio.Future[RecordedEvent]") -> None:
    """Let half a lease pass; the reader has nothing then."""
    await nodes.pass_time(LEASE_SECONDS / 2)
    assert not asked.done()


@pytest.mark.parametrize("places", [("one", "one"), ("one", "two")])
async def test_a_second_reader_waits_until_the_first_one_ends(places: tuple[str, str]) -> None:
    nodes = Nodes()
    apps = {name: nodes.node(name) for name in set(places)}
    async with apps["one"], apps[places[1]] as other:
        await record(apps["one"], 4, uuid4())
        first = apps["one"].subscribe("mailer")
        await positions(first, 2)
        second = asyncio.ensure_future(anext(other.subscribe("mailer")))
        await waits(nodes, second)
        await first.aclose()

        async def is_answered() -> bool:
            return second.done()

        await nodes.until(is_answered)
        assert (await second).position == 2


async def test_who_was_left_by_a_break_lets_others_read() -> None:
    nodes = Nodes()
    async with nodes.node("one") as one:
        await record(one, 3, uuid4())
        async for _ in one.subscribe("mailer"):
            break

        assert (await nodes.next(one.subscribe("mailer"))).position == 1


async def test_a_frozen_reader_is_taken_over_from_and_cannot_move_the_cursor() -> None:
    nodes = Nodes()
    async with nodes.node("one") as one, nodes.node("two") as two:
        await record(one, 9, uuid4())
        frozen, other = one.subscribe("mailer"), two.subscribe("mailer")
        await positions(frozen, 4)
        nodes.cables["one"].is_cut = True

        assert [(await nodes.next(other)).position for _ in range(2)] == [1, 2]
        nodes.cables["one"].is_cut = False
        stale = asyncio.ensure_future(anext(frozen))  # says that the fourth is done
        await waits(nodes, stale)
        assert await nodes.cursor("mailer") == 1
        assert await positions(other, 7) == [3, 4, 5, 6, 7, 8, 9]
        await other.aclose()

        async def is_answered() -> bool:
            return stale.done()

        await nodes.until(is_answered)
        assert (await stale).position == 9


@pytest.mark.parametrize("taken", [1, 3])
async def test_what_a_frozen_reader_had_on_its_way_to_the_store_comes_too_late(taken: int) -> None:
    nodes = Nodes()
    async with nodes.node("one") as one, nodes.node("two") as two:
        await record(one, 9, uuid4())
        frozen, other = one.subscribe("mailer", save_events=1), two.subscribe("mailer")
        await positions(frozen, 1)
        nodes.cables["one"].flowing.clear()
        await positions(frozen, 4)
        await nodes.pass_time(1)  # the cursor is on its way

        assert [(await nodes.next(other)).position for _ in range(taken)] == [*range(1, taken + 1)]
        nodes.cables["one"].flowing.set()
        await waits(nodes, asyncio.ensure_future(anext(frozen)))
        assert await nodes.cursor("mailer") == taken - 1


async def test_slots_are_a_matter_of_the_name() -> None:
    nodes = Nodes()
    async with nodes.node("one") as one:
        await record(one, 1, uuid4())
        async with one.subscribe("mailer", slots=4) as events:
            await anext(events)

        with pytest.raises(ConfigurationError, match="was begun with 4 slots, not 2"):
            await anext(one.subscribe("mailer", slots=2))


class Crowd:
    """Readers of a group, and all that they were given, in the order of being given."""

    def __init__(self, nodes: Nodes, slots: int) -> None:
        self._nodes, self._slots = nodes, slots
        self._following: dict[str, asyncio.Task[None]] = {}
        self._busy: set[str] = set()
        self.given: list[tuple[bytes, int]] = []
        self.by_reader: Counter[str] = Counter()

    def join(self, name: str, app: App) -> None:
        self._following[name] = asyncio.create_task(self._follow(name, app))

    async def leave(self, name: str) -> None:
        """Cut a reader off while it waits for its next event: the one before is done."""
        while name in self._busy:
            await asyncio.sleep(0)
        self._following[name].cancel()
        await asyncio.gather(self._following.pop(name), return_exceptions=True)

    async def have_seen(self, count: int) -> None:
        async def is_so() -> bool:
            return len(self.given) >= count

        await self._nodes.until(is_so)

    async def hold(self, **slots: int) -> None:
        """Wait until the slots are held like this: a lease's time, and a look or two more."""

        async def is_so() -> bool:
            return await self._nodes.holders("crowd", self._slots) == slots

        began = self._nodes.clock.monotonic()
        await self._nodes.until(is_so)
        assert self._nodes.clock.monotonic() - began <= LEASE_SECONDS * 1.2

    async def _follow(self, name: str, app: App) -> None:
        async with app.subscribe("crowd", slots=self._slots) as events:
            async for event in events:
                self.given.append((event.entity, event.version))
                self.by_reader[name] += 1
                self._busy.add(name)
                for _ in range(20):  # so that readers come and go in the middle of a batch
                    await asyncio.sleep(0)
                self._busy.discard(name)

    def versions(self) -> list[list[int]]:
        """Give the versions that were given, for each entity."""
        order: dict[bytes, list[int]] = {}
        for entity, version in self.given:
            order.setdefault(entity, []).append(version)
        return list(order.values())


async def test_a_group_sees_every_event_once_in_order_while_readers_join_and_leave() -> None:
    nodes, entities = Nodes(), [uuid4() for _ in range(40)]
    crowd = Crowd(nodes, slots=8)
    async with nodes.node("one") as one, nodes.node("two") as two, nodes.node("three") as three:
        await record(one, 400, *entities)
        crowd.join("one", one)
        await crowd.have_seen(50)
        crowd.join("two", two)
        await crowd.hold(one=4, two=4)
        await record(one, 400, *entities)
        crowd.join("three", three)
        await crowd.hold(one=3, two=3, three=2)
        await record(one, 400, *entities)
        await crowd.leave("one")
        await record(two, 400, *entities)
        await crowd.hold(two=4, three=4)
        crowd.join("one", one)
        await crowd.hold(one=2, two=3, three=3)
        await record(two, 400, *entities)
        await crowd.leave("three")
        await crowd.leave("two")
        await crowd.hold(one=8)
        await crowd.have_seen(2000)
        await crowd.leave("one")

    assert min(crowd.by_reader.values()) > 0
    assert crowd.versions() == [list(range(1, 51))] * 40


async def test_a_slot_is_not_taken_from_a_reader_that_works_on_an_event_of_it() -> None:
    nodes, slots = Nodes(), 2
    entity = next(e for e in iter(uuid4, None) if slot_of(e.bytes, slots) == slots - 1)
    async with nodes.node("one") as one, nodes.node("two") as two:
        await record(one, 3, entity)
        first = one.subscribe("mailer", slots=slots)
        await positions(first, 1)
        second = asyncio.ensure_future(anext(two.subscribe("mailer", slots=slots)))
        await waits(nodes, second)
        asked = asyncio.ensure_future(anext(first))  # the first event is done

        async def is_answered() -> bool:
            return second.done()

        await nodes.until(is_answered)
        assert (await second).position == 2
        assert not asked.done()


async def test_a_slot_taken_in_the_middle_of_a_batch_leaves_nothing_out() -> None:
    nodes = Nodes()
    even, odd = (next(e for e in iter(uuid4, None) if slot_of(e.bytes, 2) == n) for n in range(2))
    async with nodes.node("one") as one, nodes.node("two") as two:
        first, second = one.subscribe("mailer", slots=2), two.subscribe("mailer", slots=2)
        waiting = [asyncio.ensure_future(anext(first))]
        await nodes.pass_time(1)
        waiting.append(asyncio.ensure_future(anext(second)))

        async def is_shared() -> bool:
            return await nodes.holders("mailer", 2) == {"one": 1, "two": 1}

        async def is_all_ours() -> bool:
            return await nodes.holders("mailer", 2) == {"one": 2}

        await nodes.until(is_shared)
        await record(one, 20, even, odd)
        assert [(await asked).position for asked in waiting] == [1, 2]
        assert await positions(first, 1) == [3]
        assert await positions(second, 5) == [4, 6, 8, 10, 12]
        await second.aclose()
        await nodes.until(is_all_ours)
        await nodes.pass_time(1)

        assert await positions(first, 13) == [5, 7, 9, *range(11, 21)]


async def test_the_slots_of_a_reader_that_crashed_are_worked_by_the_others() -> None:
    nodes, entities = Nodes(), [uuid4() for _ in range(40)]
    crowd = Crowd(nodes, slots=8)
    async with nodes.node("one") as one, nodes.node("two") as two:
        crowd.join("one", one)
        crowd.join("two", two)
        await crowd.hold(one=4, two=4)
        nodes.cables["one"].is_cut = True  # nobody can tell it from one that is slow
        await record(two, 400, *entities)
        await crowd.hold(two=8)
        await crowd.have_seen(400)
        await crowd.leave("two")
        await crowd.leave("one")

    assert crowd.versions() == [list(range(1, 11))] * 40


async def test_a_reader_that_is_one_too_many_stands_by() -> None:
    nodes = Nodes()
    crowd = Crowd(nodes, slots=2)
    async with nodes.node("one") as one, nodes.node("two") as two, nodes.node("three") as three:
        for name, app in (("one", one), ("two", two), ("three", three)):
            crowd.join(name, app)
            await nodes.pass_time(1)
        await crowd.hold(one=1, two=1)
        await crowd.leave("two")
        await crowd.hold(one=1, three=1)
        await crowd.leave("one")
        await crowd.leave("three")


# -- the law ---------------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 20)),
        st.tuples(st.just("record"), st.integers(1, 30)),
        st.tuples(st.just("pass"), st.sampled_from([1, 2, 4, 20])),
        st.tuples(st.sampled_from(["crash", "freeze", "close", "join"]), st.integers(0, 5)),
    ),
    max_size=25,
)
SHARED = [("join", 0), ("join", 0), ("pass", 4), ("record", 30), ("take", 2), ("take", 7)]
ALONE = [("crash", 0), ("crash", 0), ("crash", 0), ("join", 0)]


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, slots=st.sampled_from([1, 2, 5]), seed=st.integers(0, 2**16))
async def test_whatever_crashes_every_event_is_given_and_none_before_its_time(
    steps: list[tuple[str, int]], slots: int, seed: int
) -> None:
    """An event may come again; but never one of an entity before all earlier ones were given."""
    nodes = Nodes(seed)
    entities = [UUID(bytes=random.Random(seed + n).randbytes(16), version=4) for n in range(9)]
    readers: list[Crashing] = []
    given: dict[bytes, int] = {}
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(nodes.node("writer"))
        for turn, (what, number) in enumerate([*SHARED, *steps, *ALONE]):
            if what == "record":
                await record(writer, number, *entities)
            elif what == "pass":
                await nodes.pass_time(number)
            elif what == "join" and len(readers) < 3:
                name = f"reader {turn}"
                app = await stack.enter_async_context(nodes.node(name))
                readers.append(Crashing(nodes, name, app, slots, given))
                await readers[-1].do("take", 1)
            elif readers:
                await readers[(turn + number) % len(readers)].do(what, number)
                readers = [reader for reader in readers if not reader.has_ended]
        (last,) = readers
        versions = {e.bytes: await writer.context("shop").log.version(e.bytes) for e in entities}

        async def is_all_given() -> bool:
            await last.do("take", 5)
            return all(given.get(entity, 0) == version for entity, version in versions.items())

        await nodes.until(is_all_given)


class Crashing:
    """A reader that takes events now and then; ``given`` is the last version of each entity."""

    def __init__(
        self, nodes: Nodes, name: str, app: App, slots: int, given: dict[bytes, int]
    ) -> None:
        self._nodes, self._name, self._given = nodes, name, given
        self._events = app.subscribe("law", slots=slots)
        self.has_ended = False

    async def do(self, what: str, number: int) -> None:
        """Take events; or end in one of three ways."""
        if what == "take":
            await self._take(number)
            return
        self.has_ended = True
        if what == "crash":
            self._nodes.crash(self._name)
        elif what == "freeze":
            self._nodes.cables[self._name].is_cut = True
        else:
            await self._events.aclose()

    async def _take(self, count: int) -> None:
        """Take up to so many events, as long as there are any without waiting for long."""
        for _ in range(count):
            asked = asyncio.ensure_future(anext(self._events))
            for _ in range(60):
                if asked.done():
                    break
                self._nodes.clock.advance(0.01)
                await asyncio.sleep(0)
            if not asked.done():
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
            if asked.cancelled():
                return
            event = asked.result()
            assert event.version <= self._given.get(event.entity, 0) + 1
            self._given[event.entity] = max(event.version, self._given.get(event.entity, 0))
