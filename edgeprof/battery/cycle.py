"""What one period takes from the cell: pure. Gross energy over the active time, and sleep for the rest.

Energy above idle never enters: what idle takes comes from the same cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgeprof.battery.options import Burst, Regulator

INFERENCE, WAKE, SLEEP, QUIESCENT = "inference", "waking", "sleep", "regulator, quiescent"


class Cycle(NamedTuple):
    """One period, at the device's supply. `energy_j` is gross.

    `peak_w` and `mean_w` are what was measured while it inferred: of the highest sample, and on average. None:
    not known.
    """

    period_s: float
    inferences: float
    energy_j: float
    latency_s: float
    peak_w: float | None
    wake_j: float
    wake_s: float
    bursts: tuple[Burst, ...]
    sleep_a: float
    supply_v: float
    mean_w: float | None = None


class Conversion(NamedTuple):
    """What is between the cell and the device. `cell_v` is only needed, and known, where the regulator switches."""

    regulator: Regulator
    efficiency_ratio: float
    quiescent_a: float
    cell_v: float | None


class Event(NamedTuple):
    """Something that draws for a while: its largest current at the cell and how long it lasts."""

    name: str
    current_a: float
    duration_s: float


def busy_s(cycle: Cycle) -> float:
    """Return how much of a period is not sleep. What draws is taken to come one after the other."""
    bursts = sum(burst.duration_s for burst in cycle.bursts)
    return cycle.inferences * cycle.latency_s + cycle.wake_s + bursts


def at_cell(current_a: float, cycle: Cycle, conversion: Conversion, cell_v: float | None = None) -> float:
    """Return the current that the cell gives for one at the supply, without the regulator's own.

    A switching regulator carries power over: I V / (V_cell efficiency). A linear one, or none, carries current over.
    """
    if conversion.regulator in {"ldo", "none"}:
        return current_a
    voltage = cell_v or conversion.cell_v
    if voltage is None:
        raise ValueError("a switching regulator without the cell's voltage")
    return current_a * cycle.supply_v / (voltage * conversion.efficiency_ratio)


def consumers(cycle: Cycle, conversion: Conversion) -> dict[str, float]:
    """Return the mean current at the cell of all that draws from it: sum(I t) / period."""
    charges = {
        INFERENCE: cycle.inferences * cycle.energy_j / cycle.supply_v,
        WAKE: cycle.wake_j / cycle.supply_v,
        **{burst.name: 0.0 for burst in cycle.bursts},
        SLEEP: cycle.sleep_a * max(cycle.period_s - busy_s(cycle), 0.0),
    }
    for burst in cycle.bursts:
        charges[burst.name] += burst.current_a * burst.duration_s
    drawn = {name: at_cell(charge / cycle.period_s, cycle, conversion) for name, charge in charges.items()}
    drawn[QUIESCENT] = conversion.quiescent_a
    return {name: current for name, current in drawn.items() if current > 0}


def average_a(cycle: Cycle, conversion: Conversion) -> float:
    """Return the mean current at the cell."""
    return sum(consumers(cycle, conversion).values())


def inference_w(cycle: Cycle) -> float:
    """Return the largest power that an inference is known to take: of its highest sample, else its mean.

    Where neither was measured it is its energy over its time. Not else: energy and time may be of two passes, of which
    one is slower, and their quotient is a power that was never drawn.
    """
    known = [power for power in (cycle.peak_w, cycle.mean_w) if power is not None]
    return max(known) if known else cycle.energy_j / cycle.latency_s


def events(cycle: Cycle, conversion: Conversion, cell_v: float | None = None) -> tuple[Event, ...]:
    """Return what draws in bursts, each with its largest current at the cell, the regulator's own on top.

    An inference's largest current is that of `inference_w`.
    """
    found = [Event(burst.name, burst.current_a, burst.duration_s) for burst in cycle.bursts]
    if cycle.inferences > 0 and cycle.latency_s > 0:
        found.append(Event(INFERENCE, inference_w(cycle) / cycle.supply_v, cycle.latency_s * cycle.inferences))
    if cycle.wake_j > 0 and cycle.wake_s > 0:
        found.append(Event(WAKE, cycle.wake_j / cycle.wake_s / cycle.supply_v, cycle.wake_s))
    found.append(Event(SLEEP, cycle.sleep_a, cycle.period_s))
    return tuple(
        one._replace(current_a=at_cell(one.current_a, cycle, conversion, cell_v) + conversion.quiescent_a)
        for one in found
    )


def peak_a(cycle: Cycle, conversion: Conversion, cell_v: float | None = None) -> float:
    """Return the largest current at the cell."""
    return max(event.current_a for event in events(cycle, conversion, cell_v))
