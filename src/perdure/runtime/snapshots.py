"""Snapshots of entities: kept beside the log so that a long history need not be folded each time.

Never needed. One that is stale, damaged, of another shape or of another history is left aside with a line
in the log and a count, and the entity is folded from its events. It stands in the commit of the events
that made it due, so that it is of a state that exists.
"""

from hashlib import blake2b
from typing import Any

import msgspec

from perdure.core.kinds import EntityState, Kind
from perdure.core.shapes import shape_fingerprint
from perdure.ports.engine import Log
from perdure.runtime.logs import logger as make_logger
from perdure.runtime.telemetry import Meter
from perdure.vocabulary.commits import Put
from perdure.vocabulary.errors import Corrupt, InvalidData
from perdure.vocabulary.ids import id_text

KIND = "snapshot"

logger = make_logger("perdure.snapshots")


class _Head(msgspec.Struct, frozen=True):
    """Where a snapshot stands, and for which functions it is good."""

    version: int
    ticks: int
    position: int
    shape: str


class Snapshots:
    """Reads and writes the snapshots of one context's entities."""

    def __init__(self, log: Log, meter: Meter) -> None:
        self._log, self._meter = log, meter
        self._shapes: dict[str, str] = {}

    def write(self, kind: Kind, entity: bytes, state: EntityState) -> list[Put]:
        """Give the record of a snapshot, in the slot of its turn; none of a state that JSON cannot hold."""
        every = kind.declared.snapshot_every
        slot = state.version // every % kind.declared.snapshots_kept
        head = _Head(state.version, state.ticks, state.position, self._shape(kind))
        codec = kind.reactor.codecs[0]
        try:
            json = codec.encode(state.state)
            comes_back = _is_same(codec.decode(json), state.state)
        except Exception as fault:
            self.complain(kind, entity, f"it cannot be written: {fault}")
            return []
        if not comes_back:
            self.complain(kind, entity, "it would be read as another state than it was written of")
            return []
        return [Put(KIND, _key(kind, entity, slot), msgspec.json.encode(head) + b"\n" + json)]

    async def read(self, kind: Kind, entity: bytes) -> list[EntityState]:
        """Give the snapshots that can be used, the latest first."""
        if not kind.declared.snapshot_every:
            return []
        found = []
        for slot in range(kind.declared.snapshots_kept):
            try:
                record = await self._log.record(KIND, _key(kind, entity, slot))
            except Corrupt as fault:
                self.complain(kind, entity, str(fault))
                continue
            try:
                found += [] if record is None else [self._decode(kind, record.value)]
            except Exception as fault:  # the state's class may raise anything
                self.complain(kind, entity, f"{type(fault).__name__}: {fault}")
        return sorted(found, key=lambda state: state.version, reverse=True)

    def complain(self, kind: Kind, entity: bytes, why: str) -> None:
        """Say that a snapshot was left aside."""
        self._meter.counters["snapshots_ignored"] += 1
        logger.warning("snapshot ignored", kind=kind.name, entity=id_text(entity), cause=why)

    def _decode(self, kind: Kind, value: bytes) -> EntityState:
        head_line, _, json = value.partition(b"\n")
        head = msgspec.json.decode(head_line, type=_Head)
        if head.shape != self._shape(kind):
            raise InvalidData("it is of another shape, or of another version of the functions")
        state = kind.reactor.codecs[0].decode(json)
        return EntityState(state, head.version, head.ticks, head.position, head.version)

    def _shape(self, kind: Kind) -> str:
        shape = self._shapes.get(kind.name)
        if shape is None:
            text = f"{kind.declared.version}/{shape_fingerprint(kind.declared.state)}"
            shape = self._shapes[kind.name] = blake2b(text.encode(), digest_size=8).hexdigest()
        return shape


def _is_same(read: Any, written: Any) -> bool:
    """Tell whether a state came back as it was; one whose class knows no equality is taken for it."""
    knows_equality = getattr(type(written), "__eq__", None) is not getattr(object, "__eq__", None)
    return not knows_equality or bool(read == written)


def _key(kind: Kind, entity: bytes, slot: int) -> str:
    return f"{kind.name}/{id_text(entity)}/{slot}"
