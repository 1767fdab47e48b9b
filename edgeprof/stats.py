"""Percentiles with honest bounds, spread, drift and steadiness. Pure functions over seconds (or counts)."""

from __future__ import annotations

import math
import statistics
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_SAMPLES = {0.5: 1, 0.9: 10, 0.95: 20, 0.99: 100, 0.999: 1000}
"""Fewer samples than this have none beyond the percentile: about 1 / (1 - q)."""

FEWEST_LAUNCHES = 5
NOISE_BLOCKS = 10


class Bounds(NamedTuple):
    """Bounds of a quantity; one of them is None where there are too few samples for it."""

    low: float | None
    high: float | None
    confidence: float


def percentile(ordered: Sequence[float], q: float) -> float:
    """Return the q-quantile of sorted samples, linear between order statistics (type 7 of Hyndman and Fan, 1996)."""
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def enough_for(q: float, count: int) -> bool:
    """Tell whether a percentile may be printed at all."""
    return count >= FEWEST_SAMPLES.get(q, math.ceil(1 / (1 - q) - 1e-9))


def median_bounds(ordered: Sequence[float], confidence: float = 0.95) -> Bounds:
    """Return a two-sided interval of the median by order statistics, free of any distribution (David and Nagaraja)."""
    tail = (1 - confidence) / 2
    lower = _lower_rank(len(ordered), 0.5, tail)
    upper = _upper_rank(len(ordered), 0.5, tail)
    return Bounds(_at(ordered, lower), _at(ordered, upper), confidence)


def percentile_bounds(ordered: Sequence[float], q: float, confidence: float = 0.95) -> Bounds:
    """Return two one-sided bounds of the q-quantile by order statistics.

    The upper one exists from 59 samples on for p95, 299 for p99 and 2,995 for p99.9: 1 - q^n >= confidence.
    """
    tail = 1 - confidence
    count = len(ordered)
    return Bounds(_at(ordered, _lower_rank(count, q, tail)), _at(ordered, _upper_rank(count, q, tail)), confidence)


def _at(ordered: Sequence[float], rank: int | None) -> float | None:
    return None if rank is None else ordered[rank - 1]


@cache
def _upper_rank(count: int, q: float, tail: float) -> int | None:
    """Return the smallest rank u with P(X_(u) < quantile) <= tail; that is P(B >= u) <= tail for B ~ Bin(count, q)."""
    cumulated = 0.0
    for rank in range(count, 0, -1):
        cumulated += _binomial(count, rank, q)
        if cumulated > tail:
            return rank + 1 if rank < count else None
    return 1


@cache
def _lower_rank(count: int, q: float, tail: float) -> int | None:
    """Return the largest rank l with P(X_(l) > quantile) <= tail; that is P(B <= l - 1) <= tail."""
    cumulated = 0.0
    for below in range(count + 1):
        cumulated += _binomial(count, below, q)
        if cumulated > tail:
            return below or None
    return count


def _binomial(count: int, hits: int, q: float) -> float:
    logarithm = (
        math.lgamma(count + 1)
        - math.lgamma(hits + 1)
        - math.lgamma(count - hits + 1)
        + hits * math.log(q)
        + (count - hits) * math.log1p(-q)
    )
    return math.exp(logarithm)


def launch_interval(values: Sequence[float], confidence: float = 0.95) -> Bounds | None:
    """Return a t-interval of the geometric mean over launches, None below five of them.

    The launch is the unit of replication: two launches of the same model differ more than samples inside one do.
    """
    count = len(values)
    if count < FEWEST_LAUNCHES or min(values) <= 0:
        return None
    logarithms = [math.log(value) for value in values]
    center = statistics.fmean(logarithms)
    half = student_t(count - 1, confidence) * statistics.stdev(logarithms) / math.sqrt(count)
    return Bounds(math.exp(center - half), math.exp(center + half), confidence)


def student_t(freedom: int, confidence: float) -> float:
    """Return the two-sided quantile of Student's t, by bisection over its distribution function."""
    low, high = 0.0, 1000.0
    for _ in range(100):
        middle = (low + high) / 2
        if 1 - 2 * _t_tail(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_tail(t: float, freedom: int) -> float:
    """Return P(T > t): the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    theta = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(theta), math.sin(theta)
    if freedom % 2:
        term, total = cosine, cosine if freedom > 1 else 0.0
        for k in range(3, freedom - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        inside = 2 / math.pi * (theta + sine * total)
    else:
        term, total = 1.0, 1.0
        for k in range(2, freedom - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        inside = sine * total
    return (1 - inside) / 2


class Noise(NamedTuple):
    """How much the samples move within the run."""

    band_ratio: float
    drift_ratio: float


def noise(durations: Sequence[float]) -> Noise | None:
    """Return half the range of the medians of ten consecutive blocks, and last block against first, over the median.

    Needs at least 5 samples a block.
    """
    size = len(durations) // NOISE_BLOCKS
    if size < 5:  # noqa: PLR2004  a median of fewer is a single sample
        return None
    medians = [statistics.median(durations[at * size : (at + 1) * size]) for at in range(NOISE_BLOCKS)]
    middle = statistics.median(durations)
    if middle <= 0:
        return None
    last, first = statistics.median(medians[-3:]), statistics.median(medians[:3])
    return Noise((max(medians) - min(medians)) / 2 / middle, (last - first) / middle)
