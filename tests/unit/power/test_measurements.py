"""The energy of a measurement, as an agent's own words give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from edgeprof.boards import load_board
from edgeprof.inputs import random_inputs
from edgeprof.links import open_session
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.power.measurements import result_energy
from edgeprof.records.result import Measurement, Pass, PassMeasurement, Plan, SampleColumns
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
