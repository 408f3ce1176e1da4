"""The server's own life: it starts, says where, stops gracefully, in bound, and exits with 0."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import textwrap

import pytest

from perdure.transports.limits import HttpLimits
from perdure.transports.server import HttpServer, new_event_loop
from tests.transports.wire import Client, Recorder, eventually, exchange, statuses

ON_BOTH_LOOPS = True

FIELDS = b" HTTP/1.1\r\nHost: example.test\r\n"
GET = b"GET /good" + FIELDS + b"Connection: close\r\n\r\n"
SLOW = b"GET /slow" + FIELDS + b"\r\n"
STREAM = b"GET /stream" + FIELDS + b"\r\n"


async def open_streams(server: HttpServer, count: int) -> list[Client]:
    clients = [await Client.connect(server.address) for _ in range(count)]
    for client in clients:
        await client.send(STREAM)
        await client.read_until(b"hello")
    return clients


async def is_refused(address: tuple[str, int]) -> bool:
    try:
        client = await Client.connect(address)
    except ConnectionRefusedError:
        return True
    await client.close()
    return False


async def test_port_zero_takes_a_free_port_and_says_which() -> None:
    async with HttpServer(Recorder(), "127.0.0.1", 0) as server:
        host, port = server.address

        assert host == "127.0.0.1"
        assert port > 0
        assert statuses(await exchange(server.address, GET)) == [200]


async def test_the_address_is_not_known_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="start it first"):
        _ = HttpServer(Recorder(), "127.0.0.1", 0).address


async def test_a_taken_port_is_an_error_of_the_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HttpServer(Recorder(), *taken.getsockname())

        with pytest.raises(OSError, match="in use"):
            await server.start()


async def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="in_flight_max must be above zero, not 0"):
        HttpLimits(in_flight_max=0)


async def test_answers_have_a_date_and_no_server_name() -> None:
    async with HttpServer(Recorder(), "127.0.0.1", 0) as server:
        answer = await exchange(server.address, GET)

        assert b"\r\ndate: " in answer
        assert b"\r\nserver: " not in answer


async def test_forwarding_fields_are_not_believed() -> None:
    app = Recorder()
    async with HttpServer(app, "127.0.0.1", 0) as server:
        forged = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"
        await exchange(server.address, GET.replace(b"\r\n\r\n", b"\r\n" + forged + b"\r\n"))

        assert app.scopes[0]["client"][0] == "127.0.0.1"
        assert app.scopes[0]["scheme"] == "http"


async def test_what_is_under_way_is_finished_and_then_nobody_is_let_in() -> None:
    app = Recorder()
    server = HttpServer(app, "127.0.0.1", 0)
    await server.start()
    address = server.address
    busy, idle = await Client.connect(address), await Client.connect(address)
    await busy.send(SLOW)
    await idle.send(GET.replace(b"Connection: close\r\n", b""))
    await idle.read_until(b"ok")
    await app.started.acquire()

    stopping = asyncio.ensure_future(server.stop())
    assert await idle.read_to_end() == b""
    await eventually(lambda: is_refused(address))
    assert not stopping.done()
    app.release.set()
    answer = await busy.read_to_end()
    await stopping

    assert statuses(answer) == [200]
    assert b"connection: close" in answer
    assert await is_refused(address)
    for client in (busy, idle):
        await client.close()


async def test_streams_that_the_application_ends_are_ended_properly() -> None:
    app = Recorder()
    limits = HttpLimits(shutdown_seconds_max=60)
    server = HttpServer(app, "127.0.0.1", 0, limits, on_stopping=app.release.set)
    await server.start()
    clients = await open_streams(server, 50)

    async with asyncio.timeout(10):
        await server.stop()

    for client in clients:
        assert (await client.read_to_end()).endswith(b"bye\r\n0\r\n\r\n")
        await client.close()
    assert app.running == 0


async def test_streams_that_do_not_end_are_cut_when_time_is_up() -> None:
    app = Recorder()
    server = HttpServer(app, "127.0.0.1", 0, HttpLimits(shutdown_seconds_max=0.2))
    await server.start()
    clients = await open_streams(server, 50)

    async with asyncio.timeout(10):
        await server.stop()

    assert app.running == 0
    assert app.disconnected.is_set()
    for client in clients:
        await client.close()


async def test_a_request_that_ignores_the_end_is_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Recorder()
    server = HttpServer(app, "127.0.0.1", 0, HttpLimits(shutdown_seconds_max=0.2))
    await server.start()
    client = await Client.connect(server.address)
    await client.send(SLOW)
    await app.started.acquire()

    async with asyncio.timeout(10):
        await server.stop()

    assert app.running == 0
    assert "CancelledError" in caplog.text
    await client.close()


async def test_a_second_stop_is_at_once() -> None:
    app = Recorder()
    server = HttpServer(app, "127.0.0.1", 0, HttpLimits(shutdown_seconds_max=60))
    await server.start()
    clients = await open_streams(server, 3)

    first = asyncio.ensure_future(server.stop())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await server.stop()
        await first

    assert app.running == 0
    for client in clients:
        await client.close()


async def test_serve_until_serves_until_it_is_told_to_stop() -> None:
    app, stop = Recorder(), asyncio.Event()
    server = HttpServer(app, "127.0.0.1", 0, on_stopping=app.release.set)
    await server.start()
    address = server.address
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    serving = asyncio.ensure_future(server.serve_until(stop))
    assert statuses(await exchange(address, GET)) == [200]
    assert handlers == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))

    stop.set()
    await asyncio.wait_for(serving, 10)
    assert await is_refused(address)


async def test_an_error_in_on_stopping_does_not_leave_the_server_open() -> None:
    def fail() -> None:
        raise RuntimeError("on_stopping failed")

    server = HttpServer(Recorder(), "127.0.0.1", 0, on_stopping=fail)
    await server.start()
    address = server.address
    client = await Client.connect(address)

    with pytest.raises(RuntimeError, match="on_stopping failed"):
        await server.stop()

    await eventually(lambda: is_refused(address))
    await client.close()


def test_the_production_loop_is_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")
    loop = new_event_loop()
    try:
        assert isinstance(loop, uvloop.Loop)
    finally:
        loop.close()


async def test_a_process_told_to_terminate_exits_with_zero_despite_an_idle_stream() -> None:
    program = """
        import asyncio, signal
        from perdure.transports.limits import HttpLimits
        from perdure.transports.server import HttpServer, new_event_loop
        from tests.transports.wire import Recorder

        async def main():
            stop = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
            server = HttpServer(Recorder(), "127.0.0.1", 0, HttpLimits(shutdown_seconds_max=0.2))
            await server.start()
            print(server.address[1], flush=True)
            await server.serve_until(stop)

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        port = int(await process.stdout.readline())
        client = await Client.connect(("127.0.0.1", port))
        await client.send(STREAM)
        await client.read_until(b"hello")
        process.terminate()

        assert await process.wait() == 0
    await client.close()
