"""One power trace, the same whether it comes from a sensor on the board, a bench instrument or a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bits = NDArray[np.uint8]
    Flags = NDArray[np.bool_]
else:
    Floats = Bits = Flags = Any

GAP_PERIODS = 2.0
ROUNDING = 1.01
"""A hole of two periods is one lost sample and is bridged; times are often rounded, hence one per cent more."""


class Accuracy(NamedTuple):
    """What an instrument's maker declares: share of the reading, offset, one step. `source` says where it stands.

    None: not declared; that is said with every figure that depends on it.
    """

    gain_ratio: float | None
    offset_w: float | None
    step_w: float | None
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
    hold: bool = False
    """Each sample is the mean from its time to the next one's (an energy counter, an integrating instrument).

    Otherwise it is a point on a curve, and the curve between two is a straight line.
    """
    time_unsaid: str = ""
    """The header of its times where no unit was given, so that seconds were assumed; empty: they are seconds."""
    lost: str = ""
    """Why the instrument ended before it was asked to; empty: it did not."""


def period_s(trace: PowerTrace) -> float:
    """Return the time between two samples: by the nominal rate, else the median of what is there; 0 below two."""
    import numpy as np

    if trace.nominal_rate_hz:
        return 1.0 / trace.nominal_rate_hz
    return float(np.median(np.diff(trace.time_s))) if len(trace.time_s) > 1 else 0.0


def readings_hz(trace: PowerTrace) -> float:
    """Return how many independent readings there are in a second: no more than samples, sensor and filter allow."""
    period = period_s(trace)
    rates = [1.0 / period] if period > 0 else []
    if trace.independent_rate_hz:
        rates.append(trace.independent_rate_hz)
    if trace.filter_time_constant_s > 0:
        rates.append(1.0 / trace.filter_time_constant_s)
    return min(rates, default=0.0)


def cleaned(trace: PowerTrace) -> PowerTrace:
    """Return the trace in order of time, every fault a gap and told in `notes`; no joule comes of a fault.

    One sample at a time that is over already is dropped, and the one before it becomes a gap; after several the clock
    was set back, and all that follows has no sure time. What comes twice at the same time is kept once; infinite power
    is none.
    """
    import numpy as np

    time_s, power_w = np.asarray(trace.time_s, float), np.array(trace.power_w, float)
    known = np.isfinite(time_s)
    latest = np.maximum.accumulate(np.where(known, time_s, -np.inf))
    before = np.concatenate(([-np.inf], latest[:-1]))
    kept, again, back = time_s > before, known & (time_s == before), known & (time_s < before)
    infinite = np.isinf(power_w)
    power_w[infinite] = np.nan
    broken = np.flatnonzero(back | ~known)
    set_back = np.flatnonzero(back[1:] & back[:-1])
    if len(set_back):
        power_w[set_back[0] :] = np.nan
    if len(broken):
        places = np.flatnonzero(kept)
        last = np.searchsorted(places, broken) - 1
        power_w[places[last[last >= 0]]] = np.nan
    notes = list(trace.notes)
    if len(set_back):
        notes.append(f"the clock was set back at sample {set_back[0] + 1:,}: all that follows is a gap")
    for count, words in (
        (int(back.sum()), "lie before the one above them in time: dropped, a gap"),
        (int((~known).sum()), "have no time: dropped, a gap"),
        (int(again.sum()), "repeat the time of the one above them: the first counts"),
        (int(infinite.sum()), "are infinite: gaps"),
    ):
        if count:
            notes.append(f"{count:,} samples {words}")
    if kept.all():
        return trace._replace(time_s=time_s, power_w=power_w, notes=tuple(notes))
    return trace._replace(
        time_s=time_s[kept],
        power_w=power_w[kept],
        volts=None if trace.volts is None else trace.volts[kept],
        amps=None if trace.amps is None else trace.amps[kept],
        marker=None if trace.marker is None else trace.marker[kept],
        notes=tuple(notes),
    )
