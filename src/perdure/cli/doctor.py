"""``perdure doctor``: is this machine, this store and this code fit to run?

One rule: it changes nothing. Each check gives findings; the exit code is 1 when one of them is an error.
"""

import asyncio
import platform
from collections.abc import AsyncIterator
from typing import Literal

import click
import msgspec

from perdure.cli.deliveries import moment, moment_text, parked
from perdure.cli.exits import ExitCode
from perdure.cli.loading import choose_contexts, opened
from perdure.cli.options import app_argument, context_option, json_option, with_settings
from perdure.cli.output import Output
from perdure.cli.paging import records
from perdure.cli.progress import progress
from perdure.core.definition import define
from perdure.core.reacting import Checkpoint, ParkedKey
from perdure.opening import VERSION
from perdure.runtime.config import Settings
from perdure.runtime.live import LiveContext
from perdure.runtime.undelivered import Undelivered
from perdure.vocabulary.errors import PerdureError

#: The oldest SQLite whose write-ahead log does not lose data on a rare race at a checkpoint.
SQLITE_MIN = 3_051_003

Level = Literal["ok", "warning", "error"]
_MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "error": ("✗", "red"),
}


class Finding(msgspec.Struct, frozen=True):
    """What one check found."""

    level: Level
    check: str
    message: str


@click.command()
@app_argument
@context_option
@json_option
@with_settings
def doctor(app: str | None, context_name: str | None, as_json: bool, settings: Settings) -> int:
    """Check this machine, the store and the code; exit code 1 when an error is found.

    Reads every row of the contexts: those of MODULE:APP, or all in the store.
    """
    answer = Output(as_json=as_json)
    return asyncio.run(_doctor(app, context_name, settings, answer))


async def _doctor(
    app: str | None, context_name: str | None, settings: Settings, answer: Output
) -> int:
    counts: dict[Level, int] = {"ok": 0, "warning": 0, "error": 0}
    async for finding in _findings(app, context_name, settings):
        counts[finding.level] += 1
        if answer.as_json:
            answer.record(finding)
        else:
            mark, style = _MARKS[finding.level]
            answer.text(f"{mark} {finding.check:<11} {finding.message}", style=style)
    if not answer.as_json:
        answer.text(f"{counts['error']} errors, {counts['warning']} warnings")
    return ExitCode.FOUND if counts["error"] else ExitCode.OK


async def _findings(
    app: str | None, context_name: str | None, settings: Settings
) -> AsyncIterator[Finding]:
    yield _machine()
    yield _sqlite()
    try:
        contexts = choose_contexts(app, context_name, settings.store)
        for context in contexts:
            define(context)
    except PerdureError as failure:
        yield Finding("error", "contexts", str(failure))
        return
    names = ", ".join(context.name for context in contexts)
    yield Finding("ok", "contexts", f"{names}: every declaration can work")
    try:
        async with opened(contexts, settings) as app_opened:
            yield Finding("ok", "store", f"{settings.store} opens")
            for live in app_opened.contexts.values():
                for check in (_rows, _checkpoints, _parked, _deliveries):
                    async for finding in check(live):
                        yield finding
    except PerdureError as failure:
        yield Finding("error", "store", str(failure))


def _machine() -> Finding:
    return Finding(
        "ok",
        "machine",
        f"python {platform.python_version()}, perdure {VERSION}, {platform.platform()}",
    )


def _sqlite() -> Finding:
    import apsw

    version = f"sqlite {apsw.sqlite_lib_version()}"
    if apsw.SQLITE_VERSION_NUMBER < SQLITE_MIN:
        return Finding("error", "sqlite", f"{version} can lose data: 3.51.3 or newer is needed")
    return Finding("ok", "sqlite", version)


async def _rows(live: LiveContext) -> AsyncIterator[Finding]:
    size = await live.size()
    damaged = 0
    with progress(f"verify {live.name}", None, "damages") as advance:
        async for damage in live.log.verify():
            damaged += 1
            advance(damage.position, damaged)
            yield Finding("error", live.name, str(damage))
    if not damaged:
        yield Finding("ok", live.name, f"{size.events:,} events: rows and chain are whole")


async def _checkpoints(live: LiveContext) -> AsyncIterator[Finding]:
    head, seen = await live.log.head(), 0
    async for record in records(live.log, "checkpoint"):
        seen += 1
        try:
            checkpoint = msgspec.json.decode(record.value, type=Checkpoint)
        except msgspec.MsgspecError as fault:
            yield Finding("error", live.name, f"checkpoint {record.key} cannot be read: {fault}")
            continue
        if checkpoint.position > head:
            yield Finding(
                "error",
                live.name,
                f"{record.key} stands at {checkpoint.position}, beyond the head {head}: "
                "the log has lost its end, or the models are of another log",
            )
        if checkpoint.degraded:
            yield Finding("warning", live.name, f"{record.key} met events it could not read")
    yield Finding("ok", live.name, f"{seen} checkpoints")


async def _parked(live: LiveContext) -> AsyncIterator[Finding]:
    async for record in records(live.log, "parked"):
        parked = msgspec.json.decode(record.value, type=ParkedKey)
        reactor = record.key.partition("/")[0]
        yield Finding(
            "error",
            live.name,
            f"{reactor} {parked.key} is parked at position {parked.position}: {parked.cause}. "
            "See `perdure parked list`",
        )


async def _deliveries(live: LiveContext) -> AsyncIterator[Finding]:
    """Find the deliveries that stand still: one finding for all of a target."""
    counts: dict[tuple[str, str], int] = {}
    oldest: dict[tuple[str, str], Undelivered] = {}
    async for _, record in parked(live.log):
        what = record.kind, record.target
        counts[what] = counts.get(what, 0) + 1
        first = oldest.setdefault(what, record)
        oldest[what] = min(first, record, key=lambda one: one.at)
    for what, first in oldest.items():
        count = counts[what]
        yield Finding(
            "error",
            live.name,
            f"{count:,} parked {'delivery' if count == 1 else 'deliveries'} of {' '.join(what)}, "
            f"the oldest since {moment_text(moment(first.at))}: {first.cause}. "
            "See `perdure intents list --parked`",
        )
