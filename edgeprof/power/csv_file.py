"""CSV: any instrument's export with a header. Untrusted text, read in blocks; plain ones by numpy's own reader."""

from __future__ import annotations

import csv
import io
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof.bounded import opened
from edgeprof.errors import UsageError
from edgeprof.power.cells import (
    are_plain,
    decimal_mark_of,
    is_ambiguous,
    is_date_time,
    number_of,
    seconds_of,
)
from edgeprof.power.columns import columns_of
from edgeprof.power.csv_layout import HEAD_BYTES, Layout, cells_of, decoded, layout_of
from edgeprof.power.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeprof.power.options import EnergyOptions
    from edgeprof.power.quantities import Column
    from edgeprof.power.trace import Floats

BLOCK_BYTES = 1 << 23
LARGEST_BYTES = 8 << 30
LARGEST_SAMPLES = 100_000_000
LONGEST_LINE = 1 << 16
WHAT = "the recording"


class Rows(NamedTuple):
    """How the rows of a file become numbers: its layout, what is wanted, and its decimal mark."""

    name: str
    layout: Layout
    columns: tuple[Column, ...]
    decimal: str


def read_csv(path: Path, options: EnergyOptions) -> Table:
    """Return the columns of a CSV file that a trace is made of.

    Delimiter and decimal mark are found out, quoted cells are whole, lines that begin with # are comments, empty cells
    and NaN are gaps, date-times are seconds, a last line that was cut short is left out. Raises UsageError with the
    line for what is no number, may be two, or lies in a row that has not as many cells as there are headers.
    """
    with opened(path, LARGEST_BYTES, WHAT) as file:
        layout = layout_of(path.name, file.read(HEAD_BYTES))
        columns = _columns(layout, options)
        rows = Rows(path.name, layout, columns, _decimal_mark(path.name, file, layout, columns))
        blocks: list[Floats] = []
        samples = 0
        for line, block in _blocks(file, layout):
            blocks.append(_numbers(rows, line, block))
            samples += len(blocks[-1])
            if samples > LARGEST_SAMPLES:
                raise UsageError(f"{path.name} has more than {LARGEST_SAMPLES:,} samples", hint="export a part of it")
    if not samples:
        raise UsageError(f"{path.name} holds no samples")
    values = np.concatenate(blocks)
    return Table(tuple((column, values[:, place]) for place, column in enumerate(columns)))


def _columns(layout: Layout, options: EnergyOptions) -> tuple[Column, ...]:
    """Return what is wanted of the file; a column of date-times is its time, whatever it is called, and is in s."""
    asked = options.columns
    found = columns_of(layout.headers, asked)
    if layout.moments and not any(column.role == "time" for column in found):
        found = columns_of(layout.headers, (*asked, ("time", str(layout.moments[0] + 1))))
    return tuple(
        column._replace(scale=1.0, assumed="") if column.role == "time" and column.place in layout.moments else column
        for column in found
    )


def _blocks(file: IO[bytes], layout: Layout) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines, from the first numbers on, with the number of the first line."""
    file.seek(layout.first_byte)
    line, rest = layout.first_line, b""
    while content := file.read(BLOCK_BYTES):
        whole, found, tail = (rest + content).rpartition(b"\n")
        if len(tail) > LONGEST_LINE:
            raise UsageError(f"line {line + whole.count(bytes([10]))} is longer than {LONGEST_LINE >> 10} KiB")
        rest = tail
        if found:
            yield line, whole + b"\n"
            line += whole.count(b"\n") + 1
    if rest.strip():
        yield line, rest


# ── which mark is the decimal one ────────────────────────────────────────────────────────────────────────────────────


def _decimal_mark(name: str, file: IO[bytes], layout: Layout, columns: tuple[Column, ...]) -> str:
    """Return the decimal mark by the first number that can only be read with one of them.

    Where none is there, a point is one in a file without commas in its numbers, and where commas part the cells.
    Raises UsageError with the line of a number that can be read both ways.
    """
    unclear, points = "", False
    if not any(_may_hold_commas(layout, block) for _, block in _blocks(file, layout)):
        return "."
    wanted = [column.place for column in columns if column.role not in {"bits", "marker"}]
    for first, block in _blocks(file, layout):
        for line, cells in _rows_of(name, layout, first, block):
            for cell in (cells[place] for place in wanted if place < len(cells)):
                if "." not in cell and "," not in cell:
                    continue
                if not is_date_time(cell) and (mark := decimal_mark_of(cell)):
                    return mark
                points = points or is_ambiguous(cell, ".")
                unclear = unclear or (f"line {line}: {cell!r}" if is_ambiguous(cell, ",") else "")
    if unclear and not (points and layout.delimiter == ","):
        raise UsageError(
            f"{name} {unclear} may have a decimal comma or a comma for thousands, and no other number of the file"
            " tells which",
            hint="export it with a decimal point and without marks between thousands",
        )
    return "."


def _may_hold_commas(layout: Layout, block: bytes) -> bool:
    return (
        (b'"' in block and layout.quoted_mark.search(block) is not None) if layout.delimiter == "," else b"," in block
    )


# ── rows to numbers ──────────────────────────────────────────────────────────────────────────────────────────────────


def _numbers(rows: Rows, line: int, block: bytes) -> Floats:
    """Return the wanted columns of a block, shape [lines, columns]."""
    if _is_plain(rows, block):
        text = decoded(block)
        if rows.decimal == ",":
            text = text.replace(",", ".")
        try:
            return _loaded(rows, text)
        except ValueError:  # an empty cell, or something that is no number: which, and where, is for the slow way
            pass
    return _one_by_one(rows, line, block)


def _is_plain(rows: Rows, block: bytes) -> bool:
    """Tell whether numpy's reader sees in a block what is there: all rows alike, and no mark that is not a decimal."""
    layout = rows.layout
    if b"#" in block or any(column.place in layout.moments for column in rows.columns):
        return False
    if b'"' in block and (layout.delimiter is None or layout.quoted_mark.search(block)):
        return False
    if layout.delimiter != "," and (b"." if rows.decimal == "," else b",") in block:
        return False
    return layout.delimiter is None or _rows_are_whole(layout, block)


def _rows_are_whole(layout: Layout, block: bytes) -> bool:
    """Tell whether each line has as many delimiters as it needs; where cells are quoted, they hold none."""
    letters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(letters))
    marks = np.flatnonzero(letters == ord(layout.delimiter or ","))
    counts = np.diff(np.searchsorted(marks, ends), prepend=0)
    return bool(np.all(counts == len(layout.headers) - 1))


def _loaded(rows: Rows, text: str) -> Floats:
    """Let numpy read; in a file of blanks it looks at every column, so that a row of another length does not pass."""
    places = [column.place for column in rows.columns]
    blanks = rows.layout.delimiter is None
    found = np.loadtxt(
        io.StringIO(text),
        delimiter=rows.layout.delimiter,
        usecols=None if blanks else places,
        comments=None,
        quotechar='"',
        ndmin=2,
    )
    if blanks and found.shape[1] != len(rows.layout.headers):
        raise ValueError
    return found[:, places] if blanks else found


def _one_by_one(rows: Rows, first: int, block: bytes) -> Floats:
    """Read cells as csv parts them; a last line without its end is left out where it is too short."""
    last = first + block.count(b"\n") if not block.endswith(b"\n") else -1
    wanted = len(rows.layout.headers)
    found: list[list[str]] = []
    lines: list[int] = []
    for line, cells in _rows_of(rows.name, rows.layout, first, block):
        if len(cells) < wanted and line == last:
            continue
        if len(cells) != wanted:
            raise UsageError(f"{rows.name} line {line}: {len(cells)} columns, {wanted} wanted", hint=_why(rows, cells))
        found.append(cells)
        lines.append(line)
    made = [_values(rows, column, [cells[column.place] for cells in found], lines) for column in rows.columns]
    return np.stack(made, axis=1) if found else np.empty((0, len(rows.columns)))


def _why(rows: Rows, cells: list[str]) -> str:
    if len(cells) > len(rows.layout.headers) and rows.layout.delimiter == ",":
        return "decimal commas need quotes, or semicolons between the cells"
    return "each row needs a cell for each header; export it again, or take the line out"


def _rows_of(name: str, layout: Layout, first: int, block: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a block with their lines, without comments, blank lines, and empty cells after the last one."""
    for line, text in enumerate(decoded(block).split("\n"), first):
        words = text.partition("#")[0].strip("\r ")
        if not words.strip():
            continue
        try:
            cells = cells_of(words, layout.delimiter)
        except csv.Error as error:
            raise UsageError(f"{name} line {line}: {error}", hint="a quote that is opened has to be closed") from None
        while len(cells) > len(layout.headers) and not cells[-1]:
            cells.pop()
        yield line, cells


def _values(rows: Rows, column: Column, cells: list[str], lines: list[int]) -> Floats:
    if column.role in {"bits", "marker"}:  # X: both levels were seen; -: none was
        cells = [cell.replace("X", "1").replace("-", "0") for cell in cells]
    if are_plain(cells, rows.decimal):
        return np.array([cell.replace(",", ".") for cell in cells], float)
    dated = column.role == "time" and column.place in rows.layout.moments
    made = [seconds_of(cell) if dated else number_of(cell, rows.decimal) for cell in cells]
    if None in made:
        wrong = made.index(None)
        what = "date-time" if dated else "number"
        if not dated and number_of(cells[wrong], "," if rows.decimal == "." else ".") is not None:
            what = f"number with a decimal {'point' if rows.decimal == '.' else 'comma'}, as the others are"
        raise UsageError(
            f"{rows.name} line {lines[wrong]}: {cells[wrong][:40]!r} is not a {what} (column {column.header!r})",
            hint="export it again, or take the line out",
        )
    return np.array(made, float)
