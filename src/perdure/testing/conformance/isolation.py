"""Contexts share nothing, and a closed log does nothing."""

import asyncio
import contextlib
from collections.abc import Coroutine

from perdure.ports.engine import Engine, Log
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
from perdure.vocabulary.commits import Commit, EntityAt, NothingAfter, Put, RecordAt, Settle
from perdure.vocabulary.criteria import EVERYTHING
from perdure.vocabulary.errors import Unavailable
from perdure.vocabulary.reading import Read


class Isolation(EngineUnderTest):
    """One log for each context."""

    async def test_the_engine_can_do_what_is_declared(self, engine: Engine) -> None:
        assert engine.capabilities == self.capabilities

    async def test_opening_again_finds_the_same_log(self, engine: Engine, make: Maker) -> None:
        log = await engine.open("conformance")
        event = make.event()
        await store(log, event)

        again = await engine.open("conformance")

        assert ids(await read(again)) == [event.id]
        committed(await commit(again, Commit(guards=(EntityAt(ANN, 1),))))

    async def test_contexts_share_nothing(self, engine: Engine, make: Maker) -> None:
        mine, other = await engine.open("mine"), await engine.open("mine_2")
        empty = await holdings(other)

        await commit(
            mine,
            Commit(
                events=(make.event(domain="notes"), make.event(BEN)),
                records=(Put("model", "k", b"v"),),
                intents=(intent(b"1" * 16),),
            ),
        )

        assert await holdings(other) == empty
        assert (await other.version(ANN), (await other.size()).events) == (0, 0)
        assert await other.advanced(0, 0) == 0

    async def test_the_same_ids_are_fine_in_both(self, engine: Engine, make: Maker) -> None:
        mine, other = await engine.open("mine"), await engine.open("other")
        same = Commit(
            guards=(EntityAt(ANN, 0), NothingAfter(EVERYTHING, 0), RecordAt("model", "k", 0)),
            events=make.events(2),
            records=(Put("model", "k", b"v"),),
            intents=(intent(b"1" * 16),),
        )

        verdicts = await asyncio.gather(mine.commit([same]), other.commit([same]))

        assert [committed(v).repeated for (v,) in verdicts] == [False, False]
        assert ids((await holdings(mine)).events) == ids((await holdings(other)).events)
        await commit(mine, Commit(intents=(Settle(b"1" * 16),), records=(Put("model", "k", None),)))
        assert len(await other.intents("emit")) == 1
        assert await other.record("model", "k") is not None

    async def test_closing_one_log_leaves_the_other_open(self, engine: Engine, make: Maker) -> None:
        mine, other = await engine.open("mine"), await engine.open("other")

        await mine.close()

        assert (await store(other, make.event())).receipts[0].version == 1

    async def test_a_closed_log_does_nothing(self, log: Log, make: Maker) -> None:
        await store(log, make.event())
        await log.close()
        await log.close()

        await self._is_closed(log, make)

    async def test_closing_the_engine_closes_every_log(self, engine: Engine, make: Maker) -> None:
        logs = [await engine.open(name) for name in ("mine", "other")]

        await engine.close()
        await engine.close()

        for log in logs:
            await self._is_closed(log, make)

    async def test_what_was_accepted_before_closing_is_answered(
        self, log: Log, make: Maker
    ) -> None:
        writing = [asyncio.create_task(store(log, event)) for event in make.events(20)]
        await asyncio.sleep(0)

        await log.close()

        answers = await asyncio.gather(*writing, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert all(isinstance(answer, Unavailable) for answer in refused), refused

    async def test_closing_never_looks_like_the_end_of_a_read(self, log: Log, make: Maker) -> None:
        await store(log, *make.events(2000))
        reading = log.read(Read())
        seen = len(await anext(reading))

        await log.close()

        with contextlib.suppress(Unavailable):
            async for batch in reading:
                seen += len(batch)
            assert seen == 2000

    async def _is_closed(self, log: Log, make: Maker) -> None:
        calls: tuple[Coroutine[None, None, object], ...] = (
            log.commit([Commit(events=(make.event(),))]),
            read(log),
            log.events([b"x" * 16]),
            log.head(),
            log.version(ANN),
            log.advanced(0, 0),
            log.domains(),
            log.entities(EVERYTHING),
            log.record("model", "k"),
            log.records("model"),
            log.intent(b"x" * 16),
            log.intents("emit"),
            log.size(),
        )
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [answer for answer in answers if not isinstance(answer, Unavailable)] == []
