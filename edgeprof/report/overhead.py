"""What the agent's own work took of the board: reading its sensors; or why that cost is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.summary.sensors import ROUNDS, sensor_line

if TYPE_CHECKING:
    from edgeprof.records.result import Result

ROWS = (
    ("sensors_cpu_s", "cpu_s"),
    ("sensors_wall_s", "wall_s"),
    ("sensors_share_ratio", "share_ratio"),
    ("sensors_rounds_count", "rounds"),
)
BESIDE = (("sensors_beside_p50_s", "beside_p50_s"), ("sensors_apart_p50_s", "apart_p50_s"))


def overhead_line(result: Result) -> str:
    """Return the cost of reading sensors in one line, or why there was none."""
    cost = result.breakdowns.get("sensors") or {}
    return sensor_line(cost) if cost else f"sensors: {why_none(result)}"


def why_none(result: Result) -> str:
    """Return why reading sensors cost nothing, or nothing that is known."""
    if not any(one.sensors_s for one in result.plan.passes):
        return "none was asked for, so nothing was sampled"
    own = [series for series in result.sensors if series.name != ROUNDS]
    bases = {metric.basis for metric in result.metrics.values()}
    if "simulated" in bases and own:
        return "simulated with the board; reading them takes it no time"
    if any(series.value for series in own):
        return "the agent does not tell what reading them took"
    return "no sensor was found: nothing was sampled"


def overhead_rows(result: Result) -> dict[str, float | None]:
    """Return the cost by name, each with its unit; null where it is not known, and `why_none` says why."""
    cost = result.breakdowns.get("sensors") or {}
    latency = cost.get("latency") or {}
    rows = {name: cost.get(key) for name, key in ROWS}
    return {**rows, **{name: latency.get(key) for name, key in BESIDE}}


def overhead_reason(result: Result, name: str) -> str:
    """Return why a row of the overhead is null."""
    latency = (result.breakdowns.get("sensors") or {}).get("latency")
    return latency["reason"] if latency and name in dict(BESIDE) else why_none(result)
