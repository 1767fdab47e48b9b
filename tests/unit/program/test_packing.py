"""Programs: what is packed and how, and what is refused by name before any board is touched."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeprof.errors import ModelUnsupported
from edgeprof.model import read_model
from edgeprof.model.arena import greedy_arena_plan
from edgeprof.program import Program, pack_program
from edgeprof.program.lowering import LOWERINGS, in_blocks
from tests.firmware.small_models import SmallModel

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "examples" / "models"


def packed(content: bytes, folder: Path) -> Program:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return pack_program(read_model(path), path)


def header(program: Program) -> tuple[int, ...]:
    return struct.unpack_from("<12I", program.content)


def test_a_program_says_what_it_is_and_carries_its_crc(kws: Path) -> None:
    program = pack_program(read_model(kws), kws)
    magic, version, size, crc, core, arena, operators, *_ = header(program)
    assert struct.pack("<I", magic) == b"EPRG"
    assert (version, size, core, arena) == (1, len(program.content), program.core_bytes, program.arena_bytes)
    assert crc == zlib.crc32(program.content[16:])
    assert operators == len(program.operators)


def test_the_same_model_gives_the_same_bytes(kws: Path) -> None:
    assert pack_program(read_model(kws), kws) == pack_program(read_model(kws), kws)


def test_the_names_are_not_part_of_what_is_flashed(kws: Path) -> None:
    program = pack_program(read_model(kws), kws)
    assert b"CONV_2D\0" not in program.content[: program.core_bytes]
    assert b"CONV_2D\0" in program.content[program.core_bytes :]


@pytest.mark.parametrize("name", ["kws_int8", "ad_int8", "resnet8_int8", "vww_int8"])
def test_the_arena_is_that_of_tflms_planner_and_inputs_and_outputs_lie_in_it(name: str) -> None:
    path = MODELS / f"{name}.tflite"
    graph = read_model(path)
    program = pack_program(graph, path)
    assert program.arena_bytes == greedy_arena_plan(graph).planner_bytes
    for tensor in (*program.inputs, *program.outputs):
        assert tensor.offset_bytes is not None
        assert tensor.offset_bytes + tensor.bytes <= program.arena_bytes
    assert [tensor.shape for tensor in program.inputs] == [graph.tensors[index].shape for index in graph.inputs]


def test_a_reshape_costs_nothing_and_the_rest_keeps_its_place(kws: Path) -> None:
    graph = read_model(kws)
    program = pack_program(graph, kws)
    assert [operator.position for operator in program.operators] == [
        index for index, operator in enumerate(graph.operators) if operator.type != "RESHAPE"
    ]
    assert "only change a shape" in program.notes[0]


def test_an_onnx_model_is_refused_by_saying_so() -> None:
    path = MODELS / "kws_qdq_int8.onnx"
    with pytest.raises(ModelUnsupported, match="is an ONNX model") as refused:
        pack_program(read_model(path), path)
    assert "tflite" in refused.value.hint


def test_an_operator_that_is_not_there_is_refused_by_its_name() -> None:
    path = MODELS / "refused" / "unsupported_operator.tflite"
    with pytest.raises(ModelUnsupported, match="needs EdgeprofUnsupported") as refused:
        pack_program(read_model(path), path)
    assert refused.value.hint


def test_a_float_model_is_refused_with_the_types_that_can_be_done(tmp_path: Path) -> None:
    model = SmallModel()
    source, out = model.tensor((1, 4), dtype="float32"), model.tensor((1, 4), dtype="float32")
    model.operator("RELU", [source], [out], None)
    with pytest.raises(ModelUnsupported, match=r"operator 0 \(RELU, 't1'\): 't0' is float32; int8 can be done"):
        packed(model.write([source], [out]), tmp_path)


def unary(name: str, scale: float, zero_point: int) -> bytes:
    model = SmallModel()
    source, out = model.tensor((1, 4), 0.1, 0), model.tensor((1, 4), scale, zero_point)
    options: dict[str, Any] = {"SOFTMAX": ("SoftmaxOptions", {"beta": 1.0})}
    model.operator(name, [source], [out], options.get(name))
    return model.write([source], [out])


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH", "SOFTMAX"])
def test_an_output_that_tflm_would_not_take_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match=f"{name}.*the scale"):
        packed(unary(name, 0.1, 3), tmp_path)


def dense(weights: SmallModel, *, zero_point: int = 0, activation: int = 0) -> bytes:
    source = weights.tensor((1, 4), 0.1, 0)
    rows = weights.constant(np.ones((2, 4), np.int8), [0.1], 0, zero_point)
    out = weights.tensor((1, 2), 0.1, 0)
    options = {"fusedActivationFunction": activation}
    weights.operator("FULLY_CONNECTED", [source, rows], [out], ("FullyConnectedOptions", options))
    return weights.write([source], [out])


def test_weights_with_a_zero_point_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match="zero point other than 0"):
        packed(dense(SmallModel(), zero_point=3), tmp_path)


def test_a_fused_activation_that_is_not_there_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsupported, match="the fused activation TANH"):
        packed(dense(SmallModel(), activation=4), tmp_path)


def test_weights_that_come_at_run_time_are_refused(tmp_path: Path) -> None:
    model = SmallModel()
    source, rows, out = model.tensor((1, 4), 0.1, 0), model.tensor((2, 4), 0.1, 0), model.tensor((1, 2), 0.1, 0)
    model.operator("FULLY_CONNECTED", [source, rows], [out], ("FullyConnectedOptions", {}))
    with pytest.raises(ModelUnsupported, match="'t1' is to be a constant"):
        packed(model.write([source, rows], [out]), tmp_path)


@pytest.mark.parametrize(("name", "inputs"), [("RESHAPE", 0), ("RELU", 0), ("ADD", 1), ("MEAN", 1)])
def test_an_operator_that_lacks_an_input_is_refused_by_its_name(name: str, inputs: int, tmp_path: Path) -> None:
    model = SmallModel()
    source, out = model.tensor((1, 4), 0.1, 0), model.tensor((1, 4), 0.1, 0)
    model.operator(name, [source][:inputs], [out], None)
    with pytest.raises(ModelUnsupported, match=f"operator 0 \\({name}, 't1'\\): an input or its output is left out"):
        packed(model.write([source], [out]), tmp_path)


def test_a_reshape_to_another_number_of_bytes_is_refused(tmp_path: Path) -> None:
    model = SmallModel()
    source, out = model.tensor((1, 4), 0.1, 0), model.tensor((1, 8), 0.1, 0)
    model.operator("RESHAPE", [source], [out], None)
    with pytest.raises(ModelUnsupported, match="an output of 8 bytes from an input of 4"):
        packed(model.write([source], [out]), tmp_path)


def test_what_follows_a_reshape_is_lowered_in_its_new_shape(tmp_path: Path) -> None:
    model = SmallModel()
    source, flat = model.tensor((1, 2, 8), 0.1, 0), model.tensor((1, 16), 0.1, 0)
    out = model.tensor((1, 16), 1 / 256, -128)
    model.operator("RESHAPE", [source], [flat], None)
    model.operator("SOFTMAX", [flat], [out], ("SoftmaxOptions", {"beta": 1.0}))
    program = packed(model.write([source], [out, flat]), tmp_path)
    assert [operator.type for operator in program.operators] == ["RESHAPE", "SOFTMAX"]
    assert [tensor.shape for tensor in program.outputs] == [(1, 16), (1, 16)]


def test_four_rows_are_interleaved_by_words_and_the_rest_stays() -> None:
    rows = [bytes([row * 16 + column for column in range(8)]) for row in range(5)]
    blocked = in_blocks(b"".join(rows), 5, 8)
    words = [[row[:4], row[4:]] for row in rows[:4]]
    assert blocked == b"".join(words[row][word] for word in range(2) for row in range(4)) + rows[4]


def test_every_operator_of_the_issue_is_there() -> None:
    wanted = {
        "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D", "ADD", "MUL", "SOFTMAX",
        "RESHAPE", "PAD", "MEAN", "CONCATENATION", "QUANTIZE", "DEQUANTIZE", "RELU", "RELU6", "LOGISTIC", "TANH",
        "HARD_SWISH",
    }  # fmt: skip
    assert wanted <= set(LOWERINGS)
