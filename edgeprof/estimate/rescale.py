"""One measured model sharpens the estimates of all others on the same board with the same engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.estimate.coefficients import Coefficients


class Point(NamedTuple):
    """One model measured on the board: seconds estimated before, seconds measured, and the latter's relative sd."""

    predicted_s: float
    measured_s: float
    sd: float = 0.0


class Scale(Struct, frozen=True):
    """By what to multiply estimates for a board; `low` and `high` hold another model's factor with 90 %."""

    factor: float
    low: float
    high: float
    count: int
    confidence: float = CONFIDENCE


def rescale(points: Sequence[Point], coefficients: Coefficients | None = None) -> Scale:
    """Return the factor between a board's truth and its estimates, from models measured there.

    The log of the factor is normal around 0 before any measurement (how boards and releases differ), and each measured
    model shows it with its own deviation (how models differ on one board): the posterior mean and the predictive
    interval of the next model (Gelman et al., Bayesian Data Analysis, section 2.5). Without points the factor is 1.
    Raises ValueError where a time is not positive.
    """
    fitted = coefficients or shipped_coefficients()
    precision, weighted = 1 / fitted.point_board_sd**2, 0.0
    for predicted_s, measured_s, sd in points:
        if predicted_s <= 0 or measured_s <= 0:
            raise ValueError(f"times of {predicted_s:g} and {measured_s:g} s have no ratio")
        weight = 1 / (fitted.point_model_sd**2 + sd**2)
        precision += weight
        weighted += weight * math.log(measured_s / predicted_s)
    mean = weighted / precision
    half = fitted.point_quantile * math.sqrt(1 / precision + fitted.point_model_sd**2)
    return Scale(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(points))
