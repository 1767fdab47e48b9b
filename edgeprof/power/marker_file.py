"""Files that say when windows begin and end: JSON or CSV, in seconds or in the unit that a header or key names."""

from __future__ import annotations

import csv
import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.bounded import read_bounded
from edgeprof.errors import UsageError
from edgeprof.power.cells import is_date_time, seconds_of
from edgeprof.power.csv_layout import decoded
from edgeprof.power.quantities import name_and_unit
from edgeprof.power.windows import Window, paired

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LARGEST_BYTES = 64 << 20
LARGEST_S = 1e11
"""As of a recording's times without a unit: what is beyond counts milliseconds or less."""
FORMS = (
    'JSON: [t0, t1, …] in pairs, [[start, end], …] or [{"start_s": …, "end_s": …, "inferences": …}, …];'
    " CSV: start_s,end_s[,inferences], or one time a line"
)  # fmt: skip
UNIT_HINT = "times in another unit need it in their header or key, such as start_ms,end_ms"
_START = re.compile("start|begin|from|t0", re.IGNORECASE)
_END = re.compile("end|stop|until|t1|(?:^|_)to(?:$|_)", re.IGNORECASE)
_COUNT = re.compile("inferences?|count|runs", re.IGNORECASE)


class MarkerTimes(NamedTuple):
    """The windows of a file; `unsaid`: no header or key named the unit, and seconds were taken."""

    windows: tuple[Window, ...]
    unsaid: bool


class Places(NamedTuple):
    """Which cell of a row is what, and the unit of its times; `counted` None: no column of inferences."""

    start: int
    end: int
    counted: int | None
    start_scale: float = 1.0
    end_scale: float = 1.0
    unsaid: bool = True


def read_markers(path: Path) -> MarkerTimes:
    """Return the windows of a file, on the clock of its times. Raises UsageError that names what it cannot read."""
    text = decoded(read_bounded(path, LARGEST_BYTES, "the markers")).removeprefix("\ufeff")
    found = _of_json(path.name, text) if text.lstrip()[:1] in {"[", "{"} else _of_csv(path.name, text)
    if not found.windows:
        raise UsageError(f"{path.name} holds no window", hint=FORMS)
    latest = max(window.end_s for window in found.windows)
    if found.unsaid and latest > LARGEST_S:
        raise UsageError(f"the times of {path.name} reach {latest:,.0f}: that are no seconds", hint=UNIT_HINT)
    return found


def _of_json(name: str, text: str) -> MarkerTimes:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON: {error}", hint=FORMS) from error
    rows = found.get("windows") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise UsageError(f"{name} holds no list of times", hint=FORMS)
    if all(_is_time(row) for row in rows):
        return MarkerTimes(paired([_seconds(name, row) for row in rows]), unsaid=True)
    windows, unsaid = [], False
    for number, row in enumerate(rows, 1):
        match row:
            case [start, end]:
                windows.append(_window(name, number, _seconds(name, start), _seconds(name, end), None))
                unsaid = True
            case {**pairs} if (places := _places([str(key) for key in pairs])) and not places.unsaid:
                values = list(pairs.values())
                start, end = values[places.start], values[places.end]
                count = values[places.counted] if places.counted is not None else None
                windows.append(
                    _window(name, number, _seconds(name, start, places.start_scale),
                            _seconds(name, end, places.end_scale), count)
                )  # fmt: skip
            case _:
                raise UsageError(f"{name}: entry {number} is no window", hint=FORMS)
    return MarkerTimes(tuple(windows), unsaid)


def _is_time(row: object) -> bool:
    return isinstance(row, int | float | str) and not isinstance(row, bool)


def _of_csv(name: str, text: str) -> MarkerTimes:
    rows = list(_rows(name, text))
    if not rows:
        return MarkerTimes((), unsaid=True)
    head = rows[0][1]
    titled = any(letter.isalpha() for letter in head[0]) and not is_date_time(head[0])
    places = (_places(head) or _in_order(head)) if titled else Places(0, 1, 2 if len(head) > 2 else None)  # noqa: PLR2004
    rows = rows[1:] if titled else rows
    if all(len(row) == 1 for _, row in rows):
        return MarkerTimes(paired([_seconds(name, row[0], places.start_scale) for _, row in rows]), places.unsaid)
    most = max(len(head), 2) if titled else 3
    return MarkerTimes(tuple(_csv_window(name, line, row, places, most) for line, row in rows), places.unsaid)


def _rows(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows with their lines, without comments and empty cells at their ends."""
    delimiter = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        delimiter = delimiter or next((mark for mark in (";", "\t", ",") if mark in line), ",")
        try:
            row = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, strict=True))]
        except csv.Error as error:
            raise UsageError(f"{name} line {number}: {error}", hint=FORMS) from None
        while len(row) > 1 and not row[-1]:
            row.pop()
        yield number, row


def _places(headers: Sequence[str]) -> Places | None:
    """Return which column is which by their names; None where they do not say it."""
    named = [(at, *name_and_unit(header)) for at, header in enumerate(headers)]
    start = next((one for one in named if _START.search(one[1])), None)
    end = next((one for one in named if one is not start and _END.search(one[1])), None)
    if start is None or end is None:
        return None
    count = next((at for at, name, _ in named if _COUNT.fullmatch(name)), None)
    return _with_units(start[0], end[0], count, headers)


def _in_order(headers: Sequence[str]) -> Places:
    return _with_units(0, min(1, len(headers) - 1), 2 if len(headers) > 2 else None, headers)  # noqa: PLR2004


def _with_units(start: int, end: int, count: int | None, headers: Sequence[str]) -> Places:
    scales = [
        unit.scale if (unit := name_and_unit(headers[at])[1]) and unit.quantity == "time" else None
        for at in (start, end)
    ]
    known = next((scale for scale in scales if scale is not None), None)
    first, second = (known or 1.0 if scale is None else scale for scale in scales)
    return Places(start, end, count, first, second, unsaid=known is None)


def _csv_window(name: str, line: int, row: Sequence[str], places: Places, most: int) -> Window:
    if len(row) <= max(places.start, places.end):
        raise UsageError(f"{name} line {line}: the window has no end", hint=FORMS)
    if len(row) > most:
        raise UsageError(f"{name} line {line}: {len(row)} columns, {most} wanted", hint=FORMS)
    counted = row[places.counted] if places.counted is not None and len(row) > places.counted else ""
    if counted and not (counted.isascii() and counted.isdigit() and len(counted) < 19):  # noqa: PLR2004  of 64 bits
        raise UsageError(f"{name} line {line}: {counted!r} is no count of inferences", hint=FORMS)
    start = _seconds(name, row[places.start], places.start_scale)
    end = _seconds(name, row[places.end], places.end_scale)
    return _window(name, line, start, end, int(counted) if counted else None)


def _window(name: str, number: int, start: float, end: float, inferences: object) -> Window:
    if inferences is not None and (not isinstance(inferences, int) or isinstance(inferences, bool) or inferences < 1):
        raise UsageError(f"{name}: {inferences!r} of window {number} is no count of inferences", hint=FORMS)
    return Window(start, end, inferences)


def _seconds(name: str, value: object, scale: float = 1.0) -> float:
    if isinstance(value, str) and is_date_time(value.strip()):
        seconds = seconds_of(value.strip())
        if seconds is not None:
            return seconds
    try:
        seconds = float(value) * scale if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UsageError(f"{name}: {value!r} is no time in seconds", hint=FORMS)
    return seconds
