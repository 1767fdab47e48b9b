"""Cycles and seconds of a model on a core that was never touched, with an interval, or that they are not known.

    cycles = own · core · engine · sum over kinds of work: amount · rate(kind) · core(kind) · engine(kind)

Every factor was computed by our own fit (scripts/fit_estimator.py) from the published results of MLPerf Tiny, which are
other people's measurements. A question outside of them gets no number. `own` is 1 but where they have the very core,
clock and engine that is asked about: there it is what all models measured so have in common.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import (
    CONFIDENCE,
    MOST_LIGHT_SHARE,
    core_class,
    half_width_log,
    rescaled_extra_log,
    standing,
)
from edgeprof.estimate.rescale import own_factor, own_level

if TYPE_CHECKING:
    from edgeprof.estimate.coefficients import Coefficients
    from edgeprof.estimate.confidence import ConfidenceClass
    from edgeprof.estimate.features import Features, Work
    from edgeprof.estimate.rescale import Scale

UNSEEN_DEAD_SHARE = 0.5
"""Dropping dead channels halves the work of the one measured model that has them."""


class Estimate(NamedTuple):
    """Seconds and cycles of one inference, estimated; all figures are None where the answer is not known.

    `basis` is measured where the asker has measured this very model on this board: then nothing is estimated.

    `low_s` and `high_s` bound the central `confidence` interval. `stands_on` says what the figure was computed from,
    `reason` why there is none.
    """

    latency_s: float | None
    low_s: float | None
    high_s: float | None
    cycles: float | None
    confidence_class: ConfidenceClass
    stands_on: str
    reason: str = ""
    confidence: float = CONFIDENCE
    basis: Literal["estimated", "measured"] = "estimated"


def known_engines(coefficients: Coefficients | None = None) -> tuple[str, ...]:
    """Return the names of the engines that can be asked for: runtimes by generation, those without a number last."""
    fitted = coefficients or shipped_coefficients()
    return (*fitted.engines, *fitted.other_engines)


def measured_engines(coefficients: Coefficients | None = None) -> tuple[str, ...]:
    """Return the names of the engines that something was fitted of."""
    return tuple((coefficients or shipped_coefficients()).engines)


def known_cores(coefficients: Coefficients | None = None) -> tuple[str, ...]:
    """Return the names of the core classes that can be asked for."""
    return tuple((coefficients or shipped_coefficients()).cores)


def estimate_latency(
    features: Features,
    core: str,
    clock_hz: float | None,
    engine: str,
    *,
    scale: Scale | None = None,
    coefficients: Coefficients | None = None,
) -> Estimate:
    """Return the latency of one inference of a model on one core of a class, by an engine, or why it is not known.

    `scale` comes from measurements with the same engine on the same board at the same clock. Without it the interval
    spans boards, releases of the engine and models; where published results have this core, clock and engine, other
    releases and boards than theirs, and models.
    """
    fitted = coefficients or shipped_coefficients()
    own = own_factor(fitted, core_class(core), clock_hz, engine)
    stands = standing(fitted, features, core, engine, own)
    if stands.confidence_class == "unknown":
        return unknown(stands.reason)
    if not clock_hz or clock_hz <= 0:
        return unknown("the clock of the core is not known")
    dense, reduced = (sum(operator_cycles(fitted, features, core, engine, drops=drops)) for drops in (False, True))
    if not dense:
        return unknown("nothing of the model is left to be computed when it runs: all of it is constant")
    light = _light_share(fitted, features, core, engine)
    if light > MOST_LIGHT_SHARE:
        return unknown(f"{light:.0%} of the work is in operators that no measured model has")
    answers = {False: dense, True: reduced}
    possible = [answers[drops] for drops in fitted.engines[engine].drops_dead_channels]
    if True in fitted.engines[engine].drops_dead_channels and not features.dead_channels_known:
        possible = [dense, dense * UNSEEN_DEAD_SHARE]
    level = own_level(fitted, own) if own is not None else None
    if level is not None:
        possible = [value * math.exp(level.log_factor) for value in possible]
    cycles = math.exp(sum(math.log(value) for value in possible) / len(possible))
    if scale is not None:
        stands_on = f"{stands.stands_on}; rescaled by {scale.count} measured here"
        wide = math.exp(rescaled_extra_log(fitted, features, light))
        bounds = min(possible) * scale.low / wide, max(possible) * scale.high * wide
        return _answer(cycles * scale.factor, bounds, clock_hz, stands.confidence_class, stands_on)
    wide = math.exp(half_width_log(fitted, features, core, engine, light, level.sd if level is not None else None))
    return _answer(
        cycles, (min(possible) / wide, max(possible) * wide), clock_hz, stands.confidence_class, stands.stands_on
    )


def unknown(reason: str) -> Estimate:
    """Return the answer that has no number."""
    return Estimate(None, None, None, None, "unknown", "", reason)


def _answer(
    cycles: float, bounds: tuple[float, float], clock_hz: float, confidence_class: ConfidenceClass, stands_on: str
) -> Estimate:
    low, high = bounds
    return Estimate(cycles / clock_hz, low / clock_hz, high / clock_hz, cycles, confidence_class, stands_on)


def operator_cycles(
    coefficients: Coefficients, features: Features, core: str, engine: str, *, drops: bool
) -> tuple[float, ...]:
    """Return the cycles of every operator. Core and engine must be in the data; see `standing`."""
    rates = cycle_rates(coefficients, core, engine)
    works = (operator.reduced if drops else operator.dense for operator in features.operators)
    return tuple(work_cycles(rates, work) for work in works)


def cycle_rates(coefficients: Coefficients, core: str, engine: str) -> tuple[float, ...]:
    """Return the cycles of one unit of each kind of work. Core and engine must be in the data; see `standing`."""
    of_core, of_engine = coefficients.cores[core_class(core)], coefficients.engines[engine]
    common = of_core.log_factor + of_engine.log_factor
    kinds = zip(coefficients.log_kinds, of_core.log_kinds, of_engine.log_kinds, strict=True)
    return tuple(math.exp(common + sum(logs)) for logs in kinds)


def own_multiplier(coefficients: Coefficients, core: str, clock_hz: float | None, engine: str) -> float:
    """Return by what published results of this very core, clock and engine move all cycles, 1 where there are none."""
    own = own_factor(coefficients, core_class(core), clock_hz, engine)
    return 1.0 if own is None else math.exp(own_level(coefficients, own).log_factor)


def work_cycles(rates: tuple[float, ...], work: Work) -> float:
    """Return the cycles of some work."""
    return sum(rate * amount for rate, amount in zip(rates, work, strict=True))


def _light_share(coefficients: Coefficients, features: Features, core: str, engine: str) -> float:
    cycles = operator_cycles(coefficients, features, core, engine, drops=False)
    light = sum(taken for taken, operator in zip(cycles, features.operators, strict=True) if operator.light)
    return light / sum(cycles)
