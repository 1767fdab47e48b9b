"""Fewer points than were taken, for a page that opens at once; extremes are kept, and what was left out is said."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]
LOG_FROM_RATIO = 5.0
"""Values that span more than this are binned, and drawn, by their logarithms."""


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most `most` points: of each of `most / 2` runs of neighbours the lowest and the highest, in order."""
    if len(points) <= most:
        return list(points)
    buckets = max(1, most // 2)
    kept: list[Point] = []
    for bucket in range(buckets):
        first, last = bucket * len(points) // buckets, (bucket + 1) * len(points) // buckets
        low = min(range(first, last), key=lambda at: points[at][1])
        high = max(range(first, last), key=lambda at: points[at][1])
        kept += [points[at] for at in sorted({low, high})]
    return kept


def thinned_note(shown: int, of: int, what: str) -> str:
    """Return the sentence that says so; nothing where all are shown."""
    if shown >= of:
        return ""
    return f"Thinned: {shown:,} of {of:,} {what} are drawn, the lowest and the highest of each run of neighbours."


class Bins(NamedTuple):
    """Edges, one more than counts; the last bin is closed. `log`: evenly spaced in their logarithms."""

    edges: list[float]
    log: bool


def bins_of(values: Sequence[float], most: int = 48) -> Bins:
    """Return bins over all values, so that none is left out."""
    low, high = min(values), max(values)
    if high <= low:
        width = abs(low) * 0.01 or 1.0
        return Bins([low - width / 2, low + width / 2], log=False)
    log = low > 0 and high / low > LOG_FROM_RATIO
    count = max(8, min(2 * most if log else most, math.ceil(2 * math.sqrt(len(values)))))
    steps = [step / count for step in range(count + 1)]
    edges = [low * (high / low) ** step if log else low + (high - low) * step for step in steps]
    edges[0], edges[-1] = low, high
    return Bins(edges, log)


def counted(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """Return how many values are in each bin."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(bisect_right(edges, value), len(counts)) - 1] += 1
    return counts
