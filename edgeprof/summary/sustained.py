"""A long run minute by minute: latency, temperature, frequency, power, and when the board began to throttle. Pure.

What was not measured is null in a row and has its reason under `absent`. Times are seconds since the first sample after
warm-up; temperatures in degrees Celsius, frequencies in hertz, power in watts.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof import stats
from edgeprof.records.result import Warned
from edgeprof.units import format_duration
from edgeprof.wire import THROTTLED, WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Measurement, PassMeasurement
    from edgeprof.records.sensors import Quantity, SensorSeries

LIVE_BITS = 0xF
"""Undervoltage, capped, throttled, soft temperature limit: now. Bits 16 to 19 say that it has been so since boot
(raspberrypi/documentation, vcgencmd get_throttled)."""
MINUTE_S = 60.0
ROWS, FEWEST_IN_A_ROW = 10, 5
SLOWED_RATIO, THROTTLED_RATIO, CLOCK_DROP_RATIO = 1.05, 1.10, 0.98
NOISE_FACTOR, FEWEST_ROWS = 3.0, 5

PART_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
"""What is told of the throttled and the unthrottled part; a limit passes by the upper bounds."""

NO_SENSORS = "no sensor was read during the pass"


class Sample(NamedTuple):
    """One steady sample: when it began since the first one, what an inference took, and whether it was throttled."""

    at_s: float
    latency_s: float
    throttled: bool


class Row(NamedTuple):
    """One minute, or one tenth of a short run; what is None was not measured."""

    start_s: float
    end_s: float
    samples_count: int
    p50_s: float
    p95_s: float | None
    temperature_celsius: float | None
    frequency_hz: float | None
    power_w: float | None
    throttled_ratio: float


class Steady(NamedTuple):
    """The samples of one pass after warm-up, and when the first began on the agent's clock."""

    begin_s: float
    samples: tuple[Sample, ...]
    end_s: float


# ── what was throttled ───────────────────────────────────────────────────────────────────────────────────────────────


def throttled_spans(measured: PassMeasurement) -> tuple[tuple[float, float], ...]:
    """Return when the board throttled, by its live bits, in seconds on the agent's clock; spans do not overlap.

    A reading holds until the next one of its channel, the last until the end of the samples.
    """
    spans: list[tuple[float, float]] = []
    for series in _of(measured, "throttle"):
        ends = (*series.time_s[1:], max(series.time_s[-1], _last_end(measured)))
        spans += [
            (time_s, end)
            for time_s, value, end in zip(series.time_s, series.value, ends, strict=True)
            if int(value) & LIVE_BITS
        ]
    return tuple(_merged(sorted(spans)))


def _merged(spans: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    begin = end = None
    for start, stop in spans:
        if begin is None or end is None:
            begin, end = start, stop
        elif start <= end:
            end = max(end, stop)
        else:
            yield begin, end
            begin, end = start, stop
    if begin is not None and end is not None:
        yield begin, end


def steady_samples(measured: PassMeasurement) -> Steady | None:
    """Return the samples after warm-up; one is throttled by its flag, or when it begins while live bits are set."""
    columns = measured.samples
    rows = [
        (start, duration, batch, flags)
        for start, duration, batch, flags in zip(
            columns.start, columns.duration, columns.batch, columns.flags, strict=True
        )
        if not flags & WARMUP
    ]
    if not rows:
        return None
    begin = rows[0][0]
    spans = throttled_spans(measured)
    ends = [end for _, end in spans]

    def inside(at: float) -> bool:
        index = bisect_left(ends, at)
        return index < len(spans) and spans[index][0] <= at < spans[index][1]

    return Steady(
        begin,
        tuple(
            Sample(start - begin, duration / batch, bool(flags & THROTTLED) or inside(start))
            for start, duration, batch, flags in rows
        ),
        rows[-1][0] + rows[-1][1] - begin,
    )


def _last_end(measured: PassMeasurement) -> float:
    columns = measured.samples
    return columns.start[-1] + columns.duration[-1] if columns.start else -math.inf


# ── the curve ────────────────────────────────────────────────────────────────────────────────────────────────────────


def minute_curve(measured: PassMeasurement) -> list[Row]:
    """Return a row a minute, or a tenth of the run where it is shorter than ten; an end below half a minute joins.

    Rows are fewer where they would hold less than 5 samples. The temperature is the hottest reading of any zone, the
    frequency the mean of all clocks that were read, the power what `power_read` names.
    """
    steady = steady_samples(measured)
    if steady is None:
        return []
    edges = _edges(steady)
    starts = [sample.at_s for sample in steady.samples]
    cuts = [bisect_left(starts, edge) for edge in edges[:-1]] + [len(starts)]
    power = power_read(measured)
    found = []
    for first, last, begin, end in zip(cuts, cuts[1:], edges, edges[1:], strict=False):
        inside = steady.samples[first:last]
        if inside:
            span = (steady.begin_s + begin, steady.begin_s + end)
            found.append(_row(measured, power, inside, (begin, end), span))
    return found


def _edges(steady: Steady) -> list[float]:
    lasted = steady.end_s
    if lasted >= ROWS * MINUTE_S:
        count = max(ROWS, math.floor(lasted / MINUTE_S + 0.5))
        return [minute * MINUTE_S for minute in range(count)] + [lasted]
    count = max(1, min(ROWS, len(steady.samples) // FEWEST_IN_A_ROW))
    return [lasted * part / count for part in range(count)] + [lasted]


def _row(
    measured: PassMeasurement,
    power: PowerRead,
    samples: Sequence[Sample],
    elapsed: tuple[float, float],
    span: tuple[float, float],
) -> Row:
    ordered = sorted(sample.latency_s for sample in samples)
    hottest = [max(values) for series in _of(measured, "temperature") if (values := _within(series, span))]
    clocks = [statistics.fmean(values) for series in _of(measured, "frequency") if (values := _within(series, span))]
    watts = [statistics.fmean(values) for series in power.series if (values := _within(series, span))]
    return Row(
        start_s=elapsed[0],
        end_s=elapsed[1],
        samples_count=len(ordered),
        p50_s=stats.percentile(ordered, 0.5),
        p95_s=_percentile(ordered, 0.95),
        temperature_celsius=max(hottest, default=None),
        frequency_hz=statistics.fmean(clocks) if clocks else None,
        power_w=sum(watts) if watts and len(watts) == len(power.series) else None,
        throttled_ratio=sum(sample.throttled for sample in samples) / len(samples),
    )


def _within(series: SensorSeries, span: tuple[float, float]) -> tuple[float, ...]:
    return series.value[bisect_left(series.time_s, span[0]) : bisect_left(series.time_s, span[1])]


def _percentile(ordered: Sequence[float], q: float) -> float | None:
    return stats.percentile(ordered, q) if stats.enough_for(q, len(ordered)) else None


def _of(measured: PassMeasurement, quantity: Quantity) -> list[SensorSeries]:
    """Return the channels of a quantity that have readings."""
    return [series for series in measured.sensors if series.quantity == quantity and series.time_s]


class PowerRead(NamedTuple):
    """The channels whose sum is the power, and what that covers; or why there are none."""

    series: tuple[SensorSeries, ...]
    covers: str
    reason: str


def power_read(measured: PassMeasurement) -> PowerRead:
    """Return the board's total where one is read, else the module's rails; never both, and nothing else is summed."""
    read = _of(measured, "power")
    for role, covers in (("board-total", "whole board"), ("module-rails", "sum of module rails, carrier excluded")):
        chosen = tuple(series for series in read if series.role == role)
        if chosen:
            return PowerRead(chosen[:1] if role == "board-total" else chosen, covers, "")
    reason = "only single rails were read, and they are no total" if read else _why_unread(measured, "power")
    return PowerRead((), "", reason)


def _why_unread(measured: PassMeasurement, quantity: Quantity) -> str:
    asked = [series for series in measured.sensors if series.quantity == quantity]
    said = "; ".join(f"{series.name}: {series.reason}" for series in asked if series.reason)
    return said or (f"no {quantity} sensor was found" if measured.sensors else NO_SENSORS)


# ── what the curve shows ─────────────────────────────────────────────────────────────────────────────────────────────


class ThrottleOnset(NamedTuple):
    """When throttling began in seconds since the first sample, and by which sign; None with the reason."""

    time_s: float | None
    sign: str


def time_to_throttle(measured: PassMeasurement) -> ThrottleOnset:
    """Return the first live bit or flagged sample, else the first row over 10 % slower whose clock had dropped."""
    steady = steady_samples(measured)
    if steady is None:
        return ThrottleOnset(None, "there are no samples")
    bits = [start - steady.begin_s for start, _ in throttled_spans(measured)]
    flagged = next((sample.at_s for sample in steady.samples if sample.throttled), None)
    told = [at for at in (*bits[:1], flagged) if at is not None]
    if told:
        return ThrottleOnset(max(0.0, min(told)), "the board's live throttle bits, or samples that the agent flagged")
    rows = minute_curve(measured)
    first = rows[0]
    if first.frequency_hz is None:
        return ThrottleOnset(None, f"not seen, and the clock cannot tell: {_why_unread(measured, 'frequency')}")
    for row in rows[1:]:
        dropped = row.frequency_hz is not None and row.frequency_hz < CLOCK_DROP_RATIO * first.frequency_hz
        if dropped and row.p50_s > THROTTLED_RATIO * first.p50_s:
            return ThrottleOnset(row.start_s, "the median rose by over 10 % while the clock dropped")
    return ThrottleOnset(None, "the board did not throttle during the run")


def sustained_breakdown(measurement: Measurement) -> dict[str, Any]:
    """Return `{"sustained": …}`, a launch: the curve, first row against last, time to throttle, percentiles apart."""
    found = {
        f"launch {measured.launch}": _described(measured)
        for measured in measurement.passes
        if measured.kind == "sustained" and steady_samples(measured) is not None
    }
    return {"sustained": found} if found else {}


def _described(measured: PassMeasurement) -> dict[str, Any]:
    rows = minute_curve(measured)
    power = power_read(measured)
    onset = time_to_throttle(measured)
    steady = steady_samples(measured)
    samples = steady.samples if steady else ()
    return {
        "rows": [row._asdict() for row in rows],
        "absent": dict(_absent(measured, rows, power)),
        "power_of": power.covers or None,
        "frequency_of": [series.name for series in _of(measured, "frequency")],
        "first_against_last": first_against_last(rows),
        "time_to_throttle_s": onset.time_s,
        "time_to_throttle_by" if onset.time_s is not None else "time_to_throttle_absent": onset.sign,
        "throttled": part_figures([sample.latency_s for sample in samples if sample.throttled], "was throttled"),
        "unthrottled": part_figures(
            [sample.latency_s for sample in samples if not sample.throttled], "was not throttled"
        ),
    }


def _absent(measured: PassMeasurement, rows: Sequence[Row], power: PowerRead) -> Iterator[tuple[str, str]]:
    reasons = {
        "p95_s": f"p95 needs {stats.FEWEST_SAMPLES[0.95]} samples a row",
        "temperature_celsius": _why_unread(measured, "temperature"),
        "frequency_hz": _why_unread(measured, "frequency"),
        "power_w": power.reason or "a rail was not read in every row",
    }
    for name, reason in reasons.items():
        missing = sum(getattr(row, name) is None for row in rows)
        if missing:
            of = f" ({missing} of {len(rows)} rows)" if missing < len(rows) else ""
            within = f"not read often enough for every row{of}" if of and name != "p95_s" else f"{reason}{of}"
            yield name, within


def first_against_last(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the medians of the first and the last row and their ratio; above 1 the run became slower."""
    if len(rows) < 2:  # noqa: PLR2004  one row has nothing to be compared with
        return {"ratio": None, "reason": f"the run gave {len(rows)} row"}
    first, last = rows[0], rows[-1]
    return {"first_p50_s": first.p50_s, "last_p50_s": last.p50_s, "ratio": last.p50_s / first.p50_s}


def part_figures(latencies: list[float], what: str) -> dict[str, Any]:
    """Return how many samples a part has and their percentiles with upper bounds, mean and largest, in seconds."""
    if not latencies:
        return {"count": 0, "reason": f"no sample {what}"}
    ordered = sorted(latencies)
    figures = {f"{name}_s": _percentile(ordered, q) for name, q in PART_PERCENTILES.items()}
    missing = [name for name, value in figures.items() if value is None]
    why = {"reason": f"too few samples for {', '.join(missing)}"} if missing else {}
    highs = {f"{name}_high_s": _upper_bound(ordered, q) for name, q in PART_PERCENTILES.items()}
    return {"count": len(ordered), **figures, **highs, "mean_s": statistics.fmean(ordered), "max_s": ordered[-1], **why}


def _upper_bound(ordered: Sequence[float], q: float) -> float | None:
    """Return the upper end of the 95 % bounds that a percentile of the whole run has; None with too few samples."""
    if not stats.enough_for(q, len(ordered)):
        return None
    return (stats.median_bounds(ordered) if q == 0.5 else stats.percentile_bounds(ordered, q)).high  # noqa: PLR2004  the median


def slowed(measurement: Measurement) -> tuple[Warned, ...]:
    """Warn once where a long run ended over 5 % slower than it began, beyond what its rows differ by anyway.

    That is three times the median difference between neighbouring rows: a step or a slope stands out, noise does not.
    """
    for measured in measurement.passes:
        rows = minute_curve(measured) if measured.kind == "sustained" else []
        if len(rows) < FEWEST_ROWS:
            continue
        first, last = rows[0], rows[-1]
        usual = statistics.median(abs(after.p50_s - row.p50_s) for row, after in pairwise(rows))
        if last.p50_s > SLOWED_RATIO * first.p50_s and last.p50_s - first.p50_s > NOISE_FACTOR * usual:
            share = (last.p50_s / first.p50_s - 1) * 100
            lengths = f"the last {format_duration(last.end_s - last.start_s)} against the first"
            return (
                Warned(
                    code="slowed",
                    text=f"the run became {share:.0f} % slower, {lengths}: {format_duration(first.p50_s)} to"
                    f" {format_duration(last.p50_s)}",
                    advice="what users see after a while is the last part; cool the board or lower the load",
                ),
            )
    return ()
