"""Energy of one inference: the power that a board was measured to draw while inferring, times the estimated latency.

A board without such a measurement gets no figure. A power for a class of core is no substitute: boards of one class
in the published results differ more than twofold at the same clock. Nor is the data sheet's headline current, which
inference exceeds up to 2.3 times.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import CONFIDENCE

if TYPE_CHECKING:
    from edgeprof.estimate.coefficients import Coefficients
    from edgeprof.estimate.confidence import ConfidenceClass
    from edgeprof.estimate.model import Estimate
    from edgeprof.records.board import Board

CLOCK_SLACK = 0.02
NORMAL_QUANTILE = 1.645
"""Standard deviations to either side that hold 90 % of a normal distribution."""

_CLOCK = re.compile(r"(\d+(?:\.\d+)?) MHz")


class PowerEstimate(NamedTuple):
    """Watts while inferring, with the bounds of other models and releases of runtimes; None with the reason."""

    power_w: float | None
    low_w: float | None
    high_w: float | None
    supply_v: float | None
    stands_on: str
    reason: str = ""
    confidence: float = CONFIDENCE
    basis: Literal["estimated"] = "estimated"


class EnergyEstimate(NamedTuple):
    """Joules of one inference, with both intervals combined; None with the reason where one of them is missing."""

    energy_j: float | None
    low_j: float | None
    high_j: float | None
    power: PowerEstimate
    confidence_class: ConfidenceClass
    stands_on: str
    reason: str = ""
    confidence: float = CONFIDENCE
    basis: Literal["estimated"] = "estimated"


def estimate_power(board: Board, clock_hz: float | None, coefficients: Coefficients | None = None) -> PowerEstimate:
    """Return what a board draws while inferring, at the supply and clock of its fact, or why that is not known.

    The interval is how much power differs between models and releases on one board and supply in the published
    results.
    """
    sd = (coefficients or shipped_coefficients()).log_power_sd
    power = board.power
    if power.inference_w is None:
        return _no_power(f"no source says what {board.name} draws while inferring")
    if sd is None:
        return _no_power("the data does not say how much power differs between models")
    measured = _measured_clock(board)
    if measured and clock_hz and abs(measured / clock_hz - 1) > CLOCK_SLACK:
        return _no_power(f"its power was measured at {measured / 1e6:g} MHz, not at {clock_hz / 1e6:g} MHz")
    wide = math.exp(NORMAL_QUANTILE * sd)
    at = "".join(
        (f" at {power.supply_v:g} V" if power.supply_v else "", f" ({power.inference_condition})" if measured else "")
    )
    stands_on = f"{power.inference_w * 1e3:.4g} mW measured while inferring{at}"
    return PowerEstimate(
        power.inference_w, power.inference_w / wide, power.inference_w * wide, power.supply_v, stands_on
    )


def estimate_energy(
    latency: Estimate, board: Board, clock_hz: float | None, coefficients: Coefficients | None = None
) -> EnergyEstimate:
    """Return the energy of one inference, gross: idle power is in it.

    The relative half-widths of power and time are independent, so their logs add up in squares.
    """
    power = estimate_power(board, clock_hz, coefficients)
    reason = latency.reason if latency.latency_s is None else power.reason
    if (
        latency.latency_s is None or latency.low_s is None or latency.high_s is None
        or power.power_w is None or power.low_w is None or power.high_w is None
    ):  # fmt: skip
        return EnergyEstimate(None, None, None, power, "unknown", "", reason)
    energy = power.power_w * latency.latency_s
    down = math.hypot(math.log(power.power_w / power.low_w), math.log(latency.latency_s / latency.low_s))
    up = math.hypot(math.log(power.high_w / power.power_w), math.log(latency.high_s / latency.latency_s))
    stands_on = f"{power.stands_on}; {latency.stands_on}"
    bounds = energy * math.exp(-down), energy * math.exp(up)
    return EnergyEstimate(energy, *bounds, power, latency.confidence_class, stands_on)


def _no_power(reason: str) -> PowerEstimate:
    return PowerEstimate(None, None, None, None, "", reason)


def _measured_clock(board: Board) -> float | None:
    """Return the clock that the fact's condition names, else the board's own."""
    named = _CLOCK.search(board.power.inference_condition)
    if named:
        return float(named[1]) * 1e6
    return board.cores[0].max_clock_hz if board.cores else None
