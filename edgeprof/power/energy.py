"""Windows over a trace: the energy of each, the idle power around it, and what has to be refused."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof.power.alignment import PPM, error_ratio
from edgeprof.power.integrate import between, cumulate, gaps
from edgeprof.power.trace import GAP_PERIODS, ROUNDING, period_s, readings_hz
from edgeprof.power.windows import SETTLING_CONSTANTS, Window, check_order, guarded
from edgeprof.records.energy import AlignmentUsed, EnergyWindow, TraceFacts
from edgeprof.units import format_duration, format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.power.alignment import Alignment
    from edgeprof.power.integrate import Cumulated
    from edgeprof.power.options import Side
    from edgeprof.power.trace import PowerTrace

LARGEST_GAP_RATIO = 0.01
FEWEST_READINGS = 30
FEWEST_IDLE_READINGS = 10
LARGEST_ALIGNMENT_RATIO = 0.05
IDLE_BLOCKS = 20
MIXED_RATIO = 0.1
"""Idle is not one state where its mean is this share of active above idle away from its median."""
FEWEST_STEPS = 3
"""How many quantisation steps active power must lie above idle."""
ROUNDING_RATIO = 1e-9
"""Of a window: a gap that is smaller is what sums of times are rounded by."""
EQUAL_RATIO = 1e-9
"""Of the gross energy: what sums of equal samples differ by."""


class IdleAsked(NamedTuple):
    """Where idle is looked for: how far from each window (None: as far as it is long), and on which side."""

    span_s: float | None = None
    side: Side = "both"


AROUND = IdleAsked()


class Idle(NamedTuple):
    """The power around a window: of the state that lasts longest, and the plain mean; or why there is none."""

    power_w: float | None
    mean_w: float | None
    reason: str | None = None


class Measured(NamedTuple):
    """The windows over a trace, the alignment as energy, and the facts about the trace."""

    windows: tuple[EnergyWindow, ...]
    alignment: AlignmentUsed
    trace: TraceFacts


def measure_windows(
    trace: PowerTrace,
    windows: Sequence[Window],
    alignment: Alignment,
    *,
    guard_s: float = 0.0,
    asked: IdleAsked = AROUND,
) -> Measured:
    """Integrate each window; what cannot be trusted has its reason in place of a figure.

    `guard_s` is left out at both ends, and at least five time constants of the sensor's own filter. Times are on the
    trace's clock. Raises UsageError for windows that overlap.
    """
    check_order(windows)
    cumulated = cumulate(trace)
    guard_s = max(guard_s, SETTLING_CONSTANTS * trace.filter_time_constant_s)
    measured = []
    for place, window in enumerate(windows):
        idle = _idle_around(trace, cumulated, windows, place, max(guard_s, alignment.error_s), asked)
        measured.append(_measured(trace, cumulated, window, guard_s, idle, alignment))
    ratios = [ratio for _, ratio in measured if ratio is not None]
    used = AlignmentUsed(
        method=alignment.method,
        quality=alignment.quality,
        error_s=alignment.error_s,
        error_ratio=statistics.median(ratios) if ratios else None,
        offset_s=alignment.offset_s,
        drift_ratio=None if alignment.drift_ppm is None else alignment.drift_ppm / PPM,
        text=alignment.text,
    )
    return Measured(tuple(window for window, _ in measured), used, trace_facts(trace, cumulated, windows))


def _supply_v(trace: PowerTrace) -> float | None:
    """Return the median voltage of a single supply; a sum of rails has none."""
    if trace.volts is None or len(trace.rails) > 1:
        return None
    known = trace.volts[np.isfinite(trace.volts)]
    return float(np.median(known)) if len(known) else None


def trace_facts(trace: PowerTrace, cumulated: Cumulated, windows: Sequence[Window]) -> TraceFacts:
    """Return what a report says of the recording; what of the windows lies outside of it is a gap too."""
    count, lost_s = gaps(cumulated)
    for outside_s in _outside(cumulated, windows):
        count, lost_s = count + 1, lost_s + outside_s
    period, accuracy = period_s(trace), trace.accuracy
    length_s = float(cumulated.edge_s[-1] - cumulated.edge_s[0]) if len(cumulated.edge_s) > 1 else 0.0
    return TraceFacts(
        source=trace.source,
        clock=trace.clock,
        covers=trace.covers,
        rails=trace.rails,
        samples=len(trace.time_s),
        start_s=float(trace.time_s[0]) if len(trace.time_s) else None,
        duration_s=length_s,
        rate_hz=1 / period if period > 0 else None,
        gaps=count,
        gaps_s=lost_s,
        accuracy=accuracy.source if accuracy and accuracy.gain_ratio is not None else None,
        supply_v=_supply_v(trace),
        notes=trace.notes,
    )


def _outside(cumulated: Cumulated, windows: Sequence[Window]) -> list[float]:
    """Return how much is missing before the recording begins and after it ends, up to the windows' ends."""
    if not windows or not len(cumulated.left_w):
        return []
    period = float(np.median(np.diff(cumulated.edge_s)))
    early_s = float(cumulated.edge_s[0]) - windows[0].start_s
    late_s = windows[-1].end_s - float(cumulated.edge_s[-1])
    return [missing_s for missing_s in (early_s, late_s) if missing_s > GAP_PERIODS * ROUNDING * period]


def _measured(
    trace: PowerTrace,
    cumulated: Cumulated,
    window: Window,
    guard_s: float,
    idle: Idle,
    alignment: Alignment,
) -> tuple[EnergyWindow, float | None]:
    """Return one window's figures or reason, and its alignment error as a share of its energy."""
    inner = guarded(window, guard_s)
    integral = between(cumulated, inner.start_s, inner.end_s)
    average_w = integral.average_w
    # Inside a guard as wide as the error, no edge takes in anything that is not the window's.
    error_s = max(0.0, alignment.error_s - guard_s)
    ratio = None if average_w is None else error_ratio(error_s, window.length_s, idle.power_w, average_w)
    reason = _refused(trace, inner, integral.gap_ratio, average_w, ratio)
    inferences = _inferences(window, inner)
    kept = reason is None and average_w is not None
    energy_j = integral.energy_j if kept else None
    each_j = energy_j / inferences if energy_j is not None and inferences else None
    idle_w, above_j = idle.power_w, None
    if each_j is not None and idle_w is not None and inferences:
        above_j = each_j - idle_w * integral.covered_s / inferences
    return EnergyWindow(
        start_s=window.start_s,
        end_s=window.end_s,
        energy_j=energy_j,
        power_average_w=average_w if kept else None,
        energy_per_inference_j=each_j,
        energy_above_idle_j=above_j,
        power_peak_w=_peak(trace, inner) if kept else None,
        power_idle_w=idle_w,
        inferences=window.inferences,
        guard_s=guard_s,
        gap_ratio=integral.gap_ratio,
        reason=reason,
        idle_reason=idle.reason,
        idle_note=_mixed(idle, average_w) if kept else None,
    ), ratio


def _refused(
    trace: PowerTrace, inner: Window, gap_ratio: float, average_w: float | None, alignment_ratio: float | None
) -> str | None:
    """Return why a window gives no energy, None where it does."""
    readings = max(0.0, inner.length_s) * readings_hz(trace)
    if readings < FEWEST_READINGS * (1 - 1e-6):
        length = format_duration(max(0.0, inner.length_s))
        return (
            f"{readings:.0f} independent readings in {length} after trimming, {FEWEST_READINGS} are needed: the window"
            " is shorter than the sensor can resolve"
        )
    if gap_ratio > LARGEST_GAP_RATIO or average_w is None:
        missing = f"{gap_ratio:.1%} of the window is missing in the trace, at most {LARGEST_GAP_RATIO:.0%} may be"
        ended = bool(trace.lost) and inner.end_s > float(trace.time_s[-1:].sum())
        return f"{missing}: the instrument ended by itself" if ended else missing
    if average_w <= 0:
        return "the average power is not above zero: the leads may be swapped, or the zero is off"
    if alignment_ratio is not None and alignment_ratio > LARGEST_ALIGNMENT_RATIO:
        return (
            f"the alignment error stands for {alignment_ratio:.1%} of the energy, at most"
            f" {LARGEST_ALIGNMENT_RATIO:.0%} may be: longer windows or a marker pin"
        )
    return None


def _inferences(window: Window, inner: Window) -> float | None:
    """Return the inferences of what lies between the guards, in proportion: a window holds nothing else."""
    if window.inferences is None:
        return None
    return window.inferences * inner.length_s / window.length_s


def _peak(trace: PowerTrace, inner: Window) -> float | None:
    first, last = np.searchsorted(trace.time_s, (inner.start_s, inner.end_s))
    inside = trace.power_w[first:last]
    return float(np.nanmax(inside)) if len(inside) and not np.isnan(inside).all() else None


# ── idle ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _idle_around(
    trace: PowerTrace, cumulated: Cumulated, windows: Sequence[Window], place: int, guard_s: float, asked: IdleAsked
) -> Idle:
    """Return the power before and after a window, the mean of both, or why there is none.

    Each side reaches as far as is asked for and no further than the next window: what is near drifts least.
    """
    window = windows[place]
    reach_s = window.length_s if asked.span_s is None else asked.span_s
    first_s = windows[place - 1].end_s if place else float(cumulated.edge_s[0])
    last_s = windows[place + 1].start_s if place + 1 < len(windows) else float(cumulated.edge_s[-1])
    spans = {
        "before": (max(first_s + guard_s, window.start_s - guard_s - reach_s), window.start_s - guard_s),
        "after": (window.end_s + guard_s, min(last_s - guard_s, window.end_s + guard_s + reach_s)),
    }
    powers, means = [], []
    for side, (start_s, end_s) in spans.items():
        if asked.side not in {"both", side}:
            continue
        integral = between(cumulated, start_s, max(start_s, end_s))
        readings = max(0.0, integral.covered_s) * readings_hz(trace)
        if readings < FEWEST_IDLE_READINGS:
            reason = f"{readings:.0f} readings of idle {side} the window, {FEWEST_IDLE_READINGS} are needed"
            return Idle(None, None, reason)
        if integral.gap_ratio > LARGEST_GAP_RATIO or integral.average_w is None:
            missing = f"{integral.gap_ratio:.1%} of idle {side} the window is missing in the trace"
            return Idle(None, None, f"{missing}, at most {LARGEST_GAP_RATIO:.0%} may be")
        whole = asked.span_s is not None  # a span that a person chose is the state, all of it
        powers.append(integral.average_w if whole else _lasting(cumulated, start_s, end_s))
        means.append(integral.average_w)
    return Idle(statistics.fmean(powers), statistics.fmean(means))


def _lasting(cumulated: Cumulated, start_s: float, end_s: float) -> float:
    """Return the median of the averages of twenty blocks.

    What takes less than half of the span does not count: a warm-up, a transfer over the link. Short pulses that belong
    to idle do, as each block averages over them.
    """
    edges = np.linspace(start_s, end_s, IDLE_BLOCKS + 1)
    blocks = [between(cumulated, float(a), float(b)).average_w for a, b in pairwise(edges)]
    return statistics.median(block for block in blocks if block is not None)


def _mixed(idle: Idle, average_w: float | None) -> str | None:
    """Return what to say where idle was more than one state."""
    if idle.power_w is None or idle.mean_w is None or average_w is None:
        return None
    if abs(idle.mean_w - idle.power_w) <= MIXED_RATIO * abs(average_w - idle.power_w):
        return None
    most, mean = format_value("power_w", idle.power_w), format_value("power_w", idle.mean_w)
    if most == mean:  # rails that stand still differ by rounding alone
        return None
    return f"idle is not one state: {most} most of the time, which counts, {mean} on average"


def unresolved(trace: PowerTrace, windows: Sequence[EnergyWindow], low_j: float, high_j: float) -> str | None:
    """Return why the energy above idle of some windows says nothing, None where it does.

    `low_j` and `high_j` bound it an inference. Windows below idle count as those above it do: without them, noise
    around nothing would always be something.
    """
    known = [one for one in windows if one.energy_above_idle_j is not None]
    pairs = [(one.power_average_w or 0.0, one.power_idle_w or 0.0) for one in known]
    difference_w = statistics.median(active_w - idle_w for active_w, idle_w in pairs)
    least_j = EQUAL_RATIO * statistics.median(one.energy_per_inference_j or 0.0 for one in known)
    if high_j < -least_j:
        return f"idle takes {format_value('power_w', -difference_w)} more than the window: it is not idle"
    low, high = format_value("energy_j", low_j), format_value("energy_j", high_j)
    spread = f"{low} … {'+' * (high_j > 0)}{high} an inference over {len(known)} window{'s' * (len(known) > 1)}"
    step_w = trace.accuracy.step_w if trace.accuracy else None
    if step_w is not None and difference_w < FEWEST_STEPS * step_w:
        return (
            f"active power is {format_value('power_w', difference_w)} above idle, less than {FEWEST_STEPS} steps of the"
            f" sensor ({format_value('power_w', step_w)} each): {spread}"
        )
    return f"not told apart from idle: {spread}" if low_j <= least_j else None
