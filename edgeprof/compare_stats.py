"""The statistics of a comparison: launches are the unit of replication, samples within one never are.

One launch gives one number, the median of log(new / base) over its pairs. The interval is Student's t over launches.
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
LOOK_CONFIDENCE = 1 - 0.0294
NARROW_RATIO = 0.015
FLOOR_RATIO, FLOOR_S = 0.02, 1e-6
"""A change smaller than either is none that a person would feel."""

Gate = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class Estimate(NamedTuple):
    """A change (new / base - 1) with its bounds; `look` is how many launches it rests on."""

    change_ratio: float
    low: float
    high: float
    confidence: float
    look: int


def estimate(log_ratios: Sequence[float], confidence: float = LOOK_CONFIDENCE) -> Estimate:
    """Return mean and t-interval of the launches' log ratios, as a change; at least two launches are needed."""
    count = len(log_ratios)
    center = statistics.fmean(log_ratios)
    half = stats.student_t(count - 1, confidence) * statistics.stdev(log_ratios) / math.sqrt(count)
    return Estimate(
        math.expm1(center), math.expm1(center - half), math.expm1(center + half), confidence=confidence, look=count
    )


def verdict(found: Estimate, base_s: float, same_within: float) -> ChangeVerdict:
    """Return what can be said: worse or better beyond both floors, same within `same_within`, or that one cannot."""
    felt = abs(found.change_ratio) > FLOOR_RATIO and abs(found.change_ratio) * base_s > FLOOR_S
    if found.low > 0 and felt:
        return "worse"
    if found.high < 0 and felt:
        return "better"
    if -same_within < found.low and found.high < same_within:
        return "same"
    return "cannot tell"


def gate(found: Estimate, base_s: float, max_regression: float) -> Gate:
    """Return FAIL where it is worse by more than allowed, PASS where it is not, beyond doubt.

    `base_s` is in seconds: less than a microsecond is no regression.
    """
    if found.high < max_regression or found.high * base_s < FLOOR_S:
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
