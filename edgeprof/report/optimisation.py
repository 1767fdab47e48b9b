"""The optimisation report: baseline, optimised, techniques, quality and cost, as far as each was measured.

Cost is arithmetic on measured figures and on a load and a price that the user gave; nothing is assumed beside them:

- busy time a day = requests a day * latency; its price is that of a machine paid by the second of use;
- machines = ceil(requests a day * latency / 86,400 s), one inference at a time and the load spread evenly: a machine
  paid by the hour costs the same whether busy or not, so that less latency saves nothing until one fewer is needed;
- energy a day = requests a day * energy an inference.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.comparing.shown import difference_text, value_text
from edgeprof.metrics import metric_kind, unit_of
from edgeprof.report.comparison_words import (
    SIGNS,
    heading,
    how_sure,
    quality_line,
    scores_line,
    sentence,
    worst,
)
from edgeprof.report.escaping import escape
from edgeprof.units import JOULES_PER_KWH, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.comparison import Change, ComparedSide, Comparison, Price

DAY_S, HOUR_S, DAYS_A_YEAR = 86400.0, 3600.0, 365
REPORTED = (
    "latency_p50_s", "latency_p99_s", "throughput_hz", "instructions_count", "memory_peak_bytes", "sram_peak_bytes",
    "flash_bytes", "model_bytes", "macs_count", "energy_per_inference_j",
)  # fmt: skip
"""What the report has a line for: of a Linux board, of a microcontroller, of every model."""
ON_ONE_KIND = frozenset({"instructions_count", "sram_peak_bytes", "flash_bytes", "latency_p50_s", "latency_p99_s",
                         "throughput_hz", "memory_peak_bytes"})  # fmt: skip


def render(found: Sequence[Comparison]) -> str:
    """Return one report a comparison."""
    return "\n\n".join("\n".join(_lines(one)) for one in found)


def _lines(one: Comparison) -> Iterator[str]:
    yield f"# Optimisation report: {escape(heading(one))}"
    yield f"\nGate: **{worst(one)}**. {escape(sentence(how_sure(one)))}."
    for warned in one.warnings:
        yield f"\n> **{escape(warned.text)}** {escape(warned.advice)}"
    yield f"\n## Baseline\n\n{_side(one.base)}\n"
    for name in _metrics(one):
        yield f"- {metric_kind(name).title}: {_figure(one.base, name, _changes(one).get(name))}"
    yield f"\n## Optimised\n\n{_side(one.new)}\n"
    for name in _metrics(one):
        yield f"- {metric_kind(name).title}: {_optimised(one, name)}"
    yield "\n## Techniques\n"
    yield from _techniques(one)
    yield "\n## Quality\n"
    yield from _quality(one)
    yield "\n## Cost impact\n"
    yield from _cost(one)


def _side(side: ComparedSide) -> str:
    threads = f", {side.threads} threads" if side.threads > 1 else ""
    return f"{escape(side.name)}{', ' + escape(side.runtime) if side.runtime else ''}{threads}"


def _metrics(one: Comparison) -> list[str]:
    """Return the report's metrics; those that only another kind of board has are left out."""
    both = (*one.base.metrics, *one.new.metrics)
    return [name for name in REPORTED if name not in ON_ONE_KIND or name in both]


def _changes(one: Comparison) -> dict[str, Change]:
    return {change.metric: change for change in one.changes}


def _figure(side: ComparedSide, name: str, change: Change | None, *, new: bool = False) -> str:
    if change is not None and (value := change.new if new else change.base) is not None:
        return f"{value_text(name, value)} ({change.basis})"
    metric = side.metrics.get(name)
    return f"— ({escape(metric.reason) if metric is not None and metric.reason else 'not measured in this run'})"


def _optimised(one: Comparison, name: str) -> str:
    change = _changes(one).get(name)
    shown = _figure(one.new, name, change, new=True)
    factor = None if change is None else _factor(change)
    return f"{shown}{', ' + factor if factor else ''}"


def _factor(change: Change) -> str | None:
    """Return the change as a factor with its bounds and its verdict, as people speak of optimisations."""
    ratio = change.change_ratio
    if ratio is None or not change.base:
        return None
    if change.verdict == "same" and ratio == 0:
        return "unchanged"
    if change.allowed:
        return difference_text(change)
    up, down = WORDS.get(unit_of(change.metric), ("more", "less"))
    grew = ratio > 0
    word = up if grew else down
    factors = [_times(ratio, grew=grew)]
    if change.way != "exact" and change.low is not None and change.high is not None:
        factors += sorted(_times(bound, grew=grew) for bound in (change.low, change.high))
    bounds = f" ({factors[1]:.2f} to {factors[2]:.2f})" if len(factors) == 3 else ""  # noqa: PLR2004  with two bounds
    said = "cannot be told from one run each" if change.verdict == "cannot tell" else SIGNS[change.verdict]
    return f"{factors[0]:.2f} times {word}{bounds}: {said}"


WORDS = {"s": ("slower", "faster"), "bytes": ("larger", "smaller"), "hz": ("as many", "fewer")}
"""What more and less are called, by the unit."""


def _times(ratio: float, *, grew: bool) -> float:
    after = 1 + ratio
    if grew:
        return after
    return 1 / after if after > 0 else math.inf


def _techniques(one: Comparison) -> Iterator[str]:
    if not one.techniques:
        yield "— (the two show no difference that is known as a technique)"
    for index, technique in enumerate(one.techniques, start=1):
        yield f"{index}. {escape(technique)}"
    if one.techniques:
        yield "\nRead off both models; what each one alone is worth was not measured."


def _quality(one: Comparison) -> Iterator[str]:
    quality = one.quality
    if quality is None:
        yield "— (results hold no outputs; compare the models themselves)"
        return
    line, labels = quality_line(quality), scores_line(quality)
    yield f"- {escape(sentence(line))}" if line else f"- — ({escape(quality.reason or 'outputs were not compared')})"
    yield f"- {escape(labels)}" if labels else "- Accuracy: — (no labels were given: --inputs and --labels)"
    for finding in one.findings:
        if not finding.limit.startswith("regression/"):
            yield f"- {finding.verdict}: {escape(finding.reason)}"


# ── cost ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Load(NamedTuple):
    """What one side takes for a day's requests."""

    busy_s: float
    machines: int


def load_of(price: Price, latency_s: float) -> Load:
    """Return the busy seconds of a day and how many machines that needs, one inference at a time, evenly spread."""
    busy_s = price.requests_per_day * latency_s
    return Load(busy_s, max(1, math.ceil(busy_s / DAY_S - 1e-9)))


def _cost(one: Comparison) -> Iterator[str]:
    price, found = one.price, _changes(one)
    if price is None:
        yield "— (no load was given: --requests-per-day, and --price-per-hour for money)"
        return
    latency, energy = found.get("latency_p50_s"), found.get("energy_per_inference_j")
    yield f"For {price.requests_per_day:,.0f} requests a day, as given:\n"
    yield from _time_cost(price, latency)
    yield from _energy_cost(price, energy)


def _time_cost(price: Price, latency: Change | None) -> Iterator[str]:
    if latency is None or latency.base is None or latency.new is None:
        yield "- Computing time: — (no latency in seconds was measured)"
        return
    before, after = load_of(price, latency.base), load_of(price, latency.new)
    yield f"- Computing time: {format_duration(before.busy_s)} → {format_duration(after.busy_s)} a day"
    yield f"- Machines, one inference at a time, evenly spread: {before.machines} → {after.machines}"
    hourly = price.price_per_hour_usd
    if hourly is None:
        yield "- Money: — (no --price-per-hour was given)"
        return
    used = [load.busy_s / HOUR_S * hourly for load in (before, after)]
    whole = [load.machines * 24 * hourly for load in (before, after)]
    yield f"- Paid by the second of use, {hourly:g} $/h: {_dollars(used)}"
    yield f"- Paid by whole machines around the clock: {_dollars(whole)}"
    if latency.verdict == "cannot tell":
        yield "- The latency's change cannot be told from noise, and so can no saving"


def _dollars(pair: Sequence[float]) -> str:
    yearly = (pair[0] - pair[1]) * DAYS_A_YEAR
    word = "saved" if yearly >= 0 else "more"
    return f"{pair[0]:,.4g} → {pair[1]:,.4g} $ a day, {abs(yearly):,.4g} $ a year {word}"


def _energy_cost(price: Price, energy: Change | None) -> Iterator[str]:
    if energy is None or energy.base is None or energy.new is None:
        yield "- Energy: — (no power was measured)"
        return
    daily = [joules * price.requests_per_day / JOULES_PER_KWH for joules in (energy.base, energy.new)]
    yield f"- Energy: {daily[0]:,.4g} → {daily[1]:,.4g} kWh a day ({energy.basis})"
