"""The models of one reactor: loaded when needed, cached while they are worked on.

A cache only: emptied, it changes no answer. What is in it is what the last commit of this node wrote, and
the compare-and-set on the checkpoint throws the whole of it away when another node has written.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from perdure.core.folding import KEPT_MAX, Place, State, keep, read_state, write_state
from perdure.core.reacting import RecordNames
from perdure.core.reactor import Reactor
from perdure.ports.engine import Log
from perdure.vocabulary.commits import Put


class Shelved(msgspec.Struct, frozen=True, gc=False):
    """A state, with the kept states of its key in their slots; ``None``: not loaded."""

    state: State
    kept: dict[int, State] | None


class Shelf:
    """The states of one reactor's keys."""

    def __init__(self, log: Log, reactor: Reactor, names: RecordNames, capacity: int) -> None:
        self._log, self._reactor, self._names = log, reactor, names
        self._capacity = capacity
        self._shelved: OrderedDict[str, Shelved] = OrderedDict()
        self.generation = 1

    def initial(self) -> State:
        """Give the state of a key never seen."""
        return State(self._reactor.begin())

    def clear(self) -> None:
        """Forget everything."""
        self._shelved.clear()

    def get(self, key: str) -> Shelved:
        """Give a key's state; ``load`` must have seen it."""
        return self._shelved[key]

    def set(self, key: str, shelved: Shelved) -> None:
        """Replace a key's state."""
        self._shelved[key] = shelved

    def trim(self) -> None:
        """Let go of the keys that were used longest ago."""
        while len(self._shelved) > self._capacity:
            self._shelved.popitem(last=False)

    async def load(self, keys: Iterable[str]) -> None:
        """Bring the states of these keys in: from the log's records, or the initial one."""
        missing = []
        for key in keys:
            if key in self._shelved:
                self._shelved.move_to_end(key)
            else:
                missing.append(key)
        if not missing:
            return
        by_record = {self._names.model(self.generation, key): key for key in missing}
        found = {}
        for record in await self._log.records("model", list(by_record)):
            found[by_record[record.key]] = Shelved(read_state(self._reactor, record.value), None)
        for key in missing:
            self._shelved[key] = found.get(key) or Shelved(self.initial(), {})

    async def kept(self, key: str) -> dict[int, State]:
        """Give the kept states of a key, by slot."""
        shelved = self._shelved[key]
        if shelved.kept is None:
            slots = {self._names.kept(self.generation, key, slot): slot for slot in range(KEPT_MAX)}
            records = await self._log.records("kept", list(slots))
            kept = {slots[r.key]: read_state(self._reactor, r.value) for r in records}
            shelved = self._shelved[key] = Shelved(shelved.state, kept)
        return shelved.kept or {}

    def put(self, key: str, state: State, fresh: Sequence[State], late: Place | None) -> list[Put]:
        """Shelve a new state, and give the records to write for it.

        ``fresh`` are states to keep that the fold passed; ``late`` the place before which older kept
        states stay valid. Kept states must be loaded when there is either.
        """
        kept = self._shelved[key].kept
        value = write_state(self._reactor, state) if state.count else None  # as if never seen
        puts = [Put("model", self._names.model(self.generation, key), value)]
        if fresh or late is not None:
            kept = self._put_kept(key, kept or {}, fresh, late, puts)
        self._shelved[key] = Shelved(state, kept)
        return puts

    def _put_kept(
        self,
        key: str,
        old: dict[int, State],
        fresh: Sequence[State],
        late: Place | None,
        puts: list[Put],
    ) -> dict[int, State]:
        """Choose which states to keep, each in a slot of its own, and add what changes."""
        chosen = keep(sorted(old.values(), key=lambda s: s.count), fresh, late)
        slots = {slot: s for slot, s in old.items() if any(s is c for c in chosen)}
        free = [slot for slot in range(KEPT_MAX) if slot not in slots]
        for one in chosen:
            if not any(one is s for s in slots.values()):
                slot = free.pop(0)
                slots[slot] = one
                puts.append(self._keep(key, slot, write_state(self._reactor, one)))
        puts += [self._keep(key, slot, None) for slot in old.keys() - slots.keys()]
        return slots

    def _keep(self, key: str, slot: int, value: bytes | None) -> Put:
        return Put("kept", self._names.kept(self.generation, key, slot), value)
