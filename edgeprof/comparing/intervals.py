"""The statistics of a comparison: launches are the unit of replication, samples within one never are.

One launch gives one number, the median of log(new / base) over its pairs. Now and then a launch is far off as a whole
(35 % was seen between two identical models: where in memory they came to lie), so the centre is the trimmed mean, and
the interval Student's t over it with the winsorised variance (Tukey and McLaughlin 1963, Sankhya A 25:331).
There are two looks at the evidence, after 7 and after 15 launches, each at Pocock's nominal level for two looks
(alpha 0.0294, so that both together err in 5 %; Pocock 1977, Biometrika 64:191).
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgeprof import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.comparison import ChangeVerdict

FIRST_LOOK, LAST_LOOK = 7, 15
FEWEST_LAUNCHES = 3
LOOK_CONFIDENCE = 1 - 0.0294
NARROW_RATIO = 0.015
FLOOR_RATIO, FLOOR_S = 0.02, 1e-6
"""A change smaller than either is none that a person would feel."""
TRIM_FROM, LAUNCHES_A_TRIM = 5, 7
"""From 5 launches on one of every 7 (at least one) is left out at each end."""

Gate = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Estimate(NamedTuple):
    """A change (new / base - 1) with its bounds; `look` is how many launches it rests on."""

    change_ratio: float
    low: float
    high: float
    confidence: float
    look: int


def estimate(log_ratios: Sequence[float], confidence: float = LOOK_CONFIDENCE) -> Estimate:
    """Return trimmed mean and t-interval of the launches' log ratios, as a change; at least two launches are needed."""
    count = len(log_ratios)
    out = max(1, count // LAUNCHES_A_TRIM) if count >= TRIM_FROM else 0
    ordered = sorted(log_ratios)
    kept = ordered[out : count - out]
    center = statistics.fmean(kept)
    winsorised = [kept[0]] * out + kept + [kept[-1]] * out
    left = len(kept)
    error = statistics.stdev(winsorised) * math.sqrt((count - 1) / (left * (left - 1)))
    half = stats.student_t(left - 1, confidence) * error
    return Estimate(
        math.expm1(center), math.expm1(center - half), math.expm1(center + half), confidence=confidence, look=count
    )


def verdict(found: Estimate, base_s: float, same_within: float) -> ChangeVerdict:
    """Return what can be said: worse or better beyond both floors, same within `same_within`, or that one cannot.

    An interval is of no use for `same` where nothing may differ: within the floor of 2 % is the least that can be said.
    """
    felt = abs(found.change_ratio) > FLOOR_RATIO and abs(found.change_ratio) * base_s > FLOOR_S
    if found.low > 0 and felt:
        return "worse"
    if found.high < 0 and felt:
        return "better"
    within = max(same_within, FLOOR_RATIO)
    if -within < found.low and found.high < within:
        return "same"
    small = max(abs(found.low), abs(found.high)) * base_s < FLOOR_S
    return "same" if small else "cannot tell"


def gate(found: Estimate, base_s: float, max_regression: float) -> Gate:
    """Return FAIL where it is worse by more than allowed, PASS where it is not, beyond doubt.

    `base_s` is in seconds: less than a microsecond is no regression, nor is less than 2 % whatever is allowed.
    """
    if found.high < max(max_regression, FLOOR_RATIO) or found.high * base_s < FLOOR_S:
        return "PASS"
    if verdict(found, base_s, max_regression) == "worse" and found.change_ratio > max_regression:
        return "FAIL"
    return "INCONCLUSIVE"


def enough(log_ratios: Sequence[float], base_s: float, max_regression: float) -> bool:
    """Tell whether to stop: at the first look when the gate is decided and the interval narrow, else at the last."""
    count = len(log_ratios)
    if count >= LAST_LOOK:
        return True
    if count != FIRST_LOOK:
        return False
    found = estimate(log_ratios)
    narrow = (found.high - found.low) / 2 < NARROW_RATIO
    decided = gate(found, base_s, max_regression) != "INCONCLUSIVE"
    return decided and (narrow or verdict(found, base_s, max_regression) != "cannot tell")
