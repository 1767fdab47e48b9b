"""What an integration found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.metrics import REGISTRY
from edgeprof.printable import printable
from edgeprof.report.columns import Cell, Column, columns, page, wrapped
from edgeprof.report.drawing import drawn
from edgeprof.report.escaping import escape
from edgeprof.report.rows import row_of
from edgeprof.units import format_duration, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.energy import EnergyReport, EnergyWindow
    from edgeprof.report.columns import Page
    from edgeprof.report.rows import Row

MILLION = 1e6
JOULES_PER_KWH = 3.6e6
SHOWN_WINDOWS = 20
HEAD = ("window", "from", "length", "energy", "average", "idle", "an inference", "above idle")


@drawn
def render_energy(report: EnergyReport, format_name: str) -> str:
    """Return the report in a format."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
        case "markdown":
            return "\n".join(_markdown(report))
        case "html":
            from edgeprof.report.energy_html import energy_page  # noqa: PLC0415  only for a page

            return energy_page(report)
        case _:
            return "\n".join(_table(page(), report))


def _table(paper: Page, report: EnergyReport) -> Iterator[str]:
    yield paper.styled(printable(heading(report)), "bold")
    yield from _hanging(paper, f"alignment: {alignment_text(report)}")
    yield ""
    head = [Column(title, right=place > 0, spare=3 if title == "idle" else 0) for place, title in enumerate(HEAD)]
    yield from columns(paper, head, [window_row(at, w) for at, w in enumerate(report.windows[:SHOWN_WINDOWS], 1)])
    more = len(report.windows) - SHOWN_WINDOWS
    if more > 0:
        yield paper.styled(f"{more} more windows not shown; --format json has all", "dim")
    yield ""
    rows = [
        (row.title, Cell(row.value, "bold"), row.bounds or row.reason, Cell(row.basis, "dim"))
        for row in rows_of(report)
    ]
    titles = [Column(""), Column("median", right=True), Column(bounds_title(report), wrap=True), Column("basis")]
    yield from columns(paper, titles, rows)
    yield ""
    for line in remarks(report):
        yield from _hanging(paper, f"· {line}", "dim")
    for finding in report.findings:
        yield from _hanging(paper, f"! {finding.text}" + (f" → {finding.advice}" if finding.advice else ""))


def _markdown(report: EnergyReport) -> Iterator[str]:
    yield f"### {escape(heading(report))}"
    yield ""
    yield f"Alignment: {escape(alignment_text(report))}"
    yield ""
    yield "| " + " | ".join(HEAD) + " |"
    yield "| ---" + " | ---:" * (len(HEAD) - 1) + " |"
    for at, window in enumerate(report.windows[:SHOWN_WINDOWS], 1):
        yield "| " + " | ".join(escape(cell) for cell in window_row(at, window)) + " |"
    yield ""
    yield f"| metric | median | {bounds_title(report)} | basis | windows |"
    yield "| --- | ---: | --- | --- | ---: |"
    for row in rows_of(report):
        yield f"| {row.title} | {row.value} | {escape(row.bounds or row.reason)} | {row.basis} | {row.samples} |"
    yield ""
    for line in remarks(report):
        yield f"- {escape(line)}"
    for finding in report.findings:
        yield f"\n> **{escape(finding.text)}** {escape(finding.advice)}"


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


def _hanging(paper: Page, text: str, style: str = "") -> list[str]:
    """Return a paragraph, the lines after the first set in under its text."""
    first, *rest = wrapped(printable(text), paper.width - 2)
    return [paper.styled(line, style) for line in (first, *(f"  {line}" for line in rest))]
