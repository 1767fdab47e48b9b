"""What the library answers besides measuring: from results, recordings and declared figures, with the same records."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgeprof

KWS = Path(__file__).resolve().parents[2] / "examples" / "models" / "kws_int8.tflite"


@pytest.fixture(scope="module")
def result() -> edgeprof.Result:
    return edgeprof.profile(KWS, "sim:nucleo-l4r5zi", runs=30, history=False)


def test_a_recorded_trace_is_integrated(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    rows = (f"{at / 1000},3.0,{0.010 if at >= 500 else 0.001}" for at in range(1500))
    trace.write_text("\n".join(["time_s,voltage_v,current_a", *rows]), encoding="utf-8")
    report = edgeprof.energy(trace, options=edgeprof.EnergyOptions(inferences=10))
    assert report.metrics["energy_per_inference_j"].value == pytest.approx((0.030 + 0.0015) / 10, rel=0.01)


def test_a_battery_life_needs_no_result() -> None:
    options = edgeprof.BatteryOptions(
        cell="cr2032", period_s=600.0, sleep_a=2e-6, energy_j=1e-3, latency_s=0.1, supply_v=3.0, regulator="none"
    )
    life = edgeprof.battery_life(options).metrics["battery_life_s"]
    assert life.value is not None
    assert life.value > 86400


def test_what_is_missing_for_a_battery_life_is_named(result: edgeprof.Result) -> None:
    with pytest.raises(edgeprof.EdgeprofError, match="--sleep-current"):
        edgeprof.battery_life(edgeprof.BatteryOptions(cell="cr2032", period_s=1.0), result)


def test_a_result_is_judged_for_a_deployment_by_name(result: edgeprof.Result) -> None:
    report = edgeprof.readiness(result, "mobile")
    assert [one.deployment for one in report.deployments] == ["mobile"]


@pytest.mark.parametrize("format_name", ["table", "json", "markdown", "html", "csv", "junit", "perfetto"])
def test_a_result_is_drawn_in_each_format(result: edgeprof.Result, format_name: str) -> None:
    assert "kws" in edgeprof.render(result, format_name)


def test_a_format_that_is_not_there_is_refused(result: edgeprof.Result) -> None:
    with pytest.raises(edgeprof.EdgeprofError, match="unknown format 'pdf'"):
        edgeprof.render(result, "pdf")


def test_kept_results_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPROF_DB", f"sqlite:///{tmp_path}/history.db")
    measured = edgeprof.profile(KWS, "sim:nucleo-l4r5zi", runs=5, tag="answers")
    assert [entry.id for entry in edgeprof.list_results(tag="answers")] == [measured.id]


def test_a_target_that_was_not_calibrated_predicts_nothing() -> None:
    with pytest.raises(edgeprof.EdgeprofError, match="has not been calibrated"):
        edgeprof.predict(KWS, "ssh://pi@board.example", threads=3)


def test_one_limit_or_profile_needs_no_list(tmp_path: Path) -> None:
    assert edgeprof.check(KWS, "mobile").findings
    path = tmp_path / "result.json"
    edgeprof.profile(KWS, "sim:nucleo-l4r5zi", runs=5, limits="model_bytes<10MB", output=path, history=False)
    assert [finding.verdict for finding in edgeprof.load_result(path).findings] == ["PASS"]


def test_one_board_needs_no_list() -> None:
    assert [board.board for board in edgeprof.fit(KWS, boards="nucleo-l4r5zi").boards] == ["nucleo-l4r5zi"]


def test_an_option_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"no option 'duration'.*duration_s"):
        edgeprof.profile(KWS, duration=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"no option 'board'.*boards"):
        edgeprof.fit(KWS, board="nucleo-l4r5zi")  # type: ignore[call-arg]
