"""Power over time to energy: nothing over a gap, the ends of a window between samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeprof.errors import UsageError
from edgeprof.power.trace import GAP_PERIODS, ROUNDING, Flags, Floats, PowerTrace, period_s

WRAP_POWER_RATIO = 10.0
"""A counter that would have to count this many times the largest power seen elsewhere has not wrapped: it was reset."""
MOST_FALLS, LOOK_AHEAD = 10_000, 10_000


class Cumulated(NamedTuple):
    """Energy and covered time up to each edge; between edges the power is a straight line from `left` to `right`.

    Shapes: edge_s, energy_j, covered_s [n + 1]; left_w, right_w, usable [n]. Segments that are not usable are gaps.
    """

    edge_s: Floats
    left_w: Floats
    right_w: Floats
    usable: Flags
    energy_j: Floats
    covered_s: Floats


class Integral(NamedTuple):
    """Energy of a span: what was integrated, over how much of it."""

    start_s: float
    end_s: float
    energy_j: float
    covered_s: float

    @property
    def gap_ratio(self) -> float:
        """Return the share of the span in which nothing is known."""
        length = self.end_s - self.start_s
        return max(0.0, 1.0 - self.covered_s / length) if length > 0 else 1.0

    @property
    def average_w(self) -> float | None:
        """Return the average power over what is known; None where nothing is."""
        return self.energy_j / self.covered_s if self.covered_s > 0 else None


def cumulate(trace: PowerTrace) -> Cumulated:
    """Integrate a trace once, so that any window costs two look-ups: trapezoids, or rectangles where samples hold."""
    time_s, power_w, period = trace.time_s, trace.power_w, period_s(trace)
    if trace.hold:
        edge_s = np.append(time_s, time_s[-1:] + period)
        left_w = right_w = power_w
    else:
        edge_s, left_w, right_w = time_s, power_w[:-1], power_w[1:]
    length_s = np.diff(edge_s)
    usable = np.isfinite(left_w) & np.isfinite(right_w) & (length_s <= GAP_PERIODS * ROUNDING * period)
    energy_j = np.where(usable, (left_w + right_w) * 0.5 * length_s, 0.0)
    covered_s = np.where(usable, length_s, 0.0)
    return Cumulated(edge_s, left_w, right_w, usable, _summed(energy_j), _summed(covered_s))


def between(cumulated: Cumulated, start_s: float, end_s: float) -> Integral:
    """Return the energy between two times; power at a time between two samples is interpolated."""
    energy_start, covered_start = _up_to(cumulated, start_s)
    energy_end, covered_end = _up_to(cumulated, end_s)
    return Integral(start_s, end_s, energy_end - energy_start, covered_end - covered_start)


def gaps(cumulated: Cumulated) -> tuple[int, float]:
    """Return how many gaps there are inside the trace, and how long they are together."""
    lost = ~cumulated.usable
    starts = lost & ~np.concatenate(([False], lost[:-1])) if len(lost) else lost
    return int(starts.sum()), float(np.diff(cumulated.edge_s)[lost].sum())


def power_of_counter(time_s: Floats, counter_j: Floats, *, range_j: float | None) -> tuple[Floats, list[str]]:
    """Return the mean power from each reading of an energy counter to the next, shape [n - 1], and what was noticed.

    An unreadable reading is NaN, and so is every difference with it; one that falls out of the row and comes back, or a
    0 before a leap, is unreadable too. A counter that goes down has started again at 0 after `range_j`, if that is
    known and the power that follows from it is plausible; else the difference is a gap.
    """
    counter_j, out = _without_outliers(time_s, counter_j)
    step_j, length_s = np.diff(counter_j), np.diff(time_s)
    fell = step_j < 0
    with np.errstate(divide="ignore", invalid="ignore"):
        power_w = np.where(length_s > 0, step_j / length_s, np.nan)
        power_w[fell] = np.nan
        if range_j is not None:
            seen = float(np.nanmax(power_w, initial=0.0))
            wrapped_w = np.where(fell, (step_j + range_j) / length_s, np.nan)
            good = fell & (wrapped_w >= 0) & (wrapped_w <= WRAP_POWER_RATIO * seen) & (counter_j[:-1] <= range_j)
            power_w = np.where(good, wrapped_w, power_w)
    lost = int((fell & ~np.isfinite(power_w)).sum())
    wrapped = int(fell.sum()) - lost
    notes = [f"the energy counter started again {wrapped} times after {range_j:g} J: counted on"] if wrapped else []
    if lost:
        why = "by more than its range explains" if range_j is not None else "and its range is not known"
        notes.append(f"the energy counter went down {lost} times {why}: gaps")
    unread = int((~np.isfinite(counter_j)).sum()) - out
    if out:
        notes.append(f"{out} readings of the energy counter fall out of the row: gaps")
    if unread:
        notes.append(f"{unread} readings of the energy counter failed: gaps")
    return power_w, notes


def _without_outliers(time_s: Floats, counter_j: Floats) -> tuple[Floats, int]:
    """Return the counter with NaN for readings that are none, and how many these are.

    A failed reading often comes as 0 (or as another small number): the fall to it is no reset, as the counter comes
    back to where it was in one leap, and that leap is no energy. Of readings at the very beginning only the leap tells.
    """
    kept = counter_j.copy()
    falls = np.flatnonzero(np.diff(counter_j) < 0)
    if len(falls) > MOST_FALLS:
        raise UsageError(f"the energy counter goes down {len(falls):,} times: it is none")
    for fall in falls:
        ahead = counter_j[fall + 1 : fall + 1 + LOOK_AHEAD]
        back = np.flatnonzero(ahead >= counter_j[fall])
        if len(back) and ahead[back[0]] - ahead[back[0] - 1] >= (counter_j[fall] - ahead[0]) / 2:
            kept[fall + 1 : fall + 1 + back[0]] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        power_w = np.diff(kept) / np.diff(time_s)
    from_zero = kept[:-1] == 0
    usual = float(np.nanmax(power_w[~from_zero], initial=0.0))
    leaps = np.flatnonzero(from_zero & (power_w > WRAP_POWER_RATIO * usual)) if usual > 0 else np.empty(0, int)
    for leap in leaps:
        first = leap
        while first > 0 and kept[first - 1] == 0:
            first -= 1
        kept[first : leap + 1] = np.nan
    return kept, int(np.isnan(kept).sum() - np.isnan(counter_j).sum())


def _summed(parts: Floats) -> Floats:
    return np.concatenate(([0.0], np.cumsum(parts)))


def _up_to(cumulated: Cumulated, time_s: float) -> tuple[float, float]:
    """Return energy and covered time from the trace's begin up to a time."""
    if len(cumulated.left_w) == 0:
        return 0.0, 0.0
    at = int(np.clip(np.searchsorted(cumulated.edge_s, time_s, side="right") - 1, 0, len(cumulated.left_w) - 1))
    energy_j, covered_s = float(cumulated.energy_j[at]), float(cumulated.covered_s[at])
    if not cumulated.usable[at]:
        return energy_j, covered_s
    length_s = float(cumulated.edge_s[at + 1] - cumulated.edge_s[at])
    inside_s = min(max(time_s - float(cumulated.edge_s[at]), 0.0), length_s)
    left_w, right_w = float(cumulated.left_w[at]), float(cumulated.right_w[at])
    slope_w = (right_w - left_w) * inside_s / length_s
    return energy_j + (left_w + slope_w / 2) * inside_s, covered_s + inside_s
