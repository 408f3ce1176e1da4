"""Deciding on a command: run the function, sort what it gave out. Pure: no clock, no store.

The same message and the same inputs give the same decision, ids included: that is what makes it safe to
decide again when somebody else was faster, and to compare a changed function with recorded history.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec

from perdure.core.definition import Definition
from perdure.core.handling import Handler, Message
from perdure.core.outputs import Giver, Outputs, Recorded, scope_of, sort_outputs
from perdure.vocabulary.errors import HandlerFailed, Rejected
from perdure.vocabulary.events import Metadata
from perdure.vocabulary.ids import decided_id, ticks_of

_encode = msgspec.json.Encoder().encode


class Decision(msgspec.Struct, frozen=True):
    """What was decided: what is given out, or the reason why not."""

    outputs: Outputs
    rejection: str | None = None


class Decider(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made by and about: a handler, and for an entity's its kind and id.

    ``target`` is the id as text; empty for a LOW handler.
    """

    definitions: Mapping[str, Definition]
    context: str
    handler: Handler
    kind: str = ""
    entity: bytes = b""
    target: str = ""

    def decide(
        self, message: Message, inputs: Sequence[Any], *, version: int, happened: int
    ) -> Decision:
        """Run the function on the inputs that go before and after its command.

        ``happened``: all that is known to have happened to the entities concerned, in ticks; what is decided
        happened after it. Raises ``HandlerFailed`` when the function raises anything but ``Rejected``, or
        gives what cannot be carried out.
        """
        handler = self.handler
        given = message.given(handler.wants, self.entity, version) if handler.wants else {}
        before, after = (inputs, ()) if self.kind else ((), inputs)
        outputs = Outputs()
        try:
            answer = handler.function(*before, message.command, *after, **given)
            sort_outputs(self._giver(message, happened), answer, outputs)
        except Rejected as rejection:
            return Decision(Outputs(), reason_of(handler, rejection))
        except Exception as failure:
            cause = f"{type(failure).__name__}: {failure}"
            raise HandlerFailed(handler.label, cause) from failure
        return Decision(outputs)

    def _giver(self, message: Message, happened: int) -> Giver:
        ticks = max(ticks_of(message.received_at), happened + 1, message.cause_ticks + 1)
        metadata = Metadata(
            principal=message.principal,
            correlation_id=message.correlation_id or message.id,
            causation_id=message.causation_id,
            command_id=message.id,
            traceparent=message.traceparent,
        )
        return Giver(
            definitions=self.definitions,
            context=self.context,
            label=self.handler.label,
            kind=self.kind,
            timers=scope_of(self.kind, self.target) if self.kind else "",
            key=self.target or message.id,
            entity=self.entity,
            recorded=Recorded.OWN if self.kind else Recorded.ANY,
            since=message.received_at,
            metadata=_encode(metadata),
            id_of=partial(decided_id, message.key, ticks),
        )


def reason_of(handler: Handler, rejection: Rejected) -> str:
    """Give the reason of a rejection, which stays for ever: text that can be stored."""
    reason: object = rejection.reason
    if isinstance(reason, str):
        with suppress(UnicodeEncodeError):
            reason.encode()
            return reason
    raise HandlerFailed(handler.label, f"it rejected with {repr(reason)[:200]}, which is no text")
