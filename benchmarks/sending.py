"""A kind of entity that decides, and who sends it commands."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from uuid import UUID

import msgspec

from benchmarks import workload
from benchmarks.workload import ItemAdded, Tally
from perdure import App, Context, EntityRef, Rejected


class AddItem(msgspec.Struct, frozen=True):
    """The command."""

    item: ItemAdded


def add(state: Tally, command: AddItem) -> ItemAdded:
    """Decide: whatever is asked for is added."""
    return command.item


class Shop:
    """A context with a kind of entity that folds as the peer's aggregate does."""

    def __init__(self) -> None:
        self.context = Context(workload.CONTEXT)
        self.context.event(workload.TYPE)(ItemAdded)
        self._basket = self.context.entity("basket", Tally)
        self._basket.update(workload.added)
        self._basket.handle(add)

    def __getitem__(self, entity: bytes) -> EntityRef[Tally]:
        return self._basket[UUID(bytes=entity)]


class Sender:
    """Sends commands to an application."""

    def __init__(self, app: App, shop: Shop) -> None:
        self._app, self._shop = app, shop
        self._commands = [
            AddItem(msgspec.json.decode(payload, type=ItemAdded)) for payload in workload.payloads()
        ]

    async def send(self, entities: Sequence[bytes], tasks: int = 1) -> list[float]:
        """Send a command to each entity, one by one from so many tasks; give the seconds of each."""
        seconds: list[float] = []
        if tasks == 1:
            await self._send_each(entities, seconds)
        else:
            async with asyncio.TaskGroup() as group:
                for number in range(tasks):
                    group.create_task(self._send_each(entities[number::tasks], seconds))
        return seconds

    async def _send_each(self, entities: Sequence[bytes], seconds: list[float]) -> None:
        for number, entity in enumerate(entities):
            command = self._commands[number % len(self._commands)]
            began = perf_counter()
            outcome = await self._app.send(self._shop[entity], command)
            seconds.append(perf_counter() - began)
            if isinstance(outcome, Rejected):
                raise outcome
