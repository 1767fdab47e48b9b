"""Files that say when windows begin and end: JSON or CSV, in seconds."""

from __future__ import annotations

import csv
import json
import math
from typing import TYPE_CHECKING, Any

from edgeprof.errors import FileUnreadable, UsageError
from edgeprof.power.windows import Window, paired

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LARGEST_BYTES = 64 << 20
FORMS = (
    'JSON: [t0, t1, …] in pairs, [[start, end], …] or [{"start_s": …, "end_s": …, "inferences": …}, …];'
    " CSV: start_s,end_s[,inferences], or one time a line"
)  # fmt: skip


def read_markers(path: Path) -> tuple[Window, ...]:
    """Return the windows of a file, on the clock of its times. Raises UsageError that names what it cannot read."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UsageError(f"{path.name} is larger than {LARGEST_BYTES >> 20} MiB")
        text = path.read_text("utf-8-sig", "replace")
    except OSError as error:
        raise FileUnreadable(f"{path} cannot be read: {error.strerror}") from error
    windows = _of_json(path.name, text) if text.lstrip()[:1] in {"[", "{"} else _of_csv(path.name, text)
    if not windows:
        raise UsageError(f"{path.name} holds no window", hint=FORMS)
    return windows


def _of_json(name: str, text: str) -> tuple[Window, ...]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name} is not JSON: {error}", hint=FORMS) from error
    rows = found.get("windows") if isinstance(found, dict) else found
    if not isinstance(rows, list):
        raise UsageError(f"{name} holds no list of times", hint=FORMS)
    if all(isinstance(row, int | float) and not isinstance(row, bool) for row in rows):
        return paired([_seconds(name, row) for row in rows])
    windows = []
    for number, row in enumerate(rows, 1):
        match row:
            case [start, end]:
                windows.append(_window(name, number, start, end, None))
            case {"start_s": start, "end_s": end}:
                windows.append(_window(name, number, start, end, row.get("inferences")))
            case _:
                raise UsageError(f"{name}: entry {number} is no window", hint=FORMS)
    return tuple(windows)


def _of_csv(name: str, text: str) -> tuple[Window, ...]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        return ()
    delimiter = next((mark for mark in (";", "\t", ",") if mark in lines[0]), ",")
    rows = list(csv.reader(lines, delimiter=delimiter))
    if any(letter.isalpha() for letter in rows[0][0]):
        rows = rows[1:]
    if all(len(row) == 1 for row in rows):
        return paired([_seconds(name, row[0]) for row in rows])
    return tuple(_csv_window(name, number, row) for number, row in enumerate(rows, 1))


def _csv_window(name: str, number: int, row: Sequence[str]) -> Window:
    if len(row) < 2:  # noqa: PLR2004  start and end
        raise UsageError(f"{name}: window {number} has no end", hint=FORMS)
    counted = row[2].strip() if len(row) > 2 else ""  # noqa: PLR2004  the third column
    if counted and not counted.isdigit():
        raise UsageError(f"{name}: {counted!r} of window {number} is no count of inferences", hint=FORMS)
    return _window(name, number, row[0], row[1], int(counted) if counted else None)


def _window(name: str, number: int, start: object, end: object, inferences: object) -> Window:
    if inferences is not None and (not isinstance(inferences, int) or isinstance(inferences, bool) or inferences < 1):
        raise UsageError(f"{name}: {inferences!r} of window {number} is no count of inferences", hint=FORMS)
    return Window(_seconds(name, start), _seconds(name, end), inferences)


def _seconds(name: str, value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UsageError(f"{name}: {value!r} is no time in seconds", hint=FORMS)
    return seconds
