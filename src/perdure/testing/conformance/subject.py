"""What a user of the suite fills in, and what every part of the suite asks for.

One rule: the suite never looks at what an engine *is*. It reads what is declared here, and a test of
something that was not declared is skipped and says so.
"""

from collections.abc import Sequence, Set

import pytest

from perdure.ports.engine import Capability, Engine, Log
from perdure.testing.conformance.samples import Maker
from perdure.vocabulary.commits import Commit


class EngineUnderTest:
    """The engine, by its fixture ``engine``, and what it declares about itself."""

    #: What the engine can do. The rest of the suite is skipped, visibly.
    capabilities: Set[Capability] = frozenset()
    #: Tables that user's SQL must not reach: the engine's own, and the catalogue of the database.
    own_tables: Sequence[str] = ()
    #: How a bound value is written in SQL.
    placeholder = "?"

    async def reopen(self, engine: Engine) -> Engine:
        """Close a ``DURABLE`` engine, and give another on the same store."""
        raise NotImplementedError("a durable engine says how its store is opened again")

    async def another(self, engine: Engine) -> Engine:
        """Give a second engine on the store of a ``SHARED`` one, as another process would open it."""
        raise NotImplementedError("a shared engine says how its store is opened twice")

    def oversize(self) -> Commit | None:
        """Give a commit too big for the engine, or ``None`` when it has no limit of its own."""
        return None

    def require(self, capability: Capability) -> None:
        """Skip the test, unless the engine declares the capability."""
        if capability not in self.capabilities:
            pytest.skip(f"capability not declared: {capability.name}")

    @pytest.fixture
    async def log(self, engine: Engine) -> Log:
        """An empty log."""
        return await engine.open("conformance")

    @pytest.fixture
    def make(self) -> Maker:
        """Where a test gets its events."""
        return Maker()
