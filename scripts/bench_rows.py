"""What a section of the bench gives back, and the statistics that sections share."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Row(NamedTuple):
    """One figure against its target, with what it was measured under."""

    name: str
    value: str
    target: str
    ok: bool
    conditions: str


class Spread(NamedTuple):
    """Median and quartiles of some values."""

    low: float
    middle: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Return the median and the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, middle, high)


def median_bounds(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bounds of the median by order statistics; for 30 values and more."""
    ordered = sorted(values)
    reach = math.ceil(0.98 * math.sqrt(len(ordered)))  # 1.96 standard deviations of a binomial with p = 1/2
    middle = len(ordered) // 2
    return ordered[max(0, middle - reach)], ordered[min(len(ordered) - 1, middle + reach)]


def print_rows(rows: Sequence[Row]) -> None:
    """Print rows in columns, the conditions below each."""
    name = max(len(row.name) for row in rows)
    value = max(len(row.value) for row in rows)
    for row in rows:
        print(f"  {'ok    ' if row.ok else 'MISSED'}  {row.name:{name}}   {row.value:{value}}   target {row.target}")
        print(f"          {row.conditions}")
    print(flush=True)
