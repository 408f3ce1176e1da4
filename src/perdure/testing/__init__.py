"""The published kit: what Perdure's own tests stand on, for yours.

Here is an environment that a test controls. ``perdure.testing.conformance`` holds an engine of your own
to the promises of ``ports.engine``; it alone needs pytest and Hypothesis.
"""

from perdure.testing.clock import FixedNode, ManualClock, ManualEnvironment, SeededChance

__all__ = ["FixedNode", "ManualClock", "ManualEnvironment", "SeededChance"]
