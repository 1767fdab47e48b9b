"""A change as text: figures and percents with as many digits as tell the two sides apart. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgeprof.metrics import unit_of
from edgeprof.units import format_value

if TYPE_CHECKING:
    from edgeprof.records.comparison import Change

MOST_PLACES = 12


def value_text(metric: str, value: float | None) -> str:
    """Return a figure with its unit, a dash where there is none."""
    return "—" if value is None else format_value(metric, value)


def sides_text(change: Change) -> tuple[str, str]:
    """Return both figures; exact ones that differ are not rounded to the same text."""
    base, new = (value_text(change.metric, value) for value in (change.base, change.new))
    if base != new or change.way != "exact" or change.base == change.new:
        return base, new
    unit = " B" if unit_of(change.metric) == "bytes" else ""
    one, other = (f"{value or 0:,.12g}{unit}" for value in (change.base, change.new))
    return one, other


def ratio_text(ratio: float | None) -> str:
    """Return a change in percent; from 10 times on as a factor. A small one is not rounded to nothing."""
    if ratio is None:
        return ""
    if ratio >= 9:  # noqa: PLR2004  ten times
        return f"{ratio + 1:.1f} times"
    percent = ratio * 100
    places = min(MOST_PLACES, max(2, -math.floor(math.log10(abs(percent))))) if percent else 2
    return f"{percent:+.{places}f} %"


def difference_text(change: Change) -> str:
    """Return by how much an exact figure is more or less, such as `4 B more`."""
    apart = (change.new or 0.0) - (change.base or 0.0)
    word = "more" if apart > 0 else "less"
    match unit_of(change.metric):
        case "bytes":
            return f"{abs(apart):,.0f} B {word}"
        case "count":
            return f"{abs(apart):,.0f} {'fewer' if word == 'less' else word}"
        case _:
            return f"{format_value(change.metric, abs(apart))} {word}"
