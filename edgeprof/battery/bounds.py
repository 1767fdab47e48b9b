"""What no battery and no device on one has: a figure beyond it is a slip of the unit, and its life is nonsense."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import UsageError
from edgeprof.units import YEAR_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.battery.options import BatteryOptions

COULOMBS_PER_AH = 3600.0
CURRENT = "no device that a cell feeds draws as much"
VOLTAGE = "the packs of cars have 800 V"
ENERGY = "a whole kilowatt-hour is 3.6 MJ"
CELLS = "the packs of cars have some thousands"


class Bound(NamedTuple):
    """An option, its value, and between what it has to be, all in `unit`, of which one is `scale` SI units; and why."""

    option: str
    value: float | None
    most: float
    unit: str
    why: str
    least: float = 0.0
    scale: float = 1.0


def refuse_absurd(options: BatteryOptions) -> None:
    """Raise UsageError for a value that no battery, and no device on one, can have."""
    for one in _bounds(options):
        if one.value is None or one.value == 0:  # whether nothing is right is for others to say
            continue
        seen = one.value / one.scale
        if seen > one.most:
            raise _beyond(one, f"at most {one.most:,.10g}", seen)
        if seen < one.least:
            raise _beyond(one, f"at least {one.least:g}", seen)


def _beyond(one: Bound, wanted: str, seen: float) -> UsageError:
    return UsageError(f"{one.option} is {wanted} {one.unit}, it is {seen:.6g}: {one.why}", hint="check its unit")


def _bounds(options: BatteryOptions) -> Iterator[Bound]:
    yield Bound(
        "--capacity", options.capacity_c, 100_000, "Ah",
        "cells hold from some µAh on a chip to 12,000 Ah in a cellar", least=1e-9, scale=COULOMBS_PER_AH,
    )  # fmt: skip
    yield Bound("--every", options.period_s, 100, "years", "no cell keeps as long", scale=YEAR_S)
    yield Bound("--inferences", options.inferences, 1e9, "a period", "none is as short")
    for option, count in (("--series", options.series), ("--parallel", options.parallel)):
        yield Bound(option, count, 10_000, "cells", CELLS)
    for option, voltage in (
        ("--cell-voltage", options.cell_v), ("--supply", options.supply_v), ("--cutoff-voltage", options.cutoff_v),
    ):  # fmt: skip
        yield Bound(option, voltage, 1000, "V", VOLTAGE, least=0.01)
    for option, current in (
        ("--sleep-current", options.sleep_a), ("--quiescent-current", options.quiescent_a),
        ("--max-continuous", options.max_continuous_a), ("--max-pulse", options.max_pulse_a),
        *((f"--burst {one.name}", one.current_a) for one in options.bursts),
    ):  # fmt: skip
        yield Bound(option, current, 10_000, "A", CURRENT)
    for option, energy in (("--energy", options.energy_j), ("--wake-energy", options.wake_j)):
        yield Bound(option, energy, 1e6, "J", ENERGY)
