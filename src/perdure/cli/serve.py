"""``perdure serve``: an application over HTTP, in the foreground, until it is told to stop.

One rule: the first SIGTERM or SIGINT ends everything in good order (nothing new is accepted, what is
under way is finished, the store is closed) with exit code 0; a second one ends the process at once. Both
work while a user's function keeps the event loop busy, because the signals are not handled by the loop.
"""

import asyncio
import gc
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import click

from perdure.cli.loading import load_contexts, load_object
from perdure.cli.options import config_option, debug_option, hand_option
from perdure.core.context import Context
from perdure.opening import open as open_app
from perdure.runtime.config import Settings, load
from perdure.runtime.logs import configure, logger
from perdure.transports.http import HttpApp
from perdure.transports.limits import HttpLimits
from perdure.transports.server import HttpServer, new_event_loop
from perdure.vocabulary.errors import ConfigurationError

#: Objects made and not freed between two collections.
COLLECT_EVERY = 20_000
#: How often it is said again that anyone may do anything.
WARN_SECONDS = 60.0


@click.command()
@click.argument("app", metavar="MODULE:APP")
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="The port; 0 takes a free one.")
@click.option("--store", metavar="URL", help="sqlite:///DIRECTORY, or memory:// for trying out.")
@click.option("--cors", metavar="ORIGIN", help="Let browsers call from this origin; * from any.")
@click.option("--log-format", type=click.Choice(["auto", "json", "text"]), help="How logs look.")
@click.option("--insecure-no-auth", is_flag=True, default=None,
              help="Listen beyond this machine although nobody is asked who they are.")  # fmt: skip
@hand_option
@config_option
@debug_option
def serve(app: str, hand: str | None, config_file: Path | None, **arguments: Any) -> None:
    """Serve an application over HTTP until SIGTERM or Ctrl-C.

    MODULE:APP is a Context, or a list of them; the working directory is looked in first. Prints its
    address when it is ready. Ends with exit code 0.
    """
    settings, _ = load(arguments, file=config_file)
    check_exposure(settings)
    configure(_log_format(settings))
    contexts = load_contexts(app)
    config = None if hand is None else load_object(hand, "object")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(contexts, settings, config))


def check_exposure(settings: Settings) -> None:
    """Refuse to listen beyond this machine while nobody is asked who they are."""
    if settings.insecure_no_auth or _is_loopback(settings.host):
        return
    raise ConfigurationError(
        f"{settings.host!r} can be reached from other machines, and anyone there could read and write "
        "everything: listen on 127.0.0.1 behind a proxy that asks who they are, or add "
        "--insecure-no-auth"
    )


async def _serve(contexts: Sequence[Context], settings: Settings, config: Any) -> None:
    stop = asyncio.Event()
    with _stopped_by_signals(stop):
        async with open_app(*contexts, settings=settings, config=config) as app:
            http = HttpApp(app)
            server = HttpServer(
                http, settings.host, settings.port, _limits(settings), on_stopping=http.stopping.set
            )
            await _start(server, settings)
            _collect_seldom()
            names = ", ".join(app.contexts)
            click.echo(f"perdure: serving {names} on {_url(*server.address)}")
            warning = asyncio.create_task(_warn(settings))
            await server.serve_until(stop)
            warning.cancel()


def _collect_seldom() -> None:
    """Spare what is here to stay the garbage collector, and run it less often.

    This process does nothing but serve, and what a request makes is freed by counting references: at the
    default the collector took a tenth of the time, and its full passes the slowest hundredth of answers.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 10, 20)


async def _start(server: HttpServer, settings: Settings) -> None:
    try:
        await server.start()
    except OSError as failure:
        reason = os.strerror(failure.errno) if failure.errno else str(failure)
        raise OSError(
            failure.errno,
            f"{settings.host}:{settings.port} cannot be listened on: {reason}. "
            "Stop what listens there, or choose another --port",
        ) from failure


@contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set the event at the first signal; end the process at the second."""
    loop = asyncio.get_running_loop()
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + number)
        asked = True
        loop.call_soon_threadsafe(stop.set)

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, on_signal) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


async def _warn(settings: Settings) -> None:
    """Say again and again that the door is open, where it is."""
    while not _is_loopback(settings.host):
        logger("perdure.serve").warning("anyone may read and write", host=settings.host)
        await asyncio.sleep(WARN_SECONDS)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name, which may mean any address
        return False


def _limits(settings: Settings) -> HttpLimits:
    """Take the limits of the server from the settings of the same names."""
    names = set(HttpLimits.__struct_fields__) & set(Settings.__struct_fields__)
    try:
        return HttpLimits(**{name: getattr(settings, name) for name in names})
    except ValueError as fault:
        raise ConfigurationError(str(fault)) from fault


def _log_format(settings: Settings) -> Any:
    if settings.log_format not in {"auto", "json", "text"}:
        raise ConfigurationError(f"log_format is auto, json or text, not {settings.log_format!r}")
    return settings.log_format


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
