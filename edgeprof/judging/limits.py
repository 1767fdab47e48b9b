"""Limits: rules about metrics, and the verdict on each. `judge` is a pure function."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from msgspec import Struct

from edgeprof.errors import UsageError
from edgeprof.metrics import PERCENTILES, metric_kind, unit_of
from edgeprof.records.result import Basis, Finding, Metric, Tier, Verdict
from edgeprof.units import format_value, parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Comparison = Literal["<", "<=", ">", ">="]
Gate = Literal["target", "hard"]
COMPARISONS: dict[str, Comparison] = {name: name for name in get_args(Comparison)}
_TERM = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=|<|>)\s*(.+?)\s*")
HARDWARE: tuple[Basis, ...] = ("measured", "computed")
ASKED = "the command line"
"""The source of a limit that somebody wrote for this very run. A profile holds limits for all kinds of boards and skips
those of the others; one that was asked for by itself and cannot be judged has not been kept."""
_MISSED = {"target": "misses the target", "hard": "breaks the hard limit", "info": "for information only"}


class Limit(Struct, frozen=True, kw_only=True):
    """A rule: `metric` compared with `threshold` in the metric's own unit; `bases` are those that it accepts.

    `stated` is the threshold as its author wrote it, with the unit; `quote` is what the source says.
    """

    name: str
    metric: str
    comparison: Comparison
    threshold: float
    tier: Tier = "hard"
    bases: tuple[Basis, ...] = HARDWARE
    source: str = ""
    stated: str = ""
    statistic: str = ""
    quote: str = ""
    note: str = ""


def parse_limit(text: str) -> Limit:
    """Read a limit such as `latency_p99_s<0.05`, `latency_p99_s<50ms` or `memory_peak_bytes<=10MB`."""
    matched = _TERM.fullmatch(text)
    if matched is None:
        raise UsageError(f"{text!r} is not a limit", hint="a limit is METRIC<VALUE, such as 'latency_p99_s<0.05'")
    metric, comparison, value = matched[1], COMPARISONS[matched[2]], matched[3]
    metric_kind(metric)
    threshold = parse_threshold(text, metric, value)
    return Limit(name=text, metric=metric, comparison=comparison, threshold=threshold, stated=value, source=ASKED)


def parse_threshold(limit: str, metric: str, value: str) -> float:
    """Return a threshold in the metric's unit; durations and sizes may carry another. `limit` is named in errors."""
    match unit_of(metric):
        case "s":
            return parse_duration(value)
        case "bytes":
            return parse_size(value)
        case _:
            try:
                number = float(value)
            except ValueError:
                raise UsageError(f"{limit!r}: {value!r} is not a number") from None
            if not isfinite(number):
                raise UsageError(f"{limit!r}: {value!r} is not a finite number")
            return number


def states_exactly(limit: Limit) -> bool:
    """Return whether the threshold as its author wrote it reads as just the threshold: rounded text does not."""
    try:
        return parse_threshold(limit.name, limit.metric, limit.stated) == limit.threshold
    except UsageError:
        return False


# ── judging ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Rules(NamedTuple):
    """What holds for all limits of one call."""

    accepted: frozenset[Basis]
    gate: Gate
    never: Mapping[str, str]


class _Comparison(NamedTuple):
    """How a figure stands to a limit. `holds` is None where that cannot be told."""

    holds: bool | None
    reason: str


def judge(
    metrics: Mapping[str, Metric],
    limits: Iterable[Limit],
    accepted: Iterable[Basis] = (),
    *,
    gate: Gate = "target",
    never: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """Return one finding a limit.

    `accepted` are bases that were opened with --accept-basis. With the gate `hard` a missed target is a WARN. `never`
    maps metrics that what is judged can never have to the reason: a profile's limits on them are skipped, those asked
    for by themselves are INCONCLUSIVE. A limit of the tier `info` passes or is skipped, so that it never gates: not
    even under --strict, where WARN and INCONCLUSIVE do.
    """
    rules = _Rules(frozenset(accepted), gate, never or {})
    return tuple(_judge_one(metrics, limit, rules) for limit in limits)


def _judge_one(metrics: Mapping[str, Metric], limit: Limit, rules: _Rules) -> Finding:
    metric = metrics.get(limit.metric)
    if metric is None and limit.metric in rules.never:
        verdict: Verdict = "INCONCLUSIVE" if limit.source == ASKED else "SKIP"
        return _finding(limit, None, verdict, f"not applicable: {rules.never[limit.metric]}")
    compared = _compare(limit, metric, rules.accepted)
    match compared.holds:
        case True:
            return _finding(limit, metric, "PASS", compared.reason)
        case _ if limit.tier == "info":
            return _finding(limit, metric, "SKIP", f"{_MISSED['info']}: {compared.reason}")
        case None:
            return _finding(limit, metric, "INCONCLUSIVE", compared.reason)
        case False:
            eased = limit.tier == "target" and rules.gate == "hard"
            reason = f"{_MISSED[limit.tier]}: {compared.reason}"
            return _finding(limit, metric, "WARN" if eased else "FAIL", reason)


def _compare(limit: Limit, metric: Metric | None, accepted: frozenset[Basis]) -> _Comparison:
    if metric is None:
        return _Comparison(None, "this run does not measure it")
    if metric.value is None:
        return _compare_unknown(limit, metric)
    if metric.basis in limit.bases:
        return _compare_value(limit, metric, metric.value)
    if metric.basis not in accepted:
        return _Comparison(None, f"the figure is {metric.basis}; --accept-basis {metric.basis} lets it count")
    holds, reason = _compare_value(limit, metric, metric.value)
    return _Comparison(holds, f"{reason} (on the basis {metric.basis}, which --accept-basis opened)")


def _compare_unknown(limit: Limit, metric: Metric) -> _Comparison:
    """Fail what is too much already by its lower bound; nothing else can be told."""
    too_much = metric.low is not None and limit.comparison in {"<", "<="} and not _holds(metric.low, limit)
    if metric.low is None or not too_much or metric.basis not in limit.bases:
        return _Comparison(None, f"not measured: {metric.reason}")
    seen = _figure(limit.metric, metric.low)
    return _Comparison(holds=False, reason=f"at least {seen}, the limit is {_wanted(limit)}; {metric.reason}")


def _compare_value(limit: Limit, metric: Metric, value: float) -> _Comparison:
    """Compare a figure. A percentile passes only by its upper bound, and fails already by its value."""
    seen, wanted = _figure(limit.metric, value), _wanted(limit)
    if not _holds(value, limit):
        return _Comparison(holds=False, reason=f"{seen}, the limit is {wanted}")
    if limit.metric not in PERCENTILES or limit.comparison in {">", ">="}:
        return _Comparison(holds=True, reason=f"{seen}, the limit is {wanted}")
    if metric.high is None:
        return _Comparison(None, f"{seen}, but too few samples for a 95 % upper bound; the limit is {wanted}")
    bound = format_value(limit.metric, metric.high)
    if not _holds(metric.high, limit):
        return _Comparison(None, f"{seen}, but its 95 % upper bound is {bound}; the limit is {wanted}")
    return _Comparison(holds=True, reason=f"{seen}, 95 % upper bound {bound}, the limit is {wanted}")


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


def _figure(metric: str, value: float) -> str:
    """Return a figure as people read it; sizes also to the byte, which reads as MB and compares with MiB."""
    text = format_value(metric, value)
    return text if unit_of(metric) != "bytes" or text.endswith(" B") else f"{value:,.0f} B ({text})"


def _wanted(limit: Limit) -> str:
    text = format_value(limit.metric, limit.threshold)
    decimal = unit_of(limit.metric) == "bytes" and limit.stated.endswith(("kB", "KB", "MB", "GB"))
    return f"{limit.comparison} {limit.stated} ({text})" if decimal else f"{limit.comparison} {text}"


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
