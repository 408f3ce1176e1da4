"""The published kit: what Perdure's own tests stand on, for yours.

``Scenario`` is given, when, then, for functions. ``open_app`` and ``run_until_idle`` drive an application
under a clock in a test's hands. ``triple_shuffle`` and ``every_order`` find out whether a model depends on
the order in which its events arrive. ``perdure.testing.commands`` makes commands from their types, and
``perdure.testing.conformance`` holds an engine of your own to the promises of ``ports.engine``; these two
need ``pip install 'perdure[testing]'``.
"""

from perdure.testing.apps import NeverAtRest as NeverAtRest
from perdure.testing.apps import OutlivingEngine as OutlivingEngine
from perdure.testing.apps import Rest as Rest
from perdure.testing.apps import let_pass as let_pass
from perdure.testing.apps import open_app as open_app
from perdure.testing.apps import run_until_idle as run_until_idle
from perdure.testing.clock import FixedNode as FixedNode
from perdure.testing.clock import ManualClock as ManualClock
from perdure.testing.clock import ManualEnvironment as ManualEnvironment
from perdure.testing.clock import SeededChance as SeededChance
from perdure.testing.delivery import every_order as every_order
from perdure.testing.scenarios import Decided as Decided
from perdure.testing.scenarios import Reacted as Reacted
from perdure.testing.scenarios import Scenario as Scenario
from perdure.testing.shuffle import triple_shuffle as triple_shuffle
from perdure.testing.telling import Compared as Compared
from perdure.testing.telling import OrderMatters as OrderMatters

__all__ = [
    "Compared",
    "Decided",
    "every_order",
    "FixedNode",
    "let_pass",
    "ManualClock",
    "ManualEnvironment",
    "NeverAtRest",
    "open_app",
    "OrderMatters",
    "OutlivingEngine",
    "Reacted",
    "Rest",
    "run_until_idle",
    "Scenario",
    "SeededChance",
    "triple_shuffle",
]
