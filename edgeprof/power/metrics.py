"""Windows over a power trace to metrics: pure. Medians over windows, bounds, and every assumption named."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.records.energy import EnergyReport
from edgeprof.records.result import Metric
from edgeprof.stats import median_bounds
from edgeprof.summary.summarise import absent
from edgeprof.units import JOULES_PER_KWH, format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.power.alignment import Alignment
    from edgeprof.power.energy import IdleAsked, Measured
    from edgeprof.power.trace import PowerTrace
    from edgeprof.power.windows import Window
    from edgeprof.records.energy import EnergyWindow
    from edgeprof.records.result import Basis

CONFIDENCE = 0.95
FEWEST_FOR_95 = 6
FEWEST_FOR_ANY = 5
"""The extremes of n windows bound their median with 1 - 2^(1 - n): 96.9 % of six, 93.75 % of five."""
GRAMS_PER_KG = 1000.0
NO_INFERENCES = "how many inferences each window holds is not known: --inferences N"
NAMES = (
    "energy_per_inference_j",
    "energy_above_idle_j",
    "power_average_w",
    "power_peak_w",
    "power_idle_w",
    "inferences_per_joule",
)


class Priced(NamedTuple):
    """What electricity costs and emits; None: not asked for."""

    price_usd_per_kwh: float | None = None
    grid_g_per_kwh: float | None = None


UNPRICED = Priced()


class Systematic(NamedTuple):
    """What repeating does not show: a share of the figure, a power that is always there, and what is not known."""

    ratio: float
    offset_w: float
    words: str


def energy_metrics(
    trace: PowerTrace,
    windows: Sequence[Window],
    *,
    alignment: Alignment,
    guard_s: float = 0.0,
    idle_state: str = "idle",
    idle: IdleAsked | None = None,
    basis: Basis = "measured",
    priced: Priced = UNPRICED,
) -> EnergyReport:
    """Return windows, metrics and findings. Windows are on the trace's clock, in order; none of them holds warm-up.

    `energy_per_inference_j` is gross, `energy_above_idle_j` less the power of `idle_state` over the same time. The
    figure of a metric is the median over windows. What was refused is absent with its reason.
    """
    from edgeprof.power.energy import AROUND, measure_windows
    from edgeprof.power.findings import findings_of

    measured = measure_windows(trace, windows, alignment, guard_s=guard_s, asked=idle or AROUND)
    metrics = _metrics(trace, measured, idle_state, basis)
    metrics |= cost_and_carbon(metrics["energy_per_inference_j"], priced)
    return EnergyReport(
        trace=measured.trace,
        alignment=measured.alignment,
        windows=measured.windows,
        metrics=metrics,
        findings=findings_of(trace, measured),
    )


def _metrics(trace: PowerTrace, measured: Measured, idle_state: str, basis: Basis) -> dict[str, Metric]:
    windows = measured.windows
    covers = _covers(trace)
    reason = _first_reason(windows)
    each = _median(
        "energy_per_inference_j", [w.energy_per_inference_j for w in windows], _systematic(trace, measured),
        method=f"gross: all that {covers} drew in a window, over its inferences", basis=basis,
        reason=reason or NO_INFERENCES, seconds=_seconds_per_inference(windows),
    )  # fmt: skip
    average = _median(
        "power_average_w", [w.power_average_w for w in windows], _systematic(trace, measured),
        method=f"of {covers} over the windows", basis=basis, reason=reason or "no window", seconds=1.0,
    )  # fmt: skip
    idle = _median(
        "power_idle_w", [w.power_idle_w for w in windows], _systematic(trace, measured),
        method=f"idle ({idle_state}) of {covers} beside each window", basis=basis,
        reason=next((w.idle_reason for w in windows if w.idle_reason), None) or "no window", seconds=1.0,
    )  # fmt: skip
    return {
        "energy_per_inference_j": each,
        "energy_above_idle_j": _above_idle(trace, measured, idle_state, basis, reason),
        "power_average_w": average,
        "power_peak_w": _peak(windows, covers, basis, reason),
        "power_idle_w": idle,
        "inferences_per_joule": _inverse(each),
    }


def _above_idle(trace: PowerTrace, measured: Measured, idle_state: str, basis: Basis, reason: str | None) -> Metric:
    """Return the median of all windows with their sign; absent where it is not told apart from nothing."""
    from edgeprof.power.energy import unresolved

    values = [window.energy_above_idle_j for window in measured.windows]
    reason = reason or next((window.idle_reason for window in measured.windows if window.idle_reason), None)
    found = _median(
        "energy_above_idle_j", values, _systematic(trace, measured)._replace(offset_w=0.0),
        method=f"gross less idle ({idle_state}), measured beside each window; not for battery life",
        basis=basis, reason=reason or NO_INFERENCES, seconds=0.0,
    )  # fmt: skip
    if found.value is None:
        return found
    known = [value for value in values if value is not None]
    low = min(known) if found.low is None else found.low
    high = max(known) if found.high is None else found.high
    nothing = unresolved(trace, measured.windows, low, high)
    return found if nothing is None else absent(basis, nothing, found.method)


def _covers(trace: PowerTrace) -> str:
    match trace.covers:
        case "board":
            return "the board"
        case "module":
            rails = ", ".join(trace.rails)
            return f"the sum of the module's rails ({rails}), carrier excluded," if rails else "the module"
        case _:
            return f"a part of the board ({', '.join(trace.rails) or trace.source})"


def _first_reason(windows: Sequence[EnergyWindow]) -> str | None:
    if not windows:
        return "there is no window"
    if all(window.reason for window in windows):
        return windows[0].reason
    return None


def _seconds_per_inference(windows: Sequence[EnergyWindow]) -> float:
    """Return how long an inference takes in a window: what an offset of the instrument counts for."""
    times = [(w.end_s - w.start_s) / w.inferences for w in windows if w.inferences]
    return statistics.median(times) if times else 0.0


def _median(
    name: str,
    values: Sequence[float | None],
    systematic: Systematic,
    *,
    method: str,
    basis: Basis,
    reason: str,
    seconds: float,
) -> Metric:
    """Return the median over windows; its bounds are those of repetition and of the instrument, root of squares."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return absent(basis, reason, method)
    value = statistics.median(known)
    count = len(known)
    words = f"median of {count} window{'s' if count > 1 else ''}; {method}"
    if count < FEWEST_FOR_ANY:
        words += f"; no interval: {count} of the {FEWEST_FOR_95} windows that 95 % needs; {systematic.words}"
        return Metric(value=value, basis=basis, count=count, method=words)
    confidence = CONFIDENCE if count >= FEWEST_FOR_95 else 1 - 2.0 ** (1 - count)
    bounds = median_bounds(known, confidence)
    low, high = (
        bounds.low if bounds.low is not None else known[0],
        bounds.high if bounds.high is not None else known[-1],
    )
    few = "" if count >= FEWEST_FOR_95 else f": {count} windows give {confidence:.2%}, 95 % needs {FEWEST_FOR_95}"
    always = math.hypot(systematic.ratio * abs(value), systematic.offset_w * seconds)
    words += (
        f"; repeatability -{format_value(name, value - low)} +{format_value(name, high - value)}"
        f" (order statistics{few})"
        f", systematic ±{format_value(name, always)}: {systematic.words}"
    )
    return Metric(
        value=value,
        basis=basis,
        count=count,
        method=words,
        low=value - math.hypot(value - low, always),
        high=value + math.hypot(high - value, always),
        confidence=confidence,
        scope="within-run",
    )


def _systematic(trace: PowerTrace, measured: Measured) -> Systematic:
    """Return what the instrument's maker declares, the alignment and the gaps, combined; unknown accuracy is said."""
    known = [window for window in measured.windows if window.reason is None]
    gap = statistics.median(window.gap_ratio for window in known) if known else 0.0
    from edgeprof.power.energy import ROUNDING_RATIO

    aligned = measured.alignment.error_ratio or 0.0
    parts = [f"alignment {aligned:.3%}"]
    if gap > ROUNDING_RATIO:
        parts.append(f"gaps {gap:.2%}")
    gain, offset_w, accuracy = 0.0, 0.0, trace.accuracy
    if accuracy is None or (accuracy.gain_ratio is None and accuracy.offset_w is None):
        parts.append("the instrument's accuracy is not known and not in the bounds")
    else:
        gain, offset_w = accuracy.gain_ratio or 0.0, accuracy.offset_w or 0.0
        parts.append(f"gain {gain:.2%}, offset {format_value('offset_w', offset_w)} ({accuracy.source})")
    return Systematic(math.sqrt(gain**2 + gap**2 + aligned**2), offset_w, ", ".join(parts))


def _peak(windows: Sequence[EnergyWindow], covers: str, basis: Basis, reason: str | None) -> Metric:
    peaks = [window.power_peak_w for window in windows if window.power_peak_w is not None]
    method = f"highest sample of {covers} in any window; shorter peaks than the sampling are not seen"
    if not peaks:
        return absent(basis, reason or "no window", method)
    return Metric(value=max(peaks), basis=basis, count=len(peaks), method=method)


def _inverse(each: Metric) -> Metric:
    method = "1 / energy per inference, gross"
    if each.value is None:
        return absent(each.basis, each.reason or NO_INFERENCES, method)
    if each.low is None or each.high is None or each.low <= 0:
        return Metric(value=1 / each.value, basis=each.basis, count=each.count, method=method)
    return Metric(
        value=1 / each.value,
        basis=each.basis,
        count=each.count,
        method=method,
        low=1 / each.high,
        high=1 / each.low,
        confidence=each.confidence,
        scope=each.scope,
    )


def cost_and_carbon(each: Metric, priced: Priced) -> dict[str, Metric]:
    """Return what an inference's electricity costs and emits, where a price or a grid intensity was given.

    cost = E[kWh] * price, carbon = E[kWh] * g/kWh / 1000, with E[kWh] = E[J] / 3.6e6. Electricity only: no hardware.
    """
    found = {}
    for name, factor, assumption in (
        ("cost_per_inference_usd", priced.price_usd_per_kwh, "electricity at {:g} USD/kWh, no hardware"),
        ("carbon_per_inference_kg", _kg(priced.grid_g_per_kwh), "grid at {:g} kgCO2/kWh, no hardware"),
    ):
        if factor is not None:
            found[name] = _scaled(each, factor / JOULES_PER_KWH, assumption.format(factor))
    return found


def _kg(grid_g_per_kwh: float | None) -> float | None:
    return None if grid_g_per_kwh is None else grid_g_per_kwh / GRAMS_PER_KG


def _scaled(each: Metric, factor: float, assumption: str) -> Metric:
    method = "gross energy per inference (J) / 3.6e6 J/kWh, times what a kWh costs or emits"
    if each.value is None:
        return absent(each.basis, each.reason or NO_INFERENCES, method)
    bounded = each.low is not None and each.high is not None
    return Metric(
        value=each.value * factor,
        basis=each.basis,
        count=each.count,
        method=method,
        low=each.low * factor if bounded and each.low is not None else None,
        high=each.high * factor if bounded and each.high is not None else None,
        confidence=each.confidence,
        scope=each.scope,
        assumptions=(assumption,),
    )
