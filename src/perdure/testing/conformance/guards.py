"""A commit whose guard is false writes nothing, and is told what stood in the way."""

import asyncio

import pytest

from perdure.ports.engine import Log
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    CAT,
    DAWN,
    Maker,
    commit,
    committed,
    holdings,
    id_at,
    ids,
    intent,
    read,
    store,
)
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    Guard,
    GuardFailed,
    HappenedBefore,
    NothingAfter,
    Put,
    RecordAt,
)
from perdure.vocabulary.criteria import EVERYTHING, Criteria

#: What selects the one event of ``test_nothing_after_looks_at_...``, and what just misses it.
SELECTING = [
    EVERYTHING,
    Criteria(types=("opened",)),
    Criteria(types=("closed", "opened")),
    Criteria(domains=("notes",)),
    Criteria(entities=(ANN,)),
    Criteria(entities=(BEN, ANN)),
    Criteria(tags=("red",)),
    Criteria(tags=("blue", "red")),
    Criteria(types=("opened",), domains=("notes",), entities=(ANN,), tags=("red", "blue")),
]
MISSING = [
    Criteria(types=("Opened",)),
    Criteria(types=("open",)),
    Criteria(domains=("Notes",)),
    Criteria(entities=(BEN, CAT)),
    Criteria(tags=("re",)),
    Criteria(tags=("r%",)),
    Criteria(tags=("red,blue",)),
    Criteria(tags=("red", "green")),
    Criteria(types=("opened",), tags=("green",)),
    Criteria(types=("opened",), entities=(BEN,)),
    Criteria(domains=("other",), entities=(ANN,)),
    Criteria(types=("closed",), domains=("notes",), entities=(ANN,), tags=("red", "blue")),
]

#: A false guard of each kind, for a log with one event of ANN at DAWN and a record at revision 1.
FALSE_GUARDS: dict[str, tuple[Guard, int]] = {
    "entity": (EntityAt(ANN, 0), 1),
    "criteria": (NothingAfter(Criteria(entities=(ANN,)), 0), 1),
    "happened": (HappenedBefore(ANN, DAWN), DAWN),
    "record": (RecordAt("model", "k", 0), 1),
}


class Guards(EngineUnderTest):
    """What must still be true."""

    @pytest.mark.parametrize("version", [0, 1, 2, 3])
    async def test_entity_at_holds_at_that_version_only(
        self, log: Log, make: Maker, version: int
    ) -> None:
        await store(log, *make.events(2), make.event(BEN))
        guard = EntityAt(ANN, version)

        verdict = await commit(log, Commit(guards=(guard,)))

        assert verdict == GuardFailed(guard, 2) if version != 2 else committed(verdict)

    async def test_an_entity_never_heard_of_is_at_version_0(self, log: Log, make: Maker) -> None:
        await store(log, make.event(BEN))
        guard = EntityAt(ANN, 1)

        committed(await commit(log, Commit(guards=(EntityAt(ANN, 0),))))
        assert await commit(log, Commit(guards=(guard,))) == GuardFailed(guard, 0)

    @pytest.mark.parametrize("criteria", SELECTING)
    async def test_nothing_after_fails_at_what_is_selected(
        self, log: Log, make: Maker, criteria: Criteria
    ) -> None:
        await store(log, make.event(CAT, "other"))
        event = make.event(ANN, "opened", domain="notes", tags=("red", "blue"))
        position = (await store(log, event)).position
        await store(log, make.event(CAT, "other"), make.event(ANN, "opened", domain="notes"))
        start = 0 if criteria != EVERYTHING else position - 1
        guard = NothingAfter(criteria, start)

        assert await commit(log, Commit(guards=(guard,))) == GuardFailed(guard, position)
        behind = NothingAfter(criteria, await log.head())
        committed(await commit(log, Commit(guards=(behind,))))

    @pytest.mark.parametrize("criteria", MISSING)
    async def test_nothing_after_passes_over_what_is_not_selected(
        self, log: Log, make: Maker, criteria: Criteria
    ) -> None:
        await store(log, make.event(ANN, "opened", domain="notes", tags=("red", "blue")))

        committed(await commit(log, Commit(guards=(NothingAfter(criteria, 0),))))

    async def test_nothing_after_counts_from_behind_the_position(
        self, log: Log, make: Maker
    ) -> None:
        first = (await store(log, make.event(tags=("red",)))).position
        await store(log, make.event())
        third = (await store(log, make.event(tags=("red",)))).position
        red = Criteria(tags=("red",))

        for after, actual in [(0, first), (first - 1, first), (first, third), (third - 1, third)]:
            guard = NothingAfter(red, after)
            assert await commit(log, Commit(guards=(guard,))) == GuardFailed(guard, actual)
        for after in (third, third + 1000):
            committed(await commit(log, Commit(guards=(NothingAfter(red, after),))))

    async def test_happened_before_looks_at_the_last_to_happen(self, log: Log, make: Maker) -> None:
        last = DAWN + 10
        await store(log, make.event(id=id_at(last)), make.event(id=id_at(DAWN + 5)))
        await store(log, make.event(BEN, id=id_at(DAWN + 50)))

        for ticks in (DAWN, last):
            guard = HappenedBefore(ANN, ticks)
            assert await commit(log, Commit(guards=(guard,))) == GuardFailed(guard, last)
        for holding in (HappenedBefore(ANN, last + 1), HappenedBefore(CAT, 1)):
            committed(await commit(log, Commit(guards=(holding,))))

    async def test_record_at_follows_the_revision(self, log: Log) -> None:
        for revision in range(3):
            put = Commit(
                guards=(RecordAt("model", "k", revision),), records=(Put("model", "k", b"v"),)
            )
            committed(await commit(log, put))
            assert await commit(log, put) == GuardFailed(put.guards[0], revision + 1)

        await commit(log, Commit(records=(Put("model", "k", None),)))
        gone = RecordAt("model", "k", 3)
        assert await commit(log, Commit(guards=(gone,))) == GuardFailed(gone, 0)
        committed(await commit(log, Commit(guards=(RecordAt("other", "k", 0),))))

    async def test_all_guards_must_hold(self, log: Log, make: Maker) -> None:
        await store(log, make.event())
        holding, failing = EntityAt(BEN, 0), EntityAt(ANN, 0)

        for guards in [(holding, failing), (failing, holding)]:
            verdict = await commit(log, Commit(guards=guards, events=(make.event(),)))
            assert verdict == GuardFailed(failing, 1)

    @pytest.mark.parametrize("kind", FALSE_GUARDS)
    async def test_a_false_guard_leaves_nothing_behind(
        self, log: Log, make: Maker, kind: str
    ) -> None:
        seed = Commit(
            events=(make.event(),),
            records=(Put("model", "k", b"v"),),
            intents=(intent(b"1" * 16),),
        )
        position = committed(await commit(log, seed)).position
        before = await holdings(log)
        guard, actual = FALSE_GUARDS[kind]

        verdict = await commit(
            log,
            Commit(
                guards=(guard,),
                events=(make.event(), make.event(BEN, domain="notes")),
                records=(Put("model", "k", None), Put("model", "l", b"v")),
                intents=(intent(b"2" * 16),),
            ),
        )

        assert verdict == GuardFailed(guard, position if kind == "criteria" else actual)
        assert await holdings(log) == before
        assert (await log.version(ANN), await log.version(BEN)) == (1, 0)

    @pytest.mark.parametrize("kind", FALSE_GUARDS)
    async def test_a_guard_sees_the_commits_before_it_in_the_call(
        self, log: Log, make: Maker, kind: str
    ) -> None:
        seed = Commit(events=(make.event(),), records=(Put("model", "k", b"v"),))
        guard, actual = FALSE_GUARDS[kind]
        refused = Commit(guards=(EntityAt(BEN, 7),), events=(make.event(),))
        guarded = Commit(guards=(guard,), records=(Put("model", "l", b"v"),))

        first, second, third, fourth = await log.commit([guarded, refused, seed, guarded])

        if kind == "criteria":
            actual = committed(third).position
        assert [committed(first).receipts, second] == [(), GuardFailed(EntityAt(BEN, 7), 0)]
        assert fourth == GuardFailed(guard, actual)

    @pytest.mark.parametrize("kind", FALSE_GUARDS)
    async def test_of_64_racers_one_wins(self, log: Log, make: Maker, kind: str) -> None:
        def racer(number: int) -> Commit:
            id_ = bytes([number]) * 16
            return Commit(
                guards=(FALSE_GUARDS[kind][0],),
                events=(make.event(id=id_at(DAWN, node=number + 1)),),
                records=(Put("model", "k", id_),),
                intents=(intent(id_),),
            )

        racers = [racer(number) for number in range(64)]

        answers = await asyncio.gather(*(log.commit([racer]) for racer in racers))

        won = [
            (racer, verdict)
            for racer, (verdict,) in zip(racers, answers, strict=True)
            if isinstance(verdict, Committed)
        ]
        assert len(won) == 1
        winner, verdict = won[0]
        assert verdict.receipts[0].version == 1
        assert ids(await read(log)) == ids(winner.events)
        assert [i.id for i in await log.intents("emit")] == [winner.intents[0].id]
        assert [r.value for r in await log.records("model")] == [winner.records[0].value]

    async def test_writers_who_load_again_and_retry_all_get_through(
        self, log: Log, make: Maker
    ) -> None:
        async def count_up() -> None:
            for _ in range(5):
                while not await self._counted(log, make):
                    pass

        await asyncio.gather(*(count_up() for _ in range(8)))

        record = await log.record("model", "count")
        assert record is not None
        assert (record.value, record.revision) == (b"40", 40)
        assert await log.version(ANN) == 40

    async def _counted(self, log: Log, make: Maker) -> bool:
        record = await log.record("model", "count")
        revision, value = (record.revision, int(record.value)) if record else (0, 0)
        verdict = await commit(
            log,
            Commit(
                guards=(RecordAt("model", "count", revision),),
                events=(make.event(),),
                records=(Put("model", "count", b"%d" % (value + 1)),),
            ),
        )
        return isinstance(verdict, Committed)
