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
LARGEST_TIME = 1e11
"""Seconds since 1970 have ten digits; what has twelve counts something shorter."""
EPOCH_S = (1e9, 4.2e9)
"""From 2001 to 2103: times that are seconds since 1970."""
SLOWEST_S, SLOWEST_EPOCH_S = 1.5, 60.0
"""How far samples lie apart at most where no unit names seconds: meters are quicker, a log by date is not."""
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
    rails = {column.header: values * column.scale for column, values in table.columns if column.role == "rail"}
    if rails:
        si["power"] = np.sum(list(rails.values()), axis=0)
    unsaid = _timed(si, table, source)
    amps = si.get("current")
    volts, said = _supply(amps, si.get("voltage"), options.voltage_v)
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
        rails=tuple(rails),
        covers="module" if rails else "board",
        time_unsaid=unsaid,
        nominal_rate_hz=table.rate_hz,
        accuracy=accuracy,
        notes=(*table.notes, *_told(table), *said),
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


def _timed(si: dict[str, Floats], table: Table, source: str) -> str:
    """Put the times in, by the rate where there are none. Return their header where no unit says that they are seconds.

    Raises UsageError where they cannot be.
    """
    if "time" not in si:
        if table.rate_hz is None:
            raise UsageError(f"{source} has no time", hint="--column 'time=HEADER:ms' names the column")
        si["time"] = np.arange(len(table.columns[0][1])) / table.rate_hz
    unsaid = next((column.header for column, _ in table.columns if column.role == "time" and column.assumed), "")
    if unsaid:
        _refuse_other_units(source, unsaid, si["time"])
    return unsaid


def _supply(
    amps: Floats | None, volts: Floats | None, declared_v: float | None
) -> tuple[Floats | None, tuple[str, ...]]:
    """Return the voltage as recorded, else as declared, and what is to be said of it."""
    if amps is None or declared_v is None:
        return volts, ()
    if volts is not None:
        return volts, (f"--voltage {declared_v:g} V is not used: the recording holds the voltage",)
    return np.full(len(amps), declared_v), (f"a constant supply of {declared_v:g} V is assumed",)


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


def _told(table: Table) -> Sequence[str]:
    """Return what is to be said of the columns: units that were assumed, and what was decided between two."""
    assumed = [
        f"the header {column.header!r} has no unit: {column.assumed} is assumed"
        for column, _ in table.columns
        if column.assumed
    ]
    return [*assumed, *(column.note for column, _ in table.columns if column.note)]


def other_unit_hint(header: str, unit: str = "ms") -> str:
    """Return how to say in which unit a column of times is."""
    return f"--column 'time={header}:{unit}' names the unit: ms, us or ns, or s if it is that"


def _refuse_other_units(source: str, header: str, times: Floats) -> None:
    """Raise UsageError where times without a unit cannot be seconds."""
    known = times[np.isfinite(times)]
    steps = np.diff(known)
    steps = steps[steps > 0]
    if not len(steps):
        return
    step, largest, smallest = float(np.median(steps)), float(np.abs(known).max()), float(known.min())
    dated = smallest > EPOCH_S[0] and largest < EPOCH_S[1]
    if largest > LARGEST_TIME:
        unit = "ms" if largest < 1e14 else "us" if largest < 1e17 else "ns"  # noqa: PLR2004  since 1970
        why = f"they reach {largest:,.0f}"
    elif step > (SLOWEST_EPOCH_S if dated else SLOWEST_S):
        unit = "ms" if step < 1e3 else "us" if step < 1e6 else "ns"  # noqa: PLR2004  at 1 kHz and above
        why = f"samples would lie {step:,.6g} s apart, which no meter does"
    else:
        return
    raise UsageError(
        f"the header {header!r} of {source} has no unit, and its times can hardly be seconds: {why}",
        hint=other_unit_hint(header, unit),
    )
