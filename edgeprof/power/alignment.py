"""Laying windows over a trace: which clock they are on, how the clocks differ, and how sure that is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof.errors import UsageError
from edgeprof.power.windows import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

CRYSTAL_RATIO = 100e-6
"""How far two crystals may differ where one bracket alone tells nothing of it: 50 ppm each, as cheap ones are sold."""
COVERAGE = 2.0
"""Standard uncertainties are doubled: 95 %."""
FEWEST_FOR_SCATTER = 3
PPM = 1e6


class Bracket(NamedTuple):
    """The other clock read `other_s` at some moment between two readings of the reference clock."""

    before_s: float
    other_s: float
    after_s: float


class ClockFit(NamedTuple):
    """Reference clock = other clock + offset_s + drift_ratio * (other clock - pivot_s), with standard uncertainties."""

    pivot_s: float
    offset_s: float
    drift_ratio: float
    offset_u_s: float
    drift_u_ratio: float
    brackets: int

    @property
    def drift_ppm(self) -> float:
        """Return by how much the reference clock runs faster than the other, in parts per million."""
        return self.drift_ratio * PPM


class Alignment(NamedTuple):
    """How windows were laid over a trace. `error_s`: how far off an edge may be, at 95 %.

    quality: `exact` (edges in the sample stream itself, or one clock for both), `paired` (edges in the sample stream of
    a recording on disk, which nothing but its windows and its date ties to the run), `bracketed` (clocks compared over
    the link) or `weak` (found by correlation).
    """

    method: str
    quality: str
    error_s: float
    text: str
    offset_s: float | None = None
    drift_ppm: float | None = None


def fit_clock(brackets: Sequence[Bracket]) -> ClockFit:
    """Fit offset and drift by least squares, each bracket weighted by its width.

    A bracket's middle is off by at most half its width, uniformly: its standard uncertainty is width / sqrt(12). Where
    the residuals say that the brackets are worse than that, the uncertainties grow (Birge's ratio). Of one bracket the
    drift is that of two crystals. Also gives an instrument's true rate: fit its own time base against the host's.
    """
    if not brackets:
        raise UsageError("no reading of both clocks: nothing tells how they differ")
    other = np.array([bracket.other_s for bracket in brackets])
    offset = np.array([(bracket.before_s + bracket.after_s) / 2 for bracket in brackets]) - other
    width = np.array([bracket.after_s - bracket.before_s for bracket in brackets])
    if np.any(width < 0):
        raise UsageError("a clock bracket ends before it begins")
    sigma = np.maximum(width, 1e-9) / math.sqrt(12)
    weight = 1 / sigma**2
    pivot = float(np.average(other, weights=weight))
    mean, spread = float(np.average(offset, weights=weight)), float(np.sum(weight * (other - pivot) ** 2))
    if len(brackets) == 1 or spread <= 0:
        return ClockFit(pivot, mean, 0.0, float(sigma.min()), CRYSTAL_RATIO, len(brackets))
    drift = float(np.sum(weight * (other - pivot) * (offset - mean)) / spread)
    birge = 1.0
    if len(brackets) >= FEWEST_FOR_SCATTER:
        residual = offset - mean - drift * (other - pivot)
        birge = max(1.0, math.sqrt(float(np.sum(weight * residual**2)) / (len(brackets) - 2)))
    return ClockFit(
        pivot, mean, drift, birge / math.sqrt(float(weight.sum())), birge / math.sqrt(spread), len(brackets)
    )


def on_reference(fit: ClockFit, other_s: float) -> float:
    """Return what the reference clock read when the other one read this."""
    return other_s + fit.offset_s + fit.drift_ratio * (other_s - fit.pivot_s)


def on_other(fit: ClockFit, reference_s: float) -> float:
    """Return what the other clock read when the reference clock read this: the inverse of `on_reference`."""
    return fit.pivot_s + (reference_s - fit.offset_s - fit.pivot_s) / (1 + fit.drift_ratio)


def fit_error_s(fit: ClockFit, other_s: float) -> float:
    """Return how far off a converted time may be, at 95 %."""
    return COVERAGE * math.hypot(fit.offset_u_s, fit.drift_u_ratio * (other_s - fit.pivot_s))


def by_clocks(
    windows: Sequence[Window], agent: ClockFit, instrument: ClockFit | None, sample_s: float
) -> tuple[tuple[Window, ...], Alignment]:
    """Return windows of the agent's clock on the trace's, by way of the host's; `instrument` None: it is the host's.

    `agent` and `instrument` are fits against the host's clock, `sample_s` the trace's period.
    """

    def convert(time_s: float) -> float:
        host_s = on_reference(agent, time_s)
        return on_other(instrument, host_s) if instrument else host_s

    moved = tuple(Window(convert(w.start_s), convert(w.end_s), w.inferences) for w in windows)
    edges = [edge for window in windows for edge in (window.start_s, window.end_s)]
    error_s = max((fit_error_s(agent, edge) for edge in edges), default=0.0)
    drift_ppm, text = agent.drift_ppm, f"agent's clock against the host's by {agent.brackets} brackets"
    if instrument:
        edges = [edge for window in moved for edge in (window.start_s, window.end_s)]
        error_s = math.hypot(error_s, max((fit_error_s(instrument, edge) for edge in edges), default=0.0))
        drift_ppm -= instrument.drift_ppm
        rate = f"{-instrument.drift_ppm:+.1f} ppm"
        text += f", the instrument's by {instrument.brackets}; its true rate is {rate} off the nominal one"
    offset_s = moved[0].start_s - windows[0].start_s if windows else None
    return moved, Alignment("clock", "bracketed", error_s + sample_s / 2, text, offset_s, drift_ppm)


def error_ratio(error_s: float, length_s: float, idle_w: float | None, active_w: float) -> float:
    """Return the share of a window's energy that an alignment error stands for: 2 dt (1 - P_idle / P_active) / T.

    Both edges may be off, and what one takes in for the other is idle power. Idle not known: the worst, none.
    """
    if length_s <= 0 or active_w <= 0:
        return math.inf
    contrast = abs(1 - idle_w / active_w) if idle_w is not None else 1.0
    return 2 * error_s * contrast / length_s
