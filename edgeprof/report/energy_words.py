"""What all formats say of an integrated power trace: its heading, alignment, windows, and how values were got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.metrics import REGISTRY
from edgeprof.report.rows import row_of
from edgeprof.units import JOULES_PER_KWH, format_duration, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.energy import EnergyReport, EnergyWindow
    from edgeprof.report.rows import Row


MILLION = 1e6
HEAD = ("window", "from", "length", "energy", "average", "idle", "an inference", "above idle")


def heading(report: EnergyReport) -> str:
    """Return what the recording is."""
    trace = report.trace
    rate = f" at {format_value('rate_hz', trace.rate_hz)}" if trace.rate_hz else ""
    gaps = "1 gap of" if trace.gaps == 1 else f"{trace.gaps:,} gaps, together"
    lost = f", {gaps} {format_duration(trace.gaps_s)}" if trace.gaps else ""
    return f"{trace.source}: {trace.samples:,} samples{rate}, {format_duration(trace.duration_s)}{lost}"


def alignment_text(report: EnergyReport) -> str:
    """Return how the windows were laid over it, and how far off that may be."""
    used = report.alignment
    share = "" if used.error_ratio is None else f", {used.error_ratio:.4%} of a window's energy"
    offset = "" if used.offset_s is None else f", offset {used.offset_s:.6g} s"
    drift = "" if used.drift_ratio is None else f", drift {used.drift_ratio * 1e6:+.1f} ppm"
    error = format_duration(used.error_s)
    return f"{used.method} ({used.quality}): {used.text}{offset}{drift}; an edge is off by at most {error}{share}"


def bounds_title(report: EnergyReport) -> str:
    """Return what the bounds of the metrics hold."""
    levels = {m.confidence for m in report.metrics.values() if m.confidence is not None}
    return f"{levels.pop() * 100:.4g} % bounds" if len(levels) == 1 else "bounds"


def window_row(number: int, window: EnergyWindow) -> list[str]:
    """Return a window's cells, in the order of HEAD."""
    begin = [str(number), f"{window.start_s:.4f} s", format_duration(window.end_s - window.start_s)]
    figures = (
        ("energy_j", window.energy_j),
        ("power_w", window.power_average_w),
        ("power_w", window.power_idle_w),
        ("energy_j", window.energy_per_inference_j),
        ("energy_j", window.energy_above_idle_j),
    )
    return [*begin, *("—" if value is None else format_value(name, value) for name, value in figures)]


def rows_of(report: EnergyReport) -> list[Row]:
    """Return the metrics, what money and carbon come to left out: `remarks` has it."""
    known = (row_of(name, report.metrics[name]) for name in REGISTRY if name in report.metrics)
    return [row for row in known if not row.name.startswith(("cost_", "carbon_"))]


def remarks(report: EnergyReport) -> tuple[str, ...]:
    """Return what a million inferences take, and how the figures were got."""
    return (*_per_million(report), *_methods(report))


def _per_million(report: EnergyReport) -> Iterator[str]:
    """Yield what a million inferences take: kWh, money, carbon, with what was assumed."""
    each = report.metrics["energy_per_inference_j"].value
    if each is None:
        return
    parts = [f"{each * MILLION / JOULES_PER_KWH:.4g} kWh"]
    for name, unit in (("cost_per_inference_usd", "USD"), ("carbon_per_inference_kg", "kg CO2")):
        metric = report.metrics.get(name)
        if metric is not None and metric.value is not None:
            parts.append(f"{metric.value * MILLION:.4g} {unit} ({'; '.join(metric.assumptions)})")
    yield f"1 M inferences, gross: {', '.join(parts)}"


def _methods(report: EnergyReport) -> Iterator[str]:
    for name in ("energy_per_inference_j", "energy_above_idle_j"):
        metric = report.metrics[name]
        if metric.value is not None:
            yield f"{row_of(name, metric).title}: {metric.method}"
