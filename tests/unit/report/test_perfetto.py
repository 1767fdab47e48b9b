"""The trace that ui.perfetto.dev opens: Perfetto's own processor where it is here, and the format's rules always."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from edgeprof.records.result import Metric, OperatorTime, Result, Samples
from edgeprof.records.sensors import SensorSeries
from edgeprof.report.perfetto import MOST_SAMPLES, render
from edgeprof.wire import PREEMPTED, THROTTLED, WARMUP

if TYPE_CHECKING:
    from pathlib import Path

PROCESSOR = os.environ.get("EDGEPROF_TRACE_PROCESSOR") or shutil.which("trace_processor_shell")


@pytest.fixture
def traced(small_result: Result) -> Result:
    """Return a result with samples of two launches, two operators and a sensor."""
    return replace(
        small_result,
        samples=Samples(
            launch=(0, 0, 0, 1), start_s=(5.0, 5.1, 5.2, 9.0), duration_s=(0.02, 0.01, 0.01, 0.04), batch=(1, 1, 1, 2),
            flags=(WARMUP, PREEMPTED, 0, THROTTLED),
        ),
        operators=(
            OperatorTime(name="a", type="CONV_2D", time_s=3e-3, share_ratio=0.75, calls=1),
            OperatorTime(name="b", type="ADD", time_s=1e-3, share_ratio=0.25, calls=1),
        ),
        sensors=(
            SensorSeries(name="SoC", quantity="temperature", unit="celsius", source="x", time_s=(4.9, 5.2),
                         value=(40.0, 41.5)),
        ),
    )  # fmt: skip


def _events(results: list[Result]) -> list[dict[str, Any]]:
    whole: dict[str, list[dict[str, Any]]] = json.loads(render(results))
    return whole["traceEvents"]


def test_every_event_has_what_the_format_asks_of_its_phase(traced: Result) -> None:
    for event in _events([traced, traced]):
        assert {"ph", "pid", "name"} <= set(event)
        match event["ph"]:
            case "X":
                assert event["ts"] >= 0
                assert event["dur"] >= 0
                assert isinstance(event["tid"], int)
            case "C":
                assert event["ts"] >= 0
                assert all(isinstance(value, int | float) for value in event["args"].values())
            case "M":
                assert event["name"] in {"process_name", "thread_name"}
                assert isinstance(event["args"]["name"], str)
            case phase:
                pytest.fail(f"no phase {phase!r} is written")


def test_samples_are_in_microseconds_from_the_first_reading_with_what_marks_them(traced: Result) -> None:
    spans = [event for event in _events([traced]) if event["ph"] == "X" and event["tid"] != 1000]

    assert [span["ts"] for span in spans] == pytest.approx([1e5, 2e5, 3e5, 4.1e6])
    assert [span["dur"] for span in spans] == pytest.approx([2e4, 1e4, 1e4, 4e4])
    assert [span["name"] for span in spans] == ["warm-up", "inference", "inference", "inference"]
    assert [span["tid"] for span in spans] == [1, 1, 1, 2]
    assert spans[1]["args"] == {"batch": 1, "preempted": True}
    assert spans[3]["args"] == {"batch": 2, "throttled": True}


def test_operators_lie_end_to_end_and_sensors_are_counters(traced: Result) -> None:
    events = _events([traced])
    operators = [event for event in events if event["ph"] == "X" and event["tid"] == 1000]
    counters = [event for event in events if event["ph"] == "C"]

    assert [event["ts"] for event in operators] == pytest.approx([0.0, 3000.0])
    assert [event["dur"] for event in operators] == pytest.approx([3000.0, 1000.0])
    assert [event["args"]["celsius"] for event in counters] == [40.0, 41.5]
    assert [event["ts"] for event in counters] == pytest.approx([0.0, 3e5])


def test_a_trace_of_many_samples_is_thinned_and_says_so(traced: Result) -> None:
    count = 2 * MOST_SAMPLES + 1
    samples = Samples(
        launch=(0,) * count, start_s=tuple(float(at) for at in range(count)), duration_s=(0.5,) * count,
        batch=(1,) * count, flags=(0,) * count,
    )  # fmt: skip
    events = _events([replace(traced, samples=samples, operators=(), sensors=())])

    assert sum(event["ph"] == "X" for event in events) <= MOST_SAMPLES
    assert any("every 3th drawn" in str(event["args"]) for event in events if event["ph"] == "M")


def test_counts_of_instructions_are_not_drawn_as_times(traced: Result) -> None:
    counted = replace(
        traced,
        metrics={"instructions_count": Metric(value=1e7, basis="emulated", count=1, method="counted")},
        samples=Samples(launch=(0,), start_s=(14322753.0,), duration_s=(10237698.0,), batch=(1,), flags=(0,)),
        operators=(), sensors=(),
    )  # fmt: skip

    assert [event["ph"] for event in _events([counted])] == ["M"]


@pytest.mark.skipif(
    PROCESSOR is None, reason="Perfetto's trace_processor_shell is not here; its package would download it"
)
def test_perfettos_own_processor_loads_it(traced: Result, tmp_path: Path) -> None:
    from perfetto.trace_processor import TraceProcessor, TraceProcessorConfig

    path = tmp_path / "trace.json"
    path.write_text(render([traced]), encoding="utf-8")
    processor = TraceProcessor(trace=str(path), config=TraceProcessorConfig(bin_path=PROCESSOR))
    try:
        rows = processor.query("select name, dur from slice order by ts")
        slices = [(row.name, row.dur) for row in rows]
        counters = [row.value for row in processor.query("select value from counter order by ts")]
    finally:
        processor.close()
    assert sorted(slices).count(("inference", 10_000_000)) == 2
    assert counters == [40.0, 41.5]
