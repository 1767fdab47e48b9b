"""Measured models sharpen the estimates of all others on the same board with the same engine.

They come from the published results, where these have the same core, clock and engine, and from the asker.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.estimate.coefficients import Coefficients, OwnFactor

CLOCK_SLACK = 0.01
"""Clocks that differ by less are the same one."""


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


class OwnLevel(NamedTuple):
    """What published results say of a board as it was asked for: the log of a factor, and its standard deviation."""

    log_factor: float
    sd: float


def own_factor(coefficients: Coefficients, core: str, clock_hz: float | None, engine: str) -> OwnFactor | None:
    """Return what published results have of this class of core at this clock with this engine, if anything."""
    if not clock_hz or clock_hz <= 0:
        return None
    return next(
        (
            own
            for own in coefficients.own
            if (own.core, own.engine) == (core, engine) and abs(own.clock_hz / clock_hz - 1) <= CLOCK_SLACK
        ),
        None,
    )


def own_level(coefficients: Coefficients, own: OwnFactor) -> OwnLevel:
    """Return how much of an own factor is believed, and how far the board of an asker may be from it.

    The same posterior as that of `rescale`, one point a model. The board that is asked about may be another one, and
    its release of the engine another one too: their deviations stay in.
    """
    precision = 1 / coefficients.point_board_sd**2
    weight = len(own.models) / coefficients.point_model_sd**2 if coefficients.point_model_sd else 0.0
    precision += weight
    engine = coefficients.engines[own.engine]
    sd = math.sqrt(1 / precision + coefficients.spread.board**2 + engine.release_sd**2)
    return OwnLevel(weight * own.log_factor / precision, sd)


def rescale(points: Sequence[Point], coefficients: Coefficients | None = None, board_sd: float | None = None) -> Scale:
    """Return the factor between a board's truth and its estimates, from models measured there.

    The log of the factor is normal around 0 before any measurement (how boards and releases differ), and each measured
    model shows it with its own deviation (how models differ on one board): the posterior mean and the predictive
    interval of the next model (Gelman et al., Bayesian Data Analysis, section 2.5). Without points the factor is 1.
    `board_sd` is the deviation before any measurement where published results of the board narrow it.
    Raises ValueError where a time is not positive.
    """
    fitted = coefficients or shipped_coefficients()
    precision, weighted = 1 / (board_sd or fitted.point_board_sd) ** 2, 0.0
    for predicted_s, measured_s, sd in points:
        if predicted_s <= 0 or measured_s <= 0:
            raise ValueError(f"times of {predicted_s:g} and {measured_s:g} s have no ratio")
        weight = 1 / (fitted.point_model_sd**2 + sd**2)
        precision += weight
        weighted += weight * math.log(measured_s / predicted_s)
    mean = weighted / precision
    half = fitted.point_quantile * math.sqrt(1 / precision + fitted.point_model_sd**2)
    return Scale(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(points))
