"""What a bench instrument gives back: a power trace on the host's clock, and the arrivals behind its time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.errors import BoardUnreachable
from edgeprof.meters.elapsed import Arrivals, Counts, Loss, losses_by_time
from edgeprof.power.trace import PowerTrace

if TYPE_CHECKING:
    from edgeprof.power.trace import Accuracy, Bits, Floats

NEAR_S = 0.05
"""A gap this near to where a loss is noticed in the elapsed time is that loss."""
UNUSUAL_SKEW = 1e-3
"""Of a crystal 100 ppm are usual; beyond this the instrument doesn't sample at the rate that it names."""


class SampleClock(NamedTuple):
    """Sample i was taken at `start_s + i / rate_hz` on the host's monotonic clock."""

    start_s: float
    rate_hz: float
    nominal_rate_hz: float

    @property
    def skew_ratio(self) -> float:
        """How much faster the instrument's clock runs than this host's."""
        return self.rate_hz / self.nominal_rate_hz - 1


class Recording(NamedTuple):
    """A trace whose `clock` is `host`; `lost` says why the instrument ended before it was asked to, if it did."""

    trace: PowerTrace
    arrivals: Arrivals
    clock: SampleClock | None
    lost: str = ""


class Facts(NamedTuple):
    """What is known of an instrument: `source` names it in the trace, `rate_hz` is nominal."""

    name: str
    source: str
    rate_hz: float | None
    accuracy: Accuracy | None
    notes: tuple[str, ...] = ()


def fit_clock(arrivals: Arrivals, nominal_rate_hz: float) -> SampleClock:
    """Return the line under all arrivals that touches them: the least delayed ones tell the instrument's clock.

    A block is never there before its last sample, and queues only ever delay it, so the fit is the linear program of
    Moon, Skelly and Towsley (INFOCOM 1999): the edge of the lower convex hull that spans the mean count.
    """
    count, host = arrivals
    if len(count) == 0:
        return SampleClock(0.0, nominal_rate_hz, nominal_rate_hz)
    if count[-1] - count[0] < nominal_rate_hz / 2:  # too short to tell a rate: half a second
        start = float((host - count / nominal_rate_hz).min())
        return SampleClock(start, nominal_rate_hz, nominal_rate_hz)
    hull = _lower_hull(count.tolist(), host.tolist())
    middle = float(count.mean())
    left, right = next((a, b) for a, b in itertools.pairwise(hull) if b[0] >= middle)
    period = (right[1] - left[1]) / (right[0] - left[0])
    if abs(period * nominal_rate_hz - 1) > UNUSUAL_SKEW:
        start = float((host - count / nominal_rate_hz).min())
        return SampleClock(start, nominal_rate_hz, nominal_rate_hz)
    return SampleClock(left[1] - left[0] * period, 1 / period, nominal_rate_hz)


def _lower_hull(xs: list[int], ys: list[float]) -> list[tuple[int, float]]:
    """Return the lower convex hull of points in order of x (Andrew's monotone chain)."""
    hull: list[tuple[int, float]] = []
    for x, y in zip(xs, ys, strict=True):
        if hull and hull[-1][0] == x:
            continue  # the later of two blocks that end at one sample says nothing new
        while len(hull) > 1 and _turns_right(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return hull


def _turns_right(a: tuple[int, float], b: tuple[int, float], c: tuple[int, float]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) <= (b[1] - a[1]) * (c[0] - a[0])


# ── samples, gaps and arrivals ───────────────────────────────────────────────────────────────────────────────────────


class Gaps(NamedTuple):
    """Where samples are missing: before which received sample, in order, and how many. Shape [k] each."""

    before: Counts
    missing: Counts

    @property
    def total(self) -> int:
        """All samples that are missing."""
        return int(self.missing.sum())


def make_gaps(missing_before: dict[int, int]) -> Gaps:
    """Return gaps from a map of received sample to how many are missing before it."""
    import numpy as np

    places = sorted(place for place, missing in missing_before.items() if missing)
    return Gaps(np.array(places, np.int64), np.array([missing_before[place] for place in places], np.int64))


def count_with_gaps(received: Counts, gaps: Gaps) -> Counts:
    """Return how many samples there were when so many had been received: a gap counts with the sample behind it."""
    import numpy as np

    passed = np.concatenate([[0], np.cumsum(gaps.missing)])
    counted: Counts = received + passed[np.searchsorted(gaps.before, received, side="left")]
    return counted


def spread_out(received: Floats, gaps: Gaps) -> Floats:
    """Return the samples with NaN where some are missing."""
    import numpy as np

    if not len(gaps.before):
        return received
    return np.insert(received, np.repeat(gaps.before, gaps.missing), np.nan)


def hold_bits(received: Bits, gaps: Gaps) -> Bits:
    """Return the logic bits with the last known ones where some are missing."""
    import numpy as np

    if not len(gaps.before):
        return received
    held = received[np.maximum(gaps.before - 1, 0)]
    return np.insert(received, np.repeat(gaps.before, gaps.missing), np.repeat(held, gaps.missing))


def add_losses_by_time(
    missing_before: dict[int, int],
    received: Counts,
    host_time_s: Floats,
    rate_hz: float,
    *,
    quantum: int,
    threshold: float,
) -> tuple[dict[int, int], list[Loss]]:
    """Add what the elapsed time says is missing: to a gap nearby that is known already, else where it was noticed.

    `received` is how many samples had come at each of `host_time_s`, shape [k] each. Returns the completed map and the
    losses that were added.
    """
    counts = count_with_gaps(received, make_gaps(missing_before))
    losses = losses_by_time(Arrivals(counts, host_time_s), rate_hz, quantum=quantum, threshold=threshold)
    completed = dict(missing_before)
    for loss in losses:
        place = int(received[loss.arrival])
        near = [known for known in missing_before if abs(known - place) <= NEAR_S * rate_hz]
        place = min(near, key=lambda known: abs(known - place), default=place)
        completed[place] = completed.get(place, 0) + loss.missing
    return completed, losses


class Received(NamedTuple):
    """What an instrument sent, before gaps and time: shape [n] for samples, [k] for arrivals."""

    amps: Floats
    marker: Bits | None
    volts: float
    missing_before: dict[int, int]
    count_at_arrival: Counts
    host_time_s: Floats
    lost: str
    integrated: bool = False
    """Whether a sample is the mean over its time, not a point of a curve."""


def assemble(
    received: Received,
    facts: Facts,
    *,
    quantum: int,
    threshold: float | None,
    notes: tuple[str, ...] = (),
) -> Recording:
    """Lay samples on the host's clock, with gaps where the count or the elapsed time says that some are missing.

    `quantum` and `threshold` are of the elapsed time, in samples; without a threshold it is not asked. Raises
    `BoardUnreachable` where there is not one sample, though the instrument is there.
    """
    import numpy as np

    if len(received.amps) == 0 and not received.lost:
        raise BoardUnreachable(
            f"the {facts.name} gave no samples",
            hint="unplug it and plug it in again; is another program using it?",
        )
    rate = facts.rate_hz or 1.0
    began = received.count_at_arrival > 0  # what came earlier says nothing about the samples' clock
    received = received._replace(
        count_at_arrival=received.count_at_arrival[began], host_time_s=received.host_time_s[began]
    )
    missing, losses = received.missing_before, list[Loss]()
    if threshold is not None:
        missing, losses = add_losses_by_time(
            missing, received.count_at_arrival, received.host_time_s, rate, quantum=quantum, threshold=threshold
        )
    gaps = make_gaps(missing)
    arrivals = Arrivals(count_with_gaps(received.count_at_arrival, gaps), received.host_time_s)
    clock = fit_clock(arrivals, rate)
    amps = spread_out(received.amps, gaps)
    trace = PowerTrace(
        time_s=clock.start_s + np.arange(len(amps)) / clock.rate_hz,
        power_w=amps * received.volts,
        source=facts.source,
        clock="host",
        volts=np.broadcast_to(np.float64(received.volts), amps.shape),
        amps=amps,
        marker=None if received.marker is None else hold_bits(received.marker, gaps),
        nominal_rate_hz=facts.rate_hz,
        accuracy=facts.accuracy,
        hold=received.integrated,
        lost=received.lost,
        notes=(*facts.notes, *_told(received, gaps, losses, rate, threshold), *notes),
    )
    return Recording(trace, arrivals, clock if len(amps) else None, received.lost)


def _told(received: Received, gaps: Gaps, losses: list[Loss], rate_hz: float, threshold: float | None) -> list[str]:
    notes = []
    if gaps.total:
        late = sum(loss.missing for loss in losses)
        by_time = f", {late} of them told by the elapsed time alone" if late else ""
        notes.append(f"{gaps.total} samples were lost in {len(gaps.before)} gaps{by_time}")
    if threshold is not None:
        notes.append(
            f"counted against elapsed time: a loss below {threshold / rate_hz * 1e3:g} ms would not be noticed"
        )
    if received.lost:
        lasted = len(received.amps) / rate_hz
        notes.append(f"the instrument ended by itself after {lasted:.3f} s: {received.lost}")
    return notes
