"""Recording lines of JSON as events, many at a time: one commit for each, one call for a block of them.

One rule: whatever stops it, what was stored is stored, and the same lines again store nothing twice. A
block is parsed while the one before it is being written; memory holds two of them.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from perdure.cli.eventline import LINE_BYTES_MAX, EventReader
from perdure.cli.progress import Advance
from perdure.ports.engine import Log
from perdure.ports.environment import Clock
from perdure.runtime.append import refusal
from perdure.vocabulary.commits import Commit, Committed, Verdict
from perdure.vocabulary.errors import ConfigurationError, InvalidInput, PerdureError

#: Bytes that are read at once: some hundreds of lines, which go into the store together.
BLOCK_BYTES = 256 * 1024


class Tally(msgspec.Struct):
    """What became of the lines. ``repeated`` were stored already."""

    lines: int = 0
    stored: int = 0
    repeated: int = 0
    rejected: int = 0


class Mark(msgspec.Struct, frozen=True):
    """How far an import has come: everything before byte ``offset`` is done with."""

    into: str
    offset: int
    line: int


class Bookmark:
    """The file beside an import that remembers how far it is. Losing it costs time, no event."""

    def __init__(self, file: Path, into: str) -> None:
        self._path = file.with_name(f"{file.name}.bookmark")
        self._into = into

    def read(self) -> Mark:
        """Give the place to begin at. Raises ``ConfigurationError`` for another store's bookmark."""
        try:
            mark = msgspec.json.decode(self._path.read_bytes(), type=Mark)
        except (FileNotFoundError, msgspec.MsgspecError):
            return Mark(self._into, 0, 0)
        if mark.into != self._into:
            raise ConfigurationError(
                f"{self._path} belongs to an import into {mark.into}: remove it to begin anew"
            )
        return mark

    def write(self, offset: int, line: int) -> None:
        """Remember a place, whole or not at all."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_bytes(msgspec.json.encode(Mark(self._into, offset, line)))
        fresh.replace(self._path)

    def remove(self) -> None:
        """Forget: the import is finished."""
        self._path.unlink(missing_ok=True)


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line: its number, counted from 1, where it ends in the file, and its text."""

    number: int
    end: int
    text: bytes


class Source:
    """The lines of a file, from its bookmark on. ``size`` is in bytes; ``None`` for a stream."""

    def __init__(self, file: BufferedReader, name: str, bookmark: Bookmark | None = None) -> None:
        self._file, self.name, self.bookmark = file, name, bookmark
        self.size = file.seek(0, os.SEEK_END) if file.seekable() else None
        mark = bookmark.read() if bookmark else Mark("", 0, 0)
        if mark.offset > (self.size or 0):
            raise ConfigurationError(f"{name} is shorter than its bookmark says: remove that")
        self._end, self._number = mark.offset, mark.line
        self._cut = 0

    @property
    def goes_on(self) -> bool:
        """Whether an earlier import has taken the beginning."""
        return self._end > 0

    async def blocks(self) -> AsyncGenerator[list[Line], None]:
        """Give the lines, as many at a time as there are in a block; blank ones are left out.

        Of a line that is too long only the beginning is kept: enough to be refused.
        """
        if self.size is not None:
            self._file.seek(self._end)
        rest = b""
        while block := await self._read():
            *whole, rest = (rest + block).split(b"\n")
            yield self._number_lines(whole, 1)
            if len(rest) > LINE_BYTES_MAX:
                self._cut += len(rest) - LINE_BYTES_MAX - 1
                rest = rest[: LINE_BYTES_MAX + 1]
        yield self._number_lines([rest] if rest else [], 0)

    def _number_lines(self, texts: Sequence[bytes], end_bytes: int) -> list[Line]:
        lines = []
        for text in texts:
            self._number += 1
            self._end += self._cut + len(text) + end_bytes
            self._cut = 0
            if text and not text.isspace():
                lines.append(Line(self._number, self._end, text))
        return lines

    async def _read(self) -> bytes:
        """Read what there is; while there is nothing, leave the event loop to others."""
        if self.size is None:
            await _readable(self._file.fileno())
        return self._file.read1(BLOCK_BYTES)


class Rejects:
    """Lines that were not recorded, each with its number and the reason, as lines of JSON.

    ``goes_on``: an import goes on, and its earlier rejects stay. A file without any is taken away.
    """

    def __init__(self, path: Path, *, goes_on: bool) -> None:
        self.path = path
        self._file: BinaryIO = path.open("ab" if goes_on else "wb")

    def add(self, line: Line, reason: PerdureError) -> None:
        """Put a line aside."""
        row = {
            "line": line.number,
            "reason": str(reason),
            "text": line.text.decode(errors="backslashreplace").rstrip("\r"),
        }
        self._file.write(msgspec.json.encode(row) + b"\n")

    def flush(self) -> None:
        """Hand over what was put aside, so that it outlives this process."""
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        is_empty = self._file.tell() == 0
        self._file.close()
        if is_empty:
            self.path.unlink()


class Batch(msgspec.Struct):
    """Lines that go to the store together, and the commits made of them.

    ``fault`` is that of the line behind them, when it stops the import.
    """

    lines: list[Line] = msgspec.field(default_factory=list)
    commits: list[Commit] = msgspec.field(default_factory=list)
    fault: PerdureError | None = None


class Intake:
    """Records the lines of one source in one log."""

    def __init__(
        self,
        log: Log,
        reader: EventReader,
        clock: Clock,
        source: Source,
        rejects: Rejects | None = None,
    ) -> None:
        self._log, self._reader, self._clock = log, reader, clock
        self._source, self._rejects = source, rejects
        self.tally = Tally()

    async def run(self, advance: Advance) -> None:
        """Record everything. Raises the error of the first bad line, with all before it stored."""
        writing: asyncio.Task[None] | None = None
        try:
            async with aclosing(self._source.blocks()) as blocks:
                async for lines in blocks:
                    batch = self._parse(lines)
                    if writing is not None:
                        await asyncio.shield(writing)
                    writing = asyncio.create_task(self._write(batch, advance))
                    await asyncio.sleep(0)  # so that it is being written while the next is parsed
                    if batch.fault is not None:
                        raise batch.fault
        finally:
            if writing is not None:
                await asyncio.shield(writing)
        if self._source.bookmark:
            self._source.bookmark.remove()

    def _parse(self, lines: Sequence[Line]) -> Batch:
        """Parse lines, up to the first bad one unless such lines are put aside."""
        batch = Batch()
        self._reader.set_now(self._clock.now())
        for line in lines:
            try:
                event = self._reader.read(line.text)
            except InvalidInput as fault:
                if self._rejects is None:
                    batch.fault = self._stopped(fault, line)
                    break
                self._reject(line, fault)
            else:
                batch.lines.append(line)
                batch.commits.append(Commit(events=(event,)))
        return batch

    async def _write(self, batch: Batch, advance: Advance) -> None:
        """Write a batch, and count what became of it."""
        if not batch.lines:
            return
        self._count(batch, await self._log.commit(batch.commits))
        last = batch.lines[-1]
        if self._rejects is not None:
            self._rejects.flush()  # before the bookmark passes them
        if self._source.bookmark:
            self._source.bookmark.write(last.end, last.number)
        advance(last.end, self.tally.lines)

    def _count(self, batch: Batch, verdicts: Sequence[Verdict]) -> None:
        refused: PerdureError | None = None
        for line, commit, verdict in zip(batch.lines, batch.commits, verdicts, strict=True):
            if isinstance(verdict, Committed):
                self.tally.lines += 1
                self.tally.repeated += verdict.repeated
                self.tally.stored += not verdict.repeated
            elif self._rejects is not None:
                self._reject(line, refusal(verdict, commit))
            elif refused is None:
                refused = self._stopped(refusal(verdict, commit), line)
        if refused is not None:
            raise refused

    def _reject(self, line: Line, reason: PerdureError) -> None:
        if self._rejects is not None:
            self._rejects.add(line, reason)
        self.tally.lines += 1
        self.tally.rejected += 1

    def _stopped(self, fault: PerdureError, line: Line) -> PerdureError:
        """Say in an error which line it was, and how to go on."""
        fault.add_note(f"That is line {line.number:,} of {self._source.name}.")
        fault.add_note("The lines before it are stored.")
        fault.add_note("Mend it and run the same command again, or add --keep-going.")
        return fault


async def _readable(descriptor: int) -> None:
    """Wait until there is something to read, where that can be waited for."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    try:
        loop.add_reader(descriptor, ready.set_result, None)
    except PermissionError:  # a file, or /dev/null: always ready
        return
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
