"""Durable appends over HTTP, against the same server with a handler that stores nothing.

A third server does all that ours does but keeps its events in memory: it tells what checking and answering
cost from what storing costs.

Server and client have a core each. Closed loop first, to see how fast it can go; then an open loop at half
of the fastest rate of the round, to see how long one waits.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from benchmarks.client import Job
from benchmarks.measure import Benchmark, Row, Run
from benchmarks.processes import Child, running
from benchmarks.stores import Stores, store_url

#: Requests in a round at so many connections.
REQUESTS = {1: 1_500, 32: 10_000, 128: 10_000}
WHAT = ("nothing", "memory", "perdure")
OPEN_LOOP_CONNECTIONS = 32
OPEN_LOOP_SECONDS = 2.0


class Servers:
    """The two servers, by their ports, and what was measured of them in this round."""

    def __init__(self, stores: Stores, client: Child, ports: Mapping[str, int]) -> None:
        self._stores, self._client, self._ports = stores, client, ports
        self._fastest = 0.0

    def closed(self, what: str, connections: int) -> Run:
        """Make the run that loads a server as fast as it answers."""

        def run() -> dict[str, float]:
            found = self._send(what, connections, self._stores.amount(REQUESTS[connections]))
            if what == "perdure":
                fastest = 0.0 if connections == min(REQUESTS) else self._fastest
                self._fastest = max(fastest, found["rate"])
            return {f"{what}/{connections}/{name}": value for name, value in found.items()}

        return run

    def half(self, what: str) -> Run:
        """Make the run that loads a server at half of Perdure's fastest rate, on a schedule."""

        def run() -> dict[str, float]:
            rate = self._fastest / 2
            requests = max(self._stores.amount(int(rate * OPEN_LOOP_SECONDS)), 100)
            found = self._send(what, OPEN_LOOP_CONNECTIONS, requests, rate)
            return {f"half/{what}/{name}": value for name, value in found.items()}

        return run

    def _send(
        self, what: str, connections: int, requests: int, rate: float = 0.0
    ) -> dict[str, float]:
        job = Job(
            port=self._ports[what],
            connections=connections,
            requests=max(requests, connections),
            entities=len(self._stores.entities),
            rate=rate,
        )
        return self._client.ask(job)


@contextmanager
def http_append(stores: Stores) -> Iterator[Benchmark]:
    """Start both servers and measure them by turns."""
    with (
        running("client") as client,
        running("server", "nothing") as nothing,
        running("server", "perdure", "memory://") as memory,
        running("server", "perdure", store_url(stores.filled("http"))) as ours,
    ):
        ports = {
            name: server.hear()["port"]
            for name, server in zip(WHAT, (nothing, memory, ours), strict=True)
        }
        servers = Servers(stores, client, ports)
        runs = [servers.closed(what, connections) for connections in REQUESTS for what in WHAT]
        runs += [servers.half(what) for what in ("nothing", "perdure")]
        yield Benchmark("Durable appends over HTTP", tuple(runs), tuple(_rows()))


def _rows() -> Iterator[Row]:
    for n in REQUESTS:
        names = f"{n} connection" if n == 1 else f"{n} connections"
        yield Row(label=f"nothing stored, {names}", figure=f"nothing/{n}/rate", unit="requests/s")
        yield Row(
            label=f"kept in memory, {names}",
            figure=f"memory/{n}/rate",
            against=f"nothing/{n}/rate",
        )
        yield Row(
            label=f"appended, {names}",
            figure=f"perdure/{n}/rate",
            against=f"nothing/{n}/rate",
            at_least=0.65 if n == max(REQUESTS) else None,
        )
    most = max(REQUESTS)
    yield Row(
        label="appended to kept in memory",
        figure=f"perdure/{most}/rate",
        against=f"memory/{most}/rate",
    )
    yield Row(label="half of the fastest", figure="half/perdure/rate", unit="requests/s")
    for label, figure, limit in (
        ("1 connection: median", "perdure/1/p50_ms", 0.6),
        ("32 connections: p99", "perdure/32/p99_ms", 5),
        ("half rate, 32 connections, nothing: median", "half/nothing/p50_ms", None),
        ("half rate, 32 connections, nothing: p99", "half/nothing/p99_ms", None),
        ("half rate, 32 connections: median", "half/perdure/p50_ms", 4),
        ("half rate, 32 connections: p99", "half/perdure/p99_ms", 10),
        ("half rate, 32 connections: longest", "half/perdure/max_ms", None),
    ):
        yield Row(label=label, figure=figure, unit="ms", at_most=limit)
