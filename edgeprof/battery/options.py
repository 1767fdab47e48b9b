"""What can be said about a device and its cell; light, so that a command line can import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

REGULATORS = ("buck", "boost", "ldo", "none")
LEAKS = ("usable", "whole")
TOLERANCES = ("energy", "latency", "sleep", "capacity", "temperature")
"""What `--tolerance` takes: a share of the value either way; temperature in degrees."""

Regulator = Literal["buck", "boost", "ldo", "none"]


class Burst(NamedTuple):
    """Something besides the inference that draws once a period, at the device's supply: a radio, a sensor."""

    name: str
    current_a: float
    duration_s: float


class BatteryOptions(NamedTuple):
    """How a device lives on its cell. None: not said; what has no default then is refused or listed as assumed.

    The cell: a name of the library, or `capacity_c` and what else is known of it; `series` and `parallel` of them.
    The period: `inferences` each `period_s`, after `wake_j` and `wake_s` to wake or boot, with `bursts`, and
    `sleep_a` for the rest; currents are at the device's supply, `supply_v`, where the energy was measured.
    `energy_j` and `latency_s` declare what a result does not say. `efficiency` is a range, low and high.
    Capacity: `usable` is left by the cut-off voltage, `health` by age, `cold` by temperature, `reserve` is not to be
    used. `leak`: whether only the usable charge leaks or the reserve too.
    """

    cell: str | None = None
    capacity_c: float | None = None
    cell_v: float | None = None
    series: int = 1
    parallel: int = 1
    max_continuous_a: float | None = None
    max_pulse_a: float | None = None
    period_s: float | None = None
    inferences: float = 1.0
    sleep_a: float | None = None
    wake_j: float = 0.0
    wake_s: float = 0.0
    bursts: tuple[Burst, ...] = ()
    energy_j: float | None = None
    latency_s: float | None = None
    supply_v: float | None = None
    regulator: Regulator | None = None
    efficiency: tuple[float, float] | None = None
    quiescent_a: float | None = None
    usable: float | None = None
    health: float = 1.0
    reserve: float = 0.0
    cold: float | None = None
    temperature_celsius: float | None = None
    self_discharge_ratio: float | None = None
    leak: Literal["usable", "whole"] = "usable"
    profile: Path | None = None
    cutoff_v: float | None = None
    tolerances: tuple[tuple[str, float], ...] = ()
