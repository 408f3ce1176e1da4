"""The conformance suite: every sentence of ``ports.engine``, as tests that any engine can be put to.

A class of your own names the engine; pytest (with pytest-asyncio in auto mode) and Hypothesis do the
rest::

    class TestMyEngine(EngineConformance):
        capabilities = {Capability.DURABLE}

        @pytest.fixture
        async def engine(self, tmp_path):
            engine = await MyEngine.start(tmp_path)
            yield engine
            await engine.close()

        async def reopen(self, engine):
            await engine.close()
            return await MyEngine.start(engine.path)

Each test gets an engine with nothing in it, under a clock that goes by itself. What is not declared is
skipped, and says so. ``EngineUnderTest`` tells what else may be declared.
"""

from perdure.testing.conformance.commits import Commits
from perdure.testing.conformance.durability import Durability
from perdure.testing.conformance.forbidden import Forbidden
from perdure.testing.conformance.guards import Guards
from perdure.testing.conformance.idempotence import Idempotence
from perdure.testing.conformance.intents import Intents, Turns
from perdure.testing.conformance.isolation import Isolation
from perdure.testing.conformance.lookups import Lookups
from perdure.testing.conformance.model import Model
from perdure.testing.conformance.neighbours import Neighbours
from perdure.testing.conformance.reads import Reads
from perdure.testing.conformance.records import Records
from perdure.testing.conformance.sharing import Sharing
from perdure.testing.conformance.statements import Statements
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.testing.conformance.waiting import Waiting

__all__ = ["EngineConformance", "EngineUnderTest"]


class EngineConformance(
    Commits,
    Idempotence,
    Guards,
    Reads,
    Lookups,
    Waiting,
    Records,
    Intents,
    Turns,
    Statements,
    Forbidden,
    Neighbours,
    Isolation,
    Durability,
    Sharing,
    Model,
):
    """All of the suite. Subclass it under a name that begins with ``Test``."""
