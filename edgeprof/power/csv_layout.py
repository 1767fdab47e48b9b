"""How a CSV file is written: delimiter, headers, where its first numbers are."""

from __future__ import annotations

import csv
import re
from typing import NamedTuple

from edgeprof.errors import UsageError
from edgeprof.power.cells import EMPTY, NUMBER, is_date, is_date_time
from edgeprof.power.quantities import bare, name_and_unit

HEAD_BYTES = 1 << 16
DELIMITERS = (";", "\t", "|", ",")
FEWEST_CELLS = 2
_BITS = re.compile("[01X-]{8}")
_QUOTED = re.compile('"[^"]*"')


class Layout(NamedTuple):
    """How a file is written: delimiter (None: blanks), headers, its first line of numbers, which cells are date-times.

    `quoted_mark` finds a delimiter or the like inside a quoted cell.
    """

    delimiter: str | None
    headers: list[str]
    first_line: int
    first_byte: int
    moments: tuple[int, ...]

    @property
    def quoted_mark(self) -> re.Pattern[bytes]:
        """Return what finds a quoted cell with a delimiter, a comma or a quote in it."""
        mark = re.escape(self.delimiter or ",").encode()
        return re.compile(rb'(?:^|%b)[ ]*"[^"\n,%b]*(?:[,%b]|""|$)' % (mark, mark, mark), re.MULTILINE)


def layout_of(name: str, head: bytes) -> Layout:
    """Return how the file is written, by its first line of numbers and the lines above that."""
    if b"\0" in head:
        raise UsageError(f"{name} is neither text nor a trace that edgeprof knows", hint="CSV, NPZ or an EEMBC trace")
    offset = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    above: list[str] = []
    reason = ""
    for number, raw in enumerate(head[offset:].split(b"\n"), 1):
        text = decoded(raw).strip()
        delimiter = _delimiter(text)
        cells = _cells_or_none(text, delimiter)
        if cells and not text.startswith("#"):
            if _is_numeric(cells):
                headers = _headers(above, delimiter, len(cells))
                if any(cells[len(headers) :]):
                    raise UsageError(
                        f"{name} line {number}: {len(cells)} columns, {len(headers)} headers above it",
                        hint="decimal commas need quotes, or semicolons between the cells",
                    )
                moments = tuple(place for place, cell in enumerate(cells) if is_date_time(cell))
                return Layout(delimiter, headers, number, offset, moments)
            reason = reason or _reason(number, cells, above, delimiter)
        above = [*above[-1:], text] if text else above
        offset += len(raw) + 1
    text = f"{name} {reason}" if reason else f"{name} has no line of numbers in its first {HEAD_BYTES >> 10} KiB"
    raise UsageError(text, hint="a header, then numbers; times as numbers, or as 2026-01-31T12:00:00.5")


def cells_of(text: str, delimiter: str | None) -> list[str]:
    """Return the cells of a line as csv parts them. Raises csv.Error for a quote that is not closed."""
    if '"' not in text:
        return [cell.strip() for cell in text.split(delimiter)]
    parted = csv.reader([text], delimiter=delimiter or " ", skipinitialspace=True, strict=True)
    return [cell.strip() for cell in next(parted)]


def decoded(raw: bytes) -> str:
    """Return text: UTF-8, else what Windows programs of the West write, where a µ is one byte."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _cells_or_none(text: str, delimiter: str | None) -> list[str] | None:
    try:
        return cells_of(text, delimiter)
    except csv.Error:
        return None


def _delimiter(text: str) -> str | None:
    outside = _QUOTED.sub("", text)
    return next((mark for mark in DELIMITERS if mark in outside), None)


def _headers(above: list[str], delimiter: str | None, count: int) -> list[str]:
    """Return the headers: the line above the numbers, joined with the one above it where it holds units alone."""
    lines = [_cells_or_none(text.lstrip("# "), delimiter) or [] for text in above]
    found = lines[-1] if lines else []
    while len(found) > count and not found[-1]:
        found.pop()
    if len(lines) > 1 and len(lines[0]) == len(found) and _are_units(found):
        found = [f"{name} [{unit}]" if unit else name for name, unit in zip(lines[0], map(_naked, found), strict=True)]
    return found if len(found) > 1 else [str(place + 1) for place in range(count)]


def _naked(unit: str) -> str:
    return bare(unit).strip("()[] ")


def _are_units(cells: list[str]) -> bool:
    units = [_naked(cell) for cell in cells]
    return any(units) and all(not unit or name_and_unit(f"x [{unit}]")[1] for unit in units)


def _is_value(cell: str) -> bool:
    return bool(NUMBER.fullmatch(cell) or _BITS.fullmatch(cell)) or is_date_time(cell) or is_date(cell)


def _is_numeric(cells: list[str]) -> bool:
    values = sum(map(_is_value, cells))
    return values >= FEWEST_CELLS and all(cell.lower() in EMPTY or _is_value(cell) for cell in cells)


def _reason(number: int, cells: list[str], above: list[str], delimiter: str | None) -> str:
    """Return what keeps a line from being the first of the numbers: the cell that is none, under its header."""
    headers = _headers(above, delimiter, len(cells))
    if not above or len(headers) != len(cells) or not any(NUMBER.fullmatch(cell) for cell in cells):
        return ""
    wrong = next((place for place, cell in enumerate(cells) if cell.lower() not in EMPTY and not _is_value(cell)), None)
    if wrong is None:
        return ""
    return f"line {number}: {cells[wrong][:40]!r} is neither a number nor a date-time (column {headers[wrong]!r})"
