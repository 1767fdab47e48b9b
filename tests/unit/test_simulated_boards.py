"""A simulated board runs the engine that `fit` takes, at the clock of its facts, and refuses what `fit` refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

import edgeprof
from edgeprof.boards import list_boards, load_board
from edgeprof.errors import EdgeprofError, ModelError, UsageError
from edgeprof.estimate.cost_model import CYCLES_PER_MAC, at_clock, clock_hz, simulated_costs, simulated_engine
from edgeprof.estimate.engines import ENGINE_NAMES
from edgeprof.fitting.costs import board_costs, model_features
from edgeprof.fitting.fit import fit_board
from edgeprof.inputs import random_inputs
from edgeprof.links.framed import FramedSession
from edgeprof.links.sim import SimChannel
from edgeprof.model import read_model
from edgeprof.records.board import Board, Core, Power
from edgeprof.records.inspection import LATENCY
from edgeprof.records.result import Pass, Plan
from edgeprof.report import csv, markdown, table
from edgeprof.report.html import render as html
from edgeprof.summary.fold import fold
from edgeprof.targets import Sim, declared_clock_hz, parse_place

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph
    from edgeprof.records.board import BoardKind

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples" / "models"
SUITE = Path(os.environ.get("EDGEPROF_MODELS") or REPOSITORY.parent / "shared" / "models") / "mlperf_tiny"
MODELS = sorted(
    [
        *EXAMPLES.glob("*_int8.tflite"),
        *SUITE.glob("*_int8.tflite"),
        *SUITE.glob("*_quant.tflite"),
        *SUITE.glob("kws_ref_model.tflite"),
    ]
)
GRAPHS: dict[Path, Graph] = {}
BOARDS = tuple(map(load_board, list_boards()))
MICRO = tuple(board for board in BOARDS if board.kind == "mcu")
M7 = tuple(board for board in MICRO if board.cores[0].model == "cortex-m7")


def graph_of(path: Path) -> Graph:
    if path not in GRAPHS:
        GRAPHS[path] = read_model(path)
    return GRAPHS[path]


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_a_simulated_board_has_the_engine_that_fit_takes_and_a_linux_board_none(board: Board) -> None:
    found = fit_board(graph_of(EXAMPLES / "kws_int8.tflite"), board)
    assert simulated_engine(board) == (None if board.kind == "linux" else found.engine)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_what_fit_estimates_is_what_a_simulated_microcontroller_takes(path: Path) -> None:
    graph = graph_of(path)
    asked = model_features(graph, path)
    compared = 0
    for board in MICRO:
        for engine in (None, "x-cube-ai9+", "x-cube-ai8", "bosch-hale", "plumerai2023", "tflm+cmsis-nn"):
            fitted = board_costs(graph, asked, board, engine).metrics[LATENCY]
            if fitted.value is None or fitted.low is None or fitted.high is None:
                continue
            named = simulated_engine(board, engine or "")
            seconds = sum(simulated_costs(board, graph, named, path.read_bytes()).seconds)
            assert fitted.low < seconds < fitted.high, (board.id, engine)
            assert seconds == pytest.approx(fitted.value), (board.id, engine)
            compared += 1
    assert compared > 60


@pytest.mark.parametrize("board", M7, ids=lambda board: board.id)
def test_the_median_of_a_run_lies_in_the_interval_of_fit_on_every_cortex_m7(board: Board) -> None:
    for path in (EXAMPLES / "kws_int8.tflite", EXAMPLES / "vww_int8.tflite"):
        graph = graph_of(path)
        plan = Plan(passes=(Pass(kind="latency", runs=20),), format="tflite")
        blobs = {"model": path.read_bytes(), "inputs": random_inputs(graph, 0).blob}
        with FramedSession(SimChannel(board, Sim(board=board.id)), name="sim") as session:
            (found,) = fold(list(session.run(plan, blobs)), plan).passes
        median = sorted(found.samples.duration)[len(found.samples.duration) // 2]
        fitted = board_costs(graph, model_features(graph, path), board, None).metrics[LATENCY]
        assert (fitted.low or 1) < median < (fitted.high or 0)
        assert found.detail["engine"] == "tflm+cmsis-nn"
        assert found.detail["cost_model"] == "tflm+cmsis-nn as estimated for cortex-m7"


def test_only_engines_that_the_estimator_knows_on_the_core_can_be_named() -> None:
    board = load_board("nucleo-h743zi")
    assert simulated_engine(board, "x-cube-ai9+") == "x-cube-ai9+"
    with pytest.raises(EdgeprofError, match="unknown engine 'cube'") as refused:
        simulated_engine(board, "cube")
    assert all(name in refused.value.hint for name in ENGINE_NAMES)
    with pytest.raises(UsageError, match=r"tflm\+andes-nn was measured on rv32imacp only"):
        simulated_engine(board, "tflm+andes-nn")
    with pytest.raises(UsageError, match="no engine was measured on Linux boards"):
        simulated_engine(load_board("raspberry-pi-5"), "tflm")


@pytest.mark.parametrize("text", ["x-cube-ai9+", "x-cube-ai9%2B", "tflm+cmsis-nn", "tflm%2Bcmsis-nn"])
def test_a_plus_in_the_name_of_an_engine_may_be_written_as_it_is(text: str) -> None:
    place = parse_place(f"sim:nucleo-h743zi?engine={text}")
    assert isinstance(place, Sim)
    assert place.engine in ENGINE_NAMES


def test_cores_that_are_not_in_the_list_are_not_taken_for_others_whose_name_begins_alike() -> None:
    graph = graph_of(EXAMPLES / "kws_int8.tflite")

    def drawn(model: str, kind: BoardKind) -> str:
        core = Core(name="cpu", model=model, max_clock_hz=10**9)
        board = Board(id="mine", name="Mine", vendor="", kind=kind, cores=(core,))
        return simulated_costs(board, graph, simulated_engine(board)).drawn_from

    for model in ("cortex-a720", "cortex-a55", "carmel", "neoverse-v3ae"):
        assert drawn(model, "linux") == f"round cycles a MAC of any Linux board, for {model} is not known"
    assert drawn("cortex-m35p", "mcu").startswith("round cycles a MAC of any microcontroller, for cortex-m35p")
    for model in ("cortex-a78ae", "cortex-a53"):
        assert drawn(model, "linux") == f"round cycles a MAC for {model}"
    assert "cortex-m3" in CYCLES_PER_MAC
    assert drawn("cortex-m3", "mcu").startswith("round cycles a MAC for cortex-m3: core class cortex-m3 is not in the")


def test_what_the_estimator_does_not_know_of_a_model_is_said_with_its_reason() -> None:
    board = load_board("nucleo-l4r5zi")
    graph = read_model(EXAMPLES / "refused" / "unsupported_operator.tflite")
    drawn = simulated_costs(board, graph, simulated_engine(board)).drawn_from
    assert "round cycles a MAC for cortex-m4: no measured model has" in drawn
    assert drawn.endswith("; the arithmetic of 1 operator is not known and left out")


# ── the clock ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.id)
def test_every_board_that_ships_has_the_clock_of_the_core_that_runs_the_model(board: Board) -> None:
    assert clock_hz(board) == board.cores[0].max_clock_hz


def test_boards_are_as_fast_as_their_clocks_say_in_their_order() -> None:
    graph = graph_of(EXAMPLES / "kws_int8.tflite")
    names = (
        "jetson-agx-orin", "jetson-orin-nx-16gb", "jetson-orin-nano", "coral-dev-board", "beagley-ai",
        "raspberry-pi-zero-2w", "nucleo-h743zi",
    )  # fmt: skip
    times = []
    for name in names:
        board = load_board(name)
        times.append(sum(simulated_costs(board, graph, simulated_engine(board)).seconds))
    assert times == sorted(times)
    assert len(set(times)) == len(times)


def clockless(*cores: Core) -> Board:
    return Board(id="mine", name="My board", vendor="", kind="mcu", cores=cores)


@pytest.mark.parametrize(
    "board",
    [
        clockless(Core(name="cpu", model="cortex-m4")),
        clockless(),
        clockless(Core(name="m55", model="cortex-m55"), Core(name="m33", model="cortex-m33", max_clock_hz=200_000_000)),
        replace(clockless(Core(name="cpu", model="cortex-a53")), kind="linux"),
    ],
    ids=["one core", "no core", "the clock of another core", "Linux"],
)
def test_a_board_without_the_clock_of_that_core_is_refused_until_one_is_declared(board: Board) -> None:
    with pytest.raises(UsageError, match="no source says the clock of My board") as refused:
        clock_hz(board)
    assert "sim:mine?clock=150MHz" in refused.value.hint
    graph = graph_of(EXAMPLES / "kws_int8.tflite")
    slow, fast = (at_clock(board, hz) for hz in (100e6, 200e6))
    times = [sum(simulated_costs(each, graph, simulated_engine(each)).seconds) for each in (slow, fast)]
    assert times[0] == pytest.approx(2 * times[1])


def test_the_agent_itself_refuses_to_time_on_a_board_without_a_clock(kws: Path) -> None:
    plan = Plan(passes=(Pass(kind="latency", runs=5),), format="tflite")
    blobs = {"model": kws.read_bytes(), "inputs": random_inputs(read_model(kws), 0).blob}
    board = clockless(Core(name="cpu", model="cortex-m4"))
    with FramedSession(SimChannel(board, Sim(board="mine")), name="sim") as session:
        (found,) = fold(list(session.run(plan, blobs)), plan).passes
    assert (found.failure, found.samples.duration) == ("bad-request", ())
    assert "no source says the clock" in found.failure_text


@pytest.mark.parametrize(("text", "hertz"), [("150MHz", 150e6), ("1.5GHz", 1.5e9), ("64mhz", 64e6), ("80 MHz", 80e6)])
def test_a_declared_clock_has_its_unit(text: str, hertz: float) -> None:
    place = parse_place(f"sim:nucleo-l4r5zi?clock={text.replace(' ', '%20')}")
    assert isinstance(place, Sim)
    assert declared_clock_hz(place) == hertz


@pytest.mark.parametrize(
    "text", ["150", "150000000", "", "0MHz", "-5MHz", "999kHz", "6.1GHz", "1e400MHz", "NaNMHz", "5mHz", "fast", "80THz"]
)
def test_a_clock_without_a_unit_or_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="clock"):
        parse_place(f"sim:nucleo-l4r5zi?clock={text}")


def test_an_option_that_is_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="clock= is given twice"):
        parse_place("sim:nucleo-l4r5zi?clock=80MHz&clock=90MHz")


def test_power_that_was_measured_at_another_clock_is_not_that_of_the_declared_one() -> None:
    board = load_board("nucleo-l4r5zi")
    assert board.power.inference_w is not None
    assert at_clock(board, 120e6).power.inference_w == board.power.inference_w
    assert at_clock(board, 80e6).power.inference_w is None
    unnamed = replace(board, power=Power(inference_w=0.04))  # its condition names no clock: the board's own
    assert at_clock(unnamed, 80e6).power.inference_w is None
    peak = board.cores[0].peak_int8_dense_ops_per_s or 0
    assert at_clock(board, 60e6).cores[0].peak_int8_dense_ops_per_s == pytest.approx(peak / 2)


def test_a_declared_clock_stands_in_the_result_and_in_every_report(kws: Path) -> None:
    result = edgeprof.profile(kws, "sim:nucleo-h743zi?clock=200MHz", runs=20)
    assumed = "a clock of 200 MHz, declared in the target"
    assert result.metrics["latency_p50_s"].assumptions == (assumed,)
    assert result.metrics["throughput_hz"].assumptions == (assumed,)
    assert result.metrics["model_bytes"].assumptions == ()
    assert result.runtime is not None
    assert result.runtime.detail["clock_hz"] == 200_000_000
    for text in (table.render([result]), markdown.render([result]), html([result])):
        flat = " ".join(text.replace("\\", "").split())
        assert "tflm+cmsis-nn as estimated for cortex-m7 at 200 MHz" in flat
        assert assumed in flat
    assert csv.render([result])


def test_several_results_show_the_engine_of_each(kws: Path) -> None:
    results = [
        edgeprof.profile(kws, f"sim:{name}", runs=20) for name in ("nucleo-h743zi?engine=x-cube-ai9+", "esp32-devkitc")
    ]
    first = table.render(results).split("kws_int8.tflite on")[0]
    assert "engine" in first
    assert "x-cube-ai9+" in first
    assert "x-cube-ai9+" in html(results)


# ── what fit refuses ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["kws_fp32.onnx", "kws_qdq_int8.onnx"])
@pytest.mark.parametrize(
    "board", ["nucleo-l4r5zi", "raspberry-pi-pico", "esp32-devkitc", "cortex-m4", "kit-pse84-eval"]
)
def test_an_onnx_model_is_refused_on_a_simulated_microcontroller_in_the_words_of_fit(name: str, board: str) -> None:
    path = EXAMPLES / name
    with pytest.raises(ModelError, match=r"runs no \.onnx models: convert it to an int8 \.tflite first") as refused:
        edgeprof.profile(path, f"sim:{board}", runs=5)
    assert fit_board(read_model(path), load_board(board)).reason in refused.value.message


def test_a_model_that_does_not_fit_is_refused_in_the_words_of_fit(tmp_path: Path) -> None:
    path = EXAMPLES / "vww_int8.tflite"
    (tmp_path / "small.toml").write_text(
        'schema = "edgeprof.board/1"\nid = "small"\nname = "Small"\nvendor = ""\nkind = "mcu"\n'
        'cores = [{ name = "cpu", model = "cortex-m4", count = 1, max_clock_hz = 100_000_000 }]\n'
        'memory = [{ name = "flash", kind = "flash", bytes = 320_000 }]\n'
    )
    (tmp_path / "edgeprof.toml").write_text('[boards]\npath = "."\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises(ModelError, match="flash: needs at least 353") as refused:
            edgeprof.profile(path, "sim:small", runs=5)
    assert "NOT READY for sim:small" in refused.value.message


def test_another_board_cannot_be_named_beside_a_simulated_one(kws: Path) -> None:
    with pytest.raises(UsageError, match="simulates Raspberry Pi 5, and ST NUCLEO-L4R5ZI is named"):
        edgeprof.profile(kws, "sim:raspberry-pi-5", board="nucleo-l4r5zi", runs=5)
    assert edgeprof.profile(kws, "sim:nucleo-l4r5zi", board="nucleo-l4r5zi", runs=5).board.id == "nucleo-l4r5zi"


def test_boards_are_read_by_many_threads_at_once_in_a_fresh_process() -> None:
    script = """
import sys, threading
import edgeprof
sys.setswitchinterval(1e-6)
start, ended = threading.Barrier(12), []
def run(name):
    start.wait()
    ended.append(edgeprof.profile(sys.argv[1], f"sim:{name}", runs=1, memory=False, history=False).status)
boards = ("nucleo-l4r5zi", "nucleo-h743zi", "raspberry-pi-5", "raspberry-pi-4b") * 3
threads = [threading.Thread(target=run, args=(name,)) for name in boards]
for each in threads: each.start()
for each in threads: each.join()
print(ended.count("complete"))
"""
    run = subprocess.run(
        [sys.executable, "-c", script, EXAMPLES / "kws_int8.tflite"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, "12\n"), run.stderr
