"""A run that fell back: what was named did not run the model, so the run fails and no limit holds for it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from edgeprof.api import exit_code
from edgeprof.comparing.results import compared
from edgeprof.errors import UsageError
from edgeprof.judging.checking import LARGEST, SUMMED
from edgeprof.judging.fallback import fallback_findings, required
from edgeprof.judging.limits import Limit, parse_limit
from edgeprof.judging.marks import judge_result, run_findings
from edgeprof.judging.readiness import assess
from edgeprof.judging.readiness import exit_code as readiness_code
from edgeprof.metrics import OF_THE_FILE, REGISTRY
from edgeprof.profiling.plan import Options
from edgeprof.profiling.runtime_choice import parse_providers, settled_choice
from edgeprof.records.result import Metric, Result, Warned
from edgeprof.targets import resolve_target

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def told(result: Result, *codes: str, providers: tuple[str, ...] = (CUDA,), share: float | None = 0.0) -> Result:
    """Return a result of a run with CUDA that was warned of this."""
    warnings = tuple(Warned(code=code, text=f"of {code}", advice="") for code in codes)
    reason = None if share is not None else "not told"
    metrics = {
        **{name: Metric(value=1.0, basis="measured", count=1, method="") for name in REGISTRY},
        "delegated_ratio": Metric(value=share, basis="computed", count=22, method="", reason=reason),
    }
    return replace(
        result, metrics=metrics, warnings=warnings, plan=replace(result.plan, format="onnx", providers=providers)
    )


def verdict(result: Result) -> tuple[str, str]:
    (finding,) = fallback_findings(result)
    assert finding.limit == "run/fallback"
    return finding.verdict, finding.tier


@pytest.mark.parametrize("code", ["cpu-fallback", "provider-missing", "provider-unused"])
def test_what_was_named_and_took_nothing_fails_the_run_without_any_limit(small_result: Result, code: str) -> None:
    result = told(small_result, code)
    findings = run_findings(result)
    assert [(finding.verdict, finding.reason) for finding in findings] == [("FAIL", f"of {code}")]
    assert exit_code([replace(result, findings=findings)]) == 1
    assert not replace(result, findings=findings).passed


def test_what_took_a_part_warns_with_the_nodes_and_what_does_not_tell_is_open(small_result: Result) -> None:
    partly, unknown = told(small_result, "partial-delegation"), told(small_result, "delegation-unknown")
    assert (verdict(partly), verdict(unknown)) == (("WARN", "hard"), ("INCONCLUSIVE", "hard"))
    codes = [
        exit_code([replace(partly, findings=fallback_findings(partly))], strict=strict) for strict in (False, True)
    ]
    assert codes == [0, 1]
    assert exit_code([replace(unknown, findings=fallback_findings(unknown))], strict=True) == 6


def test_the_cpu_that_was_named_for_the_rest_takes_it_by_right(small_result: Result) -> None:
    assert verdict(told(small_result, "partial-delegation", providers=(CUDA, CPU))) == ("SKIP", "info")


def test_the_cpu_that_was_named_is_no_excuse_for_a_provider_that_took_nothing(small_result: Result) -> None:
    assert verdict(told(small_result, "cpu-fallback", providers=(CUDA, CPU))) == ("FAIL", "hard")


def test_the_worst_of_several_counts_and_all_are_told(small_result: Result) -> None:
    (finding,) = fallback_findings(told(small_result, "partial-delegation", "provider-missing"))
    assert (finding.verdict, finding.reason) == ("FAIL", "of partial-delegation; of provider-missing")


def test_the_share_of_the_macs_stands_beside_that_of_the_nodes(small_result: Result) -> None:
    result = replace(told(small_result, "partial-delegation"), breakdowns={"delegation": {"macs_ratio": 0.75}})
    assert fallback_findings(result)[0].reason == "of partial-delegation; it took 75.00 % of the MACs"


def test_a_run_of_which_nothing_is_said_has_no_finding(small_result: Result) -> None:
    assert fallback_findings(told(small_result, "noisy", share=1.0)) == ()


# ── the other limits ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_only_what_the_file_tells_is_judged_of_a_run_that_fell_back(small_result: Result, threshold: float) -> None:
    limits = [Limit(name=name, metric=name, comparison="<", threshold=threshold) for name in REGISTRY]
    before = {f.limit: f.verdict for f in judge_result(told(small_result), limits)}
    after = {f.limit: f.verdict for f in judge_result(told(small_result, "cpu-fallback"), limits)}
    stays = {*OF_THE_FILE, "delegated_ratio"}
    assert {name for name, verdict in after.items() if verdict != "INCONCLUSIVE"} == stays
    assert all(after[name] == before[name] for name in stays)


def test_a_part_that_ran_elsewhere_leaves_the_limits_as_they_are(small_result: Result) -> None:
    (finding,) = judge_result(told(small_result, "partial-delegation"), [parse_limit("latency_max_s<2")])
    assert finding.verdict == "PASS"


def test_a_limit_for_information_never_gates(small_result: Result) -> None:
    limit = Limit(name="x", metric="latency_max_s", comparison="<", threshold=2, tier="info")
    (finding,) = judge_result(told(small_result, "cpu-fallback"), [limit])
    assert finding.verdict == "SKIP"
    assert "fell back" in finding.reason


def test_what_the_file_tells_is_what_check_reads_off_a_model() -> None:
    assert {*SUMMED, *LARGEST} == OF_THE_FILE


def test_a_run_that_throttled_as_well_tells_of_both(small_result: Result) -> None:
    result = told(small_result, "cpu-fallback", "throttled")
    (finding,) = judge_result(result, [parse_limit("latency_max_s<2")])
    assert finding.verdict == "INCONCLUSIVE"
    assert "fell back" in finding.reason
    assert "throttled" in finding.reason
    assert [one.limit for one in run_findings(result)] == ["run/fallback", "run/throttled"]


# ── a share that is required ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("share", "verdict", "code"), [(0.96, "PASS", 0), (0.94, "FAIL", 1), (None, "INCONCLUSIVE", 6)]
)
def test_a_required_share_is_kept_missed_or_not_known(
    small_result: Result, share: float | None, verdict: str, code: int
) -> None:
    result = told(small_result, share=share)
    findings = judge_result(result, required(0.95))
    assert [(finding.limit, finding.verdict) for finding in findings] == [("run/delegated", verdict)]
    assert exit_code([replace(result, findings=findings)]) == code


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(), "nothing is named to delegate to"),
        (Options(providers=("cpu",)), "--provider CPUExecutionProvider delegates nothing"),
    ],
)
def test_a_share_for_nobody_is_refused(options: Options, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settled_choice(options._replace(require_delegated_ratio=0.5), "onnx", resolve_target("local"))


def test_a_share_for_the_runtimes_own_kernels_is_refused() -> None:
    options = Options(delegate="none", require_delegated_ratio=0.5)
    with pytest.raises(UsageError, match="--delegate none delegates nothing"):
        settled_choice(options, "tflite", resolve_target("local"))


def test_a_providers_own_name_is_taken_however_it_is_written() -> None:
    assert parse_providers(["TensorRTExecutionProvider"]) == ("TensorrtExecutionProvider",)


# ── readiness and comparisons ────────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_fell_back_is_ready_for_nothing(small_result: Result) -> None:
    report = assess(told(small_result, "cpu-fallback"), ["edge"])
    assert report.deployments[0].verdict == "NOT READY"
    assert report.deployments[0].reasons[0] == "run/fallback: of cpu-fallback"
    assert readiness_code(report) == 1


def test_a_side_that_fell_back_is_told_and_no_change_is_judged_by_it(small_result: Result) -> None:
    good, bad = told(small_result, share=1.0), replace(told(small_result, "cpu-fallback"), id="other")
    for base, new, side in ((good, bad, "NEW"), (bad, good, "BASE"), (bad, bad, "BASE and NEW")):
        found = {finding.limit: finding for finding in compared(base, new, "now").findings}
        assert found["run/fallback"].verdict == "FAIL"
        assert all(name in found["run/fallback"].reason for name in side.split(" and "))
        assert found["regression/latency_p50_s"].verdict == "INCONCLUSIVE"
        assert f"{side} fell back" in found["regression/latency_p50_s"].reason
        assert found["regression/model_bytes"].verdict == "PASS"
    assert "run/fallback" not in [finding.limit for finding in compared(good, good, "now").findings]
