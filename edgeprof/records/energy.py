"""What an integration of a power trace finds: its windows, the metrics, and how sure they are."""

from __future__ import annotations

from msgspec import Struct

from edgeprof.records.result import Metric, Warned


class TraceFacts(Struct, frozen=True, kw_only=True):
    """The recording: where it comes from, what it covers, how much of it is missing."""

    source: str
    clock: str
    covers: str
    rails: tuple[str, ...]
    samples: int
    start_s: float | None
    duration_s: float
    rate_hz: float | None
    gaps: int
    gaps_s: float
    accuracy: str | None
    supply_v: float | None = None
    notes: tuple[str, ...] = ()


class AlignmentUsed(Struct, frozen=True, kw_only=True):
    """How the windows were laid over the trace; `error_ratio` is what `error_s` stands for as energy of a window."""

    method: str
    quality: str
    error_s: float
    error_ratio: float | None
    offset_s: float | None
    drift_ratio: float | None
    text: str


class EnergyWindow(Struct, frozen=True, kw_only=True):
    """One window, on the trace's clock. What is not known is null, with the reason.

    `energy_j` is what was integrated between start and end, `guard_s` left out at either end; per inference it is for
    the inferences of that part. `power_idle_w` is the mean of before and after; `idle_note` says where idle was
    more than one state.
    """

    start_s: float
    end_s: float
    energy_j: float | None
    power_average_w: float | None
    energy_per_inference_j: float | None
    energy_above_idle_j: float | None
    power_peak_w: float | None
    power_idle_w: float | None
    inferences: int | None
    guard_s: float
    gap_ratio: float
    reason: str | None = None
    idle_reason: str | None = None
    idle_note: str | None = None


class EnergyReport(Struct, frozen=True, kw_only=True):
    """Windows, metrics over them, and what makes them less certain."""

    trace: TraceFacts
    alignment: AlignmentUsed
    windows: tuple[EnergyWindow, ...]
    metrics: dict[str, Metric]
    findings: tuple[Warned, ...]
