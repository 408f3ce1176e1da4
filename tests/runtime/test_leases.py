"""Several nodes over one store: one works a slot at a time, and changing over loses and doubles nothing."""

import asyncio
from dataclasses import dataclass
from uuid import UUID, uuid4

import msgspec
import pytest

from perdure import App, Context, Settings
from perdure.ports.engine import Log
from perdure.runtime.environment import SystemEnvironment
from perdure.runtime.leases import process_of
from perdure.testing import FixedNode
from perdure.vocabulary.commits import Commit, Put
from tests.runtime.support import Opener, OutlivingEngine, at_second, opener

__all__ = ["opener"]


@dataclass(frozen=True)
class Added:
    number: int


@dataclass(frozen=True)
class Noticed:
    number: int


@dataclass(frozen=True)
class Told:
    numbers: tuple[int, ...] = ()


def shop() -> Context:
    context = Context("shop")
    context.event(Added)
    context.event(Noticed)
    cart = context.service("cart", Told)

    @cart.react
    def added(model: Told, event: Added) -> tuple[Told, list[Noticed]]:
        return Told((*model.numbers, event.number)), [Noticed(event.number)]

    return context


class Cluster:
    """Nodes over one store, each with a name; ``gone`` are those known to have ended."""

    def __init__(self, *gone: str, lease_seconds: float = 60) -> None:
        self.engine = OutlivingEngine(SystemEnvironment().clock)
        self._gone, self._settings = gone, Settings(lease_seconds=lease_seconds)

    def node(self, name: str) -> App:
        environment = SystemEnvironment()
        environment.node = FixedNode(name, self._gone)  # type: ignore[assignment]
        return App([shop()], self.engine, environment, self._settings, version="test")

    async def log(self) -> Log:
        return await self.engine.open("shop")

    async def holder(self, slot: str) -> str:
        record = await (await self.log()).record("lease", slot)
        return process_of(record.value.decode()) if record else ""

    async def is_held_by(self, slot: str, name: str) -> None:
        while await self.holder(slot) != name:
            await asyncio.sleep(0.001)


async def numbers(app: App, cart: UUID, token: int) -> tuple[int, ...]:
    view = await app.context("shop").models.read("cart", str(cart), after=token, wait_seconds=10)
    return msgspec.json.decode(view.json, type=Told).numbers


async def test_one_of_two_nodes_works_and_both_answer() -> None:
    cluster, cart, context = Cluster(), uuid4(), shop()

    async with cluster.node("one") as one, cluster.node("two") as two:
        for n in range(20):
            app = (one, two)[n % 2]
            token = (await app.append(context.new(cart, Added(n), id=at_second(n)))).position

        assert (
            await numbers(one, cart, token) == await numbers(two, cart, token) == tuple(range(20))
        )
        worked = [app.context("shop").loops["cart"].folded for app in (one, two)]

    assert sorted(worked) == [0, 20]


async def test_the_other_node_takes_over_and_nothing_is_given_out_twice() -> None:
    cluster, cart, context = Cluster(lease_seconds=0.5), uuid4(), shop()

    async with cluster.node("two") as two:
        await cluster.is_held_by("cart/0", "two")
        async with cluster.node("one") as one:
            for n in range(10):
                await two.append(context.new(cart, Added(n), id=at_second(n)))
            await two.context("shop").stop()  # gives the lease back
            await cluster.is_held_by("cart/0", "one")
            for n in range(10, 20):
                token = (await one.append(context.new(cart, Added(n), id=at_second(n)))).position
            assert await numbers(one, cart, token) == tuple(range(20))
            live = one.context("shop")
            while await live.log.intents("emit"):
                await live.log.advanced(await live.log.head(), 0.02)
            noticed = [event async for event in one.events() if event.type == "noticed"]

    assert len(noticed) == 20


async def test_the_lease_of_a_node_that_is_gone_is_taken_at_once() -> None:
    cluster, cart, context = Cluster("dead"), uuid4(), shop()
    log = await cluster.log()
    await log.commit([Commit(records=(Put("lease", "cart/0", b"dead"),))])

    async with cluster.node("one") as one:
        token = (await one.append(context.new(cart, Added(1)))).position

        assert await numbers(one, cart, token) == (1,)


async def test_the_lease_of_a_node_that_hangs_is_taken_when_it_has_not_moved() -> None:
    cluster, cart, context = Cluster(lease_seconds=0.2), uuid4(), shop()
    log = await cluster.log()
    await log.commit([Commit(records=(Put("lease", "cart/0", b"hanging"),))])

    async with cluster.node("one") as one:
        token = (await one.append(context.new(cart, Added(1)))).position

        assert await numbers(one, cart, token) == (1,)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 50])
async def test_an_application_that_closes_while_it_takes_leases_keeps_none(
    opener: Opener, turns: int
) -> None:
    async with opener(shop()):
        for _ in range(turns):
            await asyncio.sleep(0)

    async with opener(shop(), react=False) as app:
        leases = await app.context("shop").log.records("lease")

    assert {lease.value for lease in leases} <= {b""}


async def test_a_node_that_wakes_up_after_its_lease_was_taken_cannot_commit() -> None:
    """What keeps two workers apart is the checkpoint: here both work, and each event counts once."""
    cluster, cart, context = Cluster(), uuid4(), shop()

    async with cluster.node("one") as one, cluster.node("two") as two:
        await cluster.is_held_by("cart/0", "one")
        zombie = asyncio.create_task(two.context("shop").loops["cart"].run())
        for n in range(50):
            token = (await one.append(context.new(cart, Added(n), id=at_second(n)))).position
        assert await numbers(one, cart, token) == tuple(range(50))
        zombie.cancel()
        await asyncio.gather(zombie, return_exceptions=True)
        live = one.context("shop")
        while await live.log.intents("emit"):
            await live.log.advanced(await live.log.head(), 0.02)
        noticed = [event async for event in one.events() if event.type == "noticed"]

    assert len(noticed) == 50
