"""A marked run: no limit on time or energy is kept by a board that starved or overheated, and its findings say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from edgeprof import Options, profile
from edgeprof.api import exit_code
from edgeprof.judging.limits import parse_limit
from edgeprof.judging.marks import judge_result, run_findings
from edgeprof.records.result import Finding, Metric, Result, Warned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOT = "sim:raspberry-pi-5?fault=throttle&after=200"
KEPT, MISSED = "latency_p50_s<1s", "latency_p50_s<0.1ms"


def marked(result: Result, *codes: str) -> Result:
    """Return the result with these marks and a figure of each kind."""
    figures = {"latency_mean_s": 0.5, "energy_per_inference_j": 0.5, "memory_peak_bytes": 5.0}
    metrics = {name: Metric(value=value, basis="measured", count=9, method="") for name, value in figures.items()}
    return replace(result, metrics=metrics, warnings=tuple(Warned(code=code, text=code, advice="") for code in codes))


def verdicts(result: Result, *limits: str) -> list[str]:
    return [finding.verdict for finding in judge_result(result, map(parse_limit, limits))]


def run(model: Path, target: str = HOT, limits: Sequence[str] = (), **options: Any) -> Result:  # noqa: ANN401  options of different types
    return profile(
        model,
        target,
        options=Options(memory=False, **options),
        limits=limits,
        accept_basis=["simulated"],
        history=False,
    )


def of(result: Result, limit: str) -> Finding:
    return next(finding for finding in result.findings if finding.limit == limit)


# ── a run that is marked ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", ["throttled", "undervoltage"])
def test_new_bits_leave_no_pass_on_time_or_energy_and_ease_no_fail(small_result: Result, code: str) -> None:
    result = marked(small_result, code)
    kept = ("latency_mean_s<1", "energy_per_inference_j<1", "memory_peak_bytes<10")
    assert verdicts(result, *kept) == ["INCONCLUSIVE", "INCONCLUSIVE", "PASS"]
    assert verdicts(result, "latency_mean_s<0.1", "energy_per_inference_j<0.1") == ["FAIL", "FAIL"]
    reasons = [finding.reason for finding in judge_result(result, map(parse_limit, kept))]
    assert ["this run is marked" in reason for reason in reasons] == [True, True, False]


def test_what_is_no_mark_changes_nothing(small_result: Result) -> None:
    assert verdicts(marked(small_result, "hot"), "latency_mean_s<1") == ["PASS"]
    assert run_findings(marked(small_result, "hot")) == ()


def test_bits_from_before_the_run_leave_open_what_was_measured_in_it(small_result: Result) -> None:
    result = marked(small_result, "throttled-before")
    limits = ("latency_mean_s<1", "energy_per_inference_j<0.1", "memory_peak_bytes<10")
    assert verdicts(result, *limits) == ["INCONCLUSIVE", "INCONCLUSIVE", "PASS"]
    assert run_findings(result) == ()
    both = marked(small_result, "throttled-before", "throttled")
    assert verdicts(both, *limits) == ["INCONCLUSIVE", "FAIL", "PASS"]


def test_information_keeps_its_verdict_and_never_gates(small_result: Result) -> None:
    rule = replace(parse_limit("latency_mean_s<1"), tier="info")
    (finding,) = judge_result(marked(small_result, "undervoltage"), [rule])
    assert (finding.verdict, "this run is marked" in finding.reason) == ("PASS", True)


def test_a_run_that_throttles_says_so_in_its_findings_with_and_without_limits(kws: Path) -> None:
    without = run(kws, runs=1000)
    assert [(one.limit, one.verdict) for one in without.findings] == [("run/throttled", "INCONCLUSIVE")]
    assert without.findings[0].value == pytest.approx(0.8, abs=0.1)
    judged = run(kws, runs=1000, limits=[KEPT, MISSED, "model_bytes<1MB"])
    assert [of(judged, name).verdict for name in (KEPT, MISSED, "model_bytes<1MB")] == ["INCONCLUSIVE", "FAIL", "PASS"]
    assert (exit_code([without]), exit_code([without], strict=True)) == (0, 6)
    assert (exit_code([judged]), exit_code([judged], strict=True)) == (1, 1)


# ── a lasting run that is there to throttle ──────────────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_lasting_run_keeps_a_limit_that_its_throttled_part_keeps_too(kws: Path) -> None:
    limits = [KEPT, "latency_p90_s<1s", "latency_p99_s<1s", "latency_max_s<1s", "latency_mean_s<1s", "throughput_hz>1",
              "latency_load_s<1s"]  # fmt: skip
    result = run(kws, duration_s=60.0, limits=limits)
    assert [of(result, name).verdict for name in limits] == ["PASS"] * len(limits)
    assert "while it throttled: " in of(result, KEPT).reason
    assert "before the board throttled" in of(result, "latency_load_s<1s").reason
    assert (of(result, "run/throttled").verdict, of(result, "run/throttled").tier) == ("SKIP", "info")
    assert exit_code([result], strict=True) == 0


def test_a_limit_that_only_the_cool_part_keeps_is_open_however_long_that_part_was(kws: Path) -> None:
    limit = "latency_p50_s<300us"
    target = "sim:raspberry-pi-5?fault=throttle&after=9000"
    result = run(kws, target, duration_s=60.0, limits=[limit])
    found = of(result, limit)
    assert (result.metrics["latency_p50_s"].value or 1) < 300e-6
    assert found.verdict == "INCONCLUSIVE"
    assert "all samples: " in found.reason
    assert "while it throttled: breaks the hard limit: 3" in found.reason


def test_what_is_not_told_of_the_throttled_part_alone_is_open(kws: Path) -> None:
    result = run(kws, duration_s=60.0, limits=["latency_std_s<1s"])
    assert of(result, "latency_std_s<1s").verdict == "INCONCLUSIVE"


def test_a_supply_that_is_too_weak_marks_a_lasting_run_like_any_other(kws: Path) -> None:
    result = run(kws, duration_s=60.0)
    weak = replace(result, warnings=(*result.warnings, Warned(code="undervoltage", text="too low", advice="")))
    assert judge_result(weak, [parse_limit(KEPT)], ["simulated"])[0].verdict == "INCONCLUSIVE"
    assert {one.limit: one.verdict for one in run_findings(weak)} == {
        "run/throttled": "INCONCLUSIVE", "run/undervoltage": "INCONCLUSIVE",
    }  # fmt: skip


def test_a_lasting_deadline_run_is_judged_by_its_throttled_part_too(kws: Path) -> None:
    limits = ["deadline_max_s<1s", "deadline_p50_s<1s", "deadline_miss_ratio<0.1", "deadline_p50_s<300us"]
    options: dict[str, Any] = {"period_s": 0.033, "duration_s": 10.0}
    result = run(kws, "sim:raspberry-pi-5?fault=throttle&after=200", limits=limits, **options)
    assert "throttled" in {warned.code for warned in result.warnings}
    assert [of(result, name).verdict for name in limits] == ["PASS", "PASS", "PASS", "INCONCLUSIVE"]
    assert of(result, "run/throttled").verdict == "SKIP"
    (launch,) = result.breakdowns["deadline"].values()
    assert (launch["throttled"]["count"], launch["throttled"]["missed_count"]) == (launch["releases_count"] - 200, 0)


def test_deadlines_after_other_passes_are_no_lasting_run(kws: Path) -> None:
    result = run(
        kws, "sim:raspberry-pi-5?fault=throttle&after=10", limits=["deadline_max_s<1s"], runs=300, period_s=0.01
    )
    assert of(result, "deadline_max_s<1s").verdict == "INCONCLUSIVE"
    assert of(result, "run/throttled").verdict == "INCONCLUSIVE"
