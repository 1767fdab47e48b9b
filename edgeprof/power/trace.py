"""One power trace, the same whether it comes from a sensor on the board, a bench instrument or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bits = NDArray[np.uint8]
else:
    Floats = Bits = Any


class Accuracy(NamedTuple):
    """What an instrument's maker declares: share of the reading, offset, one step. `source` says where it stands."""

    gain_ratio: float
    offset_w: float
    step_w: float
    source: str


class PowerTrace(NamedTuple):
    """Samples of power over time, shape [n] each, in order of time.

    `time_s` is on the clock that `clock` names: `agent` (the agent's monotonic clock), `host` (this machine's), or
    `instrument` (a clock of its own, that has to be aligned). `power_w` is NaN where the instrument lost samples: a
    gap, never a value; nothing is integrated over it. `marker` holds the logic inputs' bits of each sample, None where
    there are none. `volts` and `amps` are None where the source gives power only. `rails` are what is summed in
    `power_w`, and `covers` says of what: `board` (all that the board draws), `module` (carrier excluded) or `part`.
    """

    time_s: Floats
    power_w: Floats
    source: str
    clock: str
    volts: Floats | None = None
    amps: Floats | None = None
    marker: Bits | None = None
    rails: tuple[str, ...] = ()
    covers: str = "board"
    nominal_rate_hz: float | None = None
    filter_time_constant_s: float = 0.0
    """Of the sensor's own averaging: readings closer than this are not independent."""
    independent_rate_hz: float | None = None
    """How often the sensor really has a new reading; None: every sample is one."""
    accuracy: Accuracy | None = None
    notes: tuple[str, ...] = ()
