"""What a calibration says of a model that was never run on its board."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgeprof.calibration.fitted import combined_log, family_shares
from edgeprof.calibration.work import Machine, graph_dtype, model_work, priced
from edgeprof.records.calibration import Prediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.calibration.work import Work
    from edgeprof.model.graph import Graph
    from edgeprof.records.calibration import Calibration, FittedDtype

MOST_UNSEEN_SHARE = 0.35
"""With more of the time in operators that no micro model has, nothing is said."""

UNSEEN_LOG = math.log(4.0)
"""What an operator costs whose cost was borrowed: a quarter to four times as much."""

SIZE_SLACK = 30.0
"""Networks have many layers: this many times the work of the largest micro model is still inside."""


def predict(graph: Graph, calibrations: Sequence[Calibration]) -> Prediction:
    """Return a model's time on a board, as a ratio to the reference kernel and in seconds, with 90 % intervals.

    Unknown, with the reason, are models of a format, data type or operator that was not calibrated.
    """
    dtype = graph_dtype(graph)
    fitting = [each for each in calibrations if each.format == graph.format]
    if not fitting:
        return _unknown(graph, None, dtype, f"no runtime for .{graph.format} was calibrated")
    chosen = fitting[-1]
    fitted = next((each for each in chosen.fitted if each.dtype == dtype), None)
    if fitted is None:
        return _unknown(graph, chosen, dtype, f"no micro model of {dtype or 'its type'} was run with {chosen.runtime}")
    work = model_work(graph, Machine(fitted.channel_tile, fitted.cache_bytes))
    if work.outside:
        more = f", and {len(work.outside) - 1} more such reasons" if len(work.outside) > 1 else ""
        return _unknown(graph, chosen, dtype, f"{work.outside[0]}{more}")
    return _predicted(graph, chosen, fitted, work)


def _predicted(graph: Graph, calibration: Calibration, fitted: FittedDtype, work: Work) -> Prediction:
    ratio = priced(work.amounts, fitted.costs)
    share = priced(work.borrowed, fitted.costs) / ratio if ratio > 0 else 1.0
    if share > MOST_UNSEEN_SHARE:
        reason = f"{share:.0%} of its time is in {', '.join(work.unseen)}, which no micro model has"
        return _unknown(graph, calibration, fitted.dtype, reason)
    beyond = max(0.0, math.log(max(work.macs, 1) / (fitted.seen_macs[1] * SIZE_SLACK))) / 2
    spread = fitted.quantile * combined_log(family_shares(work.amounts, fitted.costs), fitted.spreads)
    down, up = (
        math.sqrt(spread**2 + unseen**2 + beyond**2)
        for unseen in (-math.log1p(-share * (1 - math.exp(-UNSEEN_LOG))), math.log1p(share * math.expm1(UNSEEN_LOG)))
    )
    launch_down = math.log(calibration.reference_s / calibration.reference_low_s)
    launch_up = math.log(calibration.reference_high_s / calibration.reference_s)
    seconds = ratio * calibration.reference_s
    return Prediction(
        model=graph.name,
        runtime=calibration.runtime,
        threads=calibration.threads,
        dtype=fitted.dtype,
        ratio=ratio,
        ratio_low=ratio * math.exp(-down),
        ratio_high=ratio * math.exp(up),
        latency_s=seconds,
        low_s=seconds * math.exp(-math.hypot(down, launch_down)),
        high_s=seconds * math.exp(math.hypot(up, launch_up)),
        stands_on=f"{fitted.observations} micro models of {fitted.dtype} with {calibration.runtime}"
        f" {calibration.version}, {calibration.threads} thread{'s' * (calibration.threads != 1)},"
        f" calibrated {calibration.created[:10]}",
        unseen=work.unseen,
    )


def _unknown(graph: Graph, calibration: Calibration | None, dtype: str, reason: str) -> Prediction:
    return Prediction(
        model=graph.name,
        runtime=calibration.runtime if calibration else "",
        threads=calibration.threads if calibration else 1,
        dtype=dtype,
        reason=reason,
    )
