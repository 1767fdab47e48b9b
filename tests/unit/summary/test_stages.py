"""Stages of the whole path: samples to metrics and shares."""

from __future__ import annotations

import pytest

from edgeprof.records.result import Measurement, PassMeasurement, SampleColumns
from edgeprof.summary.stages import items_of, stage_metrics, stage_shares
from edgeprof.wire import AFTER_SEND, POSTPROCESSING, PREEMPTED, PREPROCESSING, WARMUP


def samples(items: int, stages: tuple[tuple[int, float], ...], *, cut: int = 0) -> SampleColumns:
    """Return a warm-up sample and items one after the other, the last one without its last `cut` stages."""
    start, rows = 100.0, [(99.0, 1.0, WARMUP)]
    for _ in range(items):
        for flags, duration in stages:
            rows.append((start, duration, flags))
            start += duration
        start += 0.5  # what lies between two items is no part of either
    rows = rows[: len(rows) - cut]
    return SampleColumns(
        start=tuple(row[0] for row in rows),
        duration=tuple(row[1] for row in rows),
        batch=(1,) * len(rows),
        flags=tuple(row[2] for row in rows),
    )


def measured(columns: SampleColumns, *, complete: bool = True, failure: str = "", text: str = "") -> Measurement:
    one = PassMeasurement(
        kind="stages", launch=0, complete=complete, failure=failure, failure_text=text, samples=columns
    )
    return Measurement(passes=(PassMeasurement(kind="latency", launch=0, complete=True), one))


THREE = ((PREPROCESSING | AFTER_SEND, 0.002), (PREEMPTED, 0.005), (POSTPROCESSING, 0.001))


def test_each_stage_and_the_whole_path_have_their_median() -> None:
    found = stage_metrics(measured(samples(300, THREE)))
    values = {name: metric.value for name, metric in found.items()}
    assert values == pytest.approx(
        {
            "stage_preprocessing_p50_s": 0.002,
            "stage_inference_p50_s": 0.005,
            "stage_postprocessing_p50_s": 0.001,
            "stage_total_p50_s": 0.008,
            "stage_total_p99_s": 0.008,
        }
    )
    assert {metric.count for metric in found.values()} == {300}
    assert found["stage_total_p99_s"].high == pytest.approx(0.008)
    assert "preprocessing, inference, postprocessing" in found["stage_total_p50_s"].method


def test_setting_the_inputs_and_reading_the_outputs_are_said_to_belong_to_the_inference() -> None:
    method = stage_metrics(measured(samples(3, THREE)))["stage_inference_p50_s"].method
    assert "setting the inputs, the inference and reading the outputs" in method


def test_a_p99_of_fewer_than_100_items_is_absent_with_the_reason() -> None:
    found = stage_metrics(measured(samples(99, THREE)))["stage_total_p99_s"]
    assert (found.value, found.reason) == (None, "p99 needs at least 100 samples, there are 99")


def test_a_stage_that_the_hook_lacks_is_absent_with_the_reason() -> None:
    found = stage_metrics(measured(samples(5, ((0, 0.005), (POSTPROCESSING, 0.001)))))
    assert found["stage_preprocessing_p50_s"].value is None
    assert found["stage_preprocessing_p50_s"].reason == "the hook defines no preprocess"
    assert found["stage_total_p50_s"].value == pytest.approx(0.006)


def test_an_item_that_broke_off_in_its_middle_counts_in_no_stage() -> None:
    assert len(items_of(samples(4, THREE, cut=1))) == 3
    assert len(items_of(samples(4, THREE, cut=2))) == 3


def test_a_hook_that_failed_gives_its_own_words_as_the_reason() -> None:
    text = "image.py:3: ZeroDivisionError: division by zero"
    found = stage_metrics(measured(SampleColumns(), complete=False, failure="bad-request", text=text))
    assert {metric.reason for metric in found.values()} == {text}
    assert stage_shares(measured(SampleColumns(), complete=False)) == {}


def test_a_run_without_a_hook_has_no_stage_metrics() -> None:
    measurement = Measurement(passes=(PassMeasurement(kind="latency", launch=0, complete=True),))
    assert (stage_metrics(measurement), stage_shares(measurement)) == ({}, {})


def test_shares_are_of_the_whole_path_and_sum_to_one() -> None:
    shares = stage_shares(measured(samples(10, THREE)))
    assert {stage: part["share_ratio"] for stage, part in shares.items()} == pytest.approx(
        {"preprocessing": 0.25, "inference": 0.625, "postprocessing": 0.125}
    )
    assert sum(part["share_ratio"] for part in shares.values()) == pytest.approx(1)
