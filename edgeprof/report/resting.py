"""What energy and battery life rest on, in a few lines: losses, alignment, assumptions, and what would change the life.

The whole of it is in `breakdowns["energy"]` and `breakdowns["battery"]`, which `edgeprof energy` and `edgeprof battery`
draw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgeprof.records.battery import BatteryReport
from edgeprof.report.battery_words import verdict
from edgeprof.units import format_duration, format_life, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.battery import WhatIf
    from edgeprof.records.result import Result

AS_IT_IS = "as it is"


def energy_lines(result: Result) -> Iterator[str]:
    """Yield what was recorded and how well the windows lie on it, then what the recording says of itself."""
    energy = result.breakdowns.get("energy")
    if not energy:
        return
    yield f"energy: {_recording(energy['trace'])}; {_alignment(energy['alignment'])}"
    said = {warned.text for warned in result.warnings}
    yield from (f"energy: {note}" for note in energy["trace"].get("notes", ()) if note not in said)


def _recording(trace: dict[str, Any]) -> str:
    rate = f" at {format_value('rate_hz', trace['rate_hz'])}" if trace["rate_hz"] else ""
    lost = f", {trace['gaps']:,} gaps of {format_duration(trace['gaps_s'])} together" if trace["gaps"] else ", no gap"
    return f"{trace['source']}, {trace['samples']:,} samples{rate} in {format_duration(trace['duration_s'])}{lost}"


def _alignment(used: dict[str, Any]) -> str:
    share = "" if used["error_ratio"] is None else f", {used['error_ratio']:.3%} of a window's energy"
    return (
        f"windows laid over it by {used['method']} ({used['quality']}), an edge off by at most"
        f" {format_duration(used['error_s'])}{share}"
    )


def battery_lines(result: Result) -> Iterator[str]:
    """Yield the life in a sentence, what was taken for granted, and what would change it; nothing without a battery."""
    report = _report(result)
    if report is None:
        return
    yield f"battery: {verdict(report)}"
    assumed = [_short(one.text) for one in report.assumptions if one.origin == "assumed"]
    stated = [_short(one.text) for one in report.assumptions if one.origin == "data"]
    if assumed:
        yield f"battery, assumed: {'; '.join(assumed)}"
    if stated:
        yield f"battery, from data: {'; '.join(stated)}"
    changes = [_change(row) for row in report.what_if if row.change != AS_IT_IS]
    if changes:
        yield f"battery, what if: {'; '.join(changes)}"


def _report(result: Result) -> BatteryReport | None:
    """Return the report that the result holds; one of another version than ours is left to the JSON."""
    held = result.breakdowns.get("battery")
    try:
        return msgspec.convert(held, BatteryReport) if held else None
    except msgspec.ValidationError:
        return None


def _short(text: str) -> str:
    """Return an assumption without who states it, which the JSON has."""
    return text.partition(";")[0]


def _change(row: WhatIf) -> str:
    return f"{row.change} {row.reason if row.life_s is None else format_life(row.life_s)}"
