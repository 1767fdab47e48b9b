from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from onnx import TensorProto, helper

from edgeprof.inspecting import DIGEST_LIMIT_BYTES, board_peak, inspect_graph, inspect_model
from edgeprof.model import read_model
from edgeprof.records.board import Accelerator, Board, Core
from edgeprof.report.inspection import render_inspection
from tests.unit.model.flatbuffer_writer import (
    Table,
    code,
    model,
    operator,
    small_convolution,
    subgraph,
    tensor,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.records.inspection import Inspection

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "models"


@pytest.fixture
def convolution(tmp_path: Path) -> Path:
    """Return an int8 CONV_2D of 8x8x2 with 4 kernels 3x3 and a bias, then a RESHAPE to 256."""
    path = tmp_path / "convolution.tflite"
    path.write_bytes(small_convolution())
    return path


def board(ops_per_s: float | None, bytes_per_s: float | None) -> Board:
    core = Core(name="cpu", model="cortex-m4", count=1, peak_int8_dense_ops_per_s=ops_per_s)
    return Board(
        id="made-up", name="Made up", vendor="", kind="mcu", cores=(core,), memory_bandwidth_bytes_per_s=bytes_per_s
    )


def on_board(path: Path, known: Board) -> Inspection:
    return inspect_graph(read_model(path), path, known)


def dynamic_onnx(path: Path, *shape: int | str) -> Path:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], bytes(48), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "dynamic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weights],
    )
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


# ── every figure against one worked out by hand ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("metric", "by_hand"),
    [
        ("macs_count", 8 * 8 * 4 * 3 * 3 * 2),
        ("parameters_count", 4 * 3 * 3 * 2 + 4),
        ("weights_bytes", 4 * 3 * 3 * 2 + 4 * 4 + 2 * 4),  # kernel, bias, and the target of the RESHAPE
        ("activations_total_bytes", 8 * 8 * 4 + 256),
        ("activations_peak_bytes", 8 * 8 * 4 + 256),  # the features and their copy, while the RESHAPE runs
    ],
)
def test_each_metric_is_what_one_gets_by_hand(convolution: Path, metric: str, by_hand: int) -> None:
    found = inspect_model(convolution).metrics[metric]
    assert (found.value, found.basis) == (by_hand, "computed")


def test_each_operator_has_its_own_figures(convolution: Path) -> None:
    first, second = inspect_model(convolution).operators
    assert (first.type, first.name, first.dtype) == ("CONV_2D", "features", "int8")
    assert (first.input_shapes[0], first.output_shapes) == ((1, 8, 8, 2), ((1, 8, 8, 4),))
    assert (first.macs_count, first.parameters_count, first.weights_bytes) == (4608, 76, 72 + 16)
    assert (first.input_bytes, first.output_bytes, first.live_bytes) == (128, 256, 128 + 256)
    assert (second.macs_count, second.parameters_count, second.live_bytes) == (0, 0, 512)


def test_the_arena_has_a_plan_a_lower_bound_and_the_operator_of_the_peak(convolution: Path) -> None:
    arena = inspect_model(convolution).arena
    # The copy of 256 bytes at 0, the features behind it, the image of 128 where the copy will be.
    assert (arena.planner_bytes, arena.liveness_lower_bound_bytes, arena.peak_operator) == (512, 512, "1 RESHAPE")


def test_the_intensity_is_two_operations_a_mac_over_every_byte_that_moves(convolution: Path) -> None:
    moved = (128 + 256 + 72 + 16) + (256 + 256 + 8)
    assert inspect_model(convolution).intensity == pytest.approx(2 * 4608 / moved)


def test_constants_are_counted_by_type_and_kind_of_quantisation(convolution: Path) -> None:
    assert inspect_model(convolution).quantisation == {"int8 per channel": 1, "int32 per channel": 1, "int32": 1}


def test_the_example_keyword_model_has_the_figures_of_its_topology() -> None:
    found = inspect_model(EXAMPLES / "kws_int8.tflite").metrics
    # One 10x4 convolution of stride 2 on 49x10 to 25x5x64, four blocks of 3x3 depthwise and 1x1, one layer of 64 to 12.
    pixels = 25 * 5
    assert found["macs_count"].value == pixels * 64 * 40 + 4 * pixels * 64 * (9 + 64) + 64 * 12
    assert found["parameters_count"].value == 64 * 41 + 4 * (64 * 10 + 64 * 65) + 12 * 65
    assert found["activations_peak_bytes"].value == 2 * pixels * 64


# ── roofline ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_below_the_ridge_memory_binds(convolution: Path) -> None:
    # Ridge 1e9 / 1e7 = 100 op/B, above the 19.5 of the convolution: its 472 bytes take longer than its 9216 operations.
    found = on_board(convolution, board(1e9, 1e7))
    roofline = found.operators[0].roofline
    assert roofline is not None
    assert (roofline.bound, roofline.ridge) == ("memory", 100)
    assert roofline.intensity == pytest.approx(9216 / 472)
    assert roofline.bound_s == pytest.approx(472 / 1e7)


def test_above_the_ridge_arithmetic_binds(convolution: Path) -> None:
    found = on_board(convolution, board(1e9, 1e8))
    roofline = found.operators[0].roofline
    assert roofline is not None
    assert (roofline.bound, roofline.ridge) == ("compute", 10)
    assert roofline.bound_s == pytest.approx(9216 / 1e9)
    assert found.bound_s == pytest.approx(9216 / 1e9 + 520 / 1e8)


@pytest.mark.parametrize(
    ("ops", "bandwidth", "reason"),
    [
        (None, 1e8, "no source gives a peak for int8 of Made up"),
        (1e9, None, "no source gives a memory bandwidth of Made up"),
        (None, None, "no source gives a peak for int8 or a memory bandwidth of Made up"),
    ],
)
def test_a_fact_that_is_absent_gives_no_roofline_and_its_reason(
    convolution: Path, ops: float | None, bandwidth: float | None, reason: str
) -> None:
    found = on_board(convolution, board(ops, bandwidth))
    assert found.bound_s is None
    assert found.peak is not None
    assert found.peak.reason == reason
    assert all(operator.roofline is None for operator in found.operators)


def test_an_operator_without_a_bound_leaves_the_model_without_one(tmp_path: Path) -> None:
    tensors = [tensor("x", [1, 8]), tensor("y", [1, 8]), tensor("z", [1, 8])]
    nodes = [operator(0, [0, 0], [1]), operator(1, [1], [2])]
    path = tmp_path / "custom.tflite"
    path.write_bytes(model([code(0), code(32, "Mine")], [subgraph(tensors, nodes, [0], [2])], []))
    found = on_board(path, board(1e9, 1e8))
    assert [row.roofline is None for row in found.operators] == [False, True]
    assert found.bound_s is None


def test_a_sparse_peak_is_never_taken_for_a_dense_one() -> None:
    only_sparse = Board(
        id="b", name="B", vendor="", kind="linux", memory_bandwidth_bytes_per_s=1.0,
        accelerators=(Accelerator(name="gpu", peak_int8_sparse_ops_per_s=4e12),),
    )  # fmt: skip
    assert board_peak(only_sparse, "int8").ops_per_s is None


def test_the_fastest_unit_of_a_board_sets_its_peak() -> None:
    both = Board(
        id="b", name="B", vendor="", kind="linux",
        cores=(Core(name="cpu", model="cortex-a78", count=4, peak_int8_dense_ops_per_s=1e9),),
        accelerators=(Accelerator(name="gpu", peak_int8_dense_ops_per_s=3e9),),
    )  # fmt: skip
    assert (board_peak(both, "int8").unit, board_peak(both, "int8").ops_per_s) == ("cortex-a78", 4e9)


def test_a_real_board_bounds_a_real_model() -> None:
    found = inspect_model(EXAMPLES / "kws_int8.tflite", board="jetson-orin-nano")
    assert found.peak is not None
    assert (found.peak.ops_per_s, found.peak.bytes_per_s) == (20e12, 68e9)
    assert found.bound_s is not None
    assert found.intensity is not None
    # Everything is below the ridge of 294 op/B, so the bound is the bytes moved over the bandwidth.
    moved = 2 * 2_656_768 / found.intensity
    assert {row.roofline.bound for row in found.operators if row.roofline} == {"memory"}
    assert found.bound_s == pytest.approx(moved / 68e9)


# ── what is not known is said ────────────────────────────────────────────────────────────────────────────────────────


def test_a_varying_batch_is_taken_as_one_with_a_warning(tmp_path: Path) -> None:
    found = inspect_model(dynamic_onnx(tmp_path / "m.onnx", "batch", 4))
    assert found.metrics["macs_count"].value == 4 * 3
    assert found.warnings == ("the batch of 'x' varies; taken as 1, which --shape changes",)


def test_a_batch_that_is_given_is_taken(tmp_path: Path) -> None:
    found = inspect_model(dynamic_onnx(tmp_path / "m.onnx", "batch", 4), shapes={"x": (5, 4)})
    assert (found.metrics["macs_count"].value, found.warnings) == (5 * 4 * 3, ())


def test_what_follows_from_an_unknown_size_is_null_with_its_reason(tmp_path: Path) -> None:
    found = inspect_model(dynamic_onnx(tmp_path / "m.onnx", 1, "length", 4))
    macs, peak = found.metrics["macs_count"], found.metrics["activations_peak_bytes"]
    assert (macs.value, macs.reason) == (None, "MatMul 'y': a dimension is not known")
    assert peak.value is None
    assert "'x'" in (peak.reason or "")
    assert [row.live_bytes for row in found.operators] == [None]
    assert found.arena.peak_operator is None


def test_many_unknown_operators_are_one_line_of_reason(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "x"], [f"y{index}"]) for index in range(50)]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "many", [info("x", TensorProto.FLOAT, ["n", "n"])], [info("y0", TensorProto.FLOAT, None)]
    )
    path = tmp_path / "many.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert inspect_model(path).metrics["macs_count"].reason == "MatMul 'y0' and 49 more: a dimension is not known"


def test_a_large_file_is_not_hashed(tmp_path: Path) -> None:
    small, large = tmp_path / "small.tflite", tmp_path / "large.tflite"
    small.write_bytes(small_convolution())
    large.write_bytes(small_convolution())
    with large.open("ab") as file:
        file.truncate(DIGEST_LIMIT_BYTES + 1)
    assert len(inspect_model(small).model.sha256 or "") == 64
    assert inspect_model(large).model.sha256 is None


def test_tflm_is_asked_only_when_the_exact_arena_is_wanted(convolution: Path) -> None:
    assert inspect_model(convolution).arena.recorded_reason == "not asked for: --exact"
    pytest.importorskip("tflite_micro")
    arena = inspect_model(EXAMPLES / "kws_int8.tflite", exact=True).arena
    assert arena.recorded_bytes is not None
    assert arena.planner_bytes is not None
    assert arena.recorded_bytes > arena.planner_bytes


def test_folded_operators_are_marked_and_left_out_of_the_table(tmp_path: Path) -> None:
    tensors = [
        tensor("x", [1, 4], dtype=0), tensor("w16", [2, 4], dtype=1, buffer=1), tensor("w", [2, 4], dtype=0),
        tensor("y", [1, 2], dtype=0),
    ]  # fmt: skip
    nodes = [operator(0, [1], [2]), operator(1, [0, 2, -1], [3], 8, Table())]
    path = tmp_path / "half.tflite"
    path.write_bytes(model([code(6), code(9)], [subgraph(tensors, nodes, [0], [3])], [bytes(16)]))
    found = inspect_model(path)
    assert [row.folded for row in found.operators] == [True, False]
    drawn = render_inspection(found, "table")
    assert "FULLY_CONNECTED" in drawn
    assert "DEQUANTIZE" not in drawn
    assert "not shown: 1 that a runtime works out once" in drawn


# ── how it looks ─────────────────────────────────────────────────────────────────────────────────────────────────────


def chain(path: Path, count: int) -> Path:
    tensors = [tensor(f"t{index}", [1, 8]) for index in range(count + 1)]
    nodes = [operator(0, [index, index], [index + 1]) for index in range(count)]
    path.write_bytes(model([code(0)], [subgraph(tensors, nodes, [0], [count])], []))
    return path


def test_a_long_table_is_cut_and_says_how_much_is_missing(tmp_path: Path) -> None:
    drawn = render_inspection(inspect_model(chain(tmp_path / "long.tflite", 60)), "table")
    assert "20 more operators; --top 60 shows all" in drawn
    assert "a bar the most of 2 operators" in drawn


@pytest.mark.parametrize("width", [72, 80, 120])
@pytest.mark.parametrize("name", ["kws_int8.tflite", "kws_qdq_int8.onnx", "vww_int8.tflite"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int, wide: Callable[[int], None]) -> None:
    wide(width)
    lines = render_inspection(inspect_model(EXAMPLES / name, board="jetson-orin-nano"), "table").splitlines()
    assert max(map(len, lines)) <= width


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes standard output a page of a width."""

    def make(width: int) -> None:
        monkeypatch.setattr("edgeprof.report.columns.WITHOUT_TERMINAL", width)

    return make


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "rude.tflite"
    tensors = [tensor("\x1b[2Jin", [1, 8]), tensor("out\r\n\x07", [1, 8])]
    path.write_bytes(model([code(32, "\x1b]0;x\x07")], [subgraph(tensors, [operator(0, [0], [1])], [0], [1])], []))
    found = inspect_model(path)
    assert not set("\x1b\r\x07") & set(render_inspection(found, "table"))
