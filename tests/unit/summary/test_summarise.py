"""A measurement to metrics: what was not measured is absent with its reason, never 0."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from edgeprof.metrics import REGISTRY
from edgeprof.records.result import (
    Measurement,
    Metric,
    OperatorTicks,
    PassKind,
    PassMeasurement,
    SampleColumns,
)
from edgeprof.summary.summarise import all_samples, measured_metrics, operator_times, spread, steady_launches
from edgeprof.wire import PREEMPTED, WARMUP


def latency(
    durations: list[float],
    *,
    flags: list[int] | None = None,
    batch: int = 1,
    launch: int = 0,
    **changes: Any,  # noqa: ANN401
) -> PassMeasurement:
    columns = SampleColumns(
        start=tuple(float(at) for at in range(len(durations))),
        duration=tuple(durations),
        batch=(batch,) * len(durations),
        flags=tuple(flags or [0] * len(durations)),
    )
    measured = PassMeasurement(kind="latency", launch=launch, complete=True, runtime="r", samples=columns)
    return replace(measured, **changes)


def failed(kind: PassKind, failure: str, text: str = "") -> PassMeasurement:
    return PassMeasurement(kind=kind, launch=0, complete=False, failure=failure, failure_text=text)


def metrics_of(*passes: PassMeasurement, **changes: Any) -> dict[str, Metric]:  # noqa: ANN401  as many kinds as fields
    return measured_metrics(replace(Measurement(passes=passes, capabilities=("latency", "preemption")), **changes))


HUNDRED = [at / 1000 for at in range(1, 101)]


# ── latency ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_known_samples_give_known_figures() -> None:
    found = metrics_of(latency(HUNDRED))
    values = {name: found[name].value for name in found}
    assert values["latency_min_s"] == 0.001
    assert values["latency_max_s"] == 0.1
    assert values["latency_mean_s"] == pytest.approx(0.0505)
    assert values["latency_std_s"] == pytest.approx(0.029011, abs=1e-6)
    assert values["latency_p50_s"] == pytest.approx(0.0505)
    assert values["latency_p99_s"] == pytest.approx(0.09901)
    assert values["throughput_hz"] == pytest.approx(100 / 5.05)
    assert values["preempted_ratio"] == 0


def test_warm_up_samples_count_nowhere() -> None:
    found = metrics_of(latency([9.0, 9.0, *HUNDRED], flags=[WARMUP, WARMUP, *[0] * 100]))
    assert found["latency_max_s"].value == 0.1
    assert found["latency_p50_s"].count == 100


def test_a_sample_of_a_batch_is_its_mean_and_the_method_says_so() -> None:
    found = metrics_of(latency([0.01, 0.02], batch=10))
    assert found["latency_min_s"].value == pytest.approx(0.001)
    assert found["throughput_hz"].value == pytest.approx(20 / 0.03)
    assert "batches of 10" in found["latency_p50_s"].method


@pytest.mark.parametrize(("name", "fewest"), [("latency_p90_s", 10), ("latency_p95_s", 20), ("latency_p99_s", 100)])
def test_a_percentile_is_refused_when_there_are_too_few_samples(name: str, fewest: int) -> None:
    refused = metrics_of(latency([0.001] * (fewest - 1)))[name]
    assert refused.value is None
    assert str(fewest) in (refused.reason or "")
    assert metrics_of(latency([0.001] * fewest))[name].value == 0.001


@pytest.mark.parametrize(("name", "count"), [("latency_p95_s", 59), ("latency_p99_s", 299)])
def test_the_upper_bound_of_a_percentile_needs_its_samples(name: str, count: int) -> None:
    assert metrics_of(latency([0.001] * (count - 1)))[name].high is None
    bounded = metrics_of(latency([0.001] * count))[name]
    assert (bounded.high, bounded.confidence, bounded.scope) == (0.001, 0.95, "within-run")


def test_one_sample_has_no_spread_and_that_is_no_zero() -> None:
    spread_of_one = metrics_of(latency([0.001]))["latency_std_s"]
    assert spread_of_one.value is None
    assert spread_of_one.reason


def test_bounds_hold_across_launches_from_five_of_them_on() -> None:
    launches = [latency([0.001 * (10 + launch)] * 20, launch=launch) for launch in range(5)]
    four, five = metrics_of(*launches[:4])["latency_p50_s"], metrics_of(*launches)["latency_p50_s"]
    assert four.scope == "within-run"
    assert five.scope == "across-launches"
    assert five.low is not None
    assert five.high is not None
    assert five.low < 0.012 < five.high


def test_unpreempted_percentiles_leave_preempted_samples_out() -> None:
    flags = [PREEMPTED if duration > 0.09 else 0 for duration in HUNDRED] * 2
    found = metrics_of(latency(HUNDRED * 2, flags=flags))
    assert found["preempted_ratio"].value == pytest.approx(0.1)
    assert found["latency_unpreempted_p99_s"].value == pytest.approx(0.09, abs=0.001)
    assert found["latency_p99_s"].value == pytest.approx(0.1, abs=0.001)


def test_when_every_sample_was_preempted_there_is_no_unpreempted_figure() -> None:
    found = metrics_of(latency([0.001] * 100, flags=[PREEMPTED] * 100))
    assert found["preempted_ratio"].value == 1
    assert found["latency_unpreempted_p50_s"].value is None


def test_an_agent_that_cannot_see_preemption_reports_none_of_it() -> None:
    found = metrics_of(latency(HUNDRED), capabilities=("latency",))
    names = ("preempted_ratio", "latency_unpreempted_p50_s", "latency_unpreempted_p99_s")
    assert [found[name].value for name in names] == [None, None, None]
    assert all("cannot tell" in (found[name].reason or "") for name in names)


def test_load_and_first_inference_are_medians_over_launches() -> None:
    passes = [latency([0.1], launch=at, figures={"load_s": float(at), "first_s": 1.0}) for at in range(3)]
    found = metrics_of(*passes)
    assert found["latency_load_s"].value == 1.0
    assert found["latency_load_s"].count == 3


def test_a_broken_off_latency_pass_leaves_every_latency_absent_with_its_reason() -> None:
    found = metrics_of(failed("latency", "runtime-crashed", "ended by SIGSEGV"))
    absent = [metric for name, metric in found.items() if name.startswith("latency_")]
    assert absent
    assert {metric.value for metric in absent} == {None}
    assert all("SIGSEGV" in (metric.reason or "") or "needs" in (metric.reason or "") for metric in absent)


# ── memory and counters ──────────────────────────────────────────────────────────────────────────────────────────────


def memory(**figures: float) -> PassMeasurement:
    return PassMeasurement(kind="memory", launch=0, complete=True, figures=figures)


def test_memory_of_a_linux_board_is_peak_average_and_the_file_backed_part() -> None:
    found = metrics_of(memory(peak_bytes=300, average_bytes=200, file_backed_bytes=100))
    assert found["memory_peak_bytes"].value == 300
    assert found["memory_average_bytes"].value == 200
    assert found["memory_file_backed_bytes"].value == 100
    assert "arena_bytes" not in found


def test_memory_of_a_microcontroller_is_in_sections_and_their_sum() -> None:
    found = metrics_of(memory(arena_bytes=1000, stack_peak_bytes=200, static_ram_bytes=30, flash_bytes=5))
    assert found["sram_peak_bytes"].value == 1230
    assert found["flash_bytes"].value == 5
    assert "memory_peak_bytes" not in found


def test_a_sum_with_a_part_missing_is_no_sum() -> None:
    assert "sram_peak_bytes" not in metrics_of(memory(arena_bytes=1000))


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (failed("memory", "lost"), "ended before it was measured"),
        (failed("memory", "unsupported"), "no such pass"),
        (failed("memory", "internal", "the kernel says no"), "the kernel says no"),
        (
            replace(memory(average_bytes=1), notes=(("peak-hidden", "the kernel refused"), ("operators-method", "x"))),
            "^the kernel refused$",
        ),
        (latency([0.1]), "this run had no such pass"),
    ],
)
def test_memory_that_is_missing_has_its_reason(measured: PassMeasurement, reason: str) -> None:
    peak = metrics_of(measured)["memory_peak_bytes"]
    assert peak.value is None
    assert peak.reason is not None
    assert re.search(reason, peak.reason)


def test_a_counter_of_instructions_gives_a_count_and_no_latency() -> None:
    found = metrics_of(latency([5000.0]), counter_unit="instructions", basis="emulated", engine="reference")
    assert found["instructions_count"].value == 5000
    assert found["instructions_count"].basis == "emulated"
    assert "reference" in found["instructions_count"].method
    assert not [name for name in found if name.startswith("latency_")]


def test_every_metric_has_its_basis_from_the_agent_and_is_in_the_registry() -> None:
    found = metrics_of(latency(HUNDRED), memory(peak_bytes=1), basis="simulated")
    assert set(found) <= set(REGISTRY)
    assert {metric.basis for metric in found.values()} == {"simulated"}


def test_a_metric_is_either_measured_or_absent_with_a_reason() -> None:
    for measured in (latency([]), latency([0.001]), latency(HUNDRED), failed("latency", "lost"), memory(peak_bytes=1)):
        for name, metric in metrics_of(measured).items():
            assert (metric.value is None) == bool(metric.reason), name
            assert (metric.value is None) == (metric.count is None), name


# ── samples, operators, spread ───────────────────────────────────────────────────────────────────────────────────────


def test_raw_samples_keep_everything_with_its_launch() -> None:
    first, second = latency([0.1, 0.2], flags=[WARMUP, 0]), latency([0.3], launch=1, batch=4)
    kept = all_samples(Measurement(passes=(first, second)))
    assert kept.launch == (0, 0, 1)
    assert kept.duration_s == (0.1, 0.2, 0.3)
    assert kept.batch == (1, 1, 4)
    assert kept.flags == (WARMUP, 0, 0)
    assert kept.flag_values["warmup"] == WARMUP


def test_an_operators_time_is_its_mean_an_inference_and_shares_add_up() -> None:
    rows = (
        OperatorTicks(name="a", type="CONV_2D", calls=10, total=3.0),
        OperatorTicks(name="b", type="SOFTMAX", calls=10, total=1.0),
    )
    measured = PassMeasurement(kind="operators", launch=0, complete=True, operators=rows)
    times = operator_times(Measurement(passes=(measured,)))
    assert [(row.name, row.time_s, row.share_ratio) for row in times] == [("a", 0.3, 0.75), ("b", 0.1, 0.25)]


def test_operators_of_a_run_without_their_pass_are_none() -> None:
    assert operator_times(Measurement(passes=(latency([0.1]),))) == ()


def test_launches_without_a_steady_sample_do_not_count() -> None:
    measurement = Measurement(passes=(latency([0.1], flags=[WARMUP]), latency([0.2], launch=1)))
    assert [launch.durations for launch in steady_launches(measurement)] == [(0.2,)]


def test_spread_is_told_a_launch() -> None:
    found = spread(Measurement(passes=(latency([1.0] * 50 + [1.5] * 50),)))
    (only,) = found.values()
    assert only["drift_ratio"] == pytest.approx(0.4)
