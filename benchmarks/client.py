"""A client that sends appends over many connections and times the answers.

``python -m benchmarks.client`` takes a job a line. Without a ``rate`` each connection sends as soon as it was
answered (closed loop): that is how fast the server can go. With one, requests fall due by a fixed schedule,
whether or not the server keeps up (open loop), and an answer is timed from when its request was due: so a
server that stalls is charged for everybody who waited.

Request bytes are made before the clock starts. The client spins while it waits for the next to fall due,
because timers of a millisecond would be a good part of what is measured.
"""

import asyncio
import gc
import sys
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import cast

import msgspec

from benchmarks import workload
from benchmarks.processes import pin, tell
from perdure import NewEvent
from perdure.transports.server import new_event_loop
from perdure.vocabulary.ids import id_text

SECONDS_MAX = 120
HEAD_END = b"\r\n\r\n"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send where; ``rate`` in requests a second, 0 for a closed loop."""

    port: int
    connections: int
    requests: int
    entities: int
    rate: float = 0.0


def request(event: NewEvent) -> bytes:
    """Write the request that records an event, in Perhap's form."""
    path = f"/{workload.CONTEXT}/{event.type}/{id_text(event.entity)}/{id_text(event.id)}"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(event.data)}\r\n\r\n"
    )
    return head.encode() + event.data


class Connection(asyncio.Protocol):
    """One request at a time; says when it was answered, and how long after it was due."""

    def __init__(self, answered: Callable[["Connection", float], None]) -> None:
        self._answered = answered
        self._due = 0.0
        self._received = b""
        self._is_closed = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready to send."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes, due: float) -> None:
        """Send a request that was due at this time."""
        assert self._transport is not None
        self._due = due
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Take an answer: 204, which has no body. Anything else ends the measurement."""
        self._received += data
        if not self._received.endswith(HEAD_END):
            return
        if not self._received.startswith(b"HTTP/1.1 204 "):
            raise ConnectionError(self._received.decode(errors="replace"))
        self._received = b""
        self._answered(self, perf_counter() - self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody hangs up on a client before it does."""
        if not self._is_closed:
            raise ConnectionError(f"the server hung up: {exc} {self._received!r}")

    def close(self) -> None:
        """Hang up."""
        self._is_closed = True
        if self._transport is not None:
            self._transport.close()


class Load:
    """Sends all requests and keeps the latencies, in seconds."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        self.latencies: list[float] = []
        self.seconds = 0.0
        self._total = len(requests)
        self._waiting = deque(requests)
        self._due: deque[float] = deque()
        self._free: deque[Connection] = deque()
        self._began = 0.0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, port: int, connections: int, rate: float) -> None:
        """Send at this rate, or with ``rate`` 0 as fast as answers come."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._failed)
        answered = self._answered_on_schedule if rate else self._answered
        opened: list[Connection] = []
        async with asyncio.timeout(SECONDS_MAX):
            for _ in range(connections):
                _, one = await loop.create_connection(
                    lambda: Connection(answered), "127.0.0.1", port
                )
                opened.append(one)
            self._began = perf_counter()
            if rate:
                self._free.extend(opened)
                self._due.extend(self._began + n / rate for n in range(self._total))
                self._spin()
            else:
                for one in opened[: self._total]:
                    one.send(self._waiting.popleft(), perf_counter())
            await self._done
        for one in opened:
            one.close()

    def _answered(self, one: Connection, latency: float) -> None:
        self._keep(latency)
        if self._waiting:
            one.send(self._waiting.popleft(), perf_counter())

    def _answered_on_schedule(self, one: Connection, latency: float) -> None:
        self._keep(latency)
        self._free.append(one)

    def _spin(self) -> None:
        """Send what is due, on connections that are free; look again at once."""
        now = perf_counter()
        while self._free and self._due and self._due[0] <= now:
            self._free.popleft().send(self._waiting.popleft(), self._due.popleft())
        if self._due and not self._done.done():
            asyncio.get_running_loop().call_soon(self._spin)

    def _keep(self, latency: float) -> None:
        self.latencies.append(latency)
        if len(self.latencies) == self._total and not self._done.done():
            self.seconds = perf_counter() - self._began
            self._done.set_result(None)

    def _failed(self, loop: asyncio.AbstractEventLoop, circumstances: dict[str, object]) -> None:
        failure = circumstances.get("exception")
        if not self._done.done():
            known = failure if isinstance(failure, Exception) else RuntimeError(str(circumstances))
            self._done.set_exception(known)


async def send_all(job: Job, requests: Sequence[bytes]) -> dict[str, float]:
    """Send the requests and give what was measured."""
    load = Load(requests)
    await load.run(job.port, job.connections, job.rate)
    known = sorted(load.latencies)
    return {
        "rate": len(known) / load.seconds,
        "p50_ms": known[len(known) // 2] * 1e3,
        "p99_ms": known[len(known) * 99 // 100] * 1e3,
        "max_ms": known[-1] * 1e3,
    }


def main() -> None:
    """Do each job, on the client's core, until there are no more."""
    pin("client")
    gc.disable()  # what the client collects, the server would be charged for
    for line in sys.stdin:
        job = msgspec.json.decode(line, type=Job)
        events = workload.scattered(workload.entities(job.entities), job.requests)
        requests = [request(event) for event in events]
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            tell(runner.run(send_all(job, requests)))


if __name__ == "__main__":
    main()
