"""Limits: rules about metrics, and the verdict on each. `judge` is a pure function."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from edgeprof.errors import UsageError
from edgeprof.metrics import PERCENTILES, metric_kind, unit_of
from edgeprof.records.result import Basis, Finding, Metric, Tier, Verdict
from edgeprof.units import format_value, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Comparison = Literal["<", "<=", ">", ">="]
COMPARISONS: dict[str, Comparison] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TERM = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=|<|>)\s*(.+?)\s*")
HARDWARE: tuple[Basis, ...] = ("measured", "computed")


class Limit(Struct, frozen=True, kw_only=True):
    """A rule: `metric` compared with `threshold` in the metric's own unit; `bases` are those that it accepts."""

    name: str
    metric: str
    comparison: Comparison
    threshold: float
    tier: Tier = "hard"
    bases: tuple[Basis, ...] = HARDWARE
    source: str = ""


def parse_limit(text: str) -> Limit:
    """Read a limit such as `latency_p99_s<0.05`, `latency_p99_s<50ms` or `memory_peak_bytes<=10MB`."""
    matched = _TERM.fullmatch(text)
    if matched is None:
        raise UsageError(f"{text!r} is not a limit", hint="a limit is METRIC<VALUE, such as 'latency_p99_s<0.05'")
    metric, comparison, value = matched[1], COMPARISONS[matched[2]], matched[3]
    metric_kind(metric)
    threshold = _threshold(text, metric, value)
    return Limit(name=text, metric=metric, comparison=comparison, threshold=threshold, source="the command line")


def _threshold(text: str, metric: str, value: str) -> float:
    match unit_of(metric):
        case "s":
            return parse_duration(value)
        case "bytes":
            return parse_size(value)
        case _:
            try:
                return float(value)
            except ValueError:
                raise UsageError(f"{text!r}: {value!r} is not a number") from None


def judge(
    metrics: Mapping[str, Metric], limits: Iterable[Limit], accepted: Iterable[Basis] = ()
) -> tuple[Finding, ...]:
    """Return one finding a limit; `accepted` are bases that were opened with --accept-basis."""
    return tuple(_judge_one(metrics, limit, frozenset(accepted)) for limit in limits)


def _judge_one(metrics: Mapping[str, Metric], limit: Limit, accepted: frozenset[Basis]) -> Finding:
    metric = metrics.get(limit.metric)
    if metric is None:
        return _finding(limit, None, "INCONCLUSIVE", "this run does not measure it")
    if metric.value is None:
        return _finding(limit, metric, "INCONCLUSIVE", f"not measured: {metric.reason}")
    if metric.basis not in limit.bases and metric.basis not in accepted:
        return _finding(
            limit, metric, "INCONCLUSIVE", f"the figure is {metric.basis}; --accept-basis {metric.basis} lets it count"
        )
    verdict, reason = _compare(limit, metric, metric.value)
    if metric.basis not in limit.bases:
        reason = f"{reason} (on the basis {metric.basis}, which --accept-basis opened)"
    return _finding(limit, metric, verdict, reason)


def _compare(limit: Limit, metric: Metric, value: float) -> tuple[Verdict, str]:
    seen = format_value(limit.metric, value)
    wanted = f"{limit.comparison} {format_value(limit.metric, limit.threshold)}"
    if not _holds(value, limit):
        verdict: Verdict = "WARN" if limit.tier == "info" else "FAIL"
        return verdict, f"{seen}, the limit is {wanted}"
    if limit.metric not in PERCENTILES or limit.comparison in {">", ">="}:
        return "PASS", f"{seen}, the limit is {wanted}"
    if metric.high is None:
        return "INCONCLUSIVE", f"{seen}, but too few samples for a 95 % upper bound; the limit is {wanted}"
    bound = format_value(limit.metric, metric.high)
    if not _holds(metric.high, limit):
        return "INCONCLUSIVE", f"{seen}, but its 95 % upper bound is {bound}; the limit is {wanted}"
    return "PASS", f"{seen}, 95 % upper bound {bound}, the limit is {wanted}"


def _holds(value: float, limit: Limit) -> bool:
    match limit.comparison:
        case "<":
            return value < limit.threshold
        case "<=":
            return value <= limit.threshold
        case ">":
            return value > limit.threshold
        case ">=":
            return value >= limit.threshold


def _finding(limit: Limit, metric: Metric | None, verdict: Verdict, reason: str) -> Finding:
    return Finding(
        limit=limit.name,
        metric=limit.metric,
        verdict=verdict,
        tier=limit.tier,
        value=metric.value if metric else None,
        threshold=limit.threshold,
        unit=unit_of(limit.metric),
        basis=metric.basis if metric else None,
        source=limit.source,
        reason=reason,
    )
