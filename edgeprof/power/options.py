"""What can be asked of an integration; light, so that a command line can import it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["auto", "high", "low", "pulses"]
ALIGNMENTS = ("none", "burst")
Side = Literal["both", "before", "after"]
SIDES = ("both", "before", "after")
LEVELS = ("auto", "high", "low", "pulses")


class EnergyOptions(NamedTuple):
    """How a recording is read, where its windows are, and what is made of them.

    `inferences` in each window; `voltage_v` where only current was recorded; `columns` maps a role (time, current,
    voltage, power, energy, counter, marker) to a header or a column's number from 1, with `:unit` where the header has
    none; `counter_range_j`: where an energy counter starts again at 0. `marker_bit` and `level` choose the marker;
    `guard_s` is left out at both ends of each window; `align` lays windows on a clock of their own over the trace.
    Idle is taken on `idle_side` of each window: all of `idle_span_s`, or (None) the state that lasts longest there.
    """

    inferences: int | None = None
    voltage_v: float | None = None
    columns: tuple[tuple[str, str], ...] = ()
    counter_range_j: float | None = None
    marker_bit: int | None = None
    level: Level = "auto"
    guard_s: float = 0.0
    idle_state: str = "between the windows, state not named"
    idle_span_s: float | None = None
    idle_side: Side = "both"
    accuracy_ratio: float | None = None
    price_usd_per_kwh: float | None = None
    grid_g_per_kwh: float | None = None
    align: Literal["none", "burst"] = "none"
