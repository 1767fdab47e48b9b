"""Columns to a trace: power from what there is, markers to bits, faults to gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof.errors import UsageError
from edgeprof.power.integrate import power_of_counter
from edgeprof.power.trace import Accuracy, Floats, PowerTrace, cleaned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.power.options import EnergyOptions
    from edgeprof.power.quantities import Column
    from edgeprof.power.trace import Bits

DIGITS = 8
EITHER = "--column 'counter=HEADER' or --column 'energy=HEADER' tells"
SELDOM_RATIO = 0.2
"""Of rises: a column that falls no oftener than that is no row of samples."""
VOLTAGE_HINT = "--voltage 3.3 gives it, where the supply is constant"


class Table(NamedTuple):
    """What a file held: a column and its numbers, shape [n] each, not yet in SI; its rate where times are not there."""

    columns: tuple[tuple[Column, Floats], ...]
    rate_hz: float | None = None
    notes: tuple[str, ...] = ()


def trace_of_table(table: Table, source: str, options: EnergyOptions) -> PowerTrace:
    """Return the trace: power as recorded, else volts times amps, else an energy counter's or energies' differences."""
    si = {column.role: values * column.scale for column, values in table.columns if column.role not in _MARKERS}
    notes = [*table.notes, *_assumed(table, options)]
    if "time" not in si:
        if table.rate_hz is None:
            raise UsageError(f"{source} has no time", hint="--column 'time=HEADER:ms' names the column")
        si["time"] = np.arange(len(table.columns[0][1])) / table.rate_hz
    volts, amps = si.get("voltage"), si.get("current")
    if volts is None and amps is not None and options.voltage_v is not None:
        volts = np.full(len(amps), options.voltage_v)
        notes.append(f"a constant supply of {options.voltage_v:g} V is assumed")
    accuracy = None
    if options.accuracy_ratio is not None:
        accuracy = Accuracy(options.accuracy_ratio, 0.0, None, "declared on the command line")
    made = PowerTrace(
        time_s=si["time"],
        power_w=np.empty(0),
        source=source,
        clock="instrument",
        volts=volts,
        amps=amps,
        marker=_marker(table),
        nominal_rate_hz=table.rate_hz,
        accuracy=accuracy,
        notes=tuple(notes),
    )
    if options.counter_range_j is not None and ("power" in si or amps is not None):
        raise _range_unused(source, "its power is not made of energies")
    if "power" in si:
        return cleaned(made._replace(power_w=si["power"]))
    if amps is not None:
        if volts is None:
            raise UsageError(f"{source} has current and no voltage", hint=VOLTAGE_HINT)
        return cleaned(made._replace(power_w=volts * amps))
    return _of_energies(made, si, options)


def _of_energies(made: PowerTrace, si: dict[str, Floats], options: EnergyOptions) -> PowerTrace:
    """Return a trace of energies: a counter's readings, or the energy of each sample's own interval."""
    samples = "energy" in {role for role, _ in options.columns}
    if samples and options.counter_range_j is not None:
        raise _range_unused(made.source, "--column says that its energies are of each sample")
    counter = si.get("counter")
    if counter is None and not samples:
        counts = options.counter_range_j is not None or _is_counter(made.source, si["energy"])
        counter = si["energy"] if counts else None
    if counter is not None and not samples:
        keep = cleaned(made._replace(power_w=counter))  # times that run back break the counter too
        power_w, notes = power_of_counter(keep.time_s, keep.power_w, range_j=options.counter_range_j)
        notes.insert(0, "power is the difference of an energy counter's readings")
        return keep._replace(power_w=np.append(power_w, np.nan), hold=True, notes=(*keep.notes, *notes))
    negative = int((si["energy"] < 0).sum())
    if negative:
        made = made._replace(notes=(*made.notes, f"{negative:,} samples have a negative energy: gaps"))
    trace = cleaned(made._replace(power_w=np.where(si["energy"] < 0, np.nan, si["energy"]), hold=True))
    step_s = np.diff(trace.time_s)
    length_s = np.full(len(trace.time_s), np.median(step_s) if len(step_s) else np.nan)
    return trace._replace(power_w=trace.power_w / length_s)


def _is_counter(source: str, energy: Floats) -> bool:
    """Tell whether energies are a counter's readings: they never fall. Refuse where they may be either.

    The energies of samples fall as often as they rise. What falls hardly ever is a counter that starts again at times,
    and taken for energies of samples it would be thousands of times what was drawn.
    """
    steps = np.diff(energy[np.isfinite(energy)])
    falls, rises = int((steps < 0).sum()), int((steps > 0).sum())
    if len(steps) and not rises and not falls:
        raise UsageError(
            f"the energies of {source} are all the same: a counter that stands still, or equal samples?", hint=EITHER
        )
    if falls and falls <= SELDOM_RATIO * rises:
        raise UsageError(
            f"the energies of {source} rise {rises:,} times and fall {falls:,}:"
            " a counter that starts again, or samples?",
            hint=f"--counter-range 262144J says where it starts again; {EITHER}",
        )
    return rises > 0 and not falls


def _range_unused(source: str, why: str) -> UsageError:
    hint = "leave it out, or --column 'counter=HEADER' names the counter"
    return UsageError(f"--counter-range is of no use for {source}: {why}", hint=hint)


_MARKERS = frozenset({"marker", "bits"})


def _marker(table: Table) -> Bits | None:
    """Return the marker bits of each sample; a column of eight digits holds all of them."""
    columns = [(column, values) for column, values in table.columns if column.role in _MARKERS]
    if not columns:
        return None
    found = np.zeros(len(columns[0][1]), np.uint8)
    for column, values in columns:
        known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        if column.role == "marker":
            found |= _bit_of(column, known)
            continue
        number = known.astype(np.int64)
        for place in range(DIGITS):  # the digit furthest to the left is bit 0 of `D0-D7`, and bit 7 of `Bits`
            digit = number // 10 ** (DIGITS - 1 - place) % 10
            found |= (digit > 0).astype(np.uint8) << (place if column.bit == 0 else DIGITS - 1 - place)
    return found


def _bit_of(column: Column, known: Floats) -> Bits:
    """Return one input's bit in its place; a single column of small whole numbers holds the bits themselves."""
    if len(known) and known.max() > 1 and np.all(known == np.floor(known)) and known.max() < 1 << DIGITS:
        return known.astype(np.uint8)
    high: Bits = (known > known.max(initial=0.0) / 2).astype(np.uint8)
    return np.left_shift(high, np.uint8(column.bit))


def _assumed(table: Table, options: EnergyOptions) -> Sequence[str]:
    asked = {role for role, _ in options.columns}
    units = {"time": "s", "current": "A", "voltage": "V", "power": "W", "energy": "J", "counter": "J"}
    return [
        f"the header {column.header!r} has no unit: {units[column.role]} is assumed"
        for column, _ in table.columns
        if column.assumed and column.role in units and (column.role != "time" or column.role in asked)
    ]
