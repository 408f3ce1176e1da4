"""The SQLite engine keeps the promises of the port, and those of its files."""

from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from perdure.engines.sqlite import SqliteEngine, SqliteSettings
from perdure.ports.engine import Capability, Engine
from perdure.runtime.environment import SystemClock
from perdure.testing.conformance import EngineConformance


class TestSqliteEngine(EngineConformance):
    capabilities: AbstractSet[Capability] = frozenset(
        {Capability.DURABLE, Capability.SHARED, Capability.STATEMENTS}
    )
    own_tables: Sequence[str] = (
        "perdure_events",
        "PERDURE_ENTITIES",
        "perdure_names",
        "perdure_records",
        "perdure_intents",
        "perdure_migrations",
        "sqlite_schema",
        "sqlite_master",
        "main.perdure_events",
    )

    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        return tmp_path / "store"

    @pytest.fixture
    async def engine(self, directory: Path) -> AsyncIterator[SqliteEngine]:
        engine = SqliteEngine(
            directory, SystemClock(), settings=SqliteSettings(statement_seconds=0.2)
        )
        yield engine
        await engine.close()

    async def reopen(self, engine: Engine) -> SqliteEngine:
        await engine.close()
        return await self.another(engine)

    async def another(self, engine: Engine) -> SqliteEngine:
        assert isinstance(engine, SqliteEngine)
        return SqliteEngine(engine.directory, SystemClock())
