"""The memory engine keeps the promises of the port, and engines that break them are found out."""

import asyncio
import inspect
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import Phase, settings
from msgspec.structs import replace

from perdure.engines.memory import MemoryEngine, MemoryLog
from perdure.ports.engine import Log
from perdure.runtime.environment import SystemClock
from perdure.testing import ManualClock
from perdure.testing.conformance import EngineConformance
from perdure.testing.conformance.reads import varied
from perdure.testing.conformance.samples import Maker, ids, read, store
from perdure.vocabulary.commits import Commit, Committed, Intent, Receipt, Verdict
from perdure.vocabulary.errors import ConfigurationError, Unavailable
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read


class TestMemoryEngine(EngineConformance):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[MemoryEngine]:
        engine = MemoryEngine(SystemClock())
        yield engine
        await engine.close()


async def test_recording_time_is_clamped_when_the_clock_steps_back() -> None:
    clock, make = ManualClock(), Maker()
    log = await MemoryEngine(clock).open("clock")
    start = clock.now()

    for step in (0, -60, 90):
        clock.step(step)
        await store(log, make.event())

    recorded = [event.recorded_at - start for event in await read(log)]
    assert recorded == [0, 0, 30_000_000]


async def test_waiting_times_out_by_the_clock_of_the_engine() -> None:
    clock = ManualClock()
    log = await MemoryEngine(clock).open("clock")
    waiter = asyncio.create_task(log.advanced(0, 3600))
    while not clock.sleepers:
        await asyncio.sleep(0)

    clock.advance(3599)
    await asyncio.sleep(0)
    assert not waiter.done()
    clock.advance(1)

    assert await waiter == 0


async def test_a_commit_wakes_who_waits_in_another_loop() -> None:
    log, make = await MemoryEngine(SystemClock()).open("loops"), Maker()
    waiter = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(log.advanced(20, 60))))

    async with asyncio.timeout(20):
        while not waiter.done():
            await store(log, make.event())

    assert await waiter > 20


async def test_tables_need_an_engine_with_sql() -> None:
    engine = MemoryEngine(ManualClock())

    with pytest.raises(ConfigurationError, match="statements"):
        await engine.open("books", ("CREATE TABLE IF NOT EXISTS account (owner TEXT)",))


async def test_a_closed_log_is_gone_and_opens_empty() -> None:
    engine, make = MemoryEngine(ManualClock()), Maker()
    log = await engine.open("short")
    await store(log, make.event())
    await log.close()

    assert await read(await engine.open("short")) == []
    await engine.close()
    with pytest.raises(Unavailable):
        await engine.open("short")


def test_no_part_of_the_suite_hides_a_test_of_another() -> None:
    names = Counter(name for part in EngineConformance.__mro__ for name in vars(part))

    assert [name for name, parts in names.items() if name.startswith("test_") and parts > 1] == []


class Faulty:
    """A log like the one it wraps, but for one fault."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self.log, name)


class IgnoresGuards(Faulty):
    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        return await self.log.commit([replace(commit, guards=()) for commit in commits])


class GivesRepeatsNewReceipts(Faulty):
    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        verdicts = await self.log.commit(commits)
        return [self._renewed(v) if isinstance(v, Committed) else v for v in verdicts]

    def _renewed(self, verdict: Committed) -> Committed:
        if not verdict.repeated:
            return verdict
        receipts = tuple(Receipt(r.position + 1, r.version + 1) for r in verdict.receipts)
        return Committed(receipts, verdict.position, repeated=True)


class AppliesRepeats(Faulty):
    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        verdicts = await self.log.commit(commits)
        for commit, verdict in zip(commits, verdicts, strict=True):
            if isinstance(verdict, Committed) and verdict.repeated:
                await self.log.commit([replace(commit, events=())])
        return verdicts


class StopsAtTheFirstFailure(Faulty):
    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for commit in commits:
            verdicts += await self.log.commit([commit])
            if not isinstance(verdicts[-1], Committed):
                break
        return verdicts + [verdicts[-1]] * (len(commits) - len(verdicts))


class WritesHalf(Faulty):
    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        await self.log.commit([Commit(records=commit.records) for commit in commits])
        return await self.log.commit(commits)


class ForgetsTheOrder(Faulty):
    def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        return self.log.read(replace(request, order="recorded"))


class ReadsBeyondThePin(Faulty):
    def read(self, request: Read) -> AsyncIterator[list[RecordedEvent]]:
        return self.log.read(replace(request, upto=None))


class GivesTheOldestIntents(Faulty):
    async def intents(self, kind: str, limit: int = 1000, **bounds: Any) -> list[Intent]:
        oldest = sorted(await self.log.intents(kind, **bounds), key=lambda each: each.place)
        return oldest[:limit]


class GivesPlacesAgain(Faulty):
    async def intents(
        self,
        kind: str,
        limit: int = 1000,
        after: tuple[int, int] | None = None,
        **bounds: Any,
    ) -> list[Intent]:
        opened = await self.log.intents(kind, **bounds)
        places = sorted(each.place for each in opened)
        counted = [replace(each, place=places.index(each.place) + 1) for each in opened]
        return [each for each in counted if (each.due, each.place) > (after or (-1, 0))][:limit]


class NeverWaits(Faulty):
    async def advanced(self, position: int, timeout_seconds: float) -> int:
        return await self.log.head()


class SharesContexts:
    capabilities = MemoryEngine(ManualClock()).capabilities

    def __init__(self) -> None:
        self.log = MemoryLog(ManualClock())

    async def open(self, context: str, tables: Sequence[str] = ()) -> Log:
        return self.log

    async def close(self) -> None:
        await self.log.close()


@pytest.mark.parametrize(
    ("fault", "test", "arguments"),
    [
        (IgnoresGuards, "a_false_guard_leaves_nothing_behind", {"kind": "entity"}),
        (IgnoresGuards, "of_64_racers_one_wins", {"kind": "record"}),
        (GivesRepeatsNewReceipts, "a_repeat_gets_its_first_receipts", {}),
        (AppliesRepeats, "a_repeat_applies_nothing", {}),
        (
            StopsAtTheFirstFailure,
            "a_guard_sees_the_commits_before_it_in_the_call",
            {"kind": "entity"},
        ),
        (WritesHalf, "a_refused_commit_leaves_revisions_alone", {}),
        (
            ForgetsTheOrder,
            "a_read_is_a_filter_and_a_sort",
            {"order": "happened", "backwards": True},
        ),
        (ReadsBeyondThePin, "pages_by_happened_stay_stable_below_upto", {}),
        (GivesTheOldestIntents, "what_is_due_first_comes_first", {}),
        (GivesPlacesAgain, "given_anew_after_settling_it_gets_a_new_place", {}),
        (GivesPlacesAgain, "paging_misses_nothing_while_others_settle_and_give", {}),
        (NeverWaits, "a_commit_wakes_everybody_who_waits", {}),
    ],
)
async def test_a_fault_of_the_log_is_found(
    fault: type[Faulty], test: str, arguments: dict[str, Any]
) -> None:
    log = fault(await MemoryEngine(SystemClock()).open("faulty"))

    await _fails(test, log=log, **arguments)


@pytest.mark.parametrize("test", ["contexts_share_nothing", "the_same_ids_are_fine_in_both"])
async def test_contexts_that_are_not_kept_apart_are_found(test: str) -> None:
    await _fails(test, engine=SharesContexts())


@pytest.mark.parametrize(
    "fault",
    [
        IgnoresGuards,
        GivesRepeatsNewReceipts,
        AppliesRepeats,
        GivesTheOldestIntents,
        GivesPlacesAgain,
    ],
)
async def test_the_model_finds_faults_too(fault: type[Faulty]) -> None:
    class FaultyEngine(MemoryEngine):
        async def open(self, context: str, tables: Sequence[str] = ()) -> Any:
            return fault(await super().open(context, tables))

    class QuickConformance(EngineConformance):
        model_settings = settings(EngineConformance.model_settings, phases=[Phase.generate])

    with pytest.raises(AssertionError):
        await QuickConformance().test_the_log_behaves_as_its_model(FaultyEngine(SystemClock()))


async def _fails(test: str, **arguments: Any) -> None:
    """Insist that a test of the suite fails, by an assertion and not by accident."""
    run, make = getattr(EngineConformance(), f"test_{test}"), Maker()
    wanted = inspect.signature(run).parameters
    if "full" in wanted:
        await store(arguments["log"], *varied(make, 60))
        arguments["full"] = await arguments["log"].events(ids(varied(Maker(), 60)))
    if "make" in wanted:
        arguments["make"] = make
    with pytest.raises(AssertionError):
        await run(**arguments)
