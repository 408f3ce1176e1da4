"""A saga as the user declares it: it coordinates over time, and keeps where it stands.

The same shape as a service: a model and an event come to a model and what is given out. Besides events it
reacts to what became of the commands it sent, and it can say that it is finished.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from perdure.core.service import Service

M = TypeVar("M")


class Saga(Service[M]):
    """A process over several entities. Made by ``Context.saga``; ``transfer[key]`` names one.

    ``react`` takes events, and ``Done[Command]`` and ``Refused[Command]``: the outcomes of the commands that
    this saga sent. Events are taken as they are recorded, one after another for a key. ``Complete()`` among
    what it gives out ends it: whatever comes later for its key is passed over.
    """

    def __init__(
        self, context: str, name: str, model: type[M], *, by: str | Callable[[Any], object]
    ) -> None:
        super().__init__(
            context,
            name,
            model,
            single=False,
            by=by,
            order="recorded",
            domains=(),
            emit_history=False,
        )
