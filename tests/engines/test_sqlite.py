"""The SQLite engine keeps the promises of the port, and those of its files."""

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator, Callable, Sequence, Set
from pathlib import Path

import apsw
import pytest
from hypothesis import settings
from msgspec.structs import replace

from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.engines.sqlite.connection import Store
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
    BEN,
    CAT,
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
from perdure.vocabulary.errors import ConfigurationError, Corrupt, InvalidName, Unavailable
from perdure.vocabulary.events import RecordedEvent
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


# Files


async def test_only_the_owner_can_read_the_files(directory: Path, log: Log) -> None:
    await store(log, Maker().event())

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}

    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert modes == {"shop.db": 0o600, "shop.db-wal": 0o600, "shop.db-shm": 0o600}


async def test_a_context_is_a_file_and_its_name_no_path(engine: SqliteEngine) -> None:
    with pytest.raises(InvalidName):
        await engine.open("../shop")


def test_every_pragma_takes(directory: Path, tmp_path: Path) -> None:
    path = Store(tmp_path / "a.db", SqliteSettings())
    path.path.touch()
    writer, reader, checkpointer = (
        path.connect_writer(), path.connect_reader(), path.connect_checkpointer()
    )  # fmt: skip

    for connection in (writer, reader, checkpointer):
        assert connection.pragma("journal_mode") == "wal"
        assert connection.pragma("synchronous") == 2
        assert connection.pragma("wal_autocheckpoint") == 0
        assert connection.pragma("mmap_size") == 0
    assert (writer.pragma("foreign_keys"), writer.pragma("cache_size")) == (1, -65_536)
    assert reader.pragma("query_only") == 1
    for connection in (writer, reader, checkpointer):
        connection.close()


def test_only_a_store_that_syncs_calls_itself_durable(directory: Path) -> None:
    careless = SqliteEngine(directory, ManualClock(), settings=SqliteSettings(synchronous="normal"))

    assert careless.capabilities == {Capability.SHARED, Capability.STATEMENTS}


async def test_the_write_ahead_log_stays_short_and_is_gone_in_the_end(directory: Path) -> None:
    small = SqliteSettings(
        checkpoint_frames=50, restart_frames=200, restart_rest_frames=150, restart_always_frames=400
    )
    engine, make = SqliteEngine(directory, SystemClock(), settings=small), Maker()
    log = await engine.open("shop")
    longest = 0

    async def write(who: int) -> None:
        nonlocal longest
        for number in range(60):
            record = Put("r", f"{who}/{number}", bytes(5000))
            await log.commit([Commit(events=make.events(2), records=(record,))])
            longest = max(longest, (directory / "shop.db-wal").stat().st_size)

    await asyncio.gather(*map(write, range(16)))
    await engine.close()

    assert longest < 16 * 60 * 5000 / 2, "what was written went through it more than twice"
    assert [path.name for path in directory.iterdir()] == ["shop.db"]


# Stores that are not ours to touch


def _newer(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO perdure_migrations VALUES (9000, '9000_x.sql', 'x')")


def _changed(connection: apsw.Connection) -> None:
    connection.execute("UPDATE perdure_migrations SET checksum = 'x'")


@pytest.mark.parametrize(("change", "reason"), [(_newer, "newer version"), (_changed, "other SQL")])
async def test_a_store_of_another_shape_is_left_as_it_is(
    directory: Path, change: Callable[[apsw.Connection], None], reason: str
) -> None:
    first = SqliteEngine(directory, ManualClock())
    await first.open("shop")
    await first.close()
    _edit(directory / "shop.db", change)
    before = _digest(directory)

    with pytest.raises(ConfigurationError, match=reason):
        await SqliteEngine(directory, ManualClock()).open("shop")

    assert _digest(directory) == before


async def test_a_database_of_somebody_else_is_left_as_it_is(directory: Path) -> None:
    directory.mkdir()
    with apsw.Connection(str(directory / "shop.db")) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    connection.close()
    (directory / "other.db").write_bytes(b"no database, but long enough to look like one" * 100)
    before = _digest(directory)

    for context in ("shop", "other"):
        with pytest.raises(ConfigurationError):
            await SqliteEngine(directory, ManualClock()).open(context)

    assert _digest(directory) == before


async def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Unavailable):
        await SqliteEngine(tmp_path / "file" / "store", ManualClock()).open("shop")


@pytest.mark.parametrize(
    "table",
    [
        "CREATE TABLE IF NOT EXISTS perdure_mine (id INTEGER)",
        "CREATE TABLE IF NOT EXISTS Perdure_events (id INTEGER)",
        "CREATE INDEX IF NOT EXISTS mine ON perdure_events (recorded_at)",
        "CREATE TABLE mine AS SELECT * FROM perdure_events",
        "CREATE TRIGGER mine AFTER INSERT ON perdure_events BEGIN SELECT 1; END",
        "CREATE TEMP TABLE mine (id INTEGER)",
        "DELETE FROM perdure_events",
        "DROP TABLE perdure_events",
        "PRAGMA synchronous = OFF",
        "ATTACH DATABASE ':memory:' AS other",
        "this is not SQL",
    ],
)
async def test_only_tables_and_indexes_of_the_user_can_be_declared(
    engine: SqliteEngine, table: str
) -> None:
    fine = "CREATE TABLE IF NOT EXISTS fine (id INTEGER)"

    with pytest.raises(ConfigurationError, match="cannot be made"):
        await engine.open("shop", (fine, table))

    log = await engine.open("shop")
    verdict = await commit(log, Commit(statements=(Statement("INSERT INTO fine VALUES (1)"),)))
    assert isinstance(verdict, StatementFailed)


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


# Callers


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


# Damage


async def test_a_damaged_event_ends_a_read_behind_the_good_ones(
    engine: SqliteEngine, directory: Path
) -> None:
    make = Maker()
    log = await engine.open("shop")
    events = [make.event(entity, tags=("t",)) for _ in range(4) for entity in (ANN, BEN)]
    await store(log, *events)
    _edit(directory / "shop.db", _spoil("data = x'7b7d'", 5))

    for request, before, behind in (
        (Read(), events[:4], Read(after=5)),
        (Read(backwards=True), events[:4:-1], Read(backwards=True, upto=4)),
        (Read(order="happened"), events[:4], Read(after=5, order="happened")),
        (Read(criteria=Criteria(tags=("t",))), events[:4], Read(after=5)),
        (Read(criteria=Criteria(entities=(ANN,))), events[:4:2], Read(after=5)),
    ):
        served, damage = await _until_damage(log, request)
        assert ids(served) == ids(before), request
        assert damage.position == 5
        assert await read(log, behind)
    assert len(await read(log, Read(limit=4))) == 4
    assert len(await read(log, Read(criteria=Criteria(entities=(BEN,))))) == 4
    with pytest.raises(Corrupt):
        await log.events([events[4].id])


@pytest.mark.parametrize(
    "change",
    [
        "data = x'7b7d'",
        "metadata = x'7b7d'",
        "tags = NULL",
        "tags = CAST(x'ff' AS TEXT)",
        "ticks = ticks + 1",
        "recorded_at = recorded_at + 1",
        "version = 9",
        "type = domain",
        "domain = NULL",
        "domain = 77",
        "entity = 77",
        "id = x'00'",
        "checksum = checksum + 1",
    ],
)
async def test_damage_to_any_column_is_found(
    engine: SqliteEngine, directory: Path, change: str
) -> None:
    make = Maker()
    log = await engine.open("shop")
    await store(log, *(make.event(domain="d", tags=("t",)) for _ in range(3)))
    _edit(directory / "shop.db", _spoil(change, 2))

    with pytest.raises(Corrupt) as damage:
        await read(log)

    assert damage.value.position == 2
    assert 2 in {each.position async for each in log.verify()}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE perdure_names SET name = 'other' WHERE name = 'noted'",
        "UPDATE perdure_names SET name = 'other' WHERE name = 'd'",
        "DELETE FROM perdure_names",
        "UPDATE perdure_entities SET id = x'00112233445566778899aabbccddeeff'",
        "DELETE FROM perdure_entities",
    ],
)
async def test_damage_to_a_dictionary_is_found_in_every_event(directory: Path, sql: str) -> None:
    first = SqliteEngine(directory, SystemClock())
    await store(await first.open("shop"), *(Maker().event(domain="d") for _ in range(1)))
    await first.close()
    _edit(directory / "shop.db", lambda connection: connection.execute(sql))
    second = SqliteEngine(directory, SystemClock())
    log = await second.open("shop")

    with pytest.raises(Corrupt):
        await read(log)

    assert [each.position async for each in log.verify()] != []
    await second.close()


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("DELETE FROM perdure_events WHERE position = 4", 4),
        ("DELETE FROM perdure_events WHERE position = 6", 5),
        ("UPDATE perdure_events SET chain = x'00' WHERE position = 4", 4),
        ("UPDATE perdure_events SET chain = NULL WHERE position = 6", 6),
        ("DELETE FROM perdure_event_tags WHERE position = 3", 3),
        ("DELETE FROM perdure_domain_entities", 1),
        ("UPDATE perdure_records SET revision = revision + 1", 0),
        ("UPDATE perdure_records SET value = x'00'", 0),
        ("UPDATE perdure_records SET key = 'other'", 0),
        ("UPDATE perdure_intents SET due = 1", 0),
        ("UPDATE perdure_intents SET payload = x'00'", 0),
    ],
)
async def test_a_check_finds(
    engine: SqliteEngine, directory: Path, sql: str, position: int
) -> None:
    make = Maker()
    log = await engine.open("shop")
    for _ in range(3):
        await commit(
            log,
            Commit(
                events=(make.event(domain="d", tags=("t",)), make.event()),
                records=(Put("r", "k", b"v"),),
                intents=(intent(b"i" * 16),),
            ),
        )
    assert [damage async for damage in log.verify()] == []
    _edit(directory / "shop.db", lambda connection: connection.execute(sql))

    found = [damage.position async for damage in log.verify()]

    assert position in found


async def test_a_check_may_begin_anywhere(engine: SqliteEngine, directory: Path) -> None:
    make = Maker()
    log = await engine.open("shop")
    for _ in range(5):
        await store(log, *make.events(3))
    _edit(directory / "shop.db", _spoil("data = x'7b7d'", 5))

    found = {after: [d.position async for d in log.verify(after)] for after in range(16)}

    assert found == {after: [5] if after < 5 else [] for after in range(16)}


async def test_a_damaged_record_or_intent_is_not_served(
    engine: SqliteEngine, directory: Path
) -> None:
    log = await engine.open("shop")
    await commit(
        log,
        Commit(records=(Put("r", "k", b"v"), Put("r", "l", b"v")), intents=(intent(b"i" * 16),)),
    )
    _edit(
        directory / "shop.db",
        lambda connection: connection.execute(
            "UPDATE perdure_records SET value = x'00' WHERE key = 'k';"
            "UPDATE perdure_intents SET target = 'other'"
        ),
    )

    for asked in (log.record("r", "k"), log.records("r"), log.intents("emit")):
        with pytest.raises(Corrupt):
            await asked
    assert await log.record("r", "l") is not None
    await commit(log, Commit(records=(Put("r", "k", b"new"),)))
    assert await log.record("r", "k") is not None


async def test_an_entity_whose_last_event_is_damaged_takes_no_more(
    engine: SqliteEngine, directory: Path
) -> None:
    make = Maker()
    log = await engine.open("shop")
    await store(log, *make.events(2), make.event(BEN))
    _edit(directory / "shop.db", _spoil("version = 7", 2))

    answers = await asyncio.gather(
        store(log, make.event(BEN)),
        store(log, make.event(ANN)),
        store(log, make.event(CAT)),
        return_exceptions=True,
    )

    assert [type(answer).__name__ for answer in answers] == ["Committed", "Corrupt", "Committed"]
    with pytest.raises(Corrupt):
        await log.version(ANN)


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


async def _until_damage(log: Log, request: Read) -> tuple[list[RecordedEvent], Corrupt]:
    served: list[RecordedEvent] = []
    try:
        async for batch in log.read(request):
            served += batch
    except Corrupt as damage:
        return served, damage
    pytest.fail("no damage was found")


def _locked(path: Path) -> apsw.Connection:
    """Hold the lock for writing, as another process would."""
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    return connection


def _spoil(change: str, position: int) -> Callable[[apsw.Connection], None]:
    def spoil(connection: apsw.Connection) -> None:
        connection.execute(f"UPDATE perdure_events SET {change} WHERE position = {position}")

    return spoil


def _edit(path: Path, change: Callable[[apsw.Connection], object]) -> None:
    connection = apsw.Connection(str(path))
    change(connection)
    connection.close()


def _digest(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
        if path.stat().st_size and not path.name.endswith("-shm")
    }
