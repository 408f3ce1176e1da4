"""Several engines on one store, as several processes would open it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from perdure.ports.engine import Capability, Engine
from perdure.testing.conformance.samples import (
    ANN,
    Maker,
    commit,
    committed,
    holdings,
    intent,
    read,
    store,
)
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, Committed, EntityAt, Put, RecordAt

BOUND_SECONDS = 15.0


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
