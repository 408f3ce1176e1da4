"""Commands through the library, against the peer that does the same work: load, decide, commit.

So many tasks send one command at a time, to entities of their own, each when its last is answered.
*Cached*: the state is in memory; the peer's in the cache of its repository. *Cold*: nothing is kept, so that
every command reads and folds the events of its entity first.

Ours leaves the record of its outcome beside the event, and the commit is guarded by the entity's version;
the peer does the second alone.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice, product
from time import perf_counter
from typing import Any, Literal

import msgspec

import perdure
from benchmarks import workload
from benchmarks.measure import Benchmark, Row, Run
from benchmarks.one_command import costs
from benchmarks.peer import Peer
from benchmarks.sending import Sender, Shop
from benchmarks.stores import Stores, record, store_url
from perdure import NewEvent
from perdure.transports.server import new_event_loop

Memory = Literal["cached", "cold"]

#: Entities, by their past events; tasks divide them evenly. A round adds a few events to each.
ENTITIES = {20: 1_536, 500: 128}
#: Commands in a round, at so many at once.
CACHED = {1: 600, 32: 4_800, 128: 7_680}
COLD = {20: {1: 300, 32: 1_024, 128: 1_536}, 500: {1: 100, 32: 192, 128: 256}}
PEER = {20: 256, 500: 128}
AIMS: dict[tuple[Memory, int], float] = {
    ("cached", 1): 2,
    ("cached", 128): 20,
    ("cold", 1): 2,
    ("cold", 128): 12,
}
MEMORIES: tuple[Memory, ...] = ("cached", "cold")
CASES = list(product(MEMORIES, ENTITIES, CACHED))
CACHED_ENTITIES: dict[Memory, int] = {"cached": 20_000, "cold": 1}


class Sides:
    """Both sides, cached and cold, and the runs of a round."""

    def __init__(
        self,
        stores: Stores,
        runner: asyncio.Runner,
        senders: dict[Memory, Sender],
        peers: dict[Memory, Peer],
    ) -> None:
        self._stores, self._runner = stores, runner
        self._senders, self._peers = senders, peers
        self._groups = _groups(stores)
        self._items: list[dict[str, Any]] = [msgspec.json.decode(p) for p in workload.payloads()]
        self._sent = 0

    def runs(self) -> Iterator[Run]:
        """Ours, then the peer, in each case."""
        for case in CASES:
            yield self._library(*case)
            yield self._threads(*case)

    def _library(self, memory: Memory, past: int, tasks: int) -> Run:
        amounts = CACHED if memory == "cached" else COLD[past]

        def run() -> dict[str, float]:
            entities = self._next(past, self._stores.amount(amounts[tasks]))
            began = perf_counter()
            seconds = self._runner.run(self._senders[memory].send(entities, tasks))
            return _figures(f"{memory}/{past}/{tasks}", seconds, perf_counter() - began)

        return run

    def _threads(self, memory: Memory, past: int, threads: int) -> Run:
        def run() -> dict[str, float]:
            entities = self._next(past, self._stores.amount(PEER[past]))
            items = self._items[: len(entities)]
            began = perf_counter()
            seconds = self._peers[memory].command(list(zip(entities, items, strict=True)), threads)
            return _figures(f"peer/{memory}/{past}/{threads}", seconds, perf_counter() - began)

        return run

    def _next(self, past: int, count: int) -> list[bytes]:
        """Give whom to send so many commands: on from where the last run ended, in whole rows of tasks."""
        group, start = self._groups[past], self._sent
        self._sent += -(-count // max(CACHED)) * max(CACHED)
        return [group[(start + number) % len(group)] for number in range(count)]


@contextmanager
def commands(stores: Stores) -> Iterator[Benchmark]:
    """Open both sides over the same past."""
    senders: dict[Memory, Sender] = {}
    peers: dict[Memory, Peer] = {}
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner(loop_factory=new_event_loop))
        for kept in MEMORIES:
            senders[kept] = _opened(stores, runner, stack, kept)
            directory = stores.new(f"commands-{kept}-peer")
            peers[kept] = Peer(directory, _past(stores), cached=kept == "cached")
            stack.callback(peers[kept].close)
        sides = Sides(stores, runner, senders, peers)
        runs = (*sides.runs(), *stack.enter_context(costs(stores, runner)))
        yield Benchmark("Commands: load, decide, commit", runs, tuple(_rows()))


def _opened(stores: Stores, runner: asyncio.Runner, stack: ExitStack, kept: Memory) -> Sender:
    shop, directory = Shop(), stores.new(f"commands-{kept}")
    runner.run(record(directory, shop.context, _past(stores)))
    app = perdure.open(
        shop.context, store=store_url(directory), cached_entities=CACHED_ENTITIES[kept]
    )
    runner.run(app.__aenter__())
    stack.callback(lambda: runner.run(app.close()))
    return Sender(app, shop)


def _groups(stores: Stores) -> dict[int, list[bytes]]:
    """Give the entities by how many events they have."""
    rest = iter(workload.entities(sum(ENTITIES.values()), seed=3))
    return {past: list(islice(rest, stores.amount(number))) for past, number in ENTITIES.items()}


def _past(stores: Stores) -> Iterator[NewEvent]:
    """Give the events of all entities."""
    for past, entities in _groups(stores).items():
        yield from workload.scattered(entities, past * len(entities), seed=past)


def _figures(name: str, seconds: Sequence[float], elapsed: float) -> dict[str, float]:
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        name: len(ordered) / elapsed,
        f"{name}/p50": ordered[last // 2] * 1000,
        f"{name}/p99": ordered[round(last * 0.99)] * 1000,
    }


def _rows() -> Iterator[Row]:
    for kept, past, tasks in CASES:
        name, case = f"{kept}/{past}/{tasks}", f"{kept}, {past} events, {tasks} at once"
        unit, aim = "commands/s", AIMS.get((kept, tasks))
        yield Row(label=f"eventsourcing: {case}", figure=f"peer/{name}", unit=unit)
        yield Row(label=case, figure=name, unit=unit, against=f"peer/{name}", at_least=aim)
        for part in ("p50", "p99"):
            figure = f"{name}/{part}"
            yield Row(label=f"  {part}", figure=figure, unit="ms", against=f"peer/{figure}")
    yield Row(label="processor, one cached command", figure="cpu", unit="us", at_most=100)
    yield Row(label="syncs, one cached command alone", figure="syncs", unit="", at_most=1)
