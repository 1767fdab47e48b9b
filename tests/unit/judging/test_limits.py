"""Limits: what may be written, and the verdict on each figure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.errors import EdgeprofError, UnknownName, UsageError
from edgeprof.judging.limits import Limit, judge, parse_limit
from edgeprof.metrics import REGISTRY
from edgeprof.records.result import Basis, Finding, Metric


def figure(value: float | None, **changes: Any) -> Metric:  # noqa: ANN401  each test changes fields of different types
    facts: dict[str, Any] = {"basis": "measured", "count": 1000, "method": "", "reason": None if value else "broken"}
    return Metric(value=value, **{**facts, **changes})


def verdict_on(limit: str | Limit, metric: Metric | None, *accepted: Basis) -> Finding:
    rule = parse_limit(limit) if isinstance(limit, str) else limit
    (finding,) = judge({} if metric is None else {rule.metric: metric}, [rule], accepted)
    return finding


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "threshold"),
    [
        ("latency_p99_s<0.05", "latency_p99_s", "<", 0.05),
        ("latency_p99_s<50ms", "latency_p99_s", "<", 0.05),
        (" latency_p99_s <= 5e-2 s ", "latency_p99_s", "<=", 0.05),
        ("memory_peak_bytes<=10MB", "memory_peak_bytes", "<=", 10_000_000),
        ("memory_peak_bytes<10MiB", "memory_peak_bytes", "<", 10 * 1024 * 1024),
        ("throughput_hz>30", "throughput_hz", ">", 30),
        ("preempted_ratio<0.05", "preempted_ratio", "<", 0.05),
        ("battery_life_s>=30d", "battery_life_s", ">=", 30 * 86400),
    ],
)
def test_a_limit_is_read_in_the_unit_of_its_metric(text: str, metric: str, comparison: str, threshold: float) -> None:
    limit = parse_limit(text)
    assert (limit.metric, limit.comparison) == (metric, comparison)
    assert limit.threshold == pytest.approx(threshold)
    assert limit.name == text


@pytest.mark.parametrize(
    "text",
    ["", "latency_p99_s", "latency_p99_s=5", "<5", "latency_p99_s<", "latency_p99_s<fast", "throughput_hz>many",
     "memory_peak_bytes<10 parsecs", "latency_p99_s<10MB", "throughput_hz>nan", "latency_p99_s<1<2"],
)  # fmt: skip
def test_what_is_no_limit_is_refused_with_what_was_written(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_limit(text)
    assert refused.value.exit_code == 2


def test_a_metric_that_is_not_known_comes_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownName, match="latency_p98_s") as refused:
        parse_limit("latency_p98_s<1")
    assert "latency_p99_s" in refused.value.hint


@given(st.text())
def test_any_text_is_a_limit_or_is_refused_politely(text: str) -> None:
    try:
        limit = parse_limit(text)
    except EdgeprofError:
        return
    assert limit.metric in REGISTRY


# ── judging ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limit", "value", "verdict"),
    [
        ("latency_mean_s<0.05", 0.04, "PASS"),
        ("latency_mean_s<0.05", 0.05, "FAIL"),
        ("latency_mean_s<=0.05", 0.05, "PASS"),
        ("latency_mean_s<0.05", 0.06, "FAIL"),
        ("throughput_hz>30", 31, "PASS"),
        ("throughput_hz>30", 30, "FAIL"),
        ("throughput_hz>=30", 30, "PASS"),
        ("throughput_hz>30", 29, "FAIL"),
    ],
)
def test_a_figure_passes_exactly_when_the_comparison_holds(limit: str, value: float, verdict: str) -> None:
    finding = verdict_on(limit, figure(value))
    assert finding.verdict == verdict
    assert finding.value == value
    assert finding.reason


@pytest.mark.parametrize(
    ("value", "high", "verdict"),
    [(0.04, 0.045, "PASS"), (0.04, 0.05, "INCONCLUSIVE"), (0.04, None, "INCONCLUSIVE"), (0.06, None, "FAIL")],
)
def test_a_percentile_passes_only_by_its_upper_bound(value: float, high: float | None, verdict: str) -> None:
    assert verdict_on("latency_p99_s<0.05", figure(value, high=high)).verdict == verdict


def test_a_figure_that_was_not_measured_is_inconclusive_with_its_reason() -> None:
    finding = verdict_on("latency_mean_s<1", figure(None))
    assert (finding.verdict, finding.value) == ("INCONCLUSIVE", None)
    assert "broken" in finding.reason


def test_a_metric_that_the_run_does_not_have_is_inconclusive() -> None:
    finding = verdict_on("energy_per_inference_j<1", None)
    assert (finding.verdict, finding.basis) == ("INCONCLUSIVE", None)
    assert finding.reason


@pytest.mark.parametrize("basis", ["emulated", "simulated", "estimated", "declared"])
@pytest.mark.parametrize("value", [0.5, 1.5])
def test_another_basis_is_inconclusive_until_it_is_accepted(basis: Basis, value: float) -> None:
    closed = verdict_on("latency_mean_s<1", figure(value, basis=basis))
    assert closed.verdict == "INCONCLUSIVE"
    assert f"--accept-basis {basis}" in closed.reason
    opened = verdict_on("latency_mean_s<1", figure(value, basis=basis), basis)
    assert opened.verdict == ("PASS" if value < 1 else "FAIL")
    assert basis in opened.reason


def test_accepting_one_basis_accepts_no_other() -> None:
    assert verdict_on("latency_mean_s<1", figure(0.5, basis="estimated"), "simulated").verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("basis", ["measured", "computed"])
def test_what_hardware_or_the_file_says_needs_no_acceptance(basis: Basis) -> None:
    assert verdict_on("model_bytes<1kB", figure(999, basis=basis)).verdict == "PASS"


def test_a_limit_for_information_never_fails() -> None:
    limit = Limit(name="a", metric="latency_mean_s", comparison="<", threshold=1, tier="info")
    assert verdict_on(limit, figure(2)).verdict not in {"FAIL", "INCONCLUSIVE"}


def test_there_is_a_finding_a_limit_in_their_order() -> None:
    rules = [parse_limit("throughput_hz>1"), parse_limit("latency_mean_s<1")]
    found = judge({"latency_mean_s": figure(0.5)}, rules)
    assert [(finding.metric, finding.unit) for finding in found] == [("throughput_hz", "hz"), ("latency_mean_s", "s")]
