"""The SQLite engine keeps the promises of the port, and those of its files."""

import asyncio
from collections.abc import AsyncIterator, Sequence, Set
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from msgspec.structs import replace

from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.ports.engine import Capability, Engine, Log
from perdure.runtime.environment import SystemClock
from perdure.testing import ManualClock
from perdure.testing.conformance import EngineConformance
from perdure.testing.conformance.guards import Guards
from perdure.testing.conformance.lookups import Lookups
from perdure.testing.conformance.model import Model
from perdure.testing.conformance.reads import Reads
from perdure.testing.conformance.samples import (
    ANN,
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
    EntityAt,
    HappenedBefore,
    Put,
    Statement,
    StatementFailed,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import Unavailable
from perdure.vocabulary.ids import entity_named
from perdure.vocabulary.reading import Read

BOUND_SECONDS = 15.0


class TestSqliteEngine(EngineConformance):
    capabilities: Set[Capability] = frozenset(
        {Capability.DURABLE, Capability.SHARED, Capability.STATEMENTS}
    )
    own_tables: Sequence[str] = (
        "perdure_events",
        "PERDURE_ENTITIES",
        "perdure_names",
        "perdure_event_tags",
        "perdure_domain_entities",
        "perdure_records",
        "perdure_intents",
        "perdure_meta",
        "perdure_migrations",
        "main.perdure_events",
        "sqlite_sequence",
        "sqlite_schema",
        "sqlite_master",
    )
    settings = SqliteSettings(statement_seconds=0.2)

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[SqliteEngine]:
        engine = self.made(tmp_path / "store")
        yield engine
        await engine.close()

    async def reopen(self, engine: Engine) -> SqliteEngine:
        await engine.close()
        return await self.another(engine)

    async def another(self, engine: Engine) -> SqliteEngine:
        assert isinstance(engine, SqliteEngine)
        return self.made(engine.directory)

    def made(self, directory: Path) -> SqliteEngine:
        return SqliteEngine(directory, SystemClock(), settings=self.settings)


class TestSqliteEngineThatHasToPageAndForget(Reads, Lookups, Guards, Model):
    """Groups, batches and what is remembered end after a few, and nothing is few enough to sort."""

    model_settings = settings(Model.model_settings, max_examples=15)

    @pytest.fixture
    async def engine(self, tmp_path: Path) -> AsyncIterator[SqliteEngine]:
        tight = SqliteSettings(
            group_commits_max=2, heads_max=2, batch_events_max=7, sorted_max=2, readers=1
        )
        engine = SqliteEngine(tmp_path / "store", SystemClock(), settings=tight)
        yield engine
        await engine.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(directory, SystemClock(), settings=SqliteSettings(busy_seconds=0.2))
    yield engine
    await engine.close()


@pytest.fixture
async def log(engine: SqliteEngine) -> Log:
    return await engine.open("shop")


async def test_tables_may_count_by_themselves_and_have_indexes(engine: SqliteEngine) -> None:
    log = await engine.open(
        "shop",
        (
            "CREATE TABLE IF NOT EXISTS mine (id INTEGER PRIMARY KEY AUTOINCREMENT, n INTEGER)",
            "CREATE INDEX IF NOT EXISTS mine_by_n ON mine (n)",
        ),
    )

    insert = Statement("INSERT INTO mine (n) VALUES (?)", (7,), rows=1)

    committed(await commit(log, Commit(statements=(insert, insert))))


async def test_a_statement_with_the_text_of_an_engines_own_is_refused(log: Log) -> None:
    await commit(log, Commit(intents=(intent(b"i" * 16),)))
    for sql in ("DELETE FROM perdure_intents WHERE id = ?", "COMMIT", "PRAGMA data_version"):
        parameters = (b"i" * 16,) if "?" in sql else ()
        verdict = await commit(log, Commit(statements=(Statement(sql, parameters),)))
        assert isinstance(verdict, StatementFailed), sql

    assert len(await log.intents("emit")) == 1


async def test_callers_in_many_loops_lose_no_version(log: Log) -> None:
    async def write(number: int) -> None:
        make = Maker()
        for each in range(25):
            id_ = make.event(id=bytes([number, each]) * 4 + b"\x10" * 8)
            await store(log, id_)

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, write(n)) for n in range(4)))

    assert [event.version for event in await read(log)] == list(range(1, 101))


async def test_a_call_that_was_cancelled_while_it_waited_is_not_written(directory: Path) -> None:
    patient = SqliteEngine(directory, SystemClock(), settings=SqliteSettings(busy_seconds=10))
    log, make = await patient.open("shop"), Maker()
    first, gone = make.event(), make.event()
    other = _locked(directory / "shop.db")
    writing = asyncio.create_task(store(log, first))
    async with asyncio.timeout(BOUND_SECONDS):
        await asyncio.sleep(0)
        while not log._writer._queue.empty():  # until the writer stands at the lock with the first
            await asyncio.sleep(0)
        waiting = asyncio.create_task(store(log, gone))
        await asyncio.sleep(0)
        waiting.cancel()
        other.close()

        await writing
        last = await store(log, make.event())

    assert last.receipts[0].version == 2
    assert await log.events([gone.id]) == []
    await patient.close()


async def test_a_lock_that_is_held_too_long_refuses_and_harms_nothing(
    log: Log, directory: Path
) -> None:
    make = Maker()
    other = _locked(directory / "shop.db")

    with pytest.raises(Unavailable):
        await store(log, make.event())

    other.close()
    assert (await store(log, make.event())).receipts[0].version == 1


async def test_a_value_that_cannot_be_stored_fails_its_own_call_alone(log: Log) -> None:
    make = Maker()
    good = [make.event() for _ in range(4)]
    odd = Commit(records=(Put("r", "k", "text"),))  # type: ignore[arg-type]

    answers = await asyncio.gather(
        *(store(log, event) for event in good[:2]),
        log.commit([Commit(events=(make.event(),)), odd]),
        *(store(log, event) for event in good[2:]),
        return_exceptions=True,
    )

    assert isinstance(answers[2], Exception)
    assert ids(await read(log)) == ids(good)


async def test_recording_time_is_clamped_when_the_clock_steps_back(directory: Path) -> None:
    clock, make = ManualClock(), Maker()
    start = clock.now()
    for step in (0, -60, 90):
        engine = SqliteEngine(directory, clock)
        log = await engine.open("shop")
        clock.step(step)
        await store(log, make.event())
        recorded = [event.recorded_at - start for event in await read(log)]
        await engine.close()

    assert recorded == [0, 0, 30_000_000]


async def test_batches_are_bounded_in_bytes(log: Log) -> None:
    make = Maker()
    data = b'{"text":"%s"}' % (b"x" * 400_000)
    await store(log, *(make.event(data=data) for _ in range(10)))

    batches = [len(batch) async for batch in log.read(Read())]

    assert sum(batches) == 10
    assert max(batches) <= 3


async def test_the_last_to_happen_is_found_among_events_of_long_ago(directory: Path) -> None:
    make = Maker()
    early, late = make.event(), make.event()
    first = SqliteEngine(directory, SystemClock())
    await store(await first.open("shop"), late, early)
    await first.close()
    second = SqliteEngine(directory, SystemClock())
    log = await second.open("shop")

    guards = (EntityAt(ANN, 2), HappenedBefore(ANN, late.ticks + 1))
    fine = Commit(guards=guards, events=(make.event(),))
    stale = replace(fine, guards=(HappenedBefore(ANN, late.ticks),), events=(make.event(),))

    verdicts = await log.commit([replace(stale, events=()), fine, stale])
    assert [type(verdict).__name__ for verdict in verdicts] == [
        "GuardFailed",
        "Committed",
        "GuardFailed",
    ]
    await second.close()


async def test_entities_of_a_domain_are_listed_in_pages(log: Log) -> None:
    make = Maker()
    named = [entity_named("e", str(number)).bytes for number in range(40)]
    await store(log, *(make.event(each, domain="even" if i % 2 else "odd")
                       for i, each in enumerate(named)))  # fmt: skip
    await store(log, *(make.event(each, domain="odd") for each in named[:10]))

    odd = Criteria(domains=("odd",))
    first = await log.entities(odd, limit=11)

    expected = sorted({*named[::2], *named[:10]})
    assert first + await log.entities(odd, first[-1]) == expected
    assert await log.entities(Criteria(domains=("odd", "even"))) == sorted(named)
    assert await log.domains() == ["even", "odd"]


def _locked(path: Path) -> apsw.Connection:
    """Hold the lock for writing, as another process would."""
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    return connection
