"""The most that a calibrated board was seen to do: what a roofline of a measured model stands under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.records.diagnosis import Ceilings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.calibration import Calibration, FittedDtype
    from edgeprof.records.result import Result

PRODUCTS = ("conv_macs", "pointwise_macs", "dense_macs")
WEIGHTS = ("far_weight_bytes", "weight_bytes")
LEAST_S = 1e-13
"""A cost below it is none: that work's time is in another of the fit's figures then."""


def unit_seconds(calibration: Calibration, fitted: FittedDtype, *kinds: str) -> float | None:
    """Return what a unit of these kinds of work takes together, in seconds; None where the fit has no cost for it."""
    seconds = sum(fitted.costs.get(kind, 0.0) for kind in kinds) * calibration.reference_s
    return seconds if seconds > LEAST_S else None


def measured_ceilings(result: Result, calibrations: Sequence[Calibration]) -> Ceilings | None:
    """Return the best rates of the newest calibration of the result's runtime; None where there is none.

    Operations: the quickest kind of product, 2 a multiply-accumulate. Bytes: weights read from far.
    """
    name = result.runtime.name if result.runtime else ""
    fitting = [each for each in calibrations if each.runtime == name]
    dtype = result.model.inputs[0].dtype if result.model.inputs else ""
    for each in reversed(fitting):
        for fitted in each.fitted:
            if fitted.dtype == dtype:
                return _ceilings(each, fitted)
    return None


def _ceilings(calibration: Calibration, fitted: FittedDtype) -> Ceilings:
    products = [found for kind in PRODUCTS if (found := unit_seconds(calibration, fitted, kind))]
    byte_s = unit_seconds(calibration, fitted, *WEIGHTS)
    known = {"ops_per_s": 2 / min(products)} if products else {}
    known |= {"bytes_per_s": 1 / byte_s} if byte_s else {}
    return Ceilings(
        **known,
        unit=f"{calibration.threads} thread{'s' * (calibration.threads != 1)}",
        source=f"calibration of {calibration.created[:10]}, {calibration.runtime}",
        reason="" if len(known) == 2 else "the calibration tells no rate of products, or none of memory",  # noqa: PLR2004  both
    )
