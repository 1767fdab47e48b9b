from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper

from edgeprof.boards import load_board
from edgeprof.fitting.engines import ENGINES, TFLM
from edgeprof.fitting.fit import fit_board, fit_boards, made_up_board
from edgeprof.model import read_model
from edgeprof.model.graph import Graph, Operator
from edgeprof.records.board import Board, MemoryRegion
from edgeprof.report.fit import render_fit

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "models"

# vww_int8.tflite, by hand: the file, and 64 KiB of code in flash; 72 KiB of arena and 4 KiB of stack in SRAM. At most
# the arena twice, and 966 bytes for each of 31 operators.
VWW_FLASH = 296_288 + 65_536
VWW_SRAM = 73_728 + 4_096
VWW_SRAM_AT_MOST = 2 * 73_728 + 4_096 + 31 * 966


@pytest.fixture(scope="module")
def vww() -> Graph:
    return read_model(EXAMPLES / "vww_int8.tflite", digest=False)


def microcontroller(flash: int | None, sram: int | None) -> Board:
    regions = []
    if flash is not None:
        regions.append(MemoryRegion(name="flash", kind="flash", bytes=flash))
    if sram is not None:
        regions.append(MemoryRegion(name="sram", kind="sram", bytes=sram))
    return Board(id="made-up", name="Made up", vendor="", kind="mcu", memory=tuple(regions))


# ── three boards of the shipped ones, by hand ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("board", "flash", "sram", "verdict"),
    [
        ("apollo4p-evb", 2_097_152, 393_216 + 393_216 + 2_097_152, "READY"),
        ("max78000fthr", 524_288, 131_072, "READY WITH WARNINGS"),
        ("raspberry-pi-pico", 2_097_152, 270_336, "READY"),
    ],
)
def test_flash_and_sram_of_three_boards_are_what_one_gets_by_hand(
    vww: Graph, board: str, flash: int, sram: int, verdict: str
) -> None:
    found = fit_board(vww, load_board(board), TFLM)
    needs, has = (
        {finding.metric: getattr(finding, field) for finding in found.findings} for field in ("value", "threshold")
    )
    assert (needs["flash_bytes"], has["flash_bytes"]) == (VWW_FLASH, flash) == (361_824, flash)
    assert (needs["sram_peak_bytes"], has["sram_peak_bytes"]) == (VWW_SRAM, sram) == (77_824, sram)
    assert found.metrics["sram_peak_bytes"].high == VWW_SRAM_AT_MOST == 181_498
    assert found.verdict == verdict


def test_a_linux_board_needs_the_file_and_the_live_activations(vww: Graph) -> None:
    found = fit_board(vww, load_board("raspberry-pi-5"), TFLM)
    metric = found.metrics["memory_peak_bytes"]
    assert (metric.value, metric.basis) == (296_288 + 55_296, "computed")
    assert [finding.metric for finding in found.findings] == ["memory_peak_bytes", "macs_count"]
    assert found.verdict == "READY"


def test_the_smallest_version_of_a_board_decides(vww: Graph) -> None:
    linux = Board(id="l", name="L", vendor="", kind="linux", ram_options_bytes=(10**9, 300_000))
    found = fit_board(vww, linux, TFLM)
    assert (found.verdict, found.findings[0].threshold) == ("NOT READY", 300_000)


# ── verdicts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("flash", "sram", "verdict"),
    [
        (VWW_FLASH, VWW_SRAM_AT_MOST, "READY"),
        (VWW_FLASH, VWW_SRAM_AT_MOST - 1, "READY WITH WARNINGS"),
        (VWW_FLASH, VWW_SRAM, "READY WITH WARNINGS"),
        (VWW_FLASH, VWW_SRAM - 1, "NOT READY"),
        (VWW_FLASH - 1, VWW_SRAM_AT_MOST, "NOT READY"),
        (None, VWW_SRAM_AT_MOST, "UNKNOWN"),
        (VWW_FLASH, None, "UNKNOWN"),
        (None, VWW_SRAM - 1, "NOT READY"),
    ],
)
def test_a_verdict_turns_at_the_last_byte(vww: Graph, flash: int | None, sram: int | None, verdict: str) -> None:
    assert fit_board(vww, microcontroller(flash, sram), TFLM).verdict == verdict


def test_a_shortfall_is_told_in_bytes_with_what_to_shrink(vww: Graph) -> None:
    found = fit_board(vww, microcontroller(VWW_FLASH, VWW_SRAM - 10), TFLM)
    assert "10 B too much" in found.reason
    assert found.shrink == "the activations around operator 2 CONV_2D, output 1x48x48x16"


def test_the_largest_constant_is_to_shrink_where_flash_is_short(vww: Graph) -> None:
    found = fit_board(vww, microcontroller(VWW_FLASH - 1, VWW_SRAM_AT_MOST), TFLM)
    # The last 1x1 convolution, 256 x 256 bytes.
    assert "int8, 64.00 KiB" in found.shrink


def test_a_fact_that_is_absent_is_unknown_and_not_nought(vww: Graph) -> None:
    found = fit_board(vww, microcontroller(None, None), TFLM)
    assert [finding.verdict for finding in found.findings] == ["INCONCLUSIVE", "INCONCLUSIVE", "PASS"]
    assert found.findings[0].threshold is None
    assert found.reason == "no source says how much flash Made up has; no source says how much SRAM Made up has"


def test_everything_that_is_short_is_named(vww: Graph) -> None:
    found = fit_board(vww, microcontroller(VWW_FLASH - 1, VWW_SRAM - 1), TFLM)
    assert found.reason.count("1 B too much") == 2
    assert "operator 2 CONV_2D" in found.shrink
    assert "int8, 64.00 KiB" in found.shrink


def test_a_need_that_is_not_known_is_unknown(vww: Graph) -> None:
    tensors = (replace(vww.tensors[vww.inputs[0]], shape=None), *vww.tensors[1:])
    assert vww.inputs == (0,)
    found = fit_board(replace(vww, tensors=tensors), microcontroller(10**7, 10**7), TFLM)
    assert found.verdict == "UNKNOWN"
    assert found.metrics["sram_peak_bytes"].value is None
    assert found.metrics["sram_peak_bytes"].reason


def test_scattered_sram_counts_by_its_largest_block(vww: Graph) -> None:
    halves = tuple(MemoryRegion(name=f"ram{index}", kind="sram", bytes=VWW_SRAM - 1) for index in (0, 1))
    board = replace(microcontroller(VWW_FLASH, None), memory=(*microcontroller(VWW_FLASH, None).memory, *halves))
    assert fit_board(vww, board, TFLM).verdict == "NOT READY"


def test_an_operator_that_the_engine_lacks_is_not_ready(vww: Graph) -> None:
    foreign = Operator(name="fft", type="RFFT2D", inputs=(0,), outputs=())
    found = fit_board(replace(vww, operators=(*vww.operators, foreign)), microcontroller(10**7, 10**7), TFLM)
    assert (found.verdict, found.reason) == ("NOT READY", "tflm has no RFFT2D")


def test_a_custom_operator_is_a_warning_for_the_application_may_bring_it(vww: Graph) -> None:
    own = Operator(name="own", type="MyOp", inputs=(0,), outputs=(), custom=True)
    found = fit_board(replace(vww, operators=(*vww.operators, own)), microcontroller(10**7, 10**7), TFLM)
    assert (found.verdict, found.reason) == ("READY WITH WARNINGS", "MyOp needs a kernel of your own in tflm")


def test_an_operator_that_an_engine_was_never_seen_with_is_not_known(vww: Graph) -> None:
    foreign = Operator(name="mul", type="MUL", inputs=(0,), outputs=())
    graph = replace(vww, operators=(*vww.operators, foreign))
    found = fit_board(graph, microcontroller(10**7, 10**7), ENGINES["x-cube-ai9+"])
    assert (found.verdict, found.reason) == ("UNKNOWN", "whether x-cube-ai9+ has MUL is not known")
    assert fit_board(graph, microcontroller(10**7, 10**7), ENGINES["tflm+mvp"]).verdict == "READY"
    assert fit_board(vww, microcontroller(10**7, 10**7), ENGINES["leip"]).verdict == "UNKNOWN"


def test_an_onnx_model_does_not_run_on_a_microcontroller() -> None:
    graph = read_model(EXAMPLES / "kws_fp32.onnx", digest=False)
    found = fit_board(graph, microcontroller(10**7, 10**7), TFLM)
    assert found.verdict == "NOT READY"
    assert "convert it to an int8 .tflite first" in found.reason
    assert fit_board(graph, load_board("raspberry-pi-5"), TFLM).verdict == "READY"


@pytest.mark.parametrize("name", ["nucleo-l4r5zi", "raspberry-pi-5"])
def test_a_model_that_folds_to_constants_has_no_latency_and_says_why(tmp_path: Path, name: str) -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 4], [1.0, 2.0, 3.0, 4.0])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node("Add", ["w", "w"], ["y"])], "g", [], [out], [weights])
    path = tmp_path / "constant.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    latency = fit_board(read_model(path, digest=False), load_board(name)).metrics["latency_p50_s"]
    assert latency.value is None
    told = {
        "nucleo-l4r5zi": "nothing is left to compute: all that the operators read are constants",
        "raspberry-pi-5": "a Linux board is estimated once edgeprof calibrate has run on it",
    }
    assert latency.reason == told[name]


def test_declared_code_and_stack_make_the_figures_declared(vww: Graph) -> None:
    found = fit_boards(vww, [load_board("raspberry-pi-pico")])
    assert {found.boards[0].metrics[name].basis for name in ("flash_bytes", "sram_peak_bytes")} == {"declared"}
    assert "64 KiB of TFLM" in found.assumptions[0]


def test_a_board_made_up_of_a_core_is_unknown_for_its_memory_is(vww: Graph) -> None:
    board = made_up_board("cortex-m4", 150e6)
    assert (board.name, board.cores[0].max_clock_hz, board.kind) == ("cortex-m4 at 150 MHz", 150_000_000, "mcu")
    assert fit_board(vww, board, ENGINES["tflm+cmsis-nn"]).verdict == "UNKNOWN"
    assert made_up_board("cortex-a72", None).kind == "linux"
    assert made_up_board("Cortex_A72", None).kind == "linux"


def test_the_table_tells_what_is_left_and_what_is_short(vww: Graph) -> None:
    boards = [microcontroller(VWW_FLASH + 1024, VWW_SRAM - 512), load_board("raspberry-pi-5")]
    drawn = render_fit(fit_boards(vww, boards), "table")
    assert "1.000 KiB left" in drawn
    assert "512 B short" in drawn
    assert "Shrink first: the activations around operator 2 CONV_2D" in " ".join(drawn.split())
