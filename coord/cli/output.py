"""What the commands print: JSON lines for programs, tables and colour for people.

Rich is imported only when something is drawn on a terminal: a pipe gets plain, aligned text.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from coord.model.znode import Stat

GOOD: Final = "green"
BAD: Final = "red"
DOUBTFUL: Final = "yellow"
QUIET: Final = "bright_black"


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a table with a colour that repeats, and never replaces, what the text says."""

    text: str
    colour: str | None = None


@dataclass(slots=True)
class Table:
    """Rows under headers. Numbers are aligned to the right."""

    headers: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """Append one row; a cell may be a Cell or anything with a ``str``."""
        assert len(cells) == len(self.headers), "a row has one cell for each header"
        self.rows.append(tuple(c if isinstance(c, Cell) else Cell(str(c)) for c in cells))

    def show(self) -> None:
        """Print: drawn by rich on a terminal, aligned columns elsewhere."""
        if sys.stdout.isatty():
            self._show_rich()
        else:
            for line in self.lines():
                click.echo(line)

    def lines(self) -> list[str]:
        """Plain text, one line per row, headers first."""
        columns = list(zip(*self._texts(), strict=True))
        widths = [max(map(len, column)) for column in columns]
        return [
            "  ".join(
                text.rjust(width) if self._is_number(position) else text.ljust(width)
                for position, (text, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in self._texts()
        ]

    def _texts(self) -> list[tuple[str, ...]]:
        return [self.headers, *(tuple(cell.text for cell in row) for row in self.rows)]

    def _is_number(self, position: int) -> bool:
        texts = [row[position].text for row in self.rows]
        return bool(texts) and all(
            text.lstrip("-").isdigit() or text in {"", "-"} for text in texts
        )

    def _show_rich(self) -> None:
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        drawn = RichTable(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for position, header in enumerate(self.headers):
            is_number = self._is_number(position)
            drawn.add_column(header, justify="right" if is_number else "left", no_wrap=True)
        for row in self.rows:
            drawn.add_row(*(Text(cell.text, style=cell.colour or "") for cell in row))
        console = Console(highlight=False)
        # A line longer than the terminal is wrapped by it; a shortened address helps nobody.
        needed = max(map(len, self.lines())) + 2 * len(self.headers)
        console.width = max(console.width, needed)
        console.print(drawn)


def json_line(value: object) -> None:
    """Print one value as one line of JSON, and flush: a reader may act on each line."""
    click.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=False))
    sys.stdout.flush()


def data_fields(name: str, data: bytes | None) -> dict[str, Any]:
    """``{name: text}``, or ``{name_base64: …}`` where the bytes are not UTF-8 text."""
    if data is None:
        return {name: None}
    try:
        return {name: data.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode("ascii")}


def stat_fields(stat: Stat) -> dict[str, int]:
    """A Stat as JSON; every revision is below 2⁵³, so that JSON numbers hold it."""
    return dict(stat._asdict())


def shown(data: bytes | None, limit: int = 60) -> str:
    """A value on one line: text where it is text, its size where it is not."""
    if data is None:
        return ""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return f"<{len(data)} bytes>"
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def moment(wall_ms: int) -> str:
    """A wall-clock time in UTC to the millisecond; empty for zero."""
    if not wall_ms:
        return ""
    stamp = datetime.fromtimestamp(wall_ms / 1000, UTC)
    return f"{stamp:%Y-%m-%d %H:%M:%S}.{wall_ms % 1000:03d}Z"


def session_name(session: int) -> str:
    """A session id as every command prints and takes it; empty for none."""
    return f"0x{session:x}" if session else ""


def styled(text: str, colour: str | None) -> str:
    """Colour ``text`` where the output is a terminal."""
    return click.style(text, fg=colour) if colour and sys.stdout.isatty() else text


def note(text: str) -> None:
    """Tell a person something that is not the result: on the error stream."""
    click.echo(text, err=True)


def elapsed(milliseconds: float) -> str:
    """A duration for people: 12 ms, 3.4 s, 5 min, 2.1 h."""
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1_000:.1f} s"
    if milliseconds < 7_200_000:
        return f"{milliseconds / 60_000:.0f} min"
    return f"{milliseconds / 3_600_000:.1f} h"


def listed(items: Sequence[object]) -> str:
    """Items in a sentence: "1, 2 and 3"."""
    texts = [str(item) for item in items]
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
