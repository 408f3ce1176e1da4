"""``perdure schema``: the shapes of events against a committed lock file.

One rule: ``check`` writes nothing, ``lock`` judges nothing. Whoever locks an incompatible change does so
in plain sight: the lock is under version control.
"""

from pathlib import Path

import click

from perdure.cli.exits import ExitCode
from perdure.cli.loading import load_contexts
from perdure.cli.options import debug_option, json_option
from perdure.cli.output import Output
from perdure.core.definition import Definition, define
from perdure.core.schema_lock import Finding, Verdict, compare, read_lock, write_lock
from perdure.core.schema_lock import lock as make_lock
from perdure.vocabulary.errors import ConfigurationError, NotFound

LOCK_FILE = "perdure-schema.lock.json"
_STYLES: dict[Verdict, str] = {
    "same": "",
    "compatible": "green",
    "covered": "green",
    "new": "yellow",
    "incompatible": "red",
}

file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=LOCK_FILE,
    show_default=True,
    metavar="FILE",
    help="The lock file.",
)


@click.command()
@click.argument("app", metavar="MODULE:APP")
@file_option
@json_option
@debug_option
def lock(app: str, path: Path, as_json: bool) -> None:
    """Write the versions and shapes of all events to the lock file. Commit it."""
    made = make_lock(_definitions(app))
    path.write_bytes(write_lock(made))
    types = sum(len(context.events) for context in made.contexts.values())
    answer = Output(as_json=as_json)
    if as_json:
        answer.record({"file": str(path), "contexts": len(made.contexts), "types": types})
    else:
        answer.text(f"{path}: {_count(types, 'type')} of event. Commit it.")


@click.command()
@click.argument("app", metavar="MODULE:APP")
@file_option
@json_option
@debug_option
def check(app: str, path: Path, as_json: bool) -> int:
    """Compare all events with the lock file: can everything recorded still be read?

    Exit code 1 when something cannot, and when the lock file is out of date.
    """
    definitions = _definitions(app)
    if not path.exists():
        raise NotFound(f"there is no {path}: run `perdure schema lock {app}`, and commit it")
    try:
        locked = read_lock(path.read_bytes())
    except ConfigurationError as fault:
        raise ConfigurationError(f"{path}: {fault}") from fault
    findings = compare(locked, definitions)
    is_outdated = locked != make_lock(definitions)
    is_broken = any(one.verdict == "incompatible" for one in findings)
    answer = Output(as_json=as_json)
    if as_json:
        answer.record(
            {
                "file": str(path),
                "is_compatible": not is_broken,
                "is_outdated": is_outdated,
                "types": findings,
            }
        )
    else:
        _tell(answer, findings)
        _conclude(answer, app, path, is_outdated=is_outdated, is_broken=is_broken)
    return ExitCode.FOUND if is_outdated or is_broken else ExitCode.OK


def _definitions(app: str) -> list[Definition]:
    return [define(context) for context in load_contexts(app)]


def _tell(answer: Output, findings: list[Finding]) -> None:
    for one in findings:
        if one.verdict == "same":
            continue
        answer.text(
            f"{one.context}.{one.type}: {one.verdict}{_versions(one)}", _STYLES[one.verdict]
        )
        for change in one.changes:
            mark = "✗" if change.breaks else "·"
            answer.text(f"  {mark} {change.where}{' ' if change.where else ''}{change.what}")
        if one.advice:
            answer.text(f"  → {one.advice}")


def _versions(one: Finding) -> str:
    if one.locked_version == one.version:
        return f" (version {one.version})"
    before, today = one.locked_version or "none", one.version or "none"
    return f" (version {before} → {today})"


def _conclude(answer: Output, app: str, path: Path, *, is_outdated: bool, is_broken: bool) -> None:
    if is_broken:
        answer.text("What is recorded cannot all be read.", "red")
    elif is_outdated:
        answer.text(f"{path} is out of date: run `perdure schema lock {app}`, and commit it.")
    else:
        answer.text(f"Everything is as {path} says.", "green")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
