"""What all formats say of a battery's life: the answer in a sentence, what draws, what would change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.units import format_charge, format_current, format_life, format_span

if TYPE_CHECKING:
    from edgeprof.records.battery import BatteryReport, WhatIf
    from edgeprof.records.result import Metric


LIFE = "battery_life_s"
ORIGINS = {"given": "declared", "measured": "measured", "data": "from data", "assumed": "ASSUMED"}


def verdict(report: BatteryReport) -> str:
    """Return what a person wants to know, in a sentence or two."""
    life = report.metrics[LIFE]
    battery = _battery(report)
    if life.value is None:
        return f"{battery} cannot power this device: {life.reason}."
    often = f"inferring {_times(report.inferences)}every {format_span(report.period_s)}"
    first = report.consumers[0]
    spread = "" if life.low is None or life.high is None or life.low == life.high else f", {_range(life)}"
    most = f"Most of it goes to {first.name}: {first.share_ratio:.0%}."
    aged = next((f" But {one.text}: {one.advice}." for one in report.warnings if one.code == "beyond-shelf-life"), "")
    return f"{battery} lasts {format_life(life.value)}{spread}, {often}. {most}{aged}"


def _battery(report: BatteryReport) -> str:
    cell = report.cell
    name = f"{cell.name}" if cell.chemistry else f"battery of {format_charge(cell.capacity_c)}"
    many = report.series * report.parallel
    if many == 1:
        return f"One {name}"
    how = [
        f"{count} {way}" for count, way in ((report.series, "in series"), (report.parallel, "in parallel")) if count > 1
    ]
    return f"A pack of {many} {name} ({', '.join(how)})"


def _times(inferences: float) -> str:
    return "" if inferences == 1 else f"{inferences:g} times "


def _range(life: Metric) -> str:
    return f"between {format_life(life.low or 0.0)} and {format_life(life.high or 0.0)}"


def context(report: BatteryReport) -> str:
    """Return the figures behind the sentence."""
    return (
        f"{report.subject} (energy {report.energy_basis}); {format_current(report.current_average_a)} on average and"
        f" {format_current(report.current_peak_a)} at most from the cell, {format_charge(report.usable_c)} usable;"
        f" rated capacity over mean current, without losses, would be {format_life(report.naive_life_s)}"
    )


def consumers(report: BatteryReport) -> list[list[str]]:
    """Return what draws, its mean current and its share."""
    return [[one.name, format_current(one.current_a), f"{one.share_ratio:.1%}"] for one in report.consumers]


def changed(row: WhatIf) -> list[str]:
    """Return one change, the life with it, its range and what most of it goes to."""
    if row.life_s is None:
        return [row.change, "—", "", row.reason or ""]
    spread = f"{format_life(row.low_s or 0.0)} … {format_life(row.high_s or 0.0)}"
    return [row.change, format_life(row.life_s), spread, f"{row.dominating} ({row.share_ratio:.0%})"]
