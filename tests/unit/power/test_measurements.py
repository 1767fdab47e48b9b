"""The energy of a measurement, as an agent's own words give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from msgspec.structs import replace

from edgeprof.boards import load_board
from edgeprof.inputs import random_inputs
from edgeprof.links import open_session
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.power.measurements import result_energy
from edgeprof.power.trace import PowerTrace
from edgeprof.records.result import ClockReading, Measurement, Pass, PassMeasurement, Plan, SampleColumns
from edgeprof.summary.fold import fold
from edgeprof.targets import resolve_target
from edgeprof.wire import WINDOW
from tests.unit.power.synthetic import aperiodic, record

if TYPE_CHECKING:
    from pathlib import Path

BOARD = "nucleo-l4r5zi"


def test_an_energy_pass_of_a_simulated_board_gives_what_its_facts_say(kws: Path) -> None:
    board, graph = load_board(BOARD), read_model(kws)
    blobs = {"model": kws.read_bytes(), "inputs": random_inputs(graph, 1).blob}
    plan = Plan(passes=(Pass(kind="energy", windows=8, window_s=4.0, idle_s=2.0, sensors_s=0.1),), format="tflite")
    with open_session(resolve_target(f"sim:{BOARD}"), board, blobs) as session:
        assert isinstance(session, FramedSession)
        measurement = fold(session.run(plan, blobs), plan)
    metrics, breakdown = result_energy(measurement)
    ran = measurement.passes[0].samples
    each_s = sum(ran.duration) / sum(ran.batch)
    power_w = board.power.inference_w
    assert power_w is not None
    assert metrics["power_average_w"].value == pytest.approx(power_w, rel=0.05)
    assert metrics["energy_per_inference_j"].value == pytest.approx(power_w * each_s, rel=0.05)
    assert metrics["energy_per_inference_j"].basis == "simulated"
    assert len(breakdown["windows"]) == 8
    assert breakdown["alignment"]["method"] == "clock"


def test_brackets_lay_the_agents_windows_over_an_instruments_trace() -> None:
    recorded = record(aperiodic())
    windows = recorded.agent_windows
    samples = SampleColumns(
        start=tuple(w.start_s for w in windows),
        duration=tuple(w.length_s for w in windows),
        batch=(10,) * len(windows),
        flags=(WINDOW,) * len(windows),
    )
    measurement = Measurement(passes=(PassMeasurement(kind="energy", launch=0, complete=True, samples=samples),))
    blind = recorded.trace._replace(marker=None)
    brackets = {"brackets": recorded.agent_brackets, "instrument": recorded.instrument_brackets}
    for clocks, quality in ((brackets, "bracketed"), ({}, "weak")):
        metrics, breakdown = result_energy(measurement, blind, **clocks)  # type: ignore[arg-type]  # its keywords
        assert breakdown["alignment"]["quality"] == quality
        found = [window["energy_j"] for window in breakdown["windows"]]
        assert found == pytest.approx(recorded.energy_j, rel=0.01)
        assert metrics["energy_above_idle_j"].value is not None


def test_a_pass_that_was_lost_says_why_there_is_no_energy() -> None:
    lost = PassMeasurement(kind="energy", launch=0, complete=False, failure="lost", failure_text="the link broke")
    metrics, _ = result_energy(Measurement(passes=(lost,)))
    assert metrics["energy_per_inference_j"].reason == "the energy pass has no window: the link broke"
    untimed = replace(Measurement(passes=(lost,)), counter_unit="instructions")
    assert result_energy(untimed)[0]["energy_per_inference_j"].value is None


# ── recordings on disk ───────────────────────────────────────────────────────────────────────────────────────────────


def recording(windows: int, length_s: float, idle_s: float = 0.5, clock: str = "instrument") -> PowerTrace:
    """Return a trace at 1 kHz with so many marked windows of 20 mW, 1 mW between them."""
    one = [*[0] * round(idle_s * 1000), *[1] * round(length_s * 1000)]
    marker = np.array([*one * windows, *[0] * round(idle_s * 1000)], np.uint8)
    power_w = np.where(marker == 1, 0.020, 0.001)
    return PowerTrace(np.arange(len(marker)) / 1000, power_w, "trace.csv", clock, marker=marker, nominal_rate_hz=1000.0)


def ran(windows: int = 8, length_s: float = 1.0, idle_s: float = 0.5) -> Measurement:
    """Return a measurement whose energy pass ran such windows; the agent's clock began long ago."""
    starts = tuple(5000.0 + at * (length_s + idle_s) for at in range(windows))
    samples = SampleColumns(
        start=starts, duration=(length_s,) * windows, batch=(10,) * windows, flags=(WINDOW,) * windows
    )
    return Measurement(passes=(PassMeasurement(kind="energy", launch=0, complete=True, samples=samples),))


@pytest.mark.parametrize(
    ("trace", "told"),
    [
        (recording(8, 0.3), "window 1 is 300.0 ms long by the marker, 1.000 s by the agent"),
        (recording(7, 1.0), "the marker bounds 7 windows, the agent ran 8"),
        (recording(8, 1.0, idle_s=0.7), "window 2 begins 1.700 s after the first by the marker, 1.500 s by the agent"),
        (recording(8, 1.05, idle_s=0.45), "window 1 is 1.050 s long by the marker"),
    ],
)
def test_a_recording_with_other_windows_than_the_runs_gives_no_energy(trace: PowerTrace, told: str) -> None:
    metrics, breakdown = result_energy(ran(), trace)
    for metric in metrics.values():
        assert metric.value is None
        assert (metric.reason or "").startswith("trace.csv is no recording of this run: ")
        assert told in (metric.reason or "")
    assert breakdown == {}


@pytest.mark.parametrize("skew", [1.0, 1.01, 0.99])
def test_a_recording_with_the_runs_windows_is_paired_and_never_called_exact(skew: float) -> None:
    trace = recording(8, 1.0)
    metrics, breakdown = result_energy(ran(), trace._replace(time_s=trace.time_s * skew, nominal_rate_hz=1000 / skew))
    assert metrics["energy_per_inference_j"].value == pytest.approx(2e-3 * skew, rel=1e-3)
    assert breakdown["alignment"]["quality"] == "paired"
    warned = {one["code"]: one for one in breakdown["findings"]}
    assert "trace.csv" in warned["recording-paired"]["text"]


def test_an_instrument_of_this_run_goes_by_its_clock_where_the_marker_is_something_else() -> None:
    measurement = ran()
    offset = ClockReading(host_before_s=4999.4999, agent_s=5000.0, host_after_s=4999.5001)
    energy = replace(measurement.passes[0], clock=(offset,))
    shifted = recording(8, 1.0, clock="host")._replace(marker=recording(4, 2.0, idle_s=1.0).marker)
    shifted = shifted._replace(time_s=shifted.time_s + 4999.0, marker=np.resize(shifted.marker, len(shifted.time_s)))  # type: ignore[arg-type]  # it is there
    _, breakdown = result_energy(replace(measurement, passes=(energy,)), shifted)
    assert breakdown["alignment"]["method"] == "clock"
    assert "no marker: " in breakdown["alignment"]["text"]


def test_no_advice_of_a_run_names_an_option_of_another_command() -> None:
    unmarked = recording(8, 1.0)._replace(marker=np.zeros(12_500, np.uint8))
    metrics, _ = result_energy(ran(), unmarked)
    assert "--" not in (metrics["energy_per_inference_j"].reason or "")
    assert "no marker" in (metrics["energy_per_inference_j"].reason or "")
    _, breakdown = result_energy(ran(), recording(8, 1.0))
    for finding in breakdown["findings"]:
        assert "edgeprof energy" not in finding["advice"]
        assert "--accuracy" not in finding["advice"]


def test_an_instrument_that_gave_nothing_says_why() -> None:
    empty = PowerTrace(np.empty(0), np.empty(0), "ppk2:///dev/x", "host", nominal_rate_hz=1e5, lost="unplugged")
    metrics, breakdown = result_energy(ran(), empty)
    assert metrics["energy_per_inference_j"].reason == "ppk2:///dev/x gave 0 samples: unplugged"
    assert breakdown == {}
