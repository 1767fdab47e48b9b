"""A measurement to metrics: pure, and every figure says how it was got."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

from edgeprof import stats
from edgeprof.metrics import PERCENTILES
from edgeprof.records.result import Metric, OperatorTime, Samples
from edgeprof.wire import AFTER_SEND, PREEMPTED, THROTTLED, WARMUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edgeprof.records.result import Basis, Measurement, PassMeasurement

FLAG_VALUES = {"warmup": WARMUP, "preempted": PREEMPTED, "throttled": THROTTLED, "after-send": AFTER_SEND}
LATENCY_KINDS = ("latency", "sustained")
COUNTERS = {"instructions": "instructions_count", "cycles": "cycles_count"}


class Launch(NamedTuple):
    """Steady samples of one launch: time an inference, and whether it was preempted."""

    durations: tuple[float, ...]
    preempted: tuple[bool, ...]
    throttled: tuple[bool, ...]
    batch: int
    inferences: int
    busy: float


def steady_launches(measurement: Measurement) -> tuple[Launch, ...]:
    """Return the samples after warm-up of each launch that has any."""
    launches = (_steady(measured) for measured in measurement.passes if measured.kind in LATENCY_KINDS)
    return tuple(launch for launch in launches if launch.durations)


def _steady(measured: PassMeasurement) -> Launch:
    columns = measured.samples
    rows = [
        (duration, batch, flags)
        for duration, batch, flags in zip(columns.duration, columns.batch, columns.flags, strict=True)
        if not flags & WARMUP
    ]
    return Launch(
        durations=tuple(duration / batch for duration, batch, _ in rows),
        preempted=tuple(bool(flags & PREEMPTED) for _, _, flags in rows),
        throttled=tuple(bool(flags & THROTTLED) for _, _, flags in rows),
        batch=max((batch for _, batch, _ in rows), default=1),
        inferences=sum(batch for _, batch, _ in rows),
        busy=sum(duration for duration, _, _ in rows),
    )


def measured_metrics(measurement: Measurement) -> dict[str, Metric]:
    """Return all metrics that come from the board."""
    launches = steady_launches(measurement)
    if measurement.counter_unit == "instructions":
        return {**_counted(measurement, launches), **_memory(measurement)}
    counted = _counted(measurement, launches) if measurement.counter_unit == "cycles" else {}
    return {**_start_up(measurement), **_latency(measurement, launches), **counted, **_memory(measurement)}


def absent(basis: Basis, reason: str, method: str = "") -> Metric:
    """Return a metric that was not measured, with the reason."""
    return Metric(value=None, basis=basis, count=None, method=method, reason=reason)


# ── latency ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _start_up(measurement: Measurement) -> dict[str, Metric]:
    passes = [measured for measured in measurement.passes if measured.kind in LATENCY_KINDS]
    what = {
        "latency_load_s": ("load_s", "model load in a fresh process, after the runtime's import"),
        "latency_first_s": ("first_s", "first inference after the load"),
    }
    found = {}
    for name, (figure, method) in what.items():
        values = [measured.figures[figure] for measured in passes if figure in measured.figures]
        if values:
            text = method if len(values) == 1 else f"{method}; median of {len(values)} launches"
            found[name] = Metric(
                value=statistics.median(values), basis=measurement.basis, count=len(values), method=text
            )
        else:
            found[name] = absent(measurement.basis, why_absent(measurement, LATENCY_KINDS), method)
    return found


def _latency(measurement: Measurement, launches: tuple[Launch, ...]) -> dict[str, Metric]:
    percentiles = [name for name in PERCENTILES if name.startswith("latency_")]
    names = ("latency_min_s", "latency_mean_s", "latency_std_s", "latency_max_s", *percentiles)
    if not launches:
        reason = why_absent(measurement, LATENCY_KINDS)
        return {name: absent(measurement.basis, reason) for name in (*names, "throughput_hz", "preempted_ratio")}
    pooled = [duration for launch in launches for duration in launch.durations]
    found = _simple(measurement.basis, pooled, launches)
    throttled = sum(sum(launch.throttled) for launch in launches)
    if throttled:
        found["throttled_ratio"] = Metric(
            value=throttled / len(pooled),
            basis=measurement.basis,
            count=len(pooled),
            method="samples that the agent flagged",
        )
    for name in ("latency_p50_s", "latency_p90_s", "latency_p95_s", "latency_p99_s"):
        found[name] = percentile_metric(
            measurement.basis, PERCENTILES[name], [launch.durations for launch in launches], _sample_method(launches)
        )
    return {**found, **_unpreempted(measurement, launches)}


def _simple(basis: Basis, pooled: list[float], launches: tuple[Launch, ...]) -> dict[str, Metric]:
    count = len(pooled)
    method = _sample_method(launches)

    def metric(value: float, of: str) -> Metric:
        return Metric(value=value, basis=basis, count=count, method=f"{of} of {method}")

    inferences, busy = sum(launch.inferences for launch in launches), sum(launch.busy for launch in launches)
    spread = (
        metric(statistics.stdev(pooled), "standard deviation")
        if count > 1
        else absent(basis, "one sample has no spread")
    )
    return {
        "latency_min_s": metric(min(pooled), "least"),
        "latency_mean_s": metric(statistics.fmean(pooled), "mean"),
        "latency_std_s": spread,
        "latency_max_s": metric(max(pooled), "largest"),
        "throughput_hz": Metric(
            value=inferences / busy,
            basis=basis,
            count=inferences,
            method="inferences over their summed time, one after the other",
        ),
    }


def _sample_method(launches: tuple[Launch, ...]) -> str:
    batch = max(launch.batch for launch in launches)
    each = "steady samples" if batch == 1 else f"means over batches of {batch} inferences"
    return each if len(launches) == 1 else f"{each}, {len(launches)} launches pooled"


def percentile_metric(basis: Basis, q: float, of_launches: Sequence[Sequence[float]], of: str) -> Metric:
    """Return a percentile of all samples in seconds; its bounds hold across launches from five of them on.

    `of` says what was sampled. With too few samples the figure is absent; within one run the bounds are those of order
    statistics: two-sided for the median, one-sided for others.
    """
    pooled = sorted(duration for durations in of_launches for duration in durations)
    label = f"p{q * 100:g}"
    if not stats.enough_for(q, len(pooled)):
        wanted = stats.FEWEST_SAMPLES[q]
        return absent(basis, f"{label} needs at least {wanted} samples, there are {len(pooled)}")
    method = f"{label} of {of}"
    value = stats.percentile(pooled, q)
    across = _across_launches(q, of_launches)
    if across is not None:
        method += f"; 95 % t-interval over {len(of_launches)} launches"
        return Metric(
            value=value,
            basis=basis,
            count=len(pooled),
            method=method,
            low=min(across.low or value, value),
            high=max(across.high or value, value),
            confidence=across.confidence,
            scope="across-launches",
        )
    bounds = stats.median_bounds(pooled) if q == 0.5 else stats.percentile_bounds(pooled, q)  # noqa: PLR2004  the median
    kind = "95 % interval" if q == 0.5 else "one-sided 95 % bounds"  # noqa: PLR2004  the median
    return Metric(
        value=value,
        basis=basis,
        count=len(pooled),
        method=f"{method}; {kind} by order statistics, within this run",
        low=bounds.low,
        high=bounds.high,
        confidence=bounds.confidence if bounds.low is not None or bounds.high is not None else None,
        scope="within-run",
    )


def _across_launches(q: float, of_launches: Sequence[Sequence[float]]) -> stats.Bounds | None:
    if len(of_launches) < stats.FEWEST_LAUNCHES or not all(stats.enough_for(q, len(d)) for d in of_launches):
        return None
    return stats.launch_interval([stats.percentile(sorted(durations), q) for durations in of_launches])


def _unpreempted(measurement: Measurement, launches: tuple[Launch, ...]) -> dict[str, Metric]:
    names = ("latency_unpreempted_p50_s", "latency_unpreempted_p99_s")
    if "preemption" not in measurement.capabilities:
        reason = "the agent cannot tell preempted samples"
        return {name: absent(measurement.basis, reason) for name in (*names, "preempted_ratio")}
    kept = [
        [duration for duration, out in zip(launch.durations, launch.preempted, strict=True) if not out]
        for launch in launches
    ]
    count = sum(len(launch.durations) for launch in launches)
    share = sum(sum(launch.preempted) for launch in launches) / count
    found = {
        "preempted_ratio": Metric(
            value=share,
            basis=measurement.basis,
            count=count,
            method="samples during which the kernel took the CPU away (involuntary context switches)",
        )
    }
    for name in names:
        found[name] = (
            percentile_metric(measurement.basis, PERCENTILES[name], kept, _sample_method(launches))
            if any(kept)
            else absent(measurement.basis, "every sample was preempted")
        )
    return found


def _counted(measurement: Measurement, launches: tuple[Launch, ...]) -> dict[str, Metric]:
    name = COUNTERS[measurement.counter_unit]
    if not launches:
        return {name: absent(measurement.basis, why_absent(measurement, LATENCY_KINDS))}
    values = [duration for launch in launches for duration in launch.durations]
    method = f"the agent's counter around one inference, median of {len(values)}; engine {measurement.engine}"
    return {name: Metric(value=statistics.median(values), basis=measurement.basis, count=len(values), method=method)}


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────

LINUX_MEMORY = {
    "memory_peak_bytes": ("peak_bytes", "VmHWM from load to the 10th inference, above the runtime with a tiny model"),
    "memory_average_bytes": (
        "average_bytes",
        "mean RSS after each of 10 inferences, above the runtime with a tiny model",
    ),
    "memory_file_backed_bytes": (
        "file_backed_bytes",
        "RssFile after 10 inferences, above the runtime with a tiny model",
    ),
}
BOARD_MEMORY = {
    "arena_bytes": "the tensor arena as the engine laid it out",
    "stack_peak_bytes": "high-water mark of the painted stack",
    "static_ram_bytes": "static data of the agent and engine, without the arena",
    "flash_bytes": "executor code and packed model",
}


def _memory(measurement: Measurement) -> dict[str, Metric]:
    asked = [measured for measured in measurement.passes if measured.kind == "memory"]
    figures = asked[0].figures if asked else {}
    found = {}
    for name, method in BOARD_MEMORY.items():
        if name in figures:
            found[name] = Metric(value=figures[name], basis=measurement.basis, count=1, method=method)
    parts = ("arena_bytes", "stack_peak_bytes", "static_ram_bytes")
    if all(part in figures for part in parts):
        total = sum(figures[part] for part in parts)
        found["sram_peak_bytes"] = Metric(value=total, basis=measurement.basis, count=1, method=" + ".join(parts))
    if found:
        return found
    for name, (figure, method) in LINUX_MEMORY.items():
        if figure in figures:
            found[name] = Metric(value=figures[figure], basis=measurement.basis, count=1, method=method)
        else:
            found[name] = absent(measurement.basis, why_absent(measurement, ("memory",), figure), method)
    return found


def why_absent(measurement: Measurement, kinds: tuple[str, ...], figure: str = "") -> str:
    """Return why the passes of these kinds gave nothing, in the agent's own words where it said any."""
    for measured in measurement.passes:
        if measured.kind in kinds:
            notes = "; ".join(
                text
                for code, text in measured.notes
                if code.endswith(("-hidden", "-unavailable", *([figure] if figure else [])))
            )
            return notes or measured.failure_text or WHY.get(measured.failure, "the agent did not report it")
    return "this run had no such pass"


WHY = {"lost": "the run ended before it was measured", "unsupported": "the agent has no such pass"}


# ── samples, operators, spread ───────────────────────────────────────────────────────────────────────────────────────


def all_samples(measurement: Measurement) -> Samples:
    """Return the raw samples of all latency passes, warm-up included, in columns."""
    passes = [measured for measured in measurement.passes if measured.kind in LATENCY_KINDS]

    def column(read: Callable[[PassMeasurement], Iterable[float]]) -> tuple[float, ...]:
        return tuple(value for measured in passes for value in read(measured))

    return Samples(
        launch=tuple(measured.launch for measured in passes for _ in measured.samples.duration),
        start_s=column(lambda measured: measured.samples.start),
        duration_s=column(lambda measured: measured.samples.duration),
        batch=tuple(size for measured in passes for size in measured.samples.batch),
        flags=tuple(flags for measured in passes for flags in measured.samples.flags),
        flag_values=FLAG_VALUES,
    )


def operator_times(measurement: Measurement) -> tuple[OperatorTime, ...]:
    """Return what each operator takes an inference, in order: time, or instructions where those are counted."""
    asked = [measured for measured in measurement.passes if measured.kind == "operators"]
    rows = asked[0].operators if asked else ()
    total = sum(row.total for row in rows)
    counted = measurement.counter_unit == "instructions"
    runs = max((row.calls for row in rows), default=1)
    return tuple(
        OperatorTime(
            name=row.name,
            type=row.type,
            time_s=None if counted else row.total / runs,
            instructions_count=round(row.total / runs) if counted else None,
            share_ratio=row.total / total if total else 0.0,
            calls=row.calls,
        )
        for row in rows
    )


def spread(measurement: Measurement) -> dict[str, dict[str, float]]:
    """Return the noise band and drift within the run, a launch."""
    found = {}
    for index, launch in enumerate(steady_launches(measurement)):
        noise = stats.noise(launch.durations)
        if noise is not None:
            found[f"launch {index}"] = {"noise_band_ratio": noise.band_ratio, "drift_ratio": noise.drift_ratio}
    return found
