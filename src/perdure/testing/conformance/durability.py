"""What a durable engine still holds when its store is opened again."""

import asyncio

from perdure.ports.engine import Capability, Engine
from perdure.testing.conformance.books import TABLES, expect
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
    EntityAt,
    GuardFailed,
    Put,
    RecordAt,
    Statement,
)
from perdure.vocabulary.errors import Unavailable


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
        stored = ids(await read(await engine.open("conformance")))
        refused = []
        for event, answer in zip(events, answers, strict=True):
            if isinstance(answer, BaseException):
                assert isinstance(answer, Unavailable), answer
                refused.append(event.id)
            else:
                assert event.id in stored
        assert len(refused) < len(events)
        assert not set(refused) & set(stored)
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
        await expect(log, "owner = 'cat' AND balance = 7")
        await engine.close()
