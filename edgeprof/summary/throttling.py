"""Did the board throttle? By what it says itself, in live bits, flags and clocks. Pure.

A run is throttled where the board says so: by live throttle bits (a Raspberry Pi's firmware), by the agent's own flag
on a sample, or, where neither speaks, by the clock: below 90 % of its early maximum while the board has become warmer.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeprof.records.result import Metric, Warned
from edgeprof.summary.summarise import LATENCY_KINDS
from edgeprof.wire import THROTTLED, WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeprof.records.result import Measurement, PassMeasurement
    from edgeprof.records.sensors import SensorSeries

LIVE_BITS, UNDER_VOLTAGE = 0xF, 0x1
STICKY_SHIFT = 16
BIT_NAMES = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
DROPPED_RATIO, WARMER_CELSIUS, FEWEST_READINGS = 0.9, 2.0, 8
PROCESSORS = ("/sys/class/thermal/", "vcgencmd")
PROCESSOR_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu", "soc")


def throttled_ratio(measurement: Measurement) -> Metric | None:
    """Return the share of steady samples taken while the board throttled; None where nothing tells."""
    count = throttled = 0
    ways: list[str] = []
    for measured in measurement.passes:
        samples = steady_samples(measured) if measured.kind in LATENCY_KINDS else []
        way, intervals = _slow_intervals(measured, samples)
        if not way and any(sample.throttled for sample in samples):
            way = "the agent's flags"
        if samples and way:
            ways += [way] if way not in ways else []
            count += len(samples)
            throttled += sum(sample.throttled or _inside(intervals, sample.start_s) for sample in samples)
    if not count:
        return None
    method = f"steady samples taken while the board throttled, by {' and '.join(ways)}"
    return Metric(value=throttled / count, basis=measurement.basis, count=count, method=method)


def throttle_warnings(measurement: Measurement) -> Iterator[Warned]:
    """Yield what throttle bits say: new ones mark the run, those that were set before it leave it open."""
    before, new = _bits(measurement)
    if before:
        yield Warned(
            code="throttled-before",
            text=f"before the run the board had been marked already ({_names(before)}): the run is inconclusive",
            advice="let it cool, check its power supply, restart it, and measure again",
        )
    if new & UNDER_VOLTAGE:
        yield Warned(
            code="undervoltage",
            text="this run is marked: the board's supply voltage fell too low during it",
            advice="use a supply and a cable made for this board; the figures are those of a starved board",
        )
    if any(sample.throttled for measured in measurement.passes for sample in steady_samples(measured)):
        return  # the flags of the samples say it already
    if new & ~UNDER_VOLTAGE:
        text = f"this run is marked: during it the board said {_names(new & ~UNDER_VOLTAGE)}"
    elif (ratio := throttled_ratio(measurement)) is not None and ratio.value and not new:
        text = f"this run is marked: {ratio.value * 100:.0f} % of the samples were taken while the board throttled"
    else:
        return
    yield Warned(
        code="throttled",
        text=text,
        advice="cool it or lower its load; until then these are the figures of a throttled board",
    )


# ── samples, states and sensors ──────────────────────────────────────────────────────────────────────────────────────


class Steady(NamedTuple):
    """A steady sample of a latency pass: when, how long an inference, whether the agent flagged it."""

    start_s: float
    end_s: float
    inference_s: float
    throttled: bool


def steady_samples(measured: PassMeasurement) -> list[Steady]:
    """Return the samples of a pass after its warm-up."""
    columns = measured.samples
    rows = zip(columns.start, columns.duration, columns.batch, columns.flags, strict=True)
    return [
        Steady(start, start + duration, duration / batch, bool(flags & THROTTLED))
        for start, duration, batch, flags in rows
        if not flags & WARMUP
    ]


def board_states(measurement: Measurement) -> list[dict[str, Any]]:
    """Return the board's states in order of time: before and after each pass."""
    states = (state for measured in measurement.passes for state in (measured.state_before, measured.state_after))
    return [state for state in states if state]


def with_readings(series: Iterable[SensorSeries], quantity: str) -> list[SensorSeries]:
    """Return the channels of a quantity that could be read at least once."""
    return [one for one in series if one.quantity == quantity and one.value]


def of_processor(series: SensorSeries) -> bool:
    """Tell whether it is the processor's temperature, not a drive's or a USB meter's."""
    return series.source.startswith(PROCESSORS) or series.name.lower().startswith(PROCESSOR_CHIPS)


# ── intervals and bits ───────────────────────────────────────────────────────────────────────────────────────────────


Interval = tuple[float, float]


def _slow_intervals(measured: PassMeasurement, samples: Sequence[Steady]) -> tuple[str, list[Interval]]:
    """Return by what the board tells that it throttles in this pass, and when; live throttle bits win."""
    if not samples:
        return "", []
    bits = with_readings(measured.sensors, "throttle")
    if bits:
        return "live throttle bits", _while(bits[0].time_s, [bool(int(value) & LIVE_BITS) for value in bits[0].value])
    clocks = [
        one for one in with_readings(measured.sensors, "frequency") if not one.source.startswith("/sys/class/devfreq")
    ]
    times, hz = _fastest(clocks, samples[0].start_s, samples[-1].end_s)
    heats = [one for one in with_readings(measured.sensors, "temperature") if of_processor(one)]
    if len(times) < FEWEST_READINGS or not heats:
        return "", []
    early = max(hz[: max(1, len(hz) // 4)])
    cold = max(_at(heat, times[0]) for heat in heats)
    slow = [
        value < DROPPED_RATIO * early and max(_at(heat, time_s) for heat in heats) >= cold + WARMER_CELSIUS
        for time_s, value in zip(times, hz, strict=True)
    ]
    return "the clock (below 90 % of its early maximum, the board warmer)", _while(times, slow)


def _while(times: Sequence[float], set_: Sequence[bool]) -> list[Interval]:
    """Return the intervals in which something held: from a reading that says so to the next one."""
    ends = [*times[1:], float("inf")]
    return [(start, end) for start, end, now in zip(times, ends, set_, strict=True) if now]


def _inside(intervals: Sequence[Interval], time_s: float) -> bool:
    at = bisect_right(intervals, (time_s, float("inf"))) - 1
    return at >= 0 and intervals[at][0] <= time_s < intervals[at][1]


def _fastest(clocks: Sequence[SensorSeries], begin_s: float, end_s: float) -> tuple[list[float], list[float]]:
    """Return the fastest core's clock at each reading of the first one: an idle core that sleeps is not throttled."""
    if not clocks:
        return [], []
    times = [time_s for time_s in clocks[0].time_s if begin_s <= time_s <= end_s]
    return times, [max(_at(one, time_s) for one in clocks) for time_s in times]


def _at(series: SensorSeries, time_s: float) -> float:
    """Return the reading nearest in time."""
    after = bisect_left(series.time_s, time_s)
    candidates = [at for at in (after - 1, after) if 0 <= at < len(series.time_s)]
    return series.value[min(candidates, key=lambda at: abs(series.time_s[at] - time_s))]


def _bits(measurement: Measurement) -> tuple[int, int]:
    """Return as live bits: those set, or set since boot, before the run; and those that were set during it.

    During it: each that was live in a reading or in a later state, and each sticky one that is new. The live ones are
    needed because the kernel's raspberrypi-hwmon clears the sticky ones as it polls.
    """
    told = [int(state["throttle"]["bits"]) for state in board_states(measurement) if "throttle" in state]
    read = [
        int(value)
        for measured in measurement.passes
        for series in with_readings(measured.sensors, "throttle")
        for value in series.value
    ]
    if not told and not read:
        return 0, 0
    first = told[0] if told else read[0]
    live = sticky = 0
    for bits in [*told[1:], *read]:
        live |= bits
        sticky |= bits >> STICKY_SHIFT
    before = (first | first >> STICKY_SHIFT) & LIVE_BITS
    return before, (live | sticky & ~(first >> STICKY_SHIFT)) & LIVE_BITS


def _names(bits: int) -> str:
    return ", ".join(name for at, name in enumerate(BIT_NAMES) if bits >> at & 1)
