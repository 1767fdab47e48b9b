"""Where the windows are: marker bits in the sample stream, times from a file, samples of a measurement."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgeprof import wire
from edgeprof.errors import UsageError
from edgeprof.power.trace import GAP_PERIODS, ROUNDING, PowerTrace, period_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.power.options import Level
    from edgeprof.records.result import SampleColumns

SETTLING_CONSTANTS = 5
"""After five time constants an exponential filter is within 0.7 % of a step; both ends of a window lose as much."""
BITS = 8


class Window(NamedTuple):
    """A span of time on one clock in which the model ran `inferences` times (None: not known), and nothing else."""

    start_s: float
    end_s: float
    inferences: int | None = None

    @property
    def length_s(self) -> float:
        """Return how long it is."""
        return self.end_s - self.start_s


class Marked(NamedTuple):
    """The windows that marker edges bound, how far off an edge may be, and what was noticed."""

    windows: tuple[Window, ...]
    error_s: float
    notes: tuple[str, ...]


def marker_windows(trace: PowerTrace, *, bit: int | None = None, level: Level = "auto") -> Marked:
    """Return the windows between the edges of one marker bit.

    An edge lies between two samples; the middle is taken, and half their distance is the error. `level`: a window is
    where the bit is `high`, `low`, or (`auto`) not what it is at the beginning; `pulses`: each falling edge is a mark,
    and the first one opens the recording where their number is odd (as the EEMBC runner does).
    """
    if trace.marker is None:
        raise UsageError(f"{trace.source} has no marker", hint="--markers FILE gives the windows' times")
    chosen = _toggling_bit(trace) if bit is None else bit
    if not 0 <= chosen < BITS:
        raise UsageError(f"there is no marker bit {chosen}: they are 0 to 7")
    state = (trace.marker >> chosen & 1).astype(np.int8)
    change = np.diff(state)
    places = np.flatnonzero(change)
    if len(places) == 0:
        raise UsageError(
            f"marker bit {chosen} of {trace.source} never changes", hint="--marker-bit N chooses another one"
        )
    edge_s = (trace.time_s[places] + trace.time_s[places + 1]) / 2
    error_s = (trace.time_s[places + 1] - trace.time_s[places]) / 2
    if level == "pulses":
        falling = change[places] < 0
        return Marked(paired([float(at) for at in edge_s[falling]]), _largest(trace, error_s[falling]), ())
    active = {"high": 1, "low": 0, "auto": 1 - int(state[0])}[level]
    return _between_edges(trace, edge_s, error_s, change[places] > 0, active=bool(active), bit=chosen)


def _between_edges(
    trace: PowerTrace, edge_s: np.ndarray, error_s: np.ndarray, rising: np.ndarray, *, active: bool, bit: int
) -> Marked:  # fmt: skip
    """Return windows from each edge into the active level to the next one out of it; one cut short is left out."""
    notes = []
    if bool(rising[0]) != active:
        notes.append(f"the recording begins inside a window (marker bit {bit}): that one is left out")
    if bool(rising[-1]) == active:
        notes.append(f"the recording ends inside a window (marker bit {bit}): that one is left out")
    sure = error_s <= GAP_PERIODS * ROUNDING * period_s(trace) / 2
    windows, unsure = [], 0
    for at in range(len(edge_s) - 1):
        if bool(rising[at]) != active:
            continue
        if sure[at] and sure[at + 1]:
            windows.append(Window(float(edge_s[at]), float(edge_s[at + 1])))
        else:
            unsure += 1
    if unsure:
        notes.append(f"{unsure} windows begin or end in a gap: left out")
    return Marked(tuple(windows), _largest(trace, error_s[sure]), tuple(notes))


def _largest(trace: PowerTrace, error_s: np.ndarray) -> float:
    return float(error_s.max()) if len(error_s) else period_s(trace) / 2


def _toggling_bit(trace: PowerTrace) -> int:
    """Return the only bit that changes; several are for a person to choose from."""
    assert trace.marker is not None  # noqa: S101  the caller has looked
    changed = int(np.bitwise_or.reduce(trace.marker ^ trace.marker[:1])) if len(trace.marker) else 0
    toggling = [bit for bit in range(BITS) if changed >> bit & 1]
    if not toggling:
        raise UsageError(f"no marker bit of {trace.source} changes", hint="--markers FILE gives the windows' times")
    if len(toggling) > 1:
        bits = ", ".join(map(str, toggling))
        raise UsageError(f"several marker bits of {trace.source} change: {bits}", hint="--marker-bit N chooses one")
    return toggling[0]


def paired(times_s: Sequence[float]) -> tuple[Window, ...]:
    """Return windows from times in pairs; of an odd number the first only opens the recording (the EEMBC runner's)."""
    marks = times_s[len(times_s) % 2 :]
    return tuple(Window(start, end) for start, end in zip(marks[::2], marks[1::2], strict=True))


def sample_windows(samples: SampleColumns) -> tuple[Window, ...]:
    """Return the windows of an energy pass on the agent's clock: each begins with a sample that carries WINDOW."""
    firsts = [at for at, flags in enumerate(samples.flags) if flags & wire.WINDOW]
    found = []
    for first, after in pairwise([*firsts, len(samples.flags)]):
        last = after - 1
        end_s = samples.start[last] + samples.duration[last]
        found.append(Window(samples.start[first], end_s, sum(samples.batch[first:after])))
    return tuple(found)


def guarded(window: Window, guard_s: float) -> Window:
    """Return the window without its ends; its inferences in proportion are for the caller to reckon."""
    return window._replace(start_s=window.start_s + guard_s, end_s=window.end_s - guard_s)


def check_order(windows: Sequence[Window]) -> None:
    """Refuse windows that end before they begin or lie over each other: their energy would count twice."""
    for number, window in enumerate(windows, 1):
        if not window.end_s > window.start_s:
            raise UsageError(f"window {number} ends at {window.end_s:g} s, before it begins at {window.start_s:g} s")
        if number > 1 and window.start_s < windows[number - 2].end_s:
            raise UsageError(f"window {number} begins at {window.start_s:g} s, before window {number - 1} ends")
