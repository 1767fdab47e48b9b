"""CSV: any instrument's export with a header. Untrusted text, read in blocks by numpy's own reader."""

from __future__ import annotations

import io
import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof.errors import UsageError
from edgeprof.power.quantities import columns_of
from edgeprof.power.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgeprof.power.options import EnergyOptions
    from edgeprof.power.quantities import Column
    from edgeprof.power.trace import Floats

HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 25
LARGEST_BYTES = 8 << 30
LARGEST_SAMPLES = 100_000_000
LONGEST_LINE = 1 << 16
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_EMPTY = frozenset({"", "nan", "null", "none", "na", "n/a", "inf", "-inf"})
_BITS = re.compile("[01X-]{8}")


class Layout(NamedTuple):
    """How a file is written: delimiter (None: blanks), decimal comma, headers, where its first numbers are."""

    delimiter: str | None
    comma: bool
    headers: list[str]
    first_line: int
    first_byte: int


def read_csv(path: Path, options: EnergyOptions) -> Table:
    """Return the columns of a CSV file that a trace is made of.

    Delimiter and decimal comma are found out, lines that begin with # are comments, empty cells and NaN are gaps, a
    last line that was cut short is left out. Raises UsageError with the line for what is no number.
    """
    with path.open("rb") as file:
        layout = _layout(path.name, file.read(HEAD_BYTES))
        columns = columns_of(layout.headers, options.columns)
        blocks: list[Floats] = []
        samples = 0
        file.seek(layout.first_byte)
        for line, block in _blocks(file, layout.first_line):
            blocks.append(_numbers(path.name, layout, columns, line, block))
            samples += len(blocks[-1])
            if samples > LARGEST_SAMPLES:
                raise UsageError(f"{path.name} has more than {LARGEST_SAMPLES:,} samples", hint="export a part of it")
    if not samples:
        raise UsageError(f"{path.name} holds no samples")
    values = np.concatenate(blocks)
    return Table(tuple((column, values[:, place]) for place, column in enumerate(columns)))


def _layout(name: str, head: bytes) -> Layout:
    """Return how the file is written, by its first line of numbers and the line above that."""
    if b"\0" in head:
        raise UsageError(f"{name} is neither text nor a trace that edgeprof knows", hint="CSV, NPZ or an EEMBC trace")
    offset = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    above: str = ""
    for number, raw in enumerate(head[offset:].splitlines(keepends=True), 1):
        text = raw.decode("utf-8", "replace").strip()
        delimiter = _delimiter(text)
        cells = text.split(delimiter)
        if not text.startswith("#") and _is_numeric(cells):
            if not above:
                above = (delimiter or " ").join(str(place + 1) for place in range(len(cells)))
            headers = [cell.strip() for cell in above.lstrip("# ").split(delimiter)]
            if len(headers) < len(cells):
                headers = [*headers, *[""] * (len(cells) - len(headers))]
            comma = delimiter != "," and any("," in cell for cell in cells)
            return Layout(delimiter, comma, headers, number, offset)
        above = text or above
        offset += len(raw)
    raise UsageError(
        f"{name} has no line of numbers in its first {HEAD_BYTES >> 10} KiB", hint="a header, then numbers"
    )


def _delimiter(text: str) -> str | None:
    for delimiter in (";", "\t"):
        if delimiter in text:
            return delimiter
    return "," if "," in text else None


def _is_numeric(cells: list[str]) -> bool:
    stripped = [cell.strip().strip('"') for cell in cells]
    numbers = sum(1 for cell in stripped if _NUMBER.fullmatch(cell) or _BITS.fullmatch(cell))
    return numbers >= 2 and all(  # noqa: PLR2004  a time and a value
        cell.lower() in _EMPTY or _NUMBER.fullmatch(cell) or _BITS.fullmatch(cell) for cell in stripped
    )


def _blocks(file: io.BufferedReader, first_line: int) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole lines with the number of the first; the size is bounded."""
    line, rest, total = first_line, b"", 0
    while content := file.read(BLOCK_BYTES):
        total += len(content)
        if total > LARGEST_BYTES:
            raise UsageError(f"more than {LARGEST_BYTES >> 30} GiB of text", hint="export a part of it, or an NPZ")
        whole, found, tail = (rest + content).rpartition(b"\n")
        if len(tail) > LONGEST_LINE:
            raise UsageError(f"line {line + whole.count(bytes([10]))} is longer than {LONGEST_LINE >> 10} KiB")
        rest = tail
        if found:
            yield line, whole + b"\n"
            line += whole.count(b"\n") + 1
    if rest.strip():
        yield line, rest


def _numbers(name: str, layout: Layout, columns: list[Column], line: int, block: bytes) -> Floats:
    """Return the wanted columns of a block, shape [lines, columns]."""
    text = block.decode("utf-8", "replace")
    if layout.comma:
        text = text.replace(",", ".")
    if all(not line.partition("#")[0].strip() for line in io.StringIO(text)):
        return np.empty((0, len(columns)))
    try:
        return np.loadtxt(
            io.StringIO(text),
            delimiter=layout.delimiter,
            usecols=[column.place for column in columns],
            comments="#",
            quotechar='"',
            ndmin=2,
        )
    except ValueError:  # an empty cell, or something that is no number: which, and where, is for the slow way
        return _one_by_one(name, layout, columns, line, text)


def _one_by_one(name: str, layout: Layout, columns: list[Column], first: int, text: str) -> Floats:
    rows = []
    lines = text.split("\n")
    for number, content in enumerate(lines, first):
        words = content.partition("#")[0].strip("\r ")
        if not words.strip():
            continue
        cells = [cell.strip().strip('"') for cell in words.split(layout.delimiter)]
        if len(cells) <= max(column.place for column in columns):
            if number == first + len(lines) - 1:  # without an end of line: the recording broke off in it
                continue
            wanted = max(column.place for column in columns) + 1
            raise UsageError(f"{name} line {number}: {len(cells)} columns, {wanted} wanted")
        rows.append([_number(name, number, column, cells[column.place]) for column in columns])
    return np.array(rows, float).reshape(len(rows), len(columns))


def _number(name: str, line: int, column: Column, cell: str) -> float:
    if column.role in {"bits", "marker"}:
        cell = cell.replace("X", "1").replace("-", "0")  # X: both levels were seen; -: none was
    if cell.lower() in _EMPTY:
        return math.nan
    try:
        return float(cell)
    except ValueError:
        seen = cell[:40]
        raise UsageError(f"{name} line {line}: {seen!r} is not a number (column {column.header!r})") from None
