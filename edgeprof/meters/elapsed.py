"""Losses that no counter shows: fewer samples than the time that has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeprof.power.trace import Floats

    Counts = NDArray[np.int64]
else:
    Counts = Any

BIN_S = 0.1
WINDOW_S = 5.0
SETTLED_S = 0.5
"""A loss nearer to an end of the recording is not noticed: a host that is late looks the same."""
DRIFT_BINS = 3
"""Far fewer than a recording has, so that few differences span a loss."""
MOST_DRIFT_RATIO = 200e-6
"""Two crystals differ by less."""
MOST_LOSSES = 1000


class Arrivals(NamedTuple):
    """When the host had how many samples, shape [k] each: counted from the start, losses that were noticed included."""

    sample_count: Counts
    host_time_s: Floats


class Loss(NamedTuple):
    """Samples that are missing: the arrival with this number was in time, the next ones are late."""

    arrival: int
    missing: int


def losses_by_time(arrivals: Arrivals, rate_hz: float, *, quantum: int, threshold: float) -> list[Loss]:
    """Return the losses of `threshold` samples and more, in multiples of `quantum`, in order.

    A host that is busy delays some arrivals; a loss delays all that follow. So what counts is the least delay of the
    five seconds before and after; it must rise by the threshold. A slow drift between the two clocks is taken out first
    by the median of the delay's differences over 0.3 s.
    """
    import numpy as np

    count = arrivals.sample_count
    if len(count) == 0:
        return []
    host = arrivals.host_time_s - arrivals.host_time_s[0]
    late = host * rate_hz - count  # in samples
    bins = (host / BIN_S).astype(np.int64)
    least = _least(late, bins)
    most = MOST_DRIFT_RATIO * rate_hz * BIN_S
    slope = min(most, max(-most, _drift(least)))
    late = late - slope * (host / BIN_S)
    found: dict[int, int] = {}
    for _ in range(MOST_LOSSES):
        step = _rises(_least(late, bins))
        place = int(np.argmax(step)) if len(step) else 0
        if not len(step) or step[place] < threshold:
            break
        missing = max(1, round(float(step[place]) / quantum)) * quantum
        last = _last_before(late, bins, place, missing)
        found[last] = found.get(last, 0) + missing
        late[last + 1 :] -= missing
    return [Loss(at, found[at]) for at in sorted(found)]


def _least(late: Floats, bins: Counts) -> Floats:
    """Return the least delay of each bin, infinite where nothing arrived."""
    import numpy as np

    least = np.full(int(bins[-1]) + 1, np.inf)
    np.minimum.at(least, bins, late)
    return least


def _drift(least: Floats) -> float:
    """Return the usual growth of the delay a bin."""
    import numpy as np

    later, earlier = least[DRIFT_BINS:], least[: max(0, len(least) - DRIFT_BINS)]
    both = np.isfinite(later) & np.isfinite(earlier)
    grown = later[both] - earlier[both]
    return float(np.median(grown)) / DRIFT_BINS if len(grown) else 0.0


def _rises(least: Floats) -> Floats:
    """Return by how much the least delay after each bin is above the least up to it; -infinite near the ends."""
    import numpy as np

    window, settled = round(WINDOW_S / BIN_S), round(SETTLED_S / BIN_S)
    padded = np.pad(least, window, constant_values=np.inf)
    lows = np.lib.stride_tricks.sliding_window_view(padded, window).min(axis=1)
    before = lows[1 : len(least) + 1]  # bins i - window + 1 to i
    after = lows[window + 1 : window + len(least) + 1]  # bins i + 1 to i + window
    known = np.isfinite(before) & np.isfinite(after)
    known[: settled - 1] = False
    known[max(0, len(least) - settled) :] = False
    return np.where(known, np.where(known, after, 0) - np.where(known, before, 0), -np.inf)


def _last_before(late: Floats, bins: Counts, place: int, missing: int) -> int:
    """Return the last arrival that is not late yet."""
    import numpy as np

    window = round(WINDOW_S / BIN_S)
    near = np.flatnonzero((bins > place - window) & (bins <= place + window))
    until = near[bins[near] <= place]
    low = late[until].min()
    return int(near[np.flatnonzero(late[near] < low + missing / 2)[-1]])
