"""Tables for people, in a terminal or a file. Imports rich: verbs import this when they print."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich import box, get_console
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

# Wider than any table: what is not a terminal has no edge to wrap at.
_UNBOUNDED = 10_000


def show(*things: RenderableType) -> None:
    """Print to standard output: as wide as the terminal, unwrapped into files and pipes.

    What is too wide for the terminal even with its text wrapped runs over the edge: no number is
    cut short.
    """
    free = Console(width=_UNBOUNDED)
    for thing in things:
        least = Measurement.get(free, free.options, thing).minimum
        console = Console(width=_width(), highlight=False)
        console.width = max(console.width, least)
        console.print(thing)


def shows_pictures() -> bool:
    """Say whether standard output is a terminal with colours enough for a picture."""
    console = Console()
    rich_colours = console.color_system in ("256", "truecolor") and not console.no_color
    blocks = "▀".encode(console.encoding, "ignore") != b""
    return console.is_terminal and not console.legacy_windows and rich_colours and blocks


def show_lines(lines: Iterable[Text]) -> None:
    """Print lines as they come, each cut at the edge of a terminal."""
    console = Console(width=_width(), highlight=False)
    for line in lines:
        console.print(line, crop=False, soft_wrap=not console.is_terminal)


def _width() -> int | None:
    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return _UNBOUNDED if free else None


@contextmanager
def unwrapped() -> Iterator[None]:
    """Let functions that print through rich's own console print as wide as ``show`` does."""
    console = get_console()
    before = console._width
    console._width = _width() or before
    try:
        yield
    finally:
        console._width = before


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Sequence[str] = (),
) -> Table:
    """Lay out a table.

    Parameters
    ----------
    title
        Stands above.
    columns
        Headings.
    rows
        Values, shown as text.
    numbers
        Headings of columns to align to the right.
    """
    answer = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in columns:
        is_number = column in numbers
        answer.add_column(
            Text(column),
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="ellipsis" if is_number else "fold",
        )
    for row in rows:
        answer.add_row(*(Text(str(value)) for value in row))
    return answer


def pairs(rows: Iterable[tuple[str, object]]) -> Table:
    """Lay out facts, a line each."""
    answer = Table(box=None, show_header=False, pad_edge=False)
    answer.add_column(justify="right", style="bold", no_wrap=True)
    answer.add_column(overflow="fold")
    for label, value in rows:
        answer.add_row(f"{label}:", Text(str(value)))
    return answer
