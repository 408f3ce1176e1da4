"""Progress of long work: a bar with rate and time left on a terminal, and nothing anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from perdure.cli.output import is_terminal

#: Tell how far the work is (of its total), and how many things that were.
Advance: TypeAlias = Callable[[int, int], None]


@contextmanager
def progress(
    title: str, total: int | None, things: str = "events", *, show: bool = True
) -> Iterator[Advance]:
    """Show a bar on standard error while the work goes on, when a person is looking.

    ``total`` is the end of what ``Advance`` is told; ``None`` when nobody knows.
    """
    if not show or not is_terminal(sys.stderr):
        yield lambda done, count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[share]}"),
        TextColumn("{task.fields[count]:,} " + things),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as bar:
        task = bar.add_task(title, total=total, share="", count=0, rate=0.0)

        def advance(done: int, count: int) -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            share = f"{done / total:4.0%}" if total else ""
            rate = count / elapsed if elapsed else 0.0
            bar.update(task, completed=done, share=share, count=count, rate=rate)

        yield advance
