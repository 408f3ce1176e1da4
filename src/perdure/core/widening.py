"""What upcasters make of a reactor: it selects old names too, and reads them as what they are today.

A recorded event stays one delivery, with one version, one position and one place in the order, whatever
it comes to. Where that is one payload of one name, it goes to the reaction of that name as if it had been
recorded so. Where it depends on what is in it, ``PartsReaction`` folds its parts one after another.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from perdure.core.event_type import EventType
from perdure.core.reactions import Delivery, Models, Reaction
from perdure.core.reactor import Reactor
from perdure.core.upcasting import Upcasters
from perdure.vocabulary.errors import DefinitionError
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.jsontext import read_object


class Part(msgspec.Struct, frozen=True, gc=False):
    """One payload of several: its name today, and the key it belongs to (empty: that of its event)."""

    type: str
    payload: Any
    key: str


class Parts(msgspec.Struct, frozen=True, gc=False):
    """What an event comes to, of that which the reactor takes: the payload of a ``PartsReaction``."""

    items: tuple[Part, ...]

    def keys(self, of_event: str) -> Sequence[str]:
        """Give the keys they belong to, each once, in order."""
        return tuple(dict.fromkeys(part.key or of_event for part in self.items))


class PartsReaction(Reaction, frozen=True, kw_only=True):
    """Folds the parts of an event through the reactions of their names, in order."""

    by_type: Mapping[str, Reaction]

    def call(
        self, models: Models, run: Sequence[Delivery], key: str
    ) -> tuple[Models, Sequence[Any]]:
        """Fold those parts that belong to the key; give out all that they give out."""
        (delivery,) = run
        outputs: list[Any] = []
        for part in delivery.payload.items:
            if part.key in ("", key):
                event = msgspec.structs.replace(delivery.event, type=part.type)
                one = Delivery(event, part.payload, delivery.fresh)
                models, given = self.by_type[part.type].call(models, (one,), key)
                outputs += given
        return models, outputs


class Reading(msgspec.Struct, frozen=True):
    """How a reactor reads what may have been recorded in another shape.

    ``payloads`` are the types it takes as objects; the others it takes as dictionaries. ``by_parts`` are the
    recorded names that are read as ``Parts``, of the names ``taken``. ``key_of`` says which model a payload
    belongs to, where that is not its entity's.
    """

    upcasters: Upcasters
    payloads: Mapping[str, EventType]
    by_parts: frozenset[str]
    taken: frozenset[str]
    key_of: Callable[[Any, str], str] | None

    def read(self, event: RecordedEvent) -> Any:
        """Read an event's payload. Raises ``InvalidData``."""
        parts = self.upcasters.upcast(event.type, event.metadata, event.data)
        if event.type not in self.by_parts:
            ((name, data),) = parts
            return self._payload(name, data)
        return Parts(tuple(self._part(name, data) for name, data in parts if name in self.taken))

    def _part(self, name: str, data: bytes) -> Part:
        payload = self._payload(name, data)
        return Part(name, payload, self.key_of(payload, name) if self.key_of else "")

    def _payload(self, name: str, data: bytes) -> Any:
        declared = self.payloads.get(name)
        return declared.codec.decode(data) if declared else read_object(data)[0]


def widen(reactor: Reactor, upcasters: Upcasters) -> Reactor:
    """Give a reactor that takes the old names too.

    Raises ``DefinitionError`` for a reaction to a name that is another one today.
    """
    reactions = dict(reactor.reactions)
    by_parts: set[str] = set()
    for old, names in upcasters.comes_to.items():
        if old in reactor.reactions and old not in names:
            today = ", ".join(map(repr, sorted(names))) or "nothing"
            raise DefinitionError(
                f"{reactor.reactions[old].label}: {old!r} comes to {today} by an upcaster; take that"
            )
        taken = {n: reactor.reactions[n] for n in sorted(names) if n in reactor.reactions}
        if not taken:
            continue
        (first, *_) = taken.values()
        if old in upcasters.certain and (old in taken or not first.enveloped):
            reactions[old] = first
        else:
            by_parts.add(old)
            reactions[old] = _by_parts(taken)
    reading = Reading(
        upcasters,
        reactor.payloads,
        frozenset(by_parts),
        frozenset(reactor.reactions),
        reactor.key_of if reactor.keying == "field" else None,
    )
    return msgspec.structs.replace(
        reactor,
        criteria=msgspec.structs.replace(reactor.criteria, types=tuple(sorted(reactions))),
        reactions=reactions,
        payloads={n: t for n, t in reactor.payloads.items() if n not in upcasters.comes_to},
        older=reading.read,
    )


def _by_parts(taken: Mapping[str, Reaction]) -> PartsReaction:
    functions = dict.fromkeys(reaction.label for reaction in taken.values())
    first = next(iter(taken.values()))
    return PartsReaction(
        function=first.function,
        label=", ".join(functions),
        classes=(),
        models=(),
        wants=(),
        enveloped=False,
        batched=False,
        by_type=taken,
    )
