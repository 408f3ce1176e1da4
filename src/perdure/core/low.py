"""A lookup-operate-write handler as the user declares it.

*Lookup* names what the decision rests on, *operate* is the pure decision, *write* says what else the
events it gave out change. The shell does the three, in one commit, on condition that nothing looked up
has changed.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from perdure.vocabulary.references import Matching, ModelRef

#: What ``needs(command)`` may give: one thing to look up, or a tuple of them.
Lookup: TypeAlias = ModelRef[Any] | Matching[Any]
Needs: TypeAlias = Callable[[Any], Lookup | tuple[Lookup, ...]]


class LowDeclaration(msgspec.Struct, frozen=True):
    """A decision over several things. See ``Context.low``."""

    needs: Needs | None
    operate: Callable[..., Any]
