"""Intents: what is given out in a commit, and stays open until it is settled."""

from msgspec.structs import replace

from perdure.ports.engine import Capability, Engine, Log
from perdure.testing.conformance.oracle import turn
from perdure.testing.conformance.samples import Maker, as_given, commit, committed, intent
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, EntityAt, Intent, Settle

ONE, TWO, THREE, FOUR, FIVE = (bytes([number]) * 16 for number in (9, 2, 7, 4, 1))


async def give(log: Log, *changes: Intent | Settle) -> None:
    """Write intents, unconditionally, in one commit."""
    committed(await commit(log, Commit(intents=changes)))


async def open_ids(log: Log, kind: str = "emit") -> list[bytes]:
    """Give the ids of the open intents."""
    return [each.id for each in await log.intents(kind)]


async def open_intents(log: Log, kind: str = "emit") -> list[Intent]:
    """Give the open intents as they were given out."""
    return as_given(await log.intents(kind))


class Intents(EngineUnderTest):
    """First under an id wins; they come by due time, then in the order of giving out."""

    async def test_an_intent_comes_back_as_it_was_given(self, log: Log) -> None:
        given = Intent(
            id=ONE,
            kind="emit",
            target="caf\u00e9 %",
            ordering="a/b",
            payload=bytes(range(256)),
            due=1_767_225_600_000_000,
        )
        await give(log, given)

        assert await open_intents(log) == [given]

    async def test_an_intent_is_found_by_its_id(self, log: Log) -> None:
        await give(log, intent(ONE, b"1", due=7), intent(TWO, b"2", kind="other"))

        (first,), (second,) = await log.intents("emit"), await log.intents("other")
        assert [await log.intent(each) for each in (ONE, TWO, THREE)] == [first, second, None]
        await give(log, Settle(ONE))
        assert await log.intent(ONE) is None

    async def test_the_order_of_giving_out_is_kept(self, log: Log, make: Maker) -> None:
        await give(log, intent(THREE), intent(ONE))
        await commit(log, Commit(events=(make.event(),), intents=(intent(FOUR), intent(TWO))))

        assert await open_ids(log) == [THREE, ONE, FOUR, TWO]

    async def test_the_first_under_an_id_stays(self, log: Log) -> None:
        await give(log, intent(ONE, b"first"), intent(TWO), intent(ONE, b"second"))
        await give(log, intent(ONE, b"third", kind="other"), intent(THREE))

        assert await open_intents(log) == [intent(ONE, b"first"), intent(TWO), intent(THREE)]
        assert await log.intents("other") == []

    async def test_kinds_and_limits_select_the_oldest(self, log: Log) -> None:
        given = [intent(bytes([n]) * 16, kind=("emit", "call")[n % 2]) for n in range(9, 0, -1)]
        await give(log, *given)

        emit = [each for each in given if each.kind == "emit"]
        assert await open_intents(log) == emit
        assert as_given(await log.intents("emit", limit=2)) == emit[:2]
        assert await log.intents("emit", limit=0) == []
        assert await log.intents("never") == []

    async def test_a_settled_intent_is_gone(self, log: Log) -> None:
        await give(log, intent(ONE), intent(TWO), intent(THREE))

        await give(log, Settle(TWO), Settle(FOUR))

        assert await open_ids(log) == [ONE, THREE]
        await give(log, Settle(TWO), Settle(ONE), Settle(THREE))
        assert await open_ids(log) == []

    async def test_giving_and_settling_go_in_the_order_of_the_commit(self, log: Log) -> None:
        await give(log, intent(ONE, b"old"), intent(TWO))

        await give(log, Settle(ONE), intent(ONE, b"new"), intent(THREE), Settle(THREE))

        assert await open_intents(log) == [intent(TWO), intent(ONE, b"new")]

    async def test_a_refused_commit_settles_nothing(self, log: Log) -> None:
        await give(log, intent(ONE))

        await commit(log, Commit(guards=(EntityAt(b"x" * 16, 1),), intents=(Settle(ONE),)))

        assert await open_ids(log) == [ONE]

    async def test_settling_goes_with_the_event_it_led_to(self, log: Log, make: Maker) -> None:
        await give(log, intent(ONE))
        delivery = Commit(events=(make.event(),), intents=(Settle(ONE), intent(TWO)))

        await commit(log, delivery)
        again = committed(await commit(log, delivery))

        assert again.repeated
        assert await open_ids(log) == [TWO]

    async def test_a_thousand_intents_keep_their_order(self, log: Log) -> None:
        given = [(n * 7919 % 1009).to_bytes(16, "big") for n in range(1009)]
        await give(log, *map(intent, given))

        assert [each.id for each in await log.intents("emit", limit=2000)] == given
        assert await open_ids(log) == given[:1000]


class Turns(EngineUnderTest):
    """Reading intents by ``(due, place)``, a page at a time."""

    async def test_what_is_due_first_comes_first(self, log: Log) -> None:
        await give(log, intent(ONE, due=30), intent(TWO, due=10), intent(THREE))
        await give(log, intent(FOUR, due=10), intent(FIVE))

        assert await open_ids(log) == [THREE, FIVE, TWO, FOUR, ONE]

    async def test_due_leaves_out_what_is_due_later(self, log: Log) -> None:
        await give(log, intent(ONE, due=30), intent(TWO, due=10), intent(THREE))

        for due, expected in ((0, 1), (9, 1), (10, 2), (29, 2), (30, 3), (2**62, 3)):
            found = [each.id for each in await log.intents("emit", due=due)]
            assert found == [THREE, TWO, ONE][:expected]
        assert await log.intents("emit", due=-1) == []

    async def test_what_is_due_late_hides_nothing_that_is_due_now(self, log: Log) -> None:
        await give(log, *(intent(n.to_bytes(16, "big"), due=10**15 + n) for n in range(1, 1200)))
        await give(log, intent(ONE))

        assert [each.id for each in await log.intents("emit", limit=1)] == [ONE]
        assert [each.id for each in await log.intents("emit", due=10**15)] == [ONE]

    async def test_places_grow_and_are_not_taken_from_what_is_given(self, log: Log) -> None:
        await give(log, replace(intent(THREE), place=99), intent(ONE, kind="other"))
        await commit(log, Commit(intents=(intent(TWO, due=5),)))

        found = [await log.intent(each) for each in (THREE, ONE, TWO)]
        places = [each.place for each in found if each is not None]
        assert 0 < places[0] < places[1] < places[2]
        assert as_given(await log.intents("emit")) == [intent(THREE), intent(TWO, due=5)]

    async def test_an_intent_keeps_its_place_when_it_is_given_again(self, log: Log) -> None:
        await give(log, intent(ONE), intent(TWO))
        before = await log.intents("emit")

        await give(log, intent(ONE, due=9))

        assert await log.intents("emit") == before

    async def test_given_anew_after_settling_it_gets_a_new_place(self, log: Log) -> None:
        await give(log, intent(ONE), intent(TWO))
        first, last = await log.intents("emit")

        await give(log, Settle(TWO), Settle(ONE), intent(ONE))

        (anew,) = await log.intents("emit")
        assert (anew.id, anew.due) == (ONE, 0)
        assert anew.place > last.place > first.place
        assert await log.intents("emit", after=turn(last)) == [anew]

    async def test_a_place_is_given_once_also_after_reopening(
        self, engine: Engine, log: Log
    ) -> None:
        self.require(Capability.DURABLE)
        await give(log, intent(ONE), intent(TWO))
        last = (await log.intents("emit"))[-1]
        await give(log, Settle(ONE), Settle(TWO))

        engine = await self.reopen(engine)
        log = await engine.open("conformance")
        await give(log, intent(TWO))

        assert [each.id for each in await log.intents("emit", after=turn(last))] == [TWO]
        await engine.close()

    async def test_pages_go_on_behind_the_last_one(self, log: Log) -> None:
        given = [intent(n.to_bytes(16, "big"), due=n * 7919 % 5) for n in range(53)]
        await give(log, *given)

        found, after = list[Intent](), None
        while page := await log.intents("emit", due=3, after=after, limit=4):
            assert len(page) <= 4
            found, after = found + page, turn(page[-1])

        due = [each for each in given if each.due <= 3]
        assert as_given(found) == sorted(due, key=lambda each: each.due)
        assert await log.intents("emit", after=(4, 2**62)) == []
        late = await log.intents("emit", after=(2, 2**62))
        assert {each.due for each in late} == {3, 4}
        assert late[0].due == 3

    async def test_paging_misses_nothing_while_others_settle_and_give(self, log: Log) -> None:
        given = [n.to_bytes(16, "big") for n in range(40)]
        await give(log, *(intent(id_, due=number % 2) for number, id_ in enumerate(given)))

        seen, after = list[bytes](), None
        while page := await log.intents("emit", after=after, limit=3):
            seen, after = [*seen, *(each.id for each in page)], turn(page[-1])
            parked, *done = (each.id for each in page)
            late = len(seen).to_bytes(16, "little")
            await give(log, *map(Settle, done), intent(parked), intent(late))

        assert len(set(seen)) == len(seen)
        assert [id_ for id_ in seen if id_ in given] == given[::2] + given[1::2]
        assert set(seen[::3]) <= set(await open_ids(log))
