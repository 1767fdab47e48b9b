"""Sensor readings: what was read where, when, in which unit; and what could not be read, with the reason."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Quantity: TypeAlias = Literal[
    "temperature", "power", "voltage", "current", "frequency", "throttle", "load", "energy", "duration"
]
"""`throttle` counts bits as vcgencmd get_throttled gives them; `duration` is what one round of reading took."""

Role: TypeAlias = Literal["board-total", "module-rails", "rail", ""]
"""Of power: the whole board, a rail of a set whose sum is the module's (carrier excluded), or one rail that is counted
in another already. `board-total` and `module-rails` never stand in one result of one board, and nothing else is summed.
"""


class SensorSeries(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The readings of one channel over a run, on the agent's monotonic clock (that of `Samples.start_s`).

    `source` is the file or command that was read. A reading that failed is not there: `failures` counts them and
    `reason` says why. `interval_s` is what was asked for, `resolution` the sensor's least step where it is known.
    """

    name: str
    quantity: Quantity
    unit: str
    source: str
    rail: str = ""
    role: Role = ""
    time_s: tuple[float, ...] = ()
    value: tuple[float, ...] = ()
    failures: int = 0
    reason: str = ""
    interval_s: float | None = None
    resolution: float | None = None


class SamplingCost(Struct, frozen=True, kw_only=True):
    """What reading sensors took of the board: CPU time of the sampling thread, in how many rounds, over how long."""

    cpu_s: float
    wall_s: float
    reads: int
