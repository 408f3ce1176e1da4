"""Reacting to a batch of recorded events: which key each belongs to, and what is written afterwards.

Everything a reactor keeps is named here, in ``RecordNames``: checkpoint, models, kept states, ledger,
parked keys, discarded events and lease.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import msgspec

from perdure.core.definition import Definition
from perdure.core.folding import Given
from perdure.core.outputs import Giver, Outputs, Recorded, scope_of, sort_outputs
from perdure.core.reactions import Delivery
from perdure.core.reactor import Reactor
from perdure.core.widening import Parts
from perdure.vocabulary.events import Metadata, RecordedEvent
from perdure.vocabulary.ids import emitted_id, id_text


class Checkpoint(msgspec.Struct, frozen=True):
    """How far a reactor's slot has come.

    ``live_from`` is the head when the reactor was first seen: it gives out nothing for events up to
    there. ``generation`` counts its rebuilds. ``degraded``: an event could not be read.
    """

    position: int = 0
    live_from: int = 0
    generation: int = 1
    degraded: bool = False


class ParkedKey(msgspec.Struct, frozen=True):
    """A key that stands still: ``position`` fails, and nothing from ``since`` on is folded.

    ``source``: an event of this *entity* could not be read, so its events wait, whatever their key.
    ``code``: where a function did not return, the fingerprint of what was called; with it the event's
    ``type``, and the ``seconds`` that were waited. It is not tried again until one of them has changed.
    ``left_out`` is the id of a discarded event that the model still holds: before anything else the key is
    folded again from there.
    """

    key: str
    since: int
    position: int
    event_id: str
    cause: str
    traceback: str
    attempts: int
    source: bool = False
    code: str = ""
    type: str = ""
    seconds: float = 0
    left_out: str = ""


class Unreadable(msgspec.Struct, frozen=True):
    """An event whose payload or key could not be read."""

    event: RecordedEvent
    failure: Exception


class Routed(msgspec.Struct, frozen=True):
    """A batch sorted out: deliveries by key, and the events that could not be read."""

    by_key: dict[str, list[Delivery]]
    unreadable: list[Unreadable]


class RecordNames(msgspec.Struct, frozen=True):
    """The record kinds and keys of one reactor's slot."""

    reactor: str
    slot: int = 0

    @property
    def slot_key(self) -> str:
        """The key of the checkpoint and of the lease."""
        return f"{self.reactor}/{self.slot}"

    def model(self, generation: int, key: str) -> str:
        """The key of a model; with an empty key, the prefix of them all."""
        return f"{self.reactor}/{generation}/{key}"

    def kept(self, generation: int, key: str, slot: int) -> str:
        """The key of one kept state of a model."""
        return f"{self.reactor}/{generation}/{slot:02}/{key}"

    def ledger(self, generation: int, key: str, event: RecordedEvent | None = None) -> str:
        """The key of a ledger entry; without an event, the prefix of the model key's entries."""
        place = "" if event is None else f"{event.ticks:016x}{event.id.hex()}"
        return f"{self.reactor}/{generation}/{key}/{place}"

    def of_generation(self, generation: int) -> tuple[tuple[str, str], ...]:
        """Give the kind and the prefix of all records of one generation's models."""
        prefix = f"{self.reactor}/{generation}/"
        return ("model", prefix), ("kept", prefix), ("ledger", prefix)

    def parked(self, key: str, *, source: bool = False) -> str:
        """The key of a parked key's record; with an empty key, the prefix of them all.

        What an operator asks for it has a record of another kind under the same key.
        """
        return f"{self.reactor}/{'source' if source else 'key'}/{key}"

    def discarded(self, key: str, event_id: str = "", *, source: bool = False) -> str:
        """The key of a discarded event's record; without the event, the prefix of those of the key."""
        return f"{self.parked(key, source=source)}/{event_id}"


def route(
    reactor: Reactor,
    events: Iterable[RecordedEvent],
    waiting: Mapping[str, ParkedKey],
    routed: Routed,
    *,
    live_from: int,
) -> None:
    """Read each event and find its key, adding to what was routed before.

    Events of waiting sources are left out: they queue.
    """
    by_key, unreadable = routed.by_key, routed.unreadable
    blocked = {*waiting, *(id_text(one.event.entity) for one in unreadable)}
    read, gives_history = reactor.read, reactor.emit_history
    by_entity = reactor.keying == "entity"
    texts: dict[bytes, str] = {}
    for event in events:
        if blocked and id_text(event.entity) in blocked:
            continue
        try:
            payload = read(event)
            if by_entity:
                key = texts.get(event.entity) or texts.setdefault(
                    event.entity, id_text(event.entity)
                )
            elif type(payload) is Parts:
                key = ""
            else:
                key = reactor.key_of(payload, event.type)
            fresh = gives_history or (event.position > live_from and not event.is_imported)
        except Exception as failure:
            unreadable.append(Unreadable(event, failure))
            blocked.add(id_text(event.entity))
            continue
        if type(payload) is Parts:
            for one in payload.keys(key):
                by_key.setdefault(one, []).append(Delivery(event, payload, fresh))
        else:
            by_key.setdefault(key, []).append(Delivery(event, payload, fresh))


def history(reactor: Reactor, events: Iterable[RecordedEvent]) -> list[Delivery]:
    """Make deliveries of events that were processed before: they give out nothing again."""
    deliveries = [Delivery(event, reactor.read(event), fresh=False) for event in events]
    return [d for d in deliveries if type(d.payload) is not Parts or d.payload.items]


def give_out(
    definitions: Mapping[str, Definition],
    context: str,
    reactor: Reactor,
    key: str,
    given: Sequence[Given],
) -> Outputs:
    """Freeze what was given out: all of it becomes intents.

    Raises ``InvalidData`` for an output that cannot be carried out.
    """
    outputs = Outputs()
    places: dict[bytes, int] = {}
    for one in given:
        cause = one.cause
        giver = Giver(
            definitions=definitions,
            context=context,
            label=reactor.name,
            kind="",
            timers=scope_of(reactor.name, key),
            key=key,
            entity=cause.entity,
            recorded=Recorded.NONE,
            since=cause.recorded_at,
            metadata=caused_by(cause),
            id_of=partial(emitted_id, reactor.name, key, cause.id),
            saga=reactor.name if reactor.is_saga else "",
        )
        first = places.get(cause.id, 0)
        places[cause.id] = sort_outputs(giver, one.outputs, outputs, first=first)
    return outputs


def caused_by(cause: RecordedEvent) -> bytes:
    """Make the metadata of an event that another one caused: one correlation runs through."""
    text = id_text(cause.id)
    known = msgspec.json.decode(cause.metadata, type=Metadata) if cause.metadata else Metadata()
    return msgspec.json.encode(
        Metadata(
            correlation_id=known.correlation_id or text,
            causation_id=text,
            traceparent=known.traceparent,
        )
    )
