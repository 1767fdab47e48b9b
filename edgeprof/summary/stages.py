"""The whole path of an item: what its stages take, from the samples of a stages pass. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from edgeprof import stats
from edgeprof.metrics import PERCENTILES
from edgeprof.records.result import Metric
from edgeprof.wire import POSTPROCESSING, PREPROCESSING, WARMUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.result import Basis, Measurement, PassMeasurement, SampleColumns

STAGES = ("preprocessing", "inference", "postprocessing")
INFERENCE_METHOD = "setting the inputs, the inference and reading the outputs"
METHODS = {
    "preprocessing": "the hook's preprocess on the board",
    "inference": INFERENCE_METHOD,
    "postprocessing": "the hook's postprocess on the board",
    "total": "the whole path, from the first edge of the clock to the last",
}


class Item(NamedTuple):
    """Seconds that one item took, by stage; `total_s` from the beginning of its first stage to the end of its last."""

    stages_s: dict[str, float]
    total_s: float


def stage_metrics(measurement: Measurement) -> dict[str, Metric]:
    """Return the percentiles of each stage and of the whole path; nothing where no hook was asked for."""
    measured = _stages_pass(measurement)
    if measured is None:
        return {}
    items = items_of(measured.samples)
    found = {}
    for stage in STAGES:
        values = [item.stages_s[stage] for item in items if stage in item.stages_s]
        name = f"stage_{stage}_p50_s"
        reason = f"the hook defines no {stage.removesuffix('ing')}" if items else _why_none(measured)
        found[name] = _percentile(measurement.basis, name, values, METHODS[stage], reason)
    there = [stage for stage in STAGES if any(stage in item.stages_s for item in items)]
    method = f"{METHODS['total']}: {', '.join(there)}"
    for name in ("stage_total_p50_s", "stage_total_p99_s"):
        totals = [item.total_s for item in items]
        found[name] = _percentile(measurement.basis, name, totals, method, _why_none(measured))
    return found


def stage_shares(measurement: Measurement) -> dict[str, dict[str, float]]:
    """Return each stage's part of the summed time of all items, and how many items there were."""
    measured = _stages_pass(measurement)
    items = items_of(measured.samples) if measured is not None else ()
    total_s = sum(item.total_s for item in items)
    if not total_s:
        return {}
    sums = {stage: [item.stages_s[stage] for item in items if stage in item.stages_s] for stage in STAGES}
    return {
        stage: {"share_ratio": sum(values) / total_s, "mean_s": sum(values) / len(values), "items": float(len(values))}
        for stage, values in sums.items()
        if values
    }


def items_of(samples: SampleColumns) -> tuple[Item, ...]:
    """Return the items after warm-up. A stage that is not after the one before it begins the next item."""
    rows = [
        (_stage_of(flags), start, duration)
        for start, duration, flags in zip(samples.start, samples.duration, samples.flags, strict=True)
        if not flags & WARMUP
    ]
    grouped: list[list[tuple[str, float, float]]] = []
    for previous, row in itertools.pairwise([None, *rows]):
        if row is None:
            continue
        if previous is None or STAGES.index(row[0]) <= STAGES.index(previous[0]):
            grouped.append([])
        grouped[-1].append(row)
    whole = {stage for stage, _, _ in rows}
    return tuple(_item(parts) for parts in grouped if len(parts) == len(whole))


def _item(parts: Sequence[tuple[str, float, float]]) -> Item:
    _, begin, _ = parts[0]
    _, start, duration = parts[-1]
    return Item({stage: duration for stage, _, duration in parts}, start + duration - begin)


def _stage_of(flags: int) -> str:
    if flags & PREPROCESSING:
        return "preprocessing"
    return "postprocessing" if flags & POSTPROCESSING else "inference"


def _stages_pass(measurement: Measurement) -> PassMeasurement | None:
    return next((measured for measured in measurement.passes if measured.kind == "stages"), None)


def _why_none(measured: PassMeasurement) -> str:
    return measured.failure_text or WHY.get(measured.failure, "the agent took no sample of it")


WHY = {"lost": "the run ended before it was measured", "unsupported": "the agent has no such pass"}


def _percentile(basis: Basis, name: str, values: Sequence[float], method: str, reason: str) -> Metric:
    q = PERCENTILES[name]
    label = f"p{q * 100:g}"
    if not values:
        return Metric(value=None, basis=basis, count=None, method=method, reason=reason)
    if not stats.enough_for(q, len(values)):
        reason = f"{label} needs at least {stats.FEWEST_SAMPLES[q]} samples, there are {len(values)}"
        return Metric(value=None, basis=basis, count=None, method=method, reason=reason)
    ordered = sorted(values)
    median = name.endswith("_p50_s")
    bounds = stats.median_bounds(ordered) if median else stats.percentile_bounds(ordered, q)
    kind = "95 % interval" if median else "one-sided 95 % bounds"
    return Metric(
        value=stats.percentile(ordered, q),
        basis=basis,
        count=len(ordered),
        method=f"{label} of {method}; {kind} by order statistics, within this run",
        low=bounds.low,
        high=bounds.high,
        confidence=bounds.confidence if bounds.low is not None or bounds.high is not None else None,
        scope="within-run",
    )
