"""What a command prints: the answer on standard output, everything else on standard error.

One rule: nothing that was stored can steer the terminal. Control characters are shown, never sent;
colours appear on a terminal only, and not even there when ``NO_COLOR`` is set.
"""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Output:
    """The answer of one command: lines for people, or with ``--json`` a JSON value a line."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._console = _console(sys.stdout)

    def record(self, value: object) -> None:
        """Print a value as one line of JSON."""
        self.lines(self._encoder.encode(value) + b"\n")

    def lines(self, text: bytes) -> None:
        """Print whole lines as they are, at once."""
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()

    def text(self, text: str, style: str = "") -> None:
        """Print a line for people."""
        _print(self._console, text, style)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print columns as wide as what is in them; numbers stand to the right."""
        body = [["" if cell is None else cell for cell in row] for row in rows]
        shown = [[printable(_cell(cell)) for cell in row] for row in body]
        widths = [max(map(cell_len, column)) for column in zip(header, *shown, strict=True)]
        numeric = [
            bool(body) and all(isinstance(row[i], int) or row[i] == "" for row in body)
            for i in range(len(header))
        ]
        for index, cells in enumerate([list(header), *shown]):
            padded = (
                _pad(cell, width, right=right)
                for cell, width, right in zip(cells, widths, numeric, strict=True)
            )
            self.text("  ".join(padded).rstrip(), "" if index else "bold")


def complain(text: str, style: str = "") -> None:
    """Print lines on standard error."""
    _print(_console(sys.stderr), text, style)


def printable(text: str) -> str:
    """Show control characters, those that turn the direction of writing included, as escapes."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def is_terminal(stream: IO[Any]) -> bool:
    """Tell whether a person is looking at a stream, whatever colours were asked for."""
    return stream.isatty()


def _console(stream: IO[Any]) -> Console:
    return Console(
        file=stream,
        soft_wrap=True,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def _print(console: Console, text: str, style: str) -> None:
    console.print(Text(printable(text), style=style))


def _cell(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _pad(cell: str, width: int, *, right: bool) -> str:
    room = " " * (width - cell_len(cell))
    return room + cell if right else cell + room
