"""Sensors on the board, as the agent read them, to one power trace; no rail is summed twice, none is made up."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof.power.integrate import power_of_counter
from edgeprof.power.quantities import scale_of
from edgeprof.power.trace import Accuracy, Floats, PowerTrace, cleaned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.sensors import SensorSeries

ROLES = {"board-total": "board", "module-rails": "module"}
FEWEST_READINGS = 2


class Rail(NamedTuple):
    """One rail's power: a trace of its own, before anything is summed."""

    name: str
    trace: PowerTrace
    step_w: float | None


class NoTrace(NamedTuple):
    """Why the sensors give no power trace."""

    reason: str


def onboard_trace(sensors: Sequence[SensorSeries]) -> PowerTrace | NoTrace:
    """Return the board's power on the agent's clock: its total, else the sum of the module's rails, carrier excluded.

    The same source or rail twice counts once; a rail without readings makes the sum unknown; a series of another unit
    than its quantity's is no power. Rails that are counted in others (`role` rail) are never summed.
    """
    reasons = []
    for role, covers in ROLES.items():
        series = [one for one in sensors if one.role == role]
        if not series:
            continue
        rails, doubled, missing = _rails(series)
        if missing:
            reasons.append(
                f"{', '.join(missing)}: without it the {'total' if covers == 'board' else 'sum'} is not known"
            )
        elif rails:
            return _summed(rails, covers, doubled)
    return NoTrace("; ".join(reasons) or "no sensor of the board gives its power")


def _rails(series: Sequence[SensorSeries]) -> tuple[list[Rail], list[str], list[str]]:
    """Return the rails with their power, what stood there twice, and what could not be read."""
    rails: list[Rail] = []
    doubled, missing = [], []
    counted: list[SensorSeries] = []
    for name, group in _by_rail(series).items():
        kept: list[SensorSeries] = []
        for one in group:
            if any(other.quantity == one.quantity for other in kept) or any(_same(one, other) for other in counted):
                doubled.append(f"{one.name} ({one.source}) is there twice: counted once")
            else:
                kept.append(one)
        counted += kept
        if not kept:
            continue
        rail = _rail(name, kept)
        if isinstance(rail, NoTrace):
            missing.append(f"{name} {rail.reason}")
        else:
            rails.append(rail)
    if rails and all(one.role == "board-total" for one in series) and len(rails) > 1:
        doubled += [f"{rail.name} is a total too: not added" for rail in rails[1:]]
        return rails[:1], doubled, []  # two totals of one board are the same joules twice
    return rails, doubled, missing


def _same(one: SensorSeries, other: SensorSeries) -> bool:
    """Tell whether two series are one sensor under two names.

    Rails that one command prints share its source, and two of them may stand still at the same value.
    """
    alike = (one.source, one.quantity, one.value) == (other.source, other.quantity, other.value)
    return alike and len(set(one.value)) > 1


def _by_rail(series: Sequence[SensorSeries]) -> dict[str, list[SensorSeries]]:
    groups: dict[str, list[SensorSeries]] = {}
    for one in series:
        groups.setdefault(one.rail or one.name, []).append(one)
    return groups


def _rail(name: str, group: Sequence[SensorSeries]) -> Rail | NoTrace:
    """Return one rail's power: as read, else volts times amps, else the differences of an energy counter."""
    readable = {one.quantity: one for one in group if len(one.time_s) >= FEWEST_READINGS}
    for one in group:
        if scale_of(one.quantity, one.unit) is None:
            return NoTrace(f"is in {one.unit!r}, which is no unit of {one.quantity}")
    if "power" in readable:
        return _of_power(name, readable["power"])
    if "voltage" in readable and "current" in readable:
        return _of_product(name, readable["voltage"], readable["current"])
    if "energy" in readable:
        return _of_counter(name, readable["energy"])
    said = "; ".join(sorted({one.reason for one in group if one.reason}))
    failures = sum(one.failures for one in group)
    return NoTrace(f"could not be read ({failures} failures{': ' + said if said else ''})")


def _of_power(name: str, one: SensorSeries) -> Rail:
    scale = scale_of("power", one.unit) or 1.0
    step_w = one.resolution * scale if one.resolution else None
    return Rail(name, _trace(one, np.array(one.value) * scale), step_w)


def _of_product(name: str, volts: SensorSeries, amps: SensorSeries) -> Rail:
    """Multiply what was read in one round; current at the times of voltage, not across a hole in it."""
    volt_scale, amp_scale = scale_of("voltage", volts.unit) or 1.0, scale_of("current", amps.unit) or 1.0
    current = _trace(amps, np.array(amps.value) * amp_scale)
    voltage = _trace(volts, np.array(volts.value) * volt_scale)
    power_w = voltage.power_w * _at(current, voltage.time_s)
    step_w = amps.resolution * amp_scale * float(np.nanmedian(voltage.power_w)) if amps.resolution else None
    return Rail(name, voltage._replace(power_w=power_w, notes=(*voltage.notes, *current.notes)), step_w)


def _of_counter(name: str, one: SensorSeries) -> Rail:
    """Take differences; the range of the counter is not in the readings, so that one that goes down is a gap."""
    read = _trace(one, np.array(one.value) * (scale_of("energy", one.unit) or 1.0))
    power_w, notes = power_of_counter(read.time_s, read.power_w, range_j=None)
    return Rail(name, read._replace(power_w=np.append(power_w, np.nan), hold=True, notes=(*read.notes, *notes)), None)


def _trace(one: SensorSeries, values: Floats) -> PowerTrace:
    notes = (f"{one.name}: {one.failures} readings failed ({one.reason})",) if one.failures else ()
    return cleaned(
        PowerTrace(np.array(one.time_s, float), values, one.source, "agent", rails=(one.rail or one.name,), notes=notes)
    )


def _at(trace: PowerTrace, time_s: Floats) -> Floats:
    """Return a trace's values at other times; NaN outside it, in a gap, and in a hole of more than two periods."""
    known = np.isfinite(trace.power_w)
    if known.sum() < FEWEST_READINGS:
        return np.full(len(time_s), np.nan)
    at, value = trace.time_s[known], trace.power_w[known]
    period = float(np.median(np.diff(at)))
    place = np.clip(np.searchsorted(at, time_s, side="right"), 1, len(at) - 1)
    left, right = at[place - 1], at[place]
    near = (time_s >= at[0] - period) & (time_s <= at[-1] + period) & (right - left <= 2.02 * period)
    return np.where(near, np.interp(time_s, at, value), np.nan)


def _summed(rails: Sequence[Rail], covers: str, notes: Sequence[str]) -> PowerTrace:
    """Return the sum of all rails at the times of the first one; where one of them is not known, nor is the sum."""
    first = rails[0].trace
    power_w = first.power_w.copy()
    for rail in rails[1:]:
        power_w = power_w + _at(rail.trace, first.time_s)
    steps = [rail.step_w for rail in rails if rail.step_w is not None]
    accuracy = Accuracy(None, None, float(np.hypot.reduce(steps)), "the sensor's resolution") if steps else None
    return first._replace(
        power_w=power_w,
        source=", ".join(rail.trace.source for rail in rails),
        rails=tuple(rail.name for rail in rails),
        covers=covers,
        accuracy=accuracy,
        notes=(*notes, *(note for rail in rails for note in rail.trace.notes)),
    )
