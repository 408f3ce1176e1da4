"""``perdure events import``: the command around ``intake``, which records lines of JSON as events."""

import asyncio
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from perdure.cli.eventline import EventReader
from perdure.cli.exits import ExitCode
from perdure.cli.intake import Bookmark, Intake, Rejects, Source, Tally
from perdure.cli.loading import opened
from perdure.cli.options import app_option, json_option, with_context
from perdure.cli.output import Output, complain
from perdure.cli.progress import progress
from perdure.core.context import Context
from perdure.runtime.config import Settings
from perdure.vocabulary.errors import ConfigurationError


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@app_option
@with_context
@click.option("--keep-going", is_flag=True, help="Put bad lines into a file of rejects, and go on.")
@click.option(
    "--rejects",
    "rejects_path",
    type=click.Path(path_type=Path),
    help="Where rejected lines go: FILE.rejects by default.",
)
@click.option(
    "--resume", is_flag=True, help="Remember in FILE.bookmark how far it is; start there."
)
@json_option
def import_(
    file: Path,
    context: Context,
    keep_going: bool,
    rejects_path: Path | None,
    resume: bool,
    as_json: bool,
    settings: Settings,
) -> int:
    """Record events from lines of JSON, as `perdure events export` writes them; - reads standard input.

    A line needs event_id, type, entity_id and data. An event that is stored already is counted and not
    stored again, so an import that was stopped is simply run again. Models take imported events in;
    nothing is given out for them. The first bad line stops it, unless --keep-going.
    """
    is_stream = str(file) == "-"
    if is_stream and resume:
        raise ConfigurationError("standard input cannot be resumed: import from a file")
    if is_stream and keep_going and rejects_path is None:
        raise ConfigurationError("--keep-going needs a place for rejected lines: --rejects FILE")
    if keep_going and rejects_path is None:
        rejects_path = file.with_name(f"{file.name}.rejects")
    bookmark = Bookmark(file, f"{settings.store}#{context.name}") if resume else None
    with (
        open(sys.stdin.fileno(), "rb", closefd=False) if is_stream else file.open("rb") as lines,
        ExitStack() as stack,
    ):
        source = Source(lines, "standard input" if is_stream else str(file), bookmark)
        rejects = None
        if keep_going and rejects_path:
            rejects = stack.enter_context(Rejects(rejects_path, goes_on=source.goes_on))
        tally = asyncio.run(_import(context, settings, source, rejects))
    _report(tally, rejects, Output(as_json=as_json))
    return ExitCode.FOUND if tally.rejected else ExitCode.OK


async def _import(
    context: Context, settings: Settings, source: Source, rejects: Rejects | None
) -> Tally:
    async with opened([context], settings, make=True) as app:
        live = app.context(context.name)
        reader = EventReader(live.definition, ahead_seconds_max=settings.ahead_seconds_max)
        intake = Intake(live.log, reader, app.environment.clock, source, rejects)
        with progress("import", source.size) as advance:
            try:
                await intake.run(advance)
            except asyncio.CancelledError:
                complain(
                    f"perdure: {intake.tally.stored:,} events are stored; run the same command "
                    "again to go on, nothing is stored twice"
                )
                raise
    return intake.tally


def _report(tally: Tally, rejects: Rejects | None, answer: Output) -> None:
    if answer.as_json:
        answer.record(tally)
        return
    answer.text(
        f"{tally.lines:,} lines: {tally.stored:,} events stored, "
        f"{tally.repeated:,} stored before, {tally.rejected:,} rejected"
    )
    if tally.rejected and rejects:
        complain(f"perdure: the rejected lines are in {rejects.path}, each with its reason")
