"""``perdure events export``: events as lines of JSON, by position, in constant memory.

One rule: a file goes on where its last whole line ends. What was torn off is cut away; the position in
the last line says what comes next; so an export may be stopped at any point, and begun again.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from perdure.cli.eventline import write_line
from perdure.cli.loading import opened_one
from perdure.cli.options import (
    app_argument,
    json_option,
    with_context,
    with_criteria,
)
from perdure.cli.output import Output, complain, is_terminal
from perdure.cli.progress import progress
from perdure.core.context import Context
from perdure.ports.engine import Log
from perdure.runtime.config import Settings
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import ConfigurationError
from perdure.vocabulary.ids import event_id
from perdure.vocabulary.reading import Read

_CHUNK = 64 * 1024
#: How every export begins; one that was torn early, with a part of it.
_BEGINNING = b'{"event_id":"'


class LastLine(msgspec.Struct, frozen=True):
    """What the last whole line of an export says about where to go on."""

    event_id: str
    position: int


@click.command()
@app_argument
@with_context
@with_criteria
@click.option("--after", type=int, default=0, help="Only above this position.")
@click.option("--upto", type=int, help="Only up to this position, itself included.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file.")
@click.option("--resume", is_flag=True, help="Go on where the file ends.")
@json_option
def export(
    context: Context,
    criteria: Criteria,
    after: int,
    upto: int | None,
    output: Path | None,
    resume: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    """Write events as lines of JSON, in the order they were recorded.

    To standard output, or with -o to a file: then the file is on the disk when this ends, and --resume
    goes on with one that was not finished. `perdure events import` reads what this writes.
    """
    request = Read(criteria=criteria, after=after, upto=upto)
    if output is None:
        if resume:
            raise ConfigurationError("--resume goes on with a file: name it with -o FILE")
        asyncio.run(_export_to_stdout(context, settings, request))
    else:
        count = asyncio.run(_export_to_file(context, settings, request, output, resume=resume))
        answer = Output(as_json=as_json)
        if as_json:
            answer.record({"file": str(output), "events": count})
        else:
            answer.text(f"{count:,} events written to {output}")


async def write_events(
    log: Log, request: Read, write: Callable[[bytes], object], *, show: bool = True
) -> int:
    """Write the selected events through ``write``, in whole lines; give how many there were."""
    head = await log.head()
    end = head if request.upto is None else min(head, request.upto)
    count = 0
    with progress("export", end - request.after, show=show) as advance:
        async for events in log.read(request):
            write(b"".join(map(write_line, events)))
            count += len(events)
            advance(events[-1].position - request.after, count)
    return count


async def _export_to_stdout(context: Context, settings: Settings, request: Read) -> None:
    answer = Output(as_json=True)
    async with opened_one(context, settings) as live:
        await write_events(live.log, request, answer.lines, show=not is_terminal(sys.stdout))


async def _export_to_file(
    context: Context, settings: Settings, request: Read, path: Path, *, resume: bool
) -> int:
    async with opened_one(context, settings) as live:
        with _whole_lines(path, resume=resume) as file:
            if resume and (last := _last_line(file, path)) is not None:
                await _check_same(live.log, last, path)
                after = max(request.after, last.position)
                request = msgspec.structs.replace(request, after=after)
            try:
                return await write_events(live.log, request, file.write)
            except asyncio.CancelledError:
                complain(f"perdure: the same command with --resume goes on with {path}")
                raise


@contextmanager
def _whole_lines(path: Path, *, resume: bool) -> Iterator[BinaryIO]:
    """Open a file to add lines at its end; what was written is on the disk when this is left."""
    try:
        file: BinaryIO = path.open("r+b" if resume and path.exists() else "xb")
    except FileExistsError:
        raise ConfigurationError(
            f"{path} is there already: go on with it by --resume, or name another file"
        ) from None
    with file:
        if resume and file.readable():
            _cut_torn(file, path)
        try:
            yield file
        finally:
            file.flush()
            os.fsync(file.fileno())


def _cut_torn(file: BinaryIO, path: Path) -> None:
    """Cut away what follows the last whole line of an export; leave the file at its end."""
    if not _BEGINNING.startswith(file.read(len(_BEGINNING))):
        raise ConfigurationError(f"{path} is not an export: name another file")
    file.truncate(_line_start(file, file.seek(0, os.SEEK_END)))
    file.seek(0, os.SEEK_END)


def _last_line(file: BinaryIO, path: Path) -> LastLine | None:
    """Read the last line of a file of whole lines, leaving the file at its end."""
    end = file.tell()
    if not end:
        return None
    file.seek(_line_start(file, end - 1))
    line = file.read()
    try:
        return msgspec.json.decode(line, type=LastLine)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise ConfigurationError(
            f"{path} does not end with an exported event ({fault}): name another file"
        ) from fault


async def _check_same(log: Log, last: LastLine, path: Path) -> None:
    for event in await log.events([event_id(last.event_id)]):
        if event.position == last.position:
            return
    raise ConfigurationError(
        f"{path} was not exported from this context: its last event is not at position "
        f"{last.position} here. Name another file"
    )


def _line_start(file: BinaryIO, end: int) -> int:
    """Give where the line that reaches to ``end`` begins: behind the last line end before it."""
    while end > 0:
        start = max(0, end - _CHUNK)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
