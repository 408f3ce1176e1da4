"""What is due and not yet under way, in memory: lane by lane, in the order it was given out.

Read once from the store and added to, so that a long backlog is not read again for each delivery. Of each
target only so many are held: what comes behind those in their lanes waits in the store until there is room.
"""

from collections import Counter, deque
from collections.abc import Iterator
from typing import TypeAlias

from perdure.vocabulary.commits import Intent

#: What is carried out in order.
Lane: TypeAlias = tuple[str, str]


class Backlog:
    """The due intents of one context; ``most`` of each target are held."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lanes: dict[Lane, deque[Intent]] = {}
        self._held: set[bytes] = set()
        self._count: Counter[str] = Counter()
        self._left_out: set[Lane] = set()
        self._cut_short: set[str] = set()

    @property
    def wants_more(self) -> bool:
        """Whether the store holds more, and there is room for it now."""
        return any(self._count[target] < self._most // 4 for target in self._cut_short)

    def add(self, lane: Lane, intent: Intent) -> None:
        """Add an intent that was read, behind those of its lane; once."""
        if intent.id in self._held:
            return
        if lane in self._left_out or self._count[intent.target] >= self._most:
            self._left_out.add(lane)
            self._cut_short.add(intent.target)
            return
        self._lanes.setdefault(lane, deque()).append(intent)
        self._held.add(intent.id)
        self._count[intent.target] += 1

    def put_back(self, lane: Lane, intent: Intent) -> None:
        """Put an intent that was not carried out before those of its lane."""
        if intent.id not in self._held:
            self._lanes.setdefault(lane, deque()).appendleft(intent)
            self._held.add(intent.id)
            self._count[intent.target] += 1

    def heads(self) -> Iterator[tuple[Lane, Intent]]:
        """Give the first of each lane; lanes may be taken from meanwhile."""
        for lane, intents in list(self._lanes.items()):
            yield lane, intents[0]

    def take(self, lane: Lane) -> Intent:
        """Take the first of a lane."""
        intents = self._lanes[lane]
        intent = intents.popleft()
        if not intents:
            del self._lanes[lane]
        self._held.discard(intent.id)
        self._count[intent.target] -= 1
        return intent
