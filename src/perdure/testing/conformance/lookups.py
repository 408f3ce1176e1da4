"""The smaller questions: events by id, entities, domains, versions, the head, the size."""

from uuid import uuid5

from perdure.ports.engine import Log
from perdure.testing.conformance.reads import CRITERIA, varied
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    CAT,
    DAN,
    DAWN,
    Maker,
    commit,
    id_at,
    ids,
    read,
    store,
)
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, Put
from perdure.vocabulary.criteria import EVERYTHING, Criteria
from perdure.vocabulary.ids import entity_named
from perdure.vocabulary.reading import Size


class Lookups(EngineUnderTest):
    """What can be asked without reading the log."""

    async def test_an_empty_log_answers_with_nothing(self, log: Log) -> None:
        assert await log.head() == 0
        assert await log.version(ANN) == 0
        assert await log.domains() == []
        assert await log.entities(EVERYTHING) == []
        assert await log.events([id_at(DAWN)]) == []
        size = await log.size()
        assert (size.events, size.entities, size.domains) == (0, 0, 0)

    async def test_events_by_id_come_by_position_and_once(self, log: Log, make: Maker) -> None:
        events = make.events(5)
        await store(log, *events)
        asked = [events[4].id, id_at(DAWN - 1), events[0].id, events[4].id, events[2].id]

        found = await log.events(asked)

        assert ids(found) == [events[0].id, events[2].id, events[4].id]
        assert found == [event for event in await read(log) if event.id in asked]
        assert await log.events([]) == []

    async def test_thousands_of_events_are_found_by_id(self, log: Log, make: Maker) -> None:
        events = make.events(3000)
        await store(log, *events)

        assert ids(await log.events(ids(list(reversed(events))))) == ids(events)

    async def test_domains_come_by_name_and_once(self, log: Log, make: Maker) -> None:
        named = [make.event(domain=name) for name in ("b", "a-1", "B", "b", "a", "a.1", "b")]
        await store(log, make.event(), *named)

        assert await log.domains() == ["B", "a", "a-1", "a.1", "b"]

    async def test_entities_are_those_with_a_matching_event(self, log: Log, make: Maker) -> None:
        await store(log, *varied(make, 60), make.event(DAN, "never"))
        events = await read(log)

        for criteria in CRITERIA:
            expected = sorted({event.entity for event in events if criteria.matches(event)})
            assert await log.entities(criteria) == expected, criteria

    async def test_entities_come_in_pages(self, log: Log, make: Maker) -> None:
        space = entity_named("conformance", "entities")
        entities = [uuid5(space, str(number)).bytes for number in range(50)]
        await store(log, *(make.event(entity, tags=("red",)) for entity in entities))
        await store(log, *(make.event(entity) for entity in entities), make.event(ANN))
        red = Criteria(tags=("red",))

        pages, after = list[bytes](), b""
        while page := await log.entities(red, after, 7):
            assert len(page) <= 7
            pages, after = pages + page, page[-1]

        assert pages == sorted(entities)
        assert await log.entities(red, max(entities)) == []
        assert await log.entities(EVERYTHING, limit=0) == []

    async def test_head_and_version_stand_still_when_nothing_is_stored(
        self, log: Log, make: Maker
    ) -> None:
        event = make.event()
        position = (await store(log, event)).position

        await store(log, event)
        await commit(log, Commit(records=(Put("model", "k", b"v"),)))

        assert (await log.head(), await log.version(ANN)) == (position, 1)

    async def test_size_counts_each_thing_once(self, log: Log, make: Maker) -> None:
        await store(log, make.event(ANN, domain="notes"), make.event(BEN, domain="notes"))
        await store(log, make.event(ANN), make.event(CAT, domain="Notes"))

        size = await log.size()

        assert size == Size(4, 3, 2, size.bytes)
        assert size.bytes > 0

    async def test_an_undamaged_log_verifies(self, log: Log, make: Maker) -> None:
        await store(log, *varied(make, 40))
        await commit(log, Commit(records=(Put("model", "k", b"v"),)))

        assert [damage async for damage in log.verify()] == []
        assert [damage async for damage in log.verify(after=20)] == []
