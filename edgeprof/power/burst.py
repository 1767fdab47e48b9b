"""Alignment without a marker and without clocks: the pattern of windows is looked for in the power itself.

The weakest of the three ways, and marked so. The pattern has to be aperiodic, or it fits in several places.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeprof.errors import UsageError
from edgeprof.power.alignment import Alignment, Bracket, fit_clock, fit_error_s, on_reference
from edgeprof.power.trace import Floats, PowerTrace, period_s
from edgeprof.power.windows import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.power.alignment import ClockFit

PEAK_RATIO = 2.0
"""How much higher the best place has to correlate than the second best."""
STEPS_IN_SHORTEST = 40
LEAST_CORRELATION = 0.2
LARGEST_GRID = 1 << 23
NEARBY = 0.45
"""An edge is looked for within this share of the span to its neighbours."""
FEWEST_AROUND = 3
FEWEST_WINDOWS = 3
HINT = "use a marker pin, or windows and pauses of different lengths"


def by_burst(trace: PowerTrace, windows: Sequence[Window]) -> tuple[tuple[Window, ...], Alignment]:
    """Return windows of another clock on the trace's, where the power rises and falls as they say.

    A correlation gives the place, a step fitted at each edge the offset and the drift. Raises UsageError where the
    best place is not at least twice as good as the second best, or where no power rises at all.
    """
    if len(windows) < FEWEST_WINDOWS:
        raise UsageError(f"a burst pattern needs at least {FEWEST_WINDOWS} windows, here are {len(windows)}", hint=HINT)
    step_s = max(period_s(trace), min(w.length_s for w in windows) / STEPS_IN_SHORTEST)
    shift_s, ratio = _best_shift(trace, windows, step_s)
    fit = _fit_edges(trace, windows, shift_s, step_s)
    moved = tuple(Window(on_reference(fit, w.start_s), on_reference(fit, w.end_s), w.inferences) for w in windows)
    error_s = max(fit_error_s(fit, edge) for w in windows for edge in (w.start_s, w.end_s)) + period_s(trace)
    text = f"pattern of {len(windows)} windows found by correlation, the best place {ratio:.1f} times the second"
    return moved, Alignment("burst", "weak", error_s, text, moved[0].start_s - windows[0].start_s, fit.drift_ppm)


def _best_shift(trace: PowerTrace, windows: Sequence[Window], step_s: float) -> tuple[float, float]:
    """Return by how much the windows have to be moved, and how much better that is than anything else."""
    first_s, last_s = windows[0].start_s, windows[-1].end_s
    power = _on_grid(trace, step_s)
    places = round((last_s - first_s) / step_s)
    if len(power) > LARGEST_GRID or places >= len(power):
        raise UsageError("the windows take longer than the whole recording, or it is too long to search", hint=HINT)
    pattern = np.zeros(places)
    for window in windows:
        pattern[round((window.start_s - first_s) / step_s) : round((window.end_s - first_s) / step_s)] = 1.0
    score = _correlation(power, pattern)
    best = int(np.argmax(score))
    lobe = round(max(w.length_s for w in windows) / step_s)
    elsewhere = np.concatenate((score[: max(0, best - lobe)], score[best + lobe + 1 :]))
    second = max(float(elsewhere.max(initial=0.0)), float(score[best]) * _resemblance(pattern, lobe))
    if score[best] < LEAST_CORRELATION:
        raise UsageError("the power does not rise and fall as the windows do", hint=HINT)
    ratio = float(score[best]) / second if second > 0 else np.inf
    if ratio < PEAK_RATIO:
        raise UsageError(
            f"the pattern of the windows fits in several places (the best only {ratio:.2f} times the second)", hint=HINT
        )
    return float(trace.time_s[0]) + best * step_s - first_s, ratio


def _resemblance(pattern: Floats, lobe: int) -> float:
    """Return how much the pattern is like itself, moved by more than a window: 1 of one that repeats for ever.

    The recording may be too short to show the second place; the pattern tells of it all the same.
    """
    centred = pattern - pattern.mean()
    padded = 1 << (2 * len(pattern)).bit_length()
    spectrum = np.fft.rfft(centred, padded)
    itself = np.fft.irfft(np.abs(spectrum) ** 2, padded)[: len(pattern)]
    return float(itself[lobe + 1 :].max(initial=0.0) / itself[0])


def _on_grid(trace: PowerTrace, step_s: float) -> Floats:
    """Return the power at equal steps, gaps filled with the median: they say nothing for any place."""
    grid_s = np.arange(trace.time_s[0], trace.time_s[-1], step_s)
    known = np.isfinite(trace.power_w)
    if not known.any() or len(grid_s) == 0:
        raise UsageError("the recording holds nothing to search in", hint=HINT)
    cells = np.clip(((trace.time_s[known] - grid_s[0]) / step_s).astype(np.int64), 0, len(grid_s) - 1)
    count = np.bincount(cells, minlength=len(grid_s))
    total = np.bincount(cells, trace.power_w[known], minlength=len(grid_s))
    middle = float(np.median(trace.power_w[known]))
    return np.where(count > 0, total / np.maximum(count, 1), middle)


def _correlation(power: Floats, pattern: Floats) -> Floats:
    """Return Pearson's correlation of the pattern with each stretch of the power as long, by Fourier transform."""
    size, length = len(power), len(pattern)
    level = float(np.abs(power).mean())
    centred, power = pattern - pattern.mean(), power - power.mean()
    padded = 1 << (size + length - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(power, padded) * np.conj(np.fft.rfft(centred, padded)), padded)
    sums, squares = np.concatenate(([0.0], np.cumsum(power))), np.concatenate(([0.0], np.cumsum(power**2)))
    mean = (sums[length:] - sums[:-length]) / length
    spread = np.sqrt(np.maximum((squares[length:] - squares[:-length]) - length * mean**2, 0.0))
    least = 1e-6 * level * length**0.5 + 1e-30  # of a power that does not move there is only rounding
    score: Floats = product[: size - length + 1] / (np.maximum(spread, least) * float(np.sqrt(np.sum(centred**2))))
    return score


def _fit_edges(trace: PowerTrace, windows: Sequence[Window], shift_s: float, step_s: float) -> ClockFit:
    """Return offset and drift by the steps that are nearest to where the edges ought to be."""
    edges = [edge for window in windows for edge in (window.start_s, window.end_s)]
    spans = np.diff(edges)
    around = [min(before, after) for before, after in zip([spans[0], *spans], [*spans, spans[-1]], strict=True)]
    brackets = []
    for edge, room in zip(edges, around, strict=True):
        found = _step_near(trace, edge + shift_s, max(NEARBY * float(room), 2 * step_s))
        if found is not None:
            brackets.append(Bracket(found[0], edge, found[1]))
    if len(brackets) < FEWEST_WINDOWS:
        raise UsageError("the power does not rise and fall clearly where the windows are", hint=HINT)
    return fit_clock(brackets)


def _step_near(trace: PowerTrace, time_s: float, room_s: float) -> tuple[float, float] | None:
    """Return between which two samples the mean changes most (least squares of one step), None with too few samples."""
    first, last = np.searchsorted(trace.time_s, (time_s - room_s, time_s + room_s))
    power = trace.power_w[first:last]
    known = np.flatnonzero(np.isfinite(power))
    count = len(known)
    if count < 2 * FEWEST_AROUND:
        return None
    left = np.arange(1, count)
    sums = np.cumsum(power[known])
    gain = (sums[:-1] - left / count * sums[-1]) ** 2 / (left * (count - left))
    inner = slice(FEWEST_AROUND - 1, count - FEWEST_AROUND)
    at = int(np.argmax(gain[inner])) + FEWEST_AROUND - 1
    times = trace.time_s[first:last][known]
    return float(times[at]), float(times[at + 1])
