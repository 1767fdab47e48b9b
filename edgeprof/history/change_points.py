"""Where a trend steps: pure, over the values of one metric in time.

Binary segmentation with a two-sample rank statistic, its significance by permutation: no distribution is assumed, and
a single outlier is no step (Matteson and James, 2014, J. Am. Stat. Assoc. 109:334, without their energy distance).
"""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_A_SIDE = 3
PERMUTATIONS = 999
SIGNIFICANCE = 0.01
LEAST_STEP_RATIO, LEAST_STEP_SIGMAS = 0.02, 1.5
MAD_TO_SIGMA = 1.4826
"""Of a normal distribution: its standard deviation over its median absolute deviation."""


class Step(NamedTuple):
    """A change of level: `at` is its first value, then new over old median minus 1."""

    at: int
    change_ratio: float


def steps(values: Sequence[float]) -> tuple[Step, ...]:
    """Return the steps in order. Fewer than six values have none that could be told from noise."""
    found = sorted(_split(values, 0, len(values), random.Random(0)))  # noqa: S311  reproducible, not secret
    edges = [0, *found, len(values)]
    told = []
    for at, index in enumerate(found, 1):
        before, after = values[edges[at - 1] : index], values[index : edges[at + 1]]
        old, new = statistics.median(before), statistics.median(after)
        felt = max(LEAST_STEP_RATIO * abs(old), LEAST_STEP_SIGMAS * max(_spread(before), _spread(after)))
        if old and abs(new - old) >= felt:
            told.append(Step(index, new / old - 1))
    return tuple(told)


def _spread(values: Sequence[float]) -> float:
    middle = statistics.median(values)
    return MAD_TO_SIGMA * statistics.median(abs(value - middle) for value in values)


def _split(values: Sequence[float], first: int, last: int, chance: random.Random) -> list[int]:
    part = values[first:last]
    if len(part) < 2 * FEWEST_A_SIDE or len(set(part)) == 1:
        return []
    ranks = _ranks(part)
    at, height = _highest(ranks)
    shuffled = list(ranks)
    beaten = 0
    for _ in range(PERMUTATIONS):
        chance.shuffle(shuffled)
        beaten += _highest(shuffled)[1] >= height
    if (beaten + 1) / (PERMUTATIONS + 1) > SIGNIFICANCE:
        return []
    middle = first + at
    return [*_split(values, first, middle, chance), middle, *_split(values, middle, last, chance)]


def _ranks(values: Sequence[float]) -> list[float]:
    """Return midranks."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end + 1 < len(order) and values[order[end + 1]] == values[order[at]]:
            end += 1
        for index in order[at : end + 1]:
            ranks[index] = (at + end) / 2
        at = end + 1
    return ranks


def _highest(ranks: Sequence[float]) -> tuple[int, float]:
    """Return where the standardised rank sum of the values before differs most from its expectation."""
    count = len(ranks)
    mean = sum(ranks) / count
    total, best_at, best = 0.0, 0, -1.0
    for at in range(1, count):
        total += ranks[at - 1] - mean
        if FEWEST_A_SIDE <= at <= count - FEWEST_A_SIDE:
            height = abs(total) / (at * (count - at)) ** 0.5
            if height > best:
                best_at, best = at, height
    return best_at, best
