"""What the board's sensors say of a run: series, peak temperature, throttling, and what reading them took. Pure."""

from __future__ import annotations

import statistics
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edgeprof.records.result import Metric, Warned
from edgeprof.summary.summarise import LATENCY_KINDS
from edgeprof.summary.throttling import (
    board_states,
    of_processor,
    steady_samples,
    throttle_warnings,
    throttled_ratio,
    with_readings,
)
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Measurement
    from edgeprof.records.sensors import SensorSeries

ROUNDS = "sampling"
"""The channel whose readings are the rounds of sampling: their start, and how long each took."""
FEWEST_SAMPLES = 20
COSTLY_RATIO = 0.01


def sensor_series(measurement: Measurement) -> tuple[SensorSeries, ...]:
    """Return the readings of each channel over all passes, in order of time."""
    merged: dict[tuple[str, ...], SensorSeries] = {}
    for measured in measurement.passes:
        for series in measured.sensors:
            key = (series.name, series.quantity, series.source, series.rail)
            merged[key] = _joined(merged[key], series) if key in merged else series
    return tuple(one for one in merged.values() if one.name != ROUNDS or one.value)  # no round: there is no sensor


def sensor_metrics(measurement: Measurement) -> dict[str, Metric]:
    """Return peak temperature and the throttled share of the steady latency samples, as far as the board tells them."""
    series = sensor_series(measurement)
    if not series and not board_states(measurement):
        return {}
    found = {"temperature_peak_celsius": _peak(measurement, series)}
    throttled = throttled_ratio(measurement)
    return {**found, "throttled_ratio": throttled} if throttled is not None else found


def sensor_warnings(measurement: Measurement) -> tuple[Warned, ...]:
    """Return what marks this run: throttled, under-voltage, either of them before it, or sensors that cost too much."""
    return (*throttle_warnings(measurement), *_costly(measurement))


def sensor_cost(measurement: Measurement) -> dict[str, Any]:
    """Return what the sampling took and the p50 of latency beside its rounds and apart; empty without sensors.

    ``cpu_s``, ``wall_s``, ``share_ratio`` (of one CPU), ``rounds``, ``mean_round_s``, and ``latency`` with
    ``beside_p50_s``, ``beside_count``, ``apart_p50_s``, ``apart_count``; a p50 of under 20 samples is null, and
    ``reason`` says so.
    """
    costs = [measured.sampling for measured in measurement.passes if measured.sampling is not None]
    rounds = sum(cost.reads for cost in costs)
    if not rounds:
        return {}
    wall_s = sum(cost.wall_s for cost in costs)
    cpu_s = sum(cost.cpu_s for cost in costs)
    took = [value for series in sensor_series(measurement) if series.name == ROUNDS for value in series.value]
    return {
        "cpu_s": cpu_s,
        "wall_s": wall_s,
        "share_ratio": cpu_s / wall_s if wall_s else None,
        "rounds": rounds,
        "mean_round_s": statistics.fmean(took) if took else None,
        "latency": _beside_and_apart(measurement),
    }


def sensor_line(cost: dict[str, Any]) -> str:
    """Return the cost in one line for the foot of a report; nothing without sensors."""
    if not cost:
        return ""
    share = "" if cost["share_ratio"] is None else f" ({cost['share_ratio'] * 100:.2g} %)"
    rounds = f"{cost['rounds']:,} round{'' if cost['rounds'] == 1 else 's'}"
    took = f"sensors: {format_duration(cost['cpu_s'])} CPU in {format_duration(cost['wall_s'])}{share}, {rounds}"
    latency = cost["latency"]
    if latency["beside_p50_s"] is None or latency["apart_p50_s"] is None:
        return f"{took}; latency with and without: {latency['reason']}"
    beside, apart = format_duration(latency["beside_p50_s"]), format_duration(latency["apart_p50_s"])
    return f"{took}; p50 {beside} beside a round, {apart} without"


# ── series and states ────────────────────────────────────────────────────────────────────────────────────────────────


def _joined(first: SensorSeries, second: SensorSeries) -> SensorSeries:
    rows = sorted(zip((*first.time_s, *second.time_s), (*first.value, *second.value), strict=True))
    return replace(
        first,
        time_s=tuple(time_s for time_s, _ in rows),
        value=tuple(value for _, value in rows),
        failures=first.failures + second.failures,
        reason=second.reason or first.reason,
        role=first.role if first.role == second.role else "rail",
    )


# ── temperature ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _peak(measurement: Measurement, series: Sequence[SensorSeries]) -> Metric:
    """Return the highest temperature of the processor's sensors; without any, of what the states say."""
    basis = measurement.basis
    seen = [
        (max(one.value), one.name, len(one.value)) for one in with_readings(series, "temperature") if of_processor(one)
    ]
    if seen:
        value, name, count = max(seen)
        method = f"highest reading of {name} during the run, of {len(seen)} sensor{'s' * (len(seen) > 1)}"
        return Metric(value=value, basis=basis, count=count, method=method)
    states = [(value, name) for state in board_states(measurement) for name, value in _temperatures(state)]
    if states:
        value, name = max(states)
        method = f"highest of {name} before and after each pass; sensors were not read during them"
        return Metric(value=value, basis=basis, count=len(states), method=method)
    failed = [one for one in series if one.quantity == "temperature" and one.failures]
    reason = failed[0].reason if failed else "the board shows no temperature"
    return Metric(value=None, basis=basis, count=None, method="", reason=reason)


def _temperatures(state: dict[str, Any]) -> Iterator[tuple[str, float]]:
    yield from state.get("temperature_celsius", {}).items()


# ── what the sensors cost ────────────────────────────────────────────────────────────────────────────────────────────


def _costly(measurement: Measurement) -> Iterator[Warned]:
    share = sensor_cost(measurement).get("share_ratio")
    if share is not None and share > COSTLY_RATIO:
        yield Warned(
            code="sensors-cost",
            text=f"reading the sensors took {share * 100:.1f} % of a CPU during the run",
            advice="--sensors 2 reads them every 2 s, --sensors 0 never",
        )


def _beside_and_apart(measurement: Measurement) -> dict[str, Any]:
    beside: list[float] = []
    apart: list[float] = []
    for measured in measurement.passes:
        rounds = next((series for series in measured.sensors if series.name == ROUNDS), None)
        if measured.kind not in LATENCY_KINDS or rounds is None:
            continue
        ends = [start + took for start, took in zip(rounds.time_s, rounds.value, strict=True)]
        for sample in steady_samples(measured):
            after = bisect_right(ends, sample.start_s)  # the first round that ends after the sample began
            overlaps = after < len(ends) and rounds.time_s[after] < sample.end_s
            (beside if overlaps else apart).append(sample.inference_s)
    parts = ((beside, "beside a round"), (apart, "apart from one"))
    few = [f"{len(part)} sample{'s' * (len(part) != 1)} {word}" for part, word in parts if len(part) < FEWEST_SAMPLES]
    return {
        "beside_p50_s": _median(beside),
        "beside_count": len(beside),
        "apart_p50_s": _median(apart),
        "apart_count": len(apart),
        "reason": f"{' and '.join(few)}, {FEWEST_SAMPLES} are needed" if few else "",
    }


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if len(values) >= FEWEST_SAMPLES else None
