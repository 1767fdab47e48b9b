"""Releases with known latencies: misses are counted exactly, and nothing gets into the back-to-back figures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.records.result import Measurement, Pass, PassMeasurement, Plan, SampleColumns
from edgeprof.summary.deadline import deadline_breakdown, deadline_metrics, histogram
from edgeprof.summary.summarise import all_samples, measured_metrics
from edgeprof.wire import WARMUP

PERIOD_S = 0.033


def measured(*latencies_s: float, launch: int = 0, **changes: Any) -> PassMeasurement:  # noqa: ANN401  any field
    count = len(latencies_s)
    columns = SampleColumns(
        start=(-1.0, *(at * PERIOD_S for at in range(count))),
        duration=(9.0, *latencies_s),
        batch=(1,) * (count + 1),
        flags=(WARMUP, *(0,) * count),
    )
    return PassMeasurement(kind="deadline", launch=launch, complete=True, samples=columns, **changes)


def plan(count: int = 1, runs: int = 0) -> Plan:
    return Plan(passes=tuple(Pass(kind="deadline", launch=at, runs=runs, period_s=PERIOD_S) for at in range(count)))


def test_a_plan_without_deadlines_has_no_such_metric() -> None:
    assert deadline_metrics(Measurement(), Plan(passes=(Pass(kind="latency"),))) == {}
    assert deadline_breakdown(Measurement(), Plan(passes=(Pass(kind="latency"),))) == {}


def test_misses_are_latencies_from_the_release_above_the_period() -> None:
    found = deadline_metrics(Measurement(passes=(measured(*[0.01] * 90, *[0.04] * 9, PERIOD_S),)), plan())
    assert found["deadline_miss_ratio"].value == pytest.approx(0.09)
    assert found["deadline_miss_ratio"].count == 100
    assert found["deadline_p50_s"].value == 0.01
    assert found["deadline_max_s"].value == 0.04
    assert found["deadline_p99_s"].low is not None
    assert "one release every 33.00 ms" in found["deadline_p99_s"].method
    assert "latency from the scheduled release" in found["deadline_p50_s"].method


def test_releases_that_were_never_begun_are_missed_too_unless_the_run_was_over() -> None:
    behind = measured(*[(at + 1) * PERIOD_S for at in range(1, 11)])  # the last ends eleven periods after its release
    found = deadline_metrics(Measurement(passes=(behind,)), plan())["deadline_miss_ratio"]
    assert found.count == 20
    assert found.value == pytest.approx(1.0)
    assert "10 that were not begun" in found.method
    assert deadline_metrics(Measurement(passes=(behind,)), plan(runs=10))["deadline_miss_ratio"].count == 10


def test_a_percentile_of_too_few_releases_is_absent_with_its_reason() -> None:
    found = deadline_metrics(Measurement(passes=(measured(*[0.01] * 50),)), plan())
    assert found["deadline_p99_s"].value is None
    assert "at least 100" in (found["deadline_p99_s"].reason or "")


def test_a_pass_that_could_not_run_leaves_absent_metrics_with_the_reason() -> None:
    failed = PassMeasurement(kind="deadline", launch=0, complete=False, failure="unsupported", failure_text="no such")
    found = deadline_metrics(Measurement(passes=(failed,)), plan())
    assert {metric.value for metric in found.values()} == {None}
    assert {metric.reason for metric in found.values()} == {"no such"}
    assert deadline_breakdown(Measurement(passes=(failed,)), plan()) == {}


def test_five_launches_give_bounds_across_launches() -> None:
    passes = tuple(measured(*[0.01 + at / 1e4] * 30, launch=at) for at in range(5))
    assert deadline_metrics(Measurement(passes=passes), plan(5))["deadline_p50_s"].scope == "across-launches"


def test_releases_are_never_pooled_with_back_to_back_samples() -> None:
    columns = SampleColumns(start=(0.0, 1.0), duration=(0.002, 0.002), batch=(1, 1), flags=(0, 0))
    latency = PassMeasurement(kind="latency", launch=0, complete=True, samples=columns)
    both = Measurement(passes=(latency, measured(*[0.04] * 100)))
    assert measured_metrics(both)["latency_max_s"].value == 0.002
    assert all_samples(both).duration_s == (0.002, 0.002)
    asked = Plan(passes=(Pass(kind="latency"), *plan().passes))
    assert deadline_metrics(both, asked)["deadline_p50_s"].value == 0.04


def test_the_breakdown_tells_runs_of_misses_and_keeps_the_slowest_of_its_neighbours() -> None:
    late = {100, 101, 102, 2500}
    values = [0.05 if at in late else 0.01 for at in range(5000)]
    found = deadline_breakdown(Measurement(passes=(measured(*values),)), plan())["deadline"]["launch 0"]
    assert (found["releases_count"], found["missed_count"], found["longest_run_of_misses_count"]) == (5000, 4, 3)
    assert len(found["latency_s"]) == len(found["released_s"]) == 1667
    assert found["kept"] == "the slowest of each 3 consecutive releases"
    assert found["latency_s"].count(0.05) == 3  # 100 and 101 are neighbours, 102 and 2500 are not
    assert sum(found["histogram"]["counts"]) == 5000
    json.dumps(found)


@given(st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=200))
def test_a_histogram_counts_every_latency_once_between_edges_that_rise(values: list[float]) -> None:
    edges, counts = histogram(values)
    assert sum(counts) == len(values)
    assert len(edges) == len(counts) + 1
    assert edges == sorted(edges)
    assert (edges[0], edges[-1]) == (min(values), max(values))
