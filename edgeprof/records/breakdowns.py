"""What `breakdowns` of a result hold, key by key: what a report takes for granted when it draws them.

Producers write them as JSON; a result that is read is held against these records. Keys that are not here are let be.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from edgeprof.records.battery import BatteryReport
from edgeprof.records.energy import EnergyReport

Count: TypeAlias = Annotated[int, Meta(ge=0)]
Amount: TypeAlias = Annotated[float, Meta(ge=0)]
Share: TypeAlias = Annotated[float, Meta(ge=0)]


class NoiseBand(Struct, frozen=True, kw_only=True):
    """How much the samples of a launch differ, and how they drift."""

    noise_band_ratio: float
    drift_ratio: float


class SensedLatency(Struct, frozen=True, kw_only=True):
    """The median beside a round of sampling and apart from any."""

    beside_p50_s: Amount | None
    beside_count: Count
    apart_p50_s: Amount | None
    apart_count: Count
    reason: str


class SensorCost(Struct, frozen=True, kw_only=True):
    """What reading sensors took of the board."""

    cpu_s: Amount
    wall_s: Amount
    share_ratio: Share | None
    rounds: Count
    mean_round_s: Amount | None
    latency: SensedLatency


class StageShare(Struct, frozen=True, kw_only=True):
    """One stage's part of the whole path."""

    share_ratio: Share
    mean_s: Amount
    items: Amount


class TimeRow(Struct, frozen=True, kw_only=True):
    """One minute of a long run."""

    start_s: Amount
    end_s: Amount
    samples_count: Count
    p50_s: Amount
    p95_s: Amount | None
    temperature_celsius: float | None
    frequency_hz: Amount | None
    power_w: float | None
    throttled_ratio: Share


class FirstAgainstLast(Struct, frozen=True, kw_only=True):
    """The medians of the first and the last row; the ratio is null where there is one row."""

    ratio: Amount | None
    first_p50_s: Amount | None = None
    last_p50_s: Amount | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Hold that a ratio comes with its two medians."""
        if self.ratio is not None and (self.first_p50_s is None or self.last_p50_s is None):
            raise ValueError("a ratio without its two medians")


class PartFigures(Struct, frozen=True, kw_only=True):
    """The percentiles of a part of the samples; of no sample only the reason."""

    count: Count
    reason: str = ""
    p50_s: Amount | None = None
    p90_s: Amount | None = None
    p95_s: Amount | None = None
    p99_s: Amount | None = None
    p50_high_s: Amount | None = None
    p90_high_s: Amount | None = None
    p95_high_s: Amount | None = None
    p99_high_s: Amount | None = None
    mean_s: Amount | None = None
    max_s: Amount | None = None

    def __post_init__(self) -> None:
        """Hold that samples have figures."""
        if self.count and (self.mean_s is None or self.max_s is None):
            raise ValueError(f"{self.count} samples without their mean and largest")


class LongRun(Struct, frozen=True, kw_only=True):
    """One launch of a long run."""

    rows: Annotated[tuple[TimeRow, ...], Meta(min_length=1)]
    absent: dict[str, str]
    power_of: str | None
    frequency_of: tuple[str, ...]
    first_against_last: FirstAgainstLast
    time_to_throttle_s: Amount | None
    throttled: PartFigures
    unthrottled: PartFigures
    time_to_throttle_by: str | None = None
    time_to_throttle_absent: str | None = None

    def __post_init__(self) -> None:
        """Hold that the time to throttle has its sign, or its reason where there is none."""
        if (self.time_to_throttle_by if self.time_to_throttle_s is not None else self.time_to_throttle_absent) is None:
            raise ValueError("a time to throttle without what it was told by, or why there is none")


class Histogram(Struct, frozen=True, kw_only=True):
    """Counts between edges."""

    edges_s: Annotated[tuple[Amount, ...], Meta(min_length=2)]
    counts: Annotated[tuple[Count, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Hold that edges rise and lie about the counts."""
        if len(self.edges_s) != len(self.counts) + 1 or any(
            one > other for one, other in zip(self.edges_s, self.edges_s[1:], strict=False)
        ):
            raise ValueError("edges that do not rise, or are not one more than the counts")


class ThrottledReleases(PartFigures, frozen=True, kw_only=True):
    """The releases of a launch that were throttled."""

    missed_count: Count = 0


class DeadlineRun(Struct, frozen=True, kw_only=True):
    """One launch of a deadline run."""

    period_s: Annotated[float, Meta(gt=0)]
    releases_count: Count
    missed_count: Count
    overdue_count: Count
    longest_run_of_misses_count: Count
    throttled: ThrottledReleases
    histogram: Histogram
    kept: str
    released_s: tuple[float, ...]
    latency_s: tuple[Amount, ...]


class LiveBytes(Struct, frozen=True, kw_only=True):
    """What is alive at one operator."""

    index: Count
    name: str
    type: str
    live_bytes: Count


class MemoryCurve(Struct, frozen=True, kw_only=True):
    """Memory over the operators; without a peak the reason."""

    operators: tuple[LiveBytes, ...]
    peak: LiveBytes | None
    operators_count: Count
    stride: Annotated[int, Meta(ge=1)]
    reason: str = ""


class RoofPoint(Struct, frozen=True, kw_only=True):
    """One operator under a roof."""

    index: Count
    name: str
    type: str
    macs_count: Count
    moved_bytes: Annotated[int, Meta(gt=0)]
    intensity: Amount
    bound: str | None
    bound_s: Annotated[float, Meta(gt=0)] | None
    time_s: Amount | None


class KeptRoofline(Struct, frozen=True, kw_only=True):
    """The roof and the points under it; without a roof the reason, and points that have no bound."""

    board: str | None
    unit: str | None
    peak_ops_per_s: Annotated[float, Meta(gt=0)] | None
    bandwidth_bytes_per_s: Annotated[float, Meta(gt=0)] | None
    ridge: Annotated[float, Meta(gt=0)] | None
    reason: str
    sources: tuple[str, ...]
    points: tuple[RoofPoint, ...]
    points_count: Count
    without_macs_count: Count

    def __post_init__(self) -> None:
        """Hold that a roof without a reason is whole."""
        if self.reason:
            return
        if None in {self.peak_ops_per_s, self.bandwidth_bytes_per_s, self.ridge}:
            raise ValueError("a roof without its figures, and no reason")
        if any(point.bound_s is None for point in self.points):
            raise ValueError("a point without a bound under a roof")


class Breakdowns(Struct, frozen=True, kw_only=True):
    """All of them; what a run did not ask for is not there."""

    noise: dict[str, NoiseBand] = {}
    sensors: SensorCost | None = None
    stages: dict[str, StageShare] = {}
    sustained: dict[str, LongRun] = {}
    deadline: dict[str, DeadlineRun] = {}
    memory_curve: MemoryCurve | None = None
    roofline: KeptRoofline | None = None
    energy: EnergyReport | None = None
    battery: BatteryReport | None = None


class BoardState(Struct, frozen=True, kw_only=True):
    """What is read of a board's state; an agent tells more."""

    cores: Count | None = None
    governor: dict[str, str] | None = None
    cpu_features: tuple[str, ...] = ()
