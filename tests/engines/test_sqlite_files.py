"""The files of the SQLite engine: whose they are, how they are opened, and which are left alone."""

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.engines.sqlite.connection import Store
from perdure.ports.engine import Capability, Log
from perdure.runtime.environment import SystemClock
from perdure.testing import ManualClock
from perdure.testing.conformance.samples import Maker, commit, store
from perdure.vocabulary.commits import Commit, Put, Statement, StatementFailed
from perdure.vocabulary.errors import ConfigurationError, InvalidName, Unavailable


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(directory, SystemClock())
    yield engine
    await engine.close()


@pytest.fixture
async def log(engine: SqliteEngine) -> Log:
    return await engine.open("shop")


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


def _newer(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO perdure_migrations VALUES (9000, '9000_x.sql', 'x')")


def _changed(connection: apsw.Connection) -> None:
    connection.execute("UPDATE perdure_migrations SET checksum = 'x'")


def _garbled(connection: apsw.Connection) -> None:
    connection.execute("UPDATE perdure_migrations SET checksum = CAST(x'61ff' AS TEXT)")


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_newer, "newer version"), (_changed, "other SQL"), (_garbled, "damaged")],
)
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
