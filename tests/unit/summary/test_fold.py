"""Events to a measurement."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgeprof.records.events import (
    AgentIdentified,
    ClockBracketed,
    Event,
    FigureRead,
    Noted,
    OperatorTimed,
    OutputReceived,
    PassEnded,
    PassStarted,
    RuntimeFound,
    RuntimesFound,
    SamplesReceived,
    StateRead,
)
from edgeprof.records.result import Measurement, Pass, Plan
from edgeprof.summary.fold import fold

PLAN = Plan(passes=(Pass(kind="latency", runs=3), Pass(kind="memory", launch=0)), format="tflite")


def identified(**changes: Any) -> AgentIdentified:  # noqa: ANN401  each test changes fields of different types
    facts: dict[str, Any] = {
        "agent": "an agent",
        "protocol": "1.0",
        "board": "a board",
        "basis": "measured",
        "counter_unit": "seconds",
        "counter_hz": 1000,
        "capabilities": ("latency", "preemption"),
        "formats": ("tflite",),
        "engine": "an engine",
        "identity": {"cpu": "a CPU"},
    }
    return AgentIdentified(**{**facts, **changes})


def samples(first: int, durations: tuple[int, ...], *, flags: int = 0) -> SamplesReceived:
    starts = tuple(100 * (first + at) for at in range(len(durations)))
    return SamplesReceived(
        index=0, first=first, batch=2, start_ticks=starts, duration_ticks=durations, flags=(flags,) * len(durations)
    )


EVENTS: tuple[Event, ...] = (
    identified(),
    RuntimesFound(format="tflite", runtimes=(RuntimeFound(name="r", works=True, version="1"),)),
    ClockBracketed(index=0, host_before_s=10.0, agent_ticks=1000, host_after_s=11.0),
    StateRead(index=0, phase="before", state={"load_1m": 0.5}),
    PassStarted(index=0, kind="latency", launch=0, model_sha256="ab", runtime="r", detail={"delegate": "none"}),
    FigureRead(index=0, name="load_ticks", value=500),
    FigureRead(index=0, name="steady", value=1),
    samples(0, (40,), flags=1),
    samples(1, (30, 20, 10)),
    Noted(index=0, code="a-code", text="a text"),
    OperatorTimed(index=0, operator=0, name="n", type="CONV_2D", calls=2, ticks=3000),
    OutputReceived(index=0, inference=0, tensor=0, name="out", dtype="int8", shape=(1, 2), content=b"ab"),
    StateRead(index=0, phase="after", state={"load_1m": 1.5}),
    PassEnded(index=0, complete=True),
    ClockBracketed(index=0, host_before_s=20.0, agent_ticks=9000, host_after_s=22.0),
    PassEnded(index=1, complete=False, failure="unsupported", text="no memory pass"),
)


def test_everything_that_the_agent_says_of_itself_is_kept() -> None:
    measurement = fold(EVENTS, PLAN)
    assert (measurement.agent, measurement.protocol, measurement.board) == ("an agent", "1.0", "a board")
    assert (measurement.basis, measurement.counter_unit, measurement.engine) == ("measured", "seconds", "an engine")
    assert measurement.capabilities == ("latency", "preemption")
    assert measurement.identity == {"cpu": "a CPU"}
    assert [runtime.name for runtime in measurement.runtimes] == ["r"]


def test_ticks_become_seconds_by_the_agents_rate() -> None:
    first = fold(EVENTS, PLAN).passes[0]
    assert first.samples.duration == (0.04, 0.03, 0.02, 0.01)
    assert first.samples.start == (0.0, 0.1, 0.2, 0.3)
    assert first.samples.batch == (2, 2, 2, 2)
    assert first.samples.flags == (1, 0, 0, 0)
    assert first.figures == {"load_s": 0.5, "steady": 1}
    assert [(row.name, row.calls, row.total) for row in first.operators] == [("n", 2, 3.0)]


def test_a_counter_of_instructions_stays_a_count() -> None:
    events = (identified(counter_unit="instructions", counter_hz=7), samples(0, (30,)))
    measurement = fold(events, PLAN)
    assert measurement.counter_unit == "instructions"
    assert measurement.passes[0].samples.duration == (30.0,)


def test_what_a_pass_said_is_with_the_pass() -> None:
    first, second = fold(EVENTS, PLAN).passes
    assert (first.kind, first.complete, first.failure, first.runtime) == ("latency", True, "", "r")
    assert (first.model_sha256, first.detail) == ("ab", {"delegate": "none"})
    assert (first.state_before, first.state_after) == ({"load_1m": 0.5}, {"load_1m": 1.5})
    assert first.notes == (("a-code", "a text"),)
    assert [(tensor.name, tensor.content) for tensor in first.outputs] == [("out", b"ab")]
    assert (second.kind, second.complete, second.failure, second.failure_text) == (
        "memory",
        False,
        "unsupported",
        "no memory pass",
    )


def test_the_clock_offset_is_taken_in_the_middle_of_each_bracket() -> None:
    assert fold(EVENTS, PLAN).passes[0].clock_offset_s == (10.5 - 1.0, 21.0 - 9.0)
    assert fold(EVENTS, PLAN).passes[1].clock_offset_s is None


def test_a_pass_that_did_not_begin_is_there_and_lost() -> None:
    assert [(p.kind, p.complete, p.failure) for p in fold((), PLAN).passes] == [
        ("latency", False, "lost"),
        ("memory", False, "lost"),
    ]


@given(st.integers(0, len(EVENTS)))
def test_a_run_that_breaks_off_anywhere_keeps_the_samples_before(broken_off: int) -> None:
    heard = EVENTS[:broken_off]
    measurement = fold(heard, PLAN)
    came = sum(len(event.duration_ticks) for event in heard if isinstance(event, SamplesReceived))
    assert len(measurement.passes) == len(PLAN.passes)
    assert len(measurement.passes[0].samples.duration) == came
    assert measurement.passes[0].complete == any(isinstance(e, PassEnded) and e.complete for e in heard)


def test_nothing_heard_is_an_empty_measurement() -> None:
    assert fold((), Plan(passes=())) == Measurement()
