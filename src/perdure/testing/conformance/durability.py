"""What a durable engine still holds when its store is opened again, and several engines on one store."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from perdure.ports.engine import Capability, Engine
from perdure.testing.conformance.books import TABLES, holds
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    Maker,
    commit,
    committed,
    holdings,
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
    GuardFailed,
    Put,
    RecordAt,
    Statement,
)

BOUND_SECONDS = 15.0


class Durability(EngineUnderTest):
    """Closing and opening again changes nothing."""

    async def test_everything_is_there_after_reopening(self, engine: Engine, make: Maker) -> None:
        self.require(Capability.DURABLE)
        log = await engine.open("conformance")
        for number in range(3):
            await commit(
                log,
                Commit(
                    events=(make.event(ANN, domain="notes", tags=("red",)), make.event(BEN)),
                    records=(Put("model", "k", b"%d" % number), Put("model", str(number), b"\x00")),
                    intents=(intent(bytes([9 - number]) * 16, b"\xff"),),
                ),
            )
        await commit(log, Commit(records=(Put("model", "1", None),)))
        before = await holdings(log)

        engine = await self.reopen(engine)

        log = await engine.open("conformance")
        assert await holdings(log) == before
        assert (await log.version(ANN), await log.version(BEN)) == (3, 3)
        assert (await log.size()).events == 6
        assert [damage async for damage in log.verify()] == []
        await engine.close()

    async def test_a_reopened_log_goes_on_where_it_was(self, engine: Engine, make: Maker) -> None:
        self.require(Capability.DURABLE)
        log = await engine.open("conformance")
        once = Commit(
            guards=(EntityAt(ANN, 0),), events=make.events(2), records=(Put("model", "k", b"v"),)
        )
        first = committed(await commit(log, once))
        await commit(log, Commit(intents=(intent(b"9" * 16),)))

        engine = await self.reopen(engine)

        log = await engine.open("conformance")
        again = committed(await commit(log, once))
        assert (again.receipts, again.repeated) == (first.receipts, True)
        stale = EntityAt(ANN, 0)
        assert await commit(log, Commit(guards=(stale,))) == GuardFailed(stale, 2)
        later = Commit(
            guards=(RecordAt("model", "k", 1),),
            events=(make.event(),),
            records=(Put("model", "k", b"w"),),
            intents=(intent(b"1" * 16),),
        )
        verdict = committed(await commit(log, later))
        assert verdict.receipts[0].version == 3
        assert verdict.receipts[0].position > first.position
        assert [each.id for each in await log.intents("emit")] == [b"9" * 16, b"1" * 16]
        record = await log.record("model", "k")
        assert record is not None
        assert (record.value, record.revision) == (b"w", 2)
        await engine.close()

    async def test_every_context_is_there_after_reopening(
        self, engine: Engine, make: Maker
    ) -> None:
        self.require(Capability.DURABLE)
        events = {name: make.event(tags=(name,)) for name in ("mine", "mine_2", "other")}
        for name, event in events.items():
            await store(await engine.open(name), event)

        engine = await self.reopen(engine)

        for name, event in events.items():
            assert ids(await read(await engine.open(name))) == [event.id]
        await engine.close()

    async def test_what_was_answered_is_there_whoever_was_still_writing(
        self, engine: Engine, make: Maker
    ) -> None:
        self.require(Capability.DURABLE)
        log = await engine.open("conformance")
        events = make.events(40)
        writing = [asyncio.create_task(log.commit([Commit(events=(e,))])) for e in events]
        await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)

        engine = await self.reopen(engine)

        answers = await asyncio.gather(*writing, return_exceptions=True)
        written = {
            event.id
            for event, answer in zip(events, answers, strict=True)
            if not isinstance(answer, BaseException)
        }
        assert written
        assert set(ids(await read(await engine.open("conformance")))) == written
        await engine.close()

    async def test_the_users_tables_are_there_after_reopening(
        self, engine: Engine, make: Maker
    ) -> None:
        self.require(Capability.DURABLE)
        self.require(Capability.STATEMENTS)
        opened = Statement("INSERT INTO account (owner, balance) VALUES ('cat', 7)", rows=1)
        await commit(await engine.open("books", TABLES), Commit(statements=(opened,)))

        engine = await self.reopen(engine)

        log = await engine.open("books", TABLES)
        assert committed(await commit(log, holds("owner = 'cat' AND balance = 7")))
        await engine.close()


class Sharing(EngineUnderTest):
    """Two engines on one store are as one."""

    @pytest.fixture
    async def other(self, engine: Engine) -> AsyncIterator[Engine]:
        """A second engine on the same store."""
        self.require(Capability.SHARED)
        await engine.open("conformance")
        other = await self.another(engine)
        yield other
        await other.close()

    async def test_what_one_writes_the_other_sees(
        self, engine: Engine, other: Engine, make: Maker
    ) -> None:
        mine, theirs = await engine.open("conformance"), await other.open("conformance")
        for turn, log in enumerate((mine, theirs, mine, theirs), 1):
            written = Commit(
                guards=(EntityAt(ANN, turn - 1), RecordAt("model", "k", turn - 1)),
                events=(make.event(domain=f"d{turn}"),),
                records=(Put("model", "k", b"%d" % turn),),
                intents=(intent(bytes([turn]) * 16),),
            )
            assert committed(await commit(log, written)).receipts[0].version == turn
            assert await holdings(mine) == await holdings(theirs)
            assert await mine.version(ANN) == await theirs.version(ANN) == turn

    async def test_a_repeat_is_known_on_either_side(
        self, engine: Engine, other: Engine, make: Maker
    ) -> None:
        mine, theirs = await engine.open("conformance"), await other.open("conformance")
        event = make.event()
        first = await store(mine, event)

        again = await store(theirs, event)

        assert (again.receipts, again.repeated) == (first.receipts, True)

    async def test_of_racers_on_both_sides_one_wins(
        self, engine: Engine, other: Engine, make: Maker
    ) -> None:
        logs = [await engine.open("conformance"), await other.open("conformance")]
        racers = [Commit(guards=(EntityAt(ANN, 0),), events=(e,)) for e in make.events(32)]

        answers = await asyncio.gather(
            *(logs[number % 2].commit([racer]) for number, racer in enumerate(racers))
        )

        assert sum(isinstance(verdict, Committed) for (verdict,) in answers) == 1
        assert await logs[0].version(ANN) == await logs[1].version(ANN) == 1

    async def test_writers_on_both_sides_lose_no_version(
        self, engine: Engine, other: Engine, make: Maker
    ) -> None:
        logs = [await engine.open("conformance"), await other.open("conformance")]

        verdicts = await asyncio.gather(
            *(store(logs[number % 2], event) for number, event in enumerate(make.events(64)))
        )

        receipts = sorted((v.receipts[0].position, v.receipts[0].version) for v in verdicts)
        assert [version for _, version in receipts] == list(range(1, 65))
        assert [(e.position, e.version) for e in await read(logs[0])] == receipts

    async def test_one_who_waits_hears_of_the_other(
        self, engine: Engine, other: Engine, make: Maker
    ) -> None:
        mine, theirs = await engine.open("conformance"), await other.open("conformance")
        async with asyncio.timeout(BOUND_SECONDS):
            waiter = asyncio.create_task(mine.advanced(0, 60.0))
            await asyncio.sleep(0)

            position = (await store(theirs, make.event())).position

            assert await waiter == position
