"""A commit that fails changes nothing for the commits before and after it.

Each kind of failure is put between two good commits on the same entity: in one call, and in three calls at
once, which an engine may well write as one group.
"""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from perdure.ports.engine import Capability, Engine, Log
from perdure.testing.conformance.books import FAILING, OPEN_ANN, OPEN_BEN, TABLES, Books
from perdure.testing.conformance.samples import (
    ANN,
    DAWN,
    Maker,
    commit,
    committed,
    ids,
    intent,
    read,
    store,
)
from perdure.vocabulary.commits import (
    Commit,
    Committed,
    EntityAt,
    HappenedBefore,
    NothingAfter,
    Put,
    RecordAt,
    Statement,
    Verdict,
)
from perdure.vocabulary.criteria import EVERYTHING
from perdure.vocabulary.errors import PerdureError
from perdure.vocabulary.events import NewEvent

PLAIN = [
    "stale version",
    "matching event",
    "happened later",
    "moved record",
    "taken",
    "contradiction",
]
FIRST_ID, BAD_ID, LAST_ID = (bytes([number]) * 16 for number in (1, 2, 3))


def failing(kind: str, seed: NewEvent, event: NewEvent) -> Commit:
    """Make a commit that fails in one way, in a log that holds the seed."""
    bad = Commit(
        events=(event,), records=(Put("model", "k", b"bad"),), intents=(intent(BAD_ID, b"bad"),)
    )
    changes: dict[str, dict[str, object]] = {
        "stale version": {"guards": (EntityAt(ANN, 0),)},
        "matching event": {"guards": (NothingAfter(EVERYTHING, 0),)},
        "happened later": {"guards": (HappenedBefore(ANN, DAWN),)},
        "moved record": {"guards": (RecordAt("never", "k", 1),)},
        "taken": {"events": (event, replace(seed, type="other"))},
        "contradiction": {"events": (event, replace(event, type="other"))},
    }
    if kind in FAILING:
        spend = Statement("UPDATE account SET balance = 0", (), 2)
        return replace(bad, statements=(spend, FAILING[kind]))
    return replace(bad, **changes[kind])


class Neighbours(Books):
    """Between two good commits."""

    @pytest.fixture
    async def seed(self, make: Maker) -> NewEvent:
        """The event that the log holds from the start."""
        return make.event(type="seed")

    @pytest.fixture
    async def seeded(self, engine: Engine, seed: NewEvent) -> Log:
        """A log with one event, and with the user's tables where there can be any."""
        if Capability.STATEMENTS not in self.capabilities:
            log = await engine.open("neighbours")
        else:
            log = await engine.open("neighbours", TABLES)
            committed(await commit(log, Commit(statements=(OPEN_ANN, OPEN_BEN))))
        await store(log, seed)
        return log

    @pytest.mark.parametrize("calls", ["one call", "three calls"])
    @pytest.mark.parametrize("kind", [*PLAIN, *FAILING])
    async def test_a_failing_commit_leaves_its_neighbours_good(
        self, seeded: Log, seed: NewEvent, make: Maker, kind: str, calls: str
    ) -> None:
        if kind in FAILING:
            self.require(Capability.STATEMENTS)
        first, last = self._good(make, FIRST_ID), self._good(make, LAST_ID)
        bad = failing(kind, seed, make.event())

        if calls == "one call":
            verdicts = await seeded.commit([first, bad, last])
        else:
            verdicts = [
                v
                for (v,) in await asyncio.gather(*(seeded.commit([c]) for c in (first, bad, last)))
            ]

        await self._are_good(seeded, seed, [first, last], [verdicts[0], verdicts[2]])
        assert not isinstance(verdicts[1], Committed)
        assert await seeded.events([bad.events[0].id]) == []

    async def test_a_commit_too_big_leaves_its_neighbours_good(
        self, seeded: Log, seed: NewEvent, make: Maker
    ) -> None:
        oversize = self.oversize()
        if oversize is None:
            pytest.skip("limit not declared: oversize")
        first, last = self._good(make, FIRST_ID), self._good(make, LAST_ID)

        answers = await asyncio.gather(
            *(seeded.commit([each]) for each in (first, oversize, last)), return_exceptions=True
        )

        good = [
            answer for answer in (answers[0], answers[2]) if not isinstance(answer, BaseException)
        ]
        assert len(good) == 2, answers
        await self._are_good(seeded, seed, [first, last], [verdict for (verdict,) in good])
        if isinstance(answers[1], BaseException):
            assert isinstance(answers[1], PerdureError)
        else:
            assert not isinstance(answers[1][0], Committed)

    async def test_many_failures_in_one_call_leave_the_good_ones(
        self, seeded: Log, seed: NewEvent, make: Maker
    ) -> None:
        kinds = [*PLAIN, *(FAILING if Capability.STATEMENTS in self.capabilities else ())]
        good = [Commit(events=(make.event(),)) for _ in kinds]
        bad = [failing(kind, seed, make.event()) for kind in kinds]

        verdicts = await seeded.commit(
            [each for pair in zip(bad, good, strict=True) for each in pair]
        )

        assert not any(isinstance(verdict, Committed) for verdict in verdicts[::2])
        versions = [committed(verdict).receipts[0].version for verdict in verdicts[1::2]]
        assert versions == list(range(2, len(kinds) + 2))
        assert ids(await read(seeded)) == ids([seed, *(each.events[0] for each in good)])

    def _good(self, make: Maker, id_: bytes) -> Commit:
        statements = (Statement("UPDATE account SET balance = balance + 1", (), 2),)
        return Commit(
            events=(make.event(), make.event()),
            records=(Put("model", id_.hex(), id_),),
            intents=(intent(id_),),
            statements=statements if Capability.STATEMENTS in self.capabilities else (),
        )

    async def _are_good(
        self, log: Log, seed: NewEvent, good: Sequence[Commit], verdicts: Sequence[Verdict]
    ) -> None:
        """Insist that just these commits were written, and everything in them."""
        receipts = [receipt for verdict in verdicts for receipt in committed(verdict).receipts]
        events = [event for each in good for event in each.events]
        stored = await read(log)
        assert ids(stored) == ids([seed, *events])
        assert [receipt.version for receipt in receipts] == [2, 3, 4, 5]
        assert [e.position for e in stored[1:]] == [receipt.position for receipt in receipts]
        assert [r.value for r in await log.records("model")] == [FIRST_ID, LAST_ID]
        assert [i.id for i in await log.intents("emit")] == [FIRST_ID, LAST_ID]
        if Capability.STATEMENTS in self.capabilities:
            paid = Statement("UPDATE account SET balance = 0 WHERE balance IN (102, 52)", (), 2)
            committed(await commit(log, Commit(statements=(paid,))))
