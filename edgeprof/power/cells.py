"""What a cell says: numbers with a decimal point or comma, with thousands set off, and date-times."""

from __future__ import annotations

import math
import re
from datetime import datetime

NUMBER = re.compile(r"[+-]?(?:\d[\d.,'\u2019 \u00a0\u202f]*|[.,]\d+)(?:[eE][+-]?\d+)?")
"""Anything that is meant as a number, in whatever locale."""
EMPTY = frozenset({"", "nan", "null", "none", "na", "n/a", "inf", "-inf", "+inf", "infinity", "-infinity"})
_EXPONENT = re.compile(r"[eE][+-]?\d+$")
_PLAIN = {mark: re.compile(rf"(?:[+-]?(?:\d+(?:[{mark}]\d*)?|[{mark}]\d+)(?:[eE][+-]?\d+)?\n)*") for mark in ".,"}
_SET_OFF = r"[+-]?[1-9]\d{0,2}(?P<mark>[%s'\u2019 \u00a0\u202f])\d{3}(?:(?P=mark)\d{3})*(?:[%s]\d*)?"
_GROUPED = {".": re.compile(_SET_OFF % (",", ".")), ",": re.compile(_SET_OFF % (".", ","))}
_ONE_NUMBER = {mark: re.compile(rf"[+-]?(?:\d+(?:[{mark}]\d*)?|[{mark}]\d+)") for mark in ".,"}
_EITHER = {mark: re.compile(rf"[+-]?[1-9]\d{{0,2}}[{mark}]\d{{3}}") for mark in ".,"}
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE
)
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d):([0-5]\d(?:[.,]\d+)?)")


def decimal_mark_of(cell: str) -> str | None:
    """Return `.` or `,` where a number can only be read with that decimal mark; None where either does, or none is."""
    text = _EXPONENT.sub("", cell)
    fits = [mark for mark in ".," if _ONE_NUMBER[mark].fullmatch(text) or _GROUPED[mark].fullmatch(text)]
    return fits[0] if len(fits) == 1 else None


def is_ambiguous(cell: str, mark: str) -> bool:
    """Tell whether a cell is a number either way: 1,234 is 1.234 where the mark is a decimal one, and 1234 else."""
    return _EITHER[mark].fullmatch(cell) is not None


def number_of(cell: str, decimal: str) -> float | None:
    """Return the number, NaN for an empty cell, None for what is none with this decimal mark."""
    if cell.lower() in EMPTY:
        return math.nan
    found = _EXPONENT.search(cell)
    exponent, text = (found[0], cell[: found.start()]) if found else ("", cell)
    if _GROUPED[decimal].fullmatch(text):
        text = re.sub(rf"[^\d{decimal}+-]", "", text)
    elif not _ONE_NUMBER[decimal].fullmatch(text):
        return None
    return float(text.replace(",", ".") + exponent)


def are_plain(cells: list[str], decimal: str) -> bool:
    """Tell whether all cells are plain numbers, so that they can be converted at once."""
    return _PLAIN[decimal].fullmatch("\n".join(cells) + "\n") is not None


def is_date_time(cell: str) -> bool:
    """Tell whether a cell holds a moment: an ISO 8601 date with its time, or a time of day."""
    return (_DATE_TIME.fullmatch(cell) or _CLOCK.fullmatch(cell)) is not None


def is_date(cell: str) -> bool:
    """Tell whether a cell holds a day alone."""
    return _DATE.fullmatch(cell) is not None


def seconds_of(cell: str) -> float | None:
    """Return a date-time as seconds since 1970 (local where it names no zone), a time of day since midnight."""
    if cell.lower() in EMPTY:
        return math.nan
    if clock := _CLOCK.fullmatch(cell):
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3].replace(",", "."))
    parts = _DATE_TIME.fullmatch(cell)
    if parts is None:
        return None
    try:
        whole_s = datetime.fromisoformat(parts[1] + (parts[3] or "").upper()).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return whole_s + float(f"0.{parts[2] or 0}")
