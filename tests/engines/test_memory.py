"""The memory engine keeps the promises of the port, and engines that break them are found out."""

from collections.abc import AsyncIterator

import pytest

from perdure.engines.memory import MemoryEngine
from perdure.runtime.environment import SystemClock
from perdure.testing.conformance import EngineConformance


class TestMemoryEngine(EngineConformance):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[MemoryEngine]:
        engine = MemoryEngine(SystemClock())
        yield engine
        await engine.close()
