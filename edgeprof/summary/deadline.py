"""Deadline passes to metrics: latency from the scheduled release, and misses. Pure; never pooled with other samples.

A release is missed when its inference ended more than a period after it. Releases that had come due when a run's time
was over and were not even begun a period later are missed too: leaving them out would flatter a board that is too slow.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.metrics import PERCENTILES
from edgeprof.records.result import Metric
from edgeprof.summary.summarise import absent, percentile_metric, why_absent
from edgeprof.summary.sustained import part_figures, steady_samples
from edgeprof.units import format_duration
from edgeprof.wire import WARMUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.result import Measurement, Plan

NAMES = ("deadline_p50_s", "deadline_p99_s", "deadline_max_s", "deadline_miss_ratio")
HISTOGRAM_BINS = 24
MOST_KEPT = 2000


class Served(NamedTuple):
    """The releases of one launch in order: when each was due in seconds on the agent's clock, and its latency.

    `overdue` counts those that were more than a period old at the end and had not been begun; `throttled` says which
    were served while the board throttled.
    """

    period_s: float
    released_s: tuple[float, ...]
    latencies_s: tuple[float, ...]
    overdue: int
    throttled: tuple[bool, ...]


def served_releases(measurement: Measurement, plan: Plan) -> tuple[Served, ...]:
    """Return what each deadline pass served, warm-up left out; passes without a sample are left out."""
    found = []
    for asked, measured in zip(plan.passes, measurement.passes, strict=False):
        if measured.kind != "deadline" or asked.period_s <= 0:
            continue
        columns = measured.samples
        rows = [
            (start, duration)
            for start, duration, flags in zip(columns.start, columns.duration, columns.flags, strict=True)
            if not flags & WARMUP
        ]
        if rows:
            released, latencies = zip(*rows, strict=True)
            cut = not asked.runs or len(rows) < asked.runs
            overdue = max(0, math.floor(latencies[-1] / asked.period_s) - 1) if cut else 0
            steady = steady_samples(measured)
            throttled = tuple(sample.throttled for sample in steady.samples) if steady else ()
            found.append(Served(asked.period_s, released, latencies, overdue, throttled))
    return tuple(found)


def deadline_metrics(measurement: Measurement, plan: Plan) -> dict[str, Metric]:
    """Return the metrics of the deadline passes; none where the plan has no such pass."""
    if not any(asked.kind == "deadline" for asked in plan.passes):
        return {}
    launches = served_releases(measurement, plan)
    if not launches:
        reason = why_absent(measurement, ("deadline",))
        return {name: absent(measurement.basis, reason) for name in NAMES}
    basis = measurement.basis
    period = format_duration(launches[0].period_s)
    of = f"latency from the scheduled release, one release every {period}"
    if len(launches) > 1:
        of += f", {len(launches)} launches pooled"
    columns = [launch.latencies_s for launch in launches]
    count = sum(map(len, columns))
    overdue = sum(launch.overdue for launch in launches)
    missed = sum(latency > launch.period_s for launch in launches for latency in launch.latencies_s)
    late = f"; {overdue} that were not begun a period after their release count as missed" if overdue else ""
    return {
        **{name: percentile_metric(basis, PERCENTILES[name], columns, of) for name in NAMES[:2]},
        "deadline_max_s": Metric(value=max(map(max, columns)), basis=basis, count=count, method=f"largest {of}"),
        "deadline_miss_ratio": Metric(
            value=(missed + overdue) / (count + overdue),
            basis=basis,
            count=count + overdue,
            method=f"releases whose inference ended more than {period} after the scheduled release{late}",
        ),
    }


def deadline_breakdown(measurement: Measurement, plan: Plan) -> dict[str, Any]:
    """Return `{"deadline": …}`: a launch, the period, its misses, a histogram and what is kept of the samples.

    The samples themselves are not among `Result.samples`, which are back to back: a redraw has the histogram (counts
    between `edges_s`) and at most 2,000 releases, of each few neighbours the slowest.
    """
    launches = served_releases(measurement, plan)
    if not launches:
        return {}
    return {"deadline": {f"launch {index}": _described(launch) for index, launch in enumerate(launches)}}


def _described(launch: Served) -> dict[str, Any]:
    missed = [latency > launch.period_s for latency in launch.latencies_s]
    runs = [sum(1 for _ in group) for miss, group in groupby(missed) if miss]
    edges, counts = histogram(launch.latencies_s)
    stride = math.ceil(len(missed) / MOST_KEPT)
    rows = list(zip(launch.released_s, launch.latencies_s, strict=True))
    kept = [max(rows[at : at + stride], key=lambda row: row[1]) for at in range(0, len(rows), stride)]
    return {
        "period_s": launch.period_s,
        "releases_count": len(missed),
        "missed_count": sum(missed),
        "overdue_count": launch.overdue,
        "longest_run_of_misses_count": max(runs, default=0) + (launch.overdue if missed[-1] else 0),
        "throttled": _throttled_part(launch),
        "histogram": {"edges_s": edges, "counts": counts},
        "kept": "every release" if stride == 1 else f"the slowest of each {stride} consecutive releases",
        "released_s": [released for released, _ in kept],
        "latency_s": [latency for _, latency in kept],
    }


def _throttled_part(launch: Served) -> dict[str, Any]:
    apart = [latency for latency, slow in zip(launch.latencies_s, launch.throttled, strict=True) if slow]
    missed = sum(latency > launch.period_s for latency in apart)
    return {**part_figures(apart, "was throttled"), "missed_count": missed}


def histogram(latencies_s: Sequence[float]) -> tuple[list[float], list[int]]:
    """Return edges in seconds, evenly spaced in their logarithms, and the counts between them; the last is closed."""
    low, high = min(latencies_s), max(latencies_s)
    if low <= 0 or high <= low:
        return [low, high], [len(latencies_s)]
    steps = range(HISTOGRAM_BINS + 1)
    edges = [low * (high / low) ** (step / HISTOGRAM_BINS) for step in steps]
    edges[0], edges[-1] = low, high
    counts = [0] * HISTOGRAM_BINS
    for latency in latencies_s:
        counts[min(bisect_right(edges, latency), HISTOGRAM_BINS) - 1] += 1
    return edges, counts
