"""Firmware in QEMU gives the windows; a synthetic current trace over its own ticks, on a hidden clock, the energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgeprof.inputs import random_inputs
from edgeprof.links import open_session
from edgeprof.links.framed import FramedSession
from edgeprof.model import read_model
from edgeprof.power.alignment import Alignment, by_clocks, fit_clock
from edgeprof.power.burst import by_burst
from edgeprof.power.metrics import energy_metrics
from edgeprof.power.trace import period_s
from edgeprof.power.windows import Window, marker_windows
from edgeprof.program import pack_program
from edgeprof.records.events import SamplesReceived
from edgeprof.records.result import Pass
from edgeprof.targets import resolve_target
from tests.firmware.boards import run_passes
from tests.provided import qemu_found
from tests.unit.power.synthetic import Bench, Recorded, record

if TYPE_CHECKING:
    from pathlib import Path

INSTRUCTION_S = 64e-9
"""QEMU is started with -icount shift=6: an instruction takes 2^6 ns of the board's time."""
RUNS = (1, 3, 2, 1, 4, 2, 1, 3)
WITHIN = 0.01


@pytest.fixture(scope="module")
def board_windows(kws: Path) -> tuple[Window, ...]:
    """Return the windows that the emulated board ran, in seconds of its own time: one a pass, of different lengths."""
    graph = read_model(kws)
    program, inputs = pack_program(graph, kws).content, random_inputs(graph, 1).blob
    passes = [Pass(kind="latency", runs=runs, warmup=0, batch=1, launch=at) for at, runs in enumerate(RUNS)]
    with qemu_found():
        target = resolve_target("qemu:mps2-an386")
        with open_session(target, None, {"model": program, "inputs": inputs}) as session:
            assert isinstance(session, FramedSession)
            events = run_passes(session, program, inputs, passes)
    found: dict[int, list[tuple[int, int]]] = {}
    for event in events:
        if isinstance(event, SamplesReceived):
            ends = zip(event.start_ticks, event.duration_ticks, strict=True)
            found.setdefault(event.index, []).extend((start, start + took) for start, took in ends)
    return tuple(
        Window(rows[0][0] * INSTRUCTION_S, rows[-1][1] * INSTRUCTION_S, len(rows)) for _, rows in sorted(found.items())
    )


@pytest.fixture(scope="module")
def recorded(board_windows: tuple[Window, ...]) -> Recorded:
    """Record the run with an instrument 200 ppm off, 1.7 s late, losing samples, its samples beside the edges."""
    begin = board_windows[0].start_s - 1.0
    made = record([(w.start_s - begin, w.end_s - begin) for w in board_windows], Bench(rate_hz=5000.0))
    counted = zip(made.agent_windows, board_windows, strict=True)
    return made._replace(agent_windows=tuple(agent._replace(inferences=w.inferences) for agent, w in counted))


def check(recorded: Recorded, windows: tuple[Window, ...], alignment: Alignment) -> None:
    assert [w.inferences for w in windows] == list(RUNS)
    report = energy_metrics(recorded.trace, windows, alignment=alignment)
    each = [energy / runs for energy, runs in zip(recorded.energy_j, RUNS, strict=True)]
    for window, true_j in zip(report.windows, each, strict=True):
        assert window.energy_per_inference_j == pytest.approx(true_j, rel=WITHIN)
    median = report.metrics["energy_per_inference_j"]
    assert median.value == pytest.approx(sorted(each)[len(each) // 2], rel=WITHIN)
    assert median.low is not None
    assert median.confidence == 0.95


def test_the_marker_gives_the_emulated_boards_energy_within_one_per_cent(recorded: Recorded) -> None:
    marked = marker_windows(recorded.trace)
    pairs = zip(marked.windows, RUNS, strict=True)
    windows = tuple(window._replace(inferences=runs) for window, runs in pairs)
    check(recorded, windows, Alignment("marker", "exact", marked.error_s, "edges"))


def test_the_agents_ticks_give_the_emulated_boards_energy_within_one_per_cent(recorded: Recorded) -> None:
    agent, instrument = fit_clock(recorded.agent_brackets), fit_clock(recorded.instrument_brackets)
    windows, alignment = by_clocks(recorded.agent_windows, agent, instrument, period_s(recorded.trace))
    assert instrument.drift_ppm == pytest.approx(-200, abs=40)
    check(recorded, windows, alignment)


def test_the_pattern_gives_the_emulated_boards_energy_and_is_marked_weak(recorded: Recorded) -> None:
    windows, alignment = by_burst(recorded.trace, recorded.agent_windows)
    assert alignment.quality == "weak"
    check(recorded, windows, alignment)
