"""The life with its range, by interval arithmetic: pure.

Each input has a value and, where something is known of it, a lowest and a highest. The life only falls, or only rises,
with each of them, so that the worst of all together bounds it from below and the best of all from above. It is not a
confidence interval: that all inputs are at their worst at once is unlikely, and the bounds are meant to hold then too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from edgeprof.battery.cycle import Conversion, Cycle, average_a, busy_s, consumers, peak_a
from edgeprof.battery.life import leak_per_s, left_behind_c, lifetime_s
from edgeprof.battery.profile import end_of_charge, points_at

if TYPE_CHECKING:
    from edgeprof.battery.options import Burst, Regulator
    from edgeprof.battery.profile import CellProfile
    from edgeprof.records.battery import Leak

Corner = Literal["value", "worst", "best"]
SELF_DISCHARGE = "self-discharge"


class Ranged(NamedTuple):
    """An input: its value, and the least and most that it may be; all the same where no range is known."""

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Tell whether there is a range."""
        return self.low < self.value or self.high > self.value


def exactly(value: float) -> Ranged:
    """Return an input of which no range is known."""
    return Ranged(value, value, value)


class Inputs(NamedTuple):
    """All that the life depends on. `usable_ratio` is not used where there is a profile of the cell.

    `cell_v` and `cutoff_v` are of the whole battery, all cells in series; `capacity_c` of all in parallel.
    """

    energy_j: Ranged
    latency_s: Ranged
    sleep_a: Ranged
    capacity_c: Ranged
    usable_ratio: Ranged
    efficiency_ratio: Ranged
    temperature_celsius: Ranged
    self_discharge_ratio: Ranged
    period_s: float
    inferences: float
    peak_w: float | None
    wake_j: float
    wake_s: float
    bursts: tuple[Burst, ...]
    supply_v: float
    regulator: Regulator
    quiescent_a: float
    cell_v: float | None
    cutoff_v: float | None
    series: int
    parallel: int
    health_ratio: float
    derating_ratio: float
    """What cold and the reserve leave."""
    leak: Leak
    profile: CellProfile | None = None
    mean_w: Ranged | None = None
    """The power that was measured while it inferred; None: energy and time were declared."""


class Outcome(NamedTuple):
    """What comes of the inputs. `life_s` None: a pulse pulls even the full cell below its cut-off."""

    life_s: float | None
    average_a: float
    peak_a: float
    usable_c: float
    currents_a: dict[str, float]
    """The mean current at the cell of all that draws, what leaks by itself included."""


def cycle_of(inputs: Inputs, corner: Corner = "value") -> Cycle:
    """Return one period; the worst has the most energy in the least time."""
    return Cycle(
        period_s=inputs.period_s,
        inferences=inputs.inferences,
        energy_j=_most(inputs.energy_j, corner),
        latency_s=_least(inputs.latency_s, corner),
        peak_w=inputs.peak_w,
        wake_j=inputs.wake_j,
        wake_s=inputs.wake_s,
        bursts=inputs.bursts,
        sleep_a=_most(inputs.sleep_a, corner),
        supply_v=inputs.supply_v,
        mean_w=None if inputs.mean_w is None else _most(inputs.mean_w, corner),
    )


def conversion_of(inputs: Inputs, corner: Corner = "value") -> Conversion:
    """Return what is between the cell and the device."""
    return Conversion(inputs.regulator, _least(inputs.efficiency_ratio, corner), inputs.quiescent_a, inputs.cell_v)


def outcome(inputs: Inputs, corner: Corner = "value") -> Outcome:
    """Return the life for the values, or for the worst or the best of all ranges together."""
    cycle, conversion = cycle_of(inputs, corner), conversion_of(inputs, corner)
    mean_a, largest_a = average_a(cycle, conversion), peak_a(cycle, conversion, inputs.cutoff_v)
    capacity_c = _least(inputs.capacity_c, corner) * inputs.health_ratio
    share = _usable(inputs, largest_a, corner)
    currents = consumers(cycle, conversion)
    if share is None:
        return Outcome(None, mean_a, largest_a, 0.0, currents)
    usable_c = capacity_c * share * inputs.derating_ratio
    leak = leak_per_s(_most(inputs.self_discharge_ratio, corner), _most(inputs.temperature_celsius, corner))
    life_s = lifetime_s(usable_c, mean_a, leak, left_behind_c(capacity_c, usable_c, inputs.leak))
    if life_s > 0:
        lost_a = usable_c / life_s - mean_a
        currents |= {SELF_DISCHARGE: lost_a} if lost_a > 1e-9 * mean_a else {}
    return Outcome(life_s, mean_a, largest_a, usable_c, currents)


def sleepless(inputs: Inputs) -> bool:
    """Tell whether a period has no room for all that happens in it."""
    return busy_s(cycle_of(inputs)) > inputs.period_s * (1 + 1e-9)


def _usable(inputs: Inputs, pulse_a: float, corner: Corner) -> float | None:
    """Return what of the capacity is there until the cut-off; a cell's profile tells it for its largest pulse.

    A cold cell has more resistance, so the worst is here the lowest temperature, though a warm cell leaks more.
    """
    if inputs.profile is None or inputs.cutoff_v is None:
        return _least(inputs.usable_ratio, corner)
    points = points_at(inputs.profile, _least(inputs.temperature_celsius, corner))
    end = end_of_charge(points, pulse_a / inputs.parallel, inputs.cutoff_v / inputs.series)
    return None if end is None else points[0].soc - end


def _most(ranged: Ranged, corner: Corner) -> float:
    """Return the end that shortens the life where the life falls with the input."""
    return {"value": ranged.value, "worst": ranged.high, "best": ranged.low}[corner]


def _least(ranged: Ranged, corner: Corner) -> float:
    """Return the end that shortens the life where the life rises with the input."""
    return {"value": ranged.value, "worst": ranged.low, "best": ranged.high}[corner]
