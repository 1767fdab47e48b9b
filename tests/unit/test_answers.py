"""What the library answers besides measuring: from results, recordings and declared figures, with the same records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"inferences": -5}, "--inferences has to be above 0"),
        ({"voltage_v": float("nan")}, "--voltage has to be above 0"),
        ({"price_usd_per_kwh": -5.0}, "--price cannot be below 0"),
        ({"idle_side": "zz"}, "--idle-side zz: both, before, after can be"),
    ],
)
def test_a_recording_is_not_integrated_with_what_cannot_be(changed: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(edgeprof.EdgeprofError, match=told):
        edgeprof.energy(tmp_path / "trace.csv", options=edgeprof.EnergyOptions()._replace(**changed))


@pytest.mark.parametrize(("changed", "told"), [({"series": 0}, "--series 0"), ({"regulator": "zz"}, "--regulator zz")])
def test_a_battery_that_cannot_be_is_refused(changed: dict[str, Any], told: str) -> None:
    options = edgeprof.BatteryOptions(
        cell="cr2032", period_s=60.0, sleep_a=2e-6, energy_j=1e-3, latency_s=0.1, supply_v=3.0
    )
    with pytest.raises(edgeprof.EdgeprofError, match=told):
        edgeprof.battery_life(options._replace(**changed))


def test_a_format_that_cannot_be_calibrated_is_refused_before_anything_runs() -> None:
    with pytest.raises(edgeprof.EdgeprofError, match="format 'zz' cannot be calibrated"):
        edgeprof.calibrate(formats=["zz"])  # type: ignore[list-item]


def test_a_tracker_that_is_not_known_is_refused(result: edgeprof.Result, tmp_path: Path) -> None:
    with pytest.raises(edgeprof.EdgeprofError, match="unknown tracker 'paper'"):
        edgeprof.export(result, "paper", tmp_path)


def test_one_target_or_sweep_needs_no_list() -> None:
    results, failures = edgeprof.profile_all(KWS, "sim:raspberry-pi-5", sweep="threads=1,2", runs=5, history=False)
    assert [result.variant for result in results] == ["threads=1", "threads=2"]
    assert not failures


def test_a_throttled_run_is_told_when_it_is_checked_and_when_it_is_compared(tmp_path: Path) -> None:
    cool, hot = tmp_path / "cool.json", tmp_path / "hot.json"
    edgeprof.profile(KWS, "sim:raspberry-pi-5", runs=200, output=cool, history=False)
    edgeprof.profile(KWS, "sim:raspberry-pi-5?fault=throttle&after=10", runs=200, output=hot, history=False)
    assert "run/throttled" in [finding.limit for finding in edgeprof.check(hot, "model_bytes<10MB").findings]
    (found,) = edgeprof.compare(cool, hot)
    assert [warned.text for warned in found.warnings if warned.text.startswith("NEW: ")] != []
