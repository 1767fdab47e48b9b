"""Columns on a terminal, drawn without a library: `inspect` answers in less time than importing one takes."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

STYLES = {"bold": "1", "dim": "2", "red": "1;31", "green": "32", "yellow": "33", "cyan": "36"}
GAP = "  "
NARROWEST, WITHOUT_TERMINAL = 72, 110


class Cell(NamedTuple):
    """A text and how it looks."""

    text: str
    style: str = ""


class Column(NamedTuple):
    """A column: `wrap` lets it give way where the page is too narrow, `spare` lets it go, the largest number first."""

    title: str
    right: bool = False
    wrap: bool = False
    spare: int = 0


class Page(NamedTuple):
    """How wide the output is, and whether it has colours."""

    width: int
    colour: bool

    def styled(self, text: str, style: str) -> str:
        """Return the text with the codes of a style, or as it is."""
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colour and style and text else text


def page() -> Page:
    """Return the page that standard output is; NO_COLOR and a dumb terminal have no colours."""
    terminal = sys.stdout.isatty()
    colour = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((100, 24)).columns if terminal else WITHOUT_TERMINAL
    return Page(max(width, NARROWEST), colour)


def columns(page: Page, head: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> list[str]:
    """Return the lines of a table as wide as its cells; without any title it has no head."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    kept = _kept(page, head, cells)
    head = [head[place] for place in kept]
    cells = [[row[place] for place in kept] for row in cells]
    widths = _widths(page, head, cells)
    lines = []
    if any(column.title for column in head):
        titles = [Cell(column.title, "bold") for column in head]
        lines = [
            *_row(page, head, widths, titles),
            page.styled("─" * (sum(widths) + len(GAP) * (len(head) - 1)), "dim"),
        ]
    for row in cells:
        lines += _row(page, head, widths, row)
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Return the text in lines of at most this width, broken at blanks where it can be."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        rest = word
        while len(rest) > width:
            room = width - len(line) - 1 if line else width
            if line and room < width // 2:
                lines, line, room = [*lines, line], "", width
            lines, line, rest = [*lines, f"{line} {rest[:room]}".strip()], "", rest[room:]
        if line and len(line) + 1 + len(rest) > width:
            lines, line = [*lines, line], rest
        else:
            line = f"{line} {rest}".strip()
    return [*lines, line] if line or not lines else lines


def _cell(cell: Cell | str) -> Cell:
    return Cell(printable(cell)) if isinstance(cell, str) else cell._replace(text=printable(cell.text))


def _natural(head: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> list[int]:
    return [
        max(len(column.title), max((len(row[place].text) for row in cells), default=0))
        for place, column in enumerate(head)
    ]


def _kept(page: Page, head: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> list[int]:
    """Return the places of the columns that fit; those that can be spared go first."""
    natural, kept = _natural(head, cells), list(range(len(head)))
    least = [min(size, page.width // 4) if head[place].wrap else size for place, size in enumerate(natural)]
    for place in sorted((place for place in kept if head[place].spare), key=lambda place: -head[place].spare):
        if sum(least[index] for index in kept) + len(GAP) * (len(kept) - 1) <= page.width:
            break
        kept.remove(place)
    return kept


def _widths(page: Page, head: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> list[int]:
    """Return the width of each column; those that wrap share what the others leave."""
    widths = _natural(head, cells)
    soft = [place for place, column in enumerate(head) if column.wrap]
    room = (
        page.width - len(GAP) * (len(head) - 1) - sum(widths[place] for place in range(len(head)) if place not in soft)
    )
    for place in sorted(soft, key=widths.__getitem__):
        widths[place] = min(widths[place], max(room // len(soft), 12))
        room, soft = room - widths[place], soft[1:]
    return widths


def _row(page: Page, head: Sequence[Column], widths: Sequence[int], row: Sequence[Cell]) -> list[str]:
    parts = [wrapped(cell.text, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for number in range(max(len(part) for part in parts)):
        drawn = []
        for part, cell, width, column in zip(parts, row, widths, head, strict=True):
            text = part[number] if number < len(part) else ""
            blank = " " * (width - len(text))
            styled = page.styled(text, cell.style)
            drawn.append(blank + styled if column.right else styled + blank)
        lines.append(GAP.join(drawn).rstrip())
    return lines
