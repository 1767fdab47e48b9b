"""Latency as charts: how it is distributed, and how it went over the run, with the samples that are not like others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.report.html.charts import Axis, Chart, Drawing, NoChart, axis, on, pairs
from edgeprof.report.html.thinning import LOG_FROM_RATIO, Point, bins_of, counted, thinned, thinned_note
from edgeprof.units import format_duration
from edgeprof.wire import PREEMPTED, THROTTLED, WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Result

DISTRIBUTION, RUN = "Latency distribution", "Latency over the run"
KINDS = ("steady", "preempted", "throttled", "warm-up")
MARKED = ("latency_p50_s", "latency_p95_s", "latency_p99_s")
FEWEST_LEFT = 200
ROWS = 24


class Shot(NamedTuple):
    """One sample: seconds since the first one began, seconds an inference, and what kind of sample it is."""

    at_s: float
    latency_s: float
    kind: str


def latency_charts(result: Result, most: int) -> Iterator[Drawing]:
    """Yield the distribution and the run curve, of at most about `most` points; or why there are none."""
    reason = _why_not(result)
    if reason:
        yield from (NoChart(DISTRIBUTION, reason), NoChart(RUN, reason))
        return
    shots = shots_of(result)
    counted_in = [shot for shot in shots if shot.kind != "warm-up"]
    yield _distribution(result, counted_in) if counted_in else NoChart(DISTRIBUTION, "there is no sample after warm-up")
    yield _run(result, shots, most)


def shots_of(result: Result) -> list[Shot]:
    """Return the samples, each of one kind: warm-up before throttled before preempted."""
    columns = result.samples
    begin = min(columns.start_s)
    rows = zip(columns.start_s, columns.duration_s, columns.batch, columns.flags, strict=True)
    return [Shot(start - begin, duration / batch, _kind(flags)) for start, duration, batch, flags in rows]


def _kind(flags: int) -> str:
    if flags & WARMUP:
        return "warm-up"
    return "throttled" if flags & THROTTLED else "preempted" if flags & PREEMPTED else "steady"


def _why_not(result: Result) -> str:
    if not result.samples.start_s:
        sidecar = result.samples.sidecar
        return f"the samples are in {sidecar}, which this page does not read" if sidecar else "there are no samples"
    for unit in ("instructions", "cycles"):
        counts = result.metrics.get(f"{unit}_count")
        if counts is not None and counts.value is not None and "latency_p50_s" not in result.metrics:
            return f"the board counts {unit}, not time"
    return ""


def _distribution(result: Result, shots: Sequence[Shot]) -> Chart:
    values = [shot.latency_s for shot in shots]
    bins = bins_of(values)
    x = axis("latency_s", "latency of an inference", _usual(values), log=bins.log)
    kinds = [kind for kind in KINDS if any(shot.kind == kind for shot in shots)]
    counts = {kind: counted([s.latency_s for s in shots if s.kind == kind], bins.edges) for kind in kinds}
    edges = on(x, bins.edges)
    rows = [
        (f"{format_duration(low)} to {format_duration(high)}", *(f"{counts[kind][at]:,}" for kind in kinds))
        for at, (low, high) in enumerate(zip(bins.edges, bins.edges[1:], strict=False))
        if any(counts[kind][at] for kind in kinds)
    ]
    metrics = {name: result.metrics[name].value for name in MARKED if name in result.metrics}
    marks = [(on(x, [value])[0], name[8:-2]) for name, value in metrics.items() if value is not None]
    return Chart(
        "histogram", DISTRIBUTION, _spread(values), x, Axis("samples"),
        {"edges": edges, "kinds": kinds, "counts": [counts[kind] for kind in kinds], "marks": marks},
        len(values), ("latency", *kinds), rows,
        note="Warm-up is left out; every other sample is counted." + (" The scale is logarithmic." if x.log else ""),
    )  # fmt: skip


def _usual(values: Sequence[float]) -> float:
    """Return the middle value: what the unit of an axis is chosen by, since an outlier would choose too large a one."""
    return sorted(values)[len(values) // 2]


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    middle = ordered[len(ordered) // 2]
    return (
        f"{len(ordered):,} samples from {format_duration(ordered[0])} to {format_duration(ordered[-1])},"
        f" the middle one {format_duration(middle)}."
    )


def _run(result: Result, shots: Sequence[Shot], most: int) -> Chart:
    latencies = [shot.latency_s for shot in shots]
    fastest, slowest = min(latencies), max(latencies)
    x = axis("elapsed_s", "since the first sample", max(shot.at_s for shot in shots))
    log = fastest > 0 and slowest / fastest > LOG_FROM_RATIO
    y = axis("latency_s", "latency of an inference", _usual(latencies), log=log)
    kinds = [kind for kind in KINDS if any(shot.kind == kind for shot in shots)]
    shares = Counter(shot.kind for shot in shots)
    kept: list[tuple[float, float, int]] = []
    for number, kind in enumerate(kinds):
        points: list[Point] = [(shot.at_s, shot.latency_s) for shot in shots if shot.kind == kind]
        few = thinned(points, max(FEWEST_LEFT, most * shares[kind] // len(shots)))
        kept += [(a, b, number) for a, b in pairs(x, y, few)]
    launches = len(set(result.samples.launch))
    said = ", ".join(f"{shares[kind]:,} {kind}" for kind in kinds)
    return Chart(
        "scatter", RUN, f"{len(shots):,} samples in {launches} launch{'es' if launches > 1 else ''}: {said}.", x, y,
        {"kinds": kinds, "points": kept}, len(kept),
        ("since the first sample", "samples", "lowest", "middle", "highest", *kinds[1:]),
        list(_summary(shots, kinds)), note=thinned_note(len(kept), len(shots), "samples"),
    )  # fmt: skip


def _summary(shots: Sequence[Shot], kinds: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each of equal parts of the run."""
    parts = min(ROWS, len(shots))
    for part in range(parts):
        some = shots[part * len(shots) // parts : (part + 1) * len(shots) // parts]
        values = sorted(shot.latency_s for shot in some)
        seen = Counter(shot.kind for shot in some)
        yield (
            f"from {format_duration(some[0].at_s)}",
            f"{len(some):,}",
            *(format_duration(value) for value in (values[0], values[len(values) // 2], values[-1])),
            *(f"{seen[kind]:,}" for kind in kinds[1:]),
        )
