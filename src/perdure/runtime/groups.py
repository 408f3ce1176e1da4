"""A group of readers that share the slots of a subscription.

Each reader has a record that moves while it lives, and holds the leases of its fair share of the slots: it
gives back what is too much, and takes what is free. Nobody decides for all; a reader that joins, leaves or
ends changes the shares, and within the time of a lease everyone has found out. ``Lease`` says when one is
free. The first to have joined have the bigger shares, so that who comes later moves little.
"""

import asyncio

from perdure.core.slots import fair_share
from perdure.ports.engine import Log
from perdure.ports.environment import Environment
from perdure.runtime.leases import KIND as LEASE
from perdure.runtime.leases import Lease, holder_of, process_of
from perdure.vocabulary.commits import Commit, Put, Record, RecordAt

KIND = "reader"


def lease_key(name: str, slot: int) -> str:
    """The key of the lease of a subscription's slot: not that of a reactor of the same name."""
    return f"subscription/{name}/{slot}"


class Group:
    """The readers of one subscription, as one of them sees it."""

    def __init__(
        self, log: Log, environment: Environment, name: str, slots: int, token: str, seconds: float
    ) -> None:
        self._log, self._environment, self._seconds = log, environment, seconds
        self._prefix = f"{name}/"
        self._key = f"{name}/{holder_of(environment, token)}"
        self._joined = 0
        self._seen: dict[str, tuple[int, float]] = {}
        self._leases = [
            Lease(log, environment, lease_key(name, slot), seconds, token=token)
            for slot in range(slots)
        ]

    @property
    def held(self) -> set[int]:
        """The slots that are this reader's, as far as it knows."""
        return {slot for slot, lease in enumerate(self._leases) if lease.held}

    async def renew(self) -> None:
        """Say that this reader is there; ``held`` is without what others have taken from it."""
        if await self._log.record(KIND, self._key) is None:
            # new; or the others took it to have ended, and then it comes last again
            self._joined = self._environment.clock.now()
        value = str(self._joined).encode()
        await self._log.commit([Commit(records=(Put(KIND, self._key, value),))])
        renewing = [lease.claim() for lease in self._leases if lease.held]
        for failed in await asyncio.gather(*renewing, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed

    async def share(self) -> int:
        """Give how many slots are this reader's part among those that live."""
        readers = await self._living()
        if self._key not in readers:
            return 0
        return fair_share(len(self._leases), len(readers), readers.index(self._key))

    async def take(self, count: int) -> None:
        """Take up to so many slots of those that are free."""
        keys = [lease.key for lease in self._leases]
        stored = {record.key: record for record in await self._log.records(LEASE, keys)}
        free = [  # looked at even if none is wanted: how long a lease stands still is known by looking
            lease for lease in self._leases if not lease.held and lease.see(stored.get(lease.key))
        ]
        for lease in free[: max(0, count)]:
            await lease.claim()

    async def give_back(self, slot: int) -> None:
        """Let others have a slot."""
        await self._leases[slot].give_back()

    async def leave(self) -> None:
        """Let others have everything."""
        await asyncio.gather(*(lease.give_back() for lease in self._leases))
        await self._log.commit([Commit(records=(Put(KIND, self._key, None),))])

    async def _living(self) -> list[str]:
        """Give the readers in the order of joining; those that have ended are forgotten."""
        now = self._environment.clock.monotonic()
        records = await self._log.records(KIND, prefix=self._prefix)
        before, self._seen = self._seen, {}
        living: list[tuple[int, str]] = []
        for record in records:
            revision, since = before.get(record.key, (-1, now))
            if revision != record.revision:
                since = now
            if self._has_ended(record, now - since):
                await self._forget(record)
            else:
                self._seen[record.key] = record.revision, since
                living.append((int(record.value), record.key))
        return [key for _, key in sorted(living)]

    def _has_ended(self, record: Record, still_seconds: float) -> bool:
        holder = record.key.removeprefix(self._prefix)
        is_gone = self._environment.node.is_gone(process_of(holder))
        return is_gone or still_seconds >= self._seconds

    async def _forget(self, record: Record) -> None:
        at = RecordAt(KIND, record.key, record.revision)
        await self._log.commit([Commit(guards=(at,), records=(Put(KIND, record.key, None),))])
