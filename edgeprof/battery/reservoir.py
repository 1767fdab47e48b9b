"""The cell as it is used: regulator between it and the device, usable capacity, what leaks. Every step is listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from edgeprof.battery.cells import load_cell
from edgeprof.battery.interval import Ranged, exactly
from edgeprof.battery.life import RATED_CELSIUS, monthly_of_yearly
from edgeprof.battery.profile import read_cell_profile
from edgeprof.battery.taken import Taken, convention, taken, widened
from edgeprof.errors import UsageError
from edgeprof.records.battery import Cell

if TYPE_CHECKING:
    from edgeprof.battery.options import BatteryOptions, Regulator
    from edgeprof.battery.profile import CellProfile
    from edgeprof.records.battery import Assumption, Origin

USABLE = Ranged(0.85, 0.80, 0.90)
EFFICIENCY = Ranged(0.90, 0.80, 0.95)
UNKNOWN_SELF_DISCHARGE = Ranged(0.02, monthly_of_yearly(0.01), 0.03)
"""A month: what rechargeable cells lose; from primary lithium's 1 % a year to 3 % a month."""
SAME_VOLTAGE = 0.02
SWITCHING = ("buck", "boost")


class Reservoir(NamedTuple):
    """What the cell gives. Voltages are of the whole battery, the capacity of all cells in parallel."""

    cell: Cell
    regulator: Regulator
    cell_v: float | None
    cutoff_v: float | None
    profile: CellProfile | None
    capacity_c: Ranged
    usable_ratio: Ranged
    efficiency_ratio: Ranged
    temperature_celsius: Ranged
    self_discharge_ratio: Ranged
    assumptions: tuple[Assumption, ...]


def settle_reservoir(options: BatteryOptions, supply_v: float) -> Reservoir:
    """Return the cell as it is used. Raises UsageError naming what is missing or does not go together."""
    cell = _cell(options)
    cell_v = None if cell.voltage_v is None else cell.voltage_v * options.series
    regulator, chosen = _regulator(options, cell_v, supply_v)
    cutoff_v = options.cutoff_v if options.cutoff_v is not None else _times(cell.cutoff_v, options.series)
    profile = _profile(options, cutoff_v)
    capacity = _capacity(cell, options)
    usable = _usable(options, profile)
    efficiency = _efficiency(options)
    temperature = _temperature(options)
    leak = _self_discharge(cell, options)
    told = [capacity, *([usable] if usable else []), *_deratings(options), temperature, leak]
    switching = [efficiency] if regulator in SWITCHING else []
    return Reservoir(
        cell=cell,
        regulator=regulator,
        cell_v=cell_v,
        cutoff_v=cutoff_v,
        profile=profile,
        capacity_c=capacity.ranged,
        usable_ratio=usable.ranged if usable else exactly(1.0),
        efficiency_ratio=efficiency.ranged if switching else exactly(1.0),
        temperature_celsius=temperature.ranged,
        self_discharge_ratio=leak.ranged,
        assumptions=(
            chosen,
            *(
                one.assumption
                for one in (*switching, *_quiescent(options, regulator), *_voltage(options, cell, cell_v))
            ),
            *(one.assumption for one in told),
            *_conventions(options, profile, cutoff_v),
        ),
    )


def _cell(options: BatteryOptions) -> Cell:
    """Return the cell of the library, or one of which only what was said is known; options go before the library."""
    if options.cell is not None:
        cell = load_cell(options.cell)
    else:
        cell = Cell(
            name="battery", title="A battery", chemistry=None, rechargeable=None, voltage_v=None,
            capacity_c=options.capacity_c or 0.0,
        )  # fmt: skip
    given: dict[str, float | None] = {
        "capacity_c": options.capacity_c, "voltage_v": options.cell_v,
        "max_continuous_a": options.max_continuous_a, "max_pulse_a": options.max_pulse_a,
    }  # fmt: skip
    changed = {name: value for name, value in given.items() if value is not None}
    if options.capacity_c is not None:
        cell = msgspec.structs.replace(cell, capacity_minimum_c=None)
    sources = {name: text for name, text in cell.sources.items() if name not in _stated_by(options)}
    return msgspec.structs.replace(cell, **changed, sources=sources)


def _stated_by(options: BatteryOptions) -> set[str]:
    """Return the names of the library's figures that options replace."""
    replaced = {
        "capacity": options.capacity_c, "nominal_voltage": options.cell_v,
        "max_continuous_current": options.max_continuous_a, "max_pulse_current": options.max_pulse_a,
    }  # fmt: skip
    return {name for name, value in replaced.items() if value is not None}


# ── between the cell and the device ──────────────────────────────────────────────────────────────────────────────────


def _regulator(options: BatteryOptions, cell_v: float | None, supply_v: float) -> tuple[Regulator, Assumption]:
    name, option = "regulator", "--regulator"
    same = cell_v is not None and abs(cell_v / supply_v - 1) <= SAME_VOLTAGE
    if options.regulator is None:
        if not same:
            seen = "the cell's voltage is not known" if cell_v is None else f"the battery has {cell_v:g} V"
            raise UsageError(
                f"{seen} and the energy was measured at {supply_v:g} V: --regulator is missing",
                hint="--regulator buck, boost, ldo or none: what is between the cell and the device",
            )
        return "none", convention(name, "none", "assumed", option, "the cell has the voltage of the supply")
    regulator = options.regulator
    if regulator in SWITCHING and cell_v is None:
        raise UsageError(
            f"a {regulator} regulator needs the cell's voltage: --cell-voltage", hint="--cell-voltage 3.7V"
        )
    wrong = cell_v is not None and (
        (regulator in {"buck", "ldo"} and cell_v < supply_v * (1 - SAME_VOLTAGE))
        or (regulator == "boost" and cell_v > supply_v * (1 + SAME_VOLTAGE))
    )
    if wrong:
        raise UsageError(
            f"a {regulator} regulator cannot make {supply_v:g} V from {cell_v:g} V",
            hint="--regulator boost raises a voltage, buck and ldo lower it; --series puts cells one on the other",
        )
    how = {
        "buck": "switching: I_cell = I V / (V_cell efficiency) + quiescent",
        "boost": "switching: I_cell = I V / (V_cell efficiency) + quiescent",
        "ldo": "linear: I_cell = I + quiescent",
        "none": "the device takes the same current at the cell's voltage as at the supply of the measurement",
    }[regulator]
    return regulator, convention(name, regulator, "given", option, how)


def _efficiency(options: BatteryOptions) -> Taken:
    name, option = "efficiency of the regulator", "--efficiency"
    if options.efficiency is None:
        source = "assumed: what switching regulators reach at light and at full load"
        return taken(name, EFFICIENCY, "ratio", "assumed", option, source)
    low, high = options.efficiency
    if not 0 < low <= high <= 1:
        raise UsageError(f"--efficiency is a share above 0 and at most 100 %, it is {low:.0%} to {high:.0%}")
    return taken(name, Ranged((low + high) / 2, low, high), "ratio", "given", option, "declared")


def _quiescent(options: BatteryOptions, regulator: Regulator) -> list[Taken]:
    name, option = "quiescent current of the regulator", "--quiescent-current"
    if options.quiescent_a is not None:
        return [taken(name, options.quiescent_a, "a", "given", option, "always drawn from the cell")]
    if regulator == "none":
        return []
    return [taken(name, 0.0, "a", "assumed", option, "none was given, so none is drawn: the life is too long by it")]


def _voltage(options: BatteryOptions, cell: Cell, cell_v: float | None) -> list[Taken]:
    if cell_v is None:
        return []
    source = cell.sources.get("nominal_voltage", "declared")
    many = f"{options.series} in series; " if options.series > 1 else ""
    origin: Origin = "data" if "nominal_voltage" in cell.sources else "given"
    return [taken("battery's nominal voltage", cell_v, "v", origin, "--cell-voltage", many + source)]


# ── what the cell holds ──────────────────────────────────────────────────────────────────────────────────────────────


def _capacity(cell: Cell, options: BatteryOptions) -> Taken:
    tolerance = dict(options.tolerances).get("capacity")
    low = cell.capacity_c if cell.capacity_minimum_c is None else cell.capacity_minimum_c
    each = widened(Ranged(cell.capacity_c, low, cell.capacity_c), tolerance)
    whole = Ranged(*(figure * options.parallel for figure in each))
    origin: Origin = "data" if "capacity" in cell.sources else "given"
    source = cell.sources.get("capacity", "declared")
    many = f"{options.parallel} in parallel; " if options.parallel > 1 else ""
    option = "--capacity, --tolerance capacity=10%"
    return taken("rated capacity", whole, "c", origin, option, many + source)


def _usable(options: BatteryOptions, profile: CellProfile | None) -> Taken | None:
    """Return what the cut-off leaves; a cell profile tells it instead."""
    name, option = "usable until the cut-off", "--usable"
    if profile is not None:
        return None
    if options.usable is not None:
        return taken(name, options.usable, "ratio", "given", option, "declared")
    source = "assumed: 80 % to 90 % is typical where the device stops before the cell is empty"
    return taken(name, USABLE, "ratio", "assumed", option, source)


def _deratings(options: BatteryOptions) -> list[Taken]:
    health = "declared" if options.health < 1 else "assumed: a new cell"
    found = [taken("health", options.health, "ratio", "given" if options.health < 1 else "assumed", "--health", health)]
    if options.cold is not None:
        found.append(
            taken("capacity at the temperature", options.cold, "ratio", "given", "--cold-capacity", "declared")
        )
    if options.reserve:
        found.append(taken("reserve", options.reserve, "ratio", "given", "--reserve", "never used"))
    return found


def _temperature(options: BatteryOptions) -> Taken:
    given = options.temperature_celsius
    value = RATED_CELSIUS if given is None else given
    ranged = widened(exactly(value), dict(options.tolerances).get("temperature"), absolute=True)
    source = "declared" if given is not None else "assumed: a room"
    return taken("temperature", ranged, "celsius", "assumed" if given is None else "given", "--temperature", source)


def _self_discharge(cell: Cell, options: BatteryOptions) -> Taken:
    name, option = "self-discharge a month at 25 °C", "--self-discharge"
    if options.self_discharge_ratio is not None:
        return taken(name, options.self_discharge_ratio, "ratio", "given", option, "declared")
    if cell.self_discharge_ratio is None:
        source = "assumed, as nothing is known of the cell: 2 % suits rechargeables; primary lithium is near 1 % a year"
        return taken(name, UNKNOWN_SELF_DISCHARGE, "ratio", "assumed", option, source)
    high = cell.self_discharge_high_ratio or cell.self_discharge_ratio
    ranged = Ranged(cell.self_discharge_ratio, cell.self_discharge_ratio, high)
    return taken(name, ranged, "ratio", "data", option, cell.sources["self_discharge"])


# ── how it is reckoned ───────────────────────────────────────────────────────────────────────────────────────────────


def _conventions(options: BatteryOptions, profile: CellProfile | None, cutoff_v: float | None) -> list[Assumption]:
    what = {"usable": "only the usable charge leaks", "whole": "all charge leaks, also what is not usable"}[
        options.leak
    ]
    found = [
        convention(
            "self-discharge", what, "given" if options.leak == "whole" else "assumed", "--leak",
            "in proportion to the charge, doubling every 10 °C: t = ln(1 + k C / I) / k",
        ),
        convention(
            "order", "inferences, bursts and waking come one after the other, and sleep is the rest", "assumed", "",
            "gross energy over the active time; energy above idle does not enter",
        ),
        convention(
            "Peukert's law", "not applied", "assumed", "",
            "it describes lead-acid at high rates; short pulses are bounded by the cell's resistance",
        ),
    ]  # fmt: skip
    if profile is not None:
        text = f"{profile.name}: the life ends where the largest pulse pulls the cell below {cutoff_v:g} V"
        found.append(
            convention("cell profile", text, "given", "--cell-profile", "V_oc(SoC) - I_peak R_int(SoC) >= V_min")
        )
    return found


def _profile(options: BatteryOptions, cutoff_v: float | None) -> CellProfile | None:
    if options.profile is None:
        return None
    if options.usable is not None:
        raise UsageError("--usable and --cell-profile both say where the life ends", hint="leave one of them out")
    if cutoff_v is None:
        raise UsageError("--cell-profile needs --cutoff-voltage: the least that the device, or its regulator, runs on")
    return read_cell_profile(options.profile)


def _times(value: float | None, count: int) -> float | None:
    return None if value is None else value * count
