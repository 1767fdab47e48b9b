"""Whether a cell can give the currents that are asked of it: pure. Beyond a rating there is no life to be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.battery.cycle import average_a, events
from edgeprof.battery.interval import conversion_of, cycle_of
from edgeprof.records.result import Finding, Warned
from edgeprof.units import format_current, format_duration

if TYPE_CHECKING:
    from edgeprof.battery.cycle import Event
    from edgeprof.battery.interval import Inputs, Outcome
    from edgeprof.records.battery import Cell
    from edgeprof.records.result import Verdict

PULSE_S = 2.0
"""How long a pulse is where a cell's source does not say: makers of coin cells test with pulses of 2 s."""


def judge_currents(cell: Cell, inputs: Inputs) -> tuple[Finding, ...]:
    """Return a finding for each of the cell's ratings: the load its capacity holds for, continuous, and in pulses."""
    cycle, conversion = cycle_of(inputs), conversion_of(inputs)
    drawn = events(cycle, conversion, inputs.cutoff_v)
    longest = cell.pulse_s or PULSE_S
    lasting = [event for event in drawn if event.duration_s > longest]
    pulses = [event for event in drawn if event.duration_s <= longest]
    mean_a = average_a(cycle, conversion)
    steady = max((event.current_a for event in lasting), default=0.0)
    largest = max(pulses, key=lambda event: event.current_a, default=None)
    return (
        _rated(cell, mean_a, inputs.parallel),
        _continuous(cell, max(mean_a, steady), inputs.parallel),
        *([_pulse(cell, largest, inputs.parallel)] if largest is not None else []),
    )


def sagging(cell: Cell, inputs: Inputs, found: Outcome) -> tuple[Warned, ...]:
    """Warn where the cell's stated resistance already pulls it below the cut-off, and no profile says when."""
    known = (cell.voltage_v, cell.resistance_high_ohm, inputs.cutoff_v)
    if inputs.profile is not None or None in known:
        return ()
    voltage_v, resistance_ohm = cell.voltage_v or 0.0, cell.resistance_high_ohm or 0.0
    cutoff_v = (inputs.cutoff_v or 0.0) / inputs.series
    loaded_v = voltage_v - found.peak_a / inputs.parallel * resistance_ohm
    if loaded_v >= cutoff_v:
        return ()
    down = f"to {loaded_v:.2f} V" if loaded_v > 0 else "to nothing"
    text = (
        f"a pulse of {format_current(found.peak_a)} pulls a cell of {resistance_ohm:g} ohm {down},"
        f" below the cut-off of {cutoff_v:g} V: the life may end long before the charge does"
    )
    return (Warned(code="cell-sags", text=text, advice="--cell-profile FILE.csv (SoC,Voc,Rint) tells when"),)


def _rated(cell: Cell, mean_a: float, parallel: int) -> Finding:
    if cell.rated_a is None:
        return _finding(cell, "rated load", "SKIP", mean_a, None, "which load its capacity holds for is not known")
    limit = cell.rated_a * parallel
    verdict: Verdict = "PASS" if mean_a <= limit else "FAIL"
    reason = f"a mean of {format_current(mean_a)}, its capacity is stated for up to {format_current(limit)}"
    return _finding(cell, "rated load", verdict, mean_a, limit, reason)


def _continuous(cell: Cell, current_a: float, parallel: int) -> Finding:
    if cell.max_continuous_a is None:
        reason = "its largest continuous current is not known: --max-continuous"
        return _finding(cell, "continuous current", "SKIP", current_a, None, reason)
    limit = cell.max_continuous_a * parallel
    verdict: Verdict = "PASS" if current_a <= limit else "FAIL"
    return _finding(cell, "continuous current", verdict, current_a, limit, _against(current_a, limit))


def _pulse(cell: Cell, pulse: Event, parallel: int) -> Finding:
    rating = cell.max_pulse_a if cell.max_pulse_a is not None else cell.max_continuous_a
    if rating is None:
        reason = "its largest pulse current is not known: --max-pulse"
        return _finding(cell, "pulse current", "SKIP", pulse.current_a, None, reason)
    limit = rating * parallel
    verdict: Verdict = "PASS" if pulse.current_a <= limit else "FAIL"
    what = f"{pulse.name} for {format_duration(pulse.duration_s)} takes {_against(pulse.current_a, limit)}"
    unrated = "" if cell.max_pulse_a is not None else " (its continuous rating: none for pulses is known)"
    return _finding(cell, "pulse current", verdict, pulse.current_a, limit, what + unrated)


def _against(current_a: float, limit_a: float) -> str:
    return f"{format_current(current_a)} at the cell, which gives {format_current(limit_a)} at most"


def _finding(cell: Cell, rating: str, verdict: Verdict, value: float, threshold: float | None, reason: str) -> Finding:
    key = {"rated load": "rated_current", "continuous current": "max_continuous_current"}.get(
        rating, "max_pulse_current"
    )
    return Finding(
        limit=f"{cell.name}/{rating}",
        metric="battery_life_s",
        verdict=verdict,
        tier="hard",
        value=value,
        threshold=threshold,
        unit="a",
        basis="declared",
        source=cell.sources.get(key, "the command line" if threshold is not None else ""),
        reason=reason,
    )
