from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    defs,
    helper,
    load,
    numpy_helper,
    shape_inference,
)

from edgeprof.errors import ModelInvalid, UsageError
from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.model.memory import greedy_arena_plan, liveness
from edgeprof.model.onnx import read_onnx
from edgeprof.model.operator_lists import without_macs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.model.graph import Graph

FLOAT, BOOL = TensorProto.FLOAT, TensorProto.BOOL


def value(name: str, shape: Sequence[int | str] | None, dtype: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def weight(name: str, *shape: int) -> TensorProto:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def numbers(name: str, *items: int) -> TensorProto:
    return numpy_helper.from_array(np.array(items, np.int64), name)


def graph_of(
    nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[ValueInfoProto], weights: list[TensorProto]
) -> GraphProto:
    return helper.make_graph(nodes, "test", inputs, outputs, weights)


def model_of(
    nodes: list[NodeProto], inputs: list[ValueInfoProto], outputs: list[str], *weights: TensorProto
) -> ModelProto:
    graph = graph_of(nodes, inputs, [value(name, None) for name in outputs], list(weights))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    )


def read(model: ModelProto, shapes: dict[str, tuple[int, ...]] | None = None) -> Graph:
    return read_onnx(model.SerializeToString(), Path("test.onnx"), shapes)


def one(node: NodeProto, inputs: list[ValueInfoProto], *weights: TensorProto) -> Graph:
    return read(model_of([node], inputs, [node.output[0]], *weights))


def output_shape(graph: Graph) -> tuple[int | None, ...] | None:
    return graph.tensors[graph.outputs[0]].shape


def test_every_standard_operator_is_counted_or_named() -> None:
    arithmetic = {
        "Attention", "CausalConvWithState", "Conv", "ConvInteger", "ConvTranspose", "DFT", "DeformConv",
        "Einsum", "GRU", "Gemm", "If", "ImageDecoder", "LSTM", "LinearAttention", "Loop", "MatMul",
        "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN", "STFT", "Scan", "SequenceMap",
    }  # fmt: skip
    standard = {schema.name for schema in defs.get_all_schemas_with_history() if not schema.domain}
    assert standard - without_macs["onnx"] <= arithmetic
    assert not arithmetic & without_macs["onnx"]


def test_shapes_follow_a_view_that_is_computed_from_the_shape_of_its_input() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["row"]),
        helper.make_node("Concat", ["row", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    zero = numpy_helper.from_array(np.array(0, np.int64), "zero")
    model = model_of(nodes, [value("x", ["N", 4, 6])], ["y"], zero, numbers("axes", 0), numbers("rest", -1))
    assert output_shape(read(model, {"x": (2, 4, 6)})) == (2, 24)
    assert output_shape(read(model)) == (None, 24)


def test_the_pads_that_pytorch_exports_are_followed_through_their_reshuffling() -> None:
    nodes = [
        helper.make_node("Reshape", ["pads", "pairs"], ["matrix"]),
        helper.make_node("Slice", ["matrix", "minus", "least", "zero", "minus"], ["reversed"]),
        helper.make_node("Transpose", ["reversed"], ["columns"], perm=[1, 0]),
        helper.make_node("Reshape", ["columns", "minus"], ["ordered"]),
        helper.make_node("Pad", ["x", "ordered"], ["y"]),
    ]
    small = [numbers("pads", 1, 2, 0, 0), numbers("pairs", -1, 2), numbers("minus", -1)]
    model = model_of(nodes, [value("x", [3, 10])], ["y"], *small, numbers("least", -(2**31)), numbers("zero", 0))
    assert output_shape(read(model)) == (3, 13)


def node(kind: str, **attributes: object) -> NodeProto:
    inputs = ["x", "w"] if kind in {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "Add"} else ["x"]
    return helper.make_node(kind, inputs, ["y"], None, None, None, None, **attributes)


stride = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
cases: list[tuple[NodeProto, list[int], list[int] | None, int, tuple[int, ...]]] = [
    (node("Conv", **stride), [1, 3, 9, 9], [8, 3, 3, 3], 25 * 8 * 27, (1, 8, 5, 5)),
    (node("Conv", group=4, auto_pad="SAME_UPPER"), [1, 4, 5, 5], [8, 1, 3, 3], 25 * 8 * 9, (1, 8, 5, 5)),
    (node("Conv", dilations=[2]), [1, 4, 20], [6, 4, 3], 16 * 6 * 12, (1, 6, 16)),
    (node("ConvTranspose", output_padding=[1, 1], **stride), [1, 4, 5, 5], [4, 6, 3, 3], 100 * 54, (1, 6, 10, 10)),
    (node("Gemm", transA=1, transB=1), [7, 3], [5, 7], 3 * 5 * 7, (3, 5)),
    (node("MatMul"), [2, 8, 3, 4], [8, 4, 5], 2 * 8 * 3 * 5 * 4, (2, 8, 3, 5)),
    (node("Einsum", equation="bij,bjk->bik"), [2, 3, 4], [2, 4, 5], 2 * 3 * 4 * 5, (2, 3, 5)),
    (node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1), [1, 2, 8, 8], None, 0, (1, 2, 4, 4)),
    (node("ReduceMean", keepdims=0), [2, 3], None, 0, ()),
    (node("Flatten", axis=2), [2, 3, 4, 5], None, 0, (6, 20)),
    (node("DepthToSpace", blocksize=2), [1, 8, 3, 3], None, 0, (1, 2, 6, 6)),
    (node("Add"), [4, 1, 3], [5, 1], 0, (4, 5, 3)),
]


@pytest.mark.parametrize(("operator", "data", "weights", "macs", "shape"), cases)
def test_an_operator_has_its_shape_and_its_macs(
    operator: NodeProto, data: list[int], weights: list[int] | None, macs: int, shape: tuple[int, ...]
) -> None:
    graph = one(operator, [value("x", data)], *([weight("w", *weights)] if weights is not None else []))
    assert output_shape(graph) == shape
    assert model_cost(graph).macs_count == macs


def test_a_recurrent_layer_counts_all_gates_for_every_step() -> None:
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y", "h", "c"], hidden_size=5)
    graph = one(node, [value("x", [7, 2, 3])], weight("w", 1, 20, 3), weight("r", 1, 20, 5))
    assert model_cost(graph).macs_count == 7 * 2 * (60 + 100)
    assert [graph.tensors[index].shape for index in graph.operators[0].outputs] == [(7, 1, 2, 5), (1, 2, 5), (1, 2, 5)]


def test_quantised_weights_are_folded_and_scales_are_no_parameters() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "scale", "zero"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    stored = numpy_helper.from_array(np.zeros((4, 8), np.int8), "w8")
    scale = numpy_helper.from_array(np.array(0.5, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    cost = model_cost(read(model_of(nodes, [value("x", [1, 4])], ["y"], stored, scale, zero)))
    assert (cost.parameters_count, cost.weights_bytes, cost.macs_count) == (32, 37, 32)
    assert cost.operators[0].folded
    assert cost.operators[1].parameters_count == 32
    assert cost.activations_total_bytes == 32


def test_the_branches_of_an_if_are_read_with_what_they_capture() -> None:
    def branch(name: str, width: int) -> GraphProto:
        nodes = [helper.make_node("MatMul", ["x", f"w{name}"], [f"y{name}"])]
        return graph_of(nodes, [], [value(f"y{name}", [1, width])], [weight(f"w{name}", 4, width)])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("t", 6), else_branch=branch("e", 2))
    graph = one(node, [value("c", [1], BOOL), value("x", [1, 4])])
    assert [body.operators[0].type for body in graph.subgraphs] == ["MatMul", "MatMul"]
    assert graph.operators[0].subgraphs == (0, 1)
    assert [graph.tensors[index].name for index in graph.operators[0].captures] == ["x"]
    cost = model_cost(graph)
    assert (cost.macs_count, cost.parameters_count) == (24, 32)
    assert output_shape(graph) == (1, None)


def test_a_branch_that_the_file_decides_is_the_one_that_counts() -> None:
    def branch(name: str, width: int) -> GraphProto:
        nodes = [helper.make_node("MatMul", ["x", f"w{name}"], [f"y{name}"])]
        return graph_of(nodes, [], [value(f"y{name}", None)], [weight(f"w{name}", 4, width)])

    decided = numpy_helper.from_array(np.array([False]), "c")
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("t", 6), else_branch=branch("e", 2))
    graph = one(node, [value("x", [1, 4])], decided)
    assert output_shape(graph) == (1, 2)
    assert model_cost(graph).macs_count == 8


def test_dynamic_dimensions_stay_unknown_and_the_input_is_named() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = one(node, [value("x", ["N", 3, "H", "W"])], weight("w", 8, 3, 3, 3))
    assert output_shape(graph) == (None, 8, None, None)
    assert graph.warnings == ("input 'x' varies: (?,3,?,?); fix it with --shape",)
    assert model_cost(graph).macs_count is None
    assert "is not known" in liveness(graph).reason


def test_a_wrong_input_name_lists_the_inputs() -> None:
    model = model_of([helper.make_node("Relu", ["image"], ["y"])], [value("image", ["N", 3])], ["y"])
    with pytest.raises(UsageError, match=r"no input 'img'; it has image \(\?,3\)"):
        read(model, {"img": (1, 3)})


def test_nodes_out_of_order_are_put_in_order() -> None:
    nodes = [helper.make_node("Relu", ["h"], ["y"]), helper.make_node("Neg", ["x"], ["h"])]
    graph = read(model_of(nodes, [value("x", [2])], ["y"]))
    assert [node.type for node in graph.operators] == ["Neg", "Relu"]
    assert output_shape(graph) == (2,)


def test_a_cycle_is_refused_by_the_name_of_a_node() -> None:
    nodes = [helper.make_node("Relu", ["b"], ["a"], name="first"), helper.make_node("Neg", ["a"], ["b"], name="second")]
    with pytest.raises(ModelInvalid, match=r"cycle: node 'first' \(Relu\) needs itself"):
        read(model_of(nodes, [], ["b"]))


def test_an_input_that_nothing_makes_is_refused() -> None:
    with pytest.raises(ModelInvalid, match=r"'missing' of node 'y' .* is made by nothing"):
        read(model_of([helper.make_node("Relu", ["missing"], ["y"])], [], ["y"]))


def test_operators_of_other_domains_are_named_and_not_guessed() -> None:
    node = helper.make_node("Secret", ["x"], ["y"], domain="com.example", name="s")
    graph = one(node, [value("x", [1])])
    assert (graph.operators[0].custom, graph.operators[0].domain) == (True, "com.example")
    assert model_cost(graph).unknown == ("Secret 's': com.example operator: its arithmetic is not known",)
    assert "operators outside the ONNX standard: com.example::Secret" in graph.warnings


def test_weights_in_files_elsewhere_are_counted_and_never_opened(tmp_path: Path) -> None:
    stored = weight("w", 4, 8)
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    entry = stored.external_data.add()
    entry.key, entry.value = "location", "/dev/full/never-there.bin"
    path = tmp_path / "model.onnx"
    path.write_bytes(
        model_of(
            [helper.make_node("MatMul", ["x", "w"], ["y"])], [value("x", [1, 4])], ["y"], stored
        ).SerializeToString()
    )
    graph = read_model(path)
    cost = model_cost(graph)
    assert (cost.parameters_count, cost.weights_bytes, cost.macs_count) == (32, 128, 32)
    assert "'/dev/full/never-there.bin', which is not in the model's own folder" in graph.warnings[0]


def test_the_arena_of_tflm_is_not_computed_for_onnx() -> None:
    graph = one(helper.make_node("Relu", ["x"], ["y"]), [value("x", [1])])
    assert greedy_arena_plan(graph).reason == "TFLM runs .tflite models only"


@pytest.mark.parametrize(
    "name", ["resnet50", "densenet121", "inception_v1", "inception_v2", "shufflenet", "squeezenet"]
)
def test_shapes_are_those_of_onnx_own_inference(light_models: Path, name: str) -> None:
    path = light_models / f"light_{name}.onnx"
    inferred = shape_inference.infer_shapes(load(str(path)))
    wanted = {
        item.name: tuple(dim.dim_value for dim in item.type.tensor_type.shape.dim) for item in inferred.graph.value_info
    }
    graph = read_model(path, digest=False)
    ours = {tensor.name: tensor.shape for tensor in graph.tensors}
    assert len(wanted) > 50
    assert {name: ours[name] for name in wanted} == wanted


def test_a_hundred_megabytes_of_weights_cost_next_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    size, count = 1024, 25
    weights = [weight(f"w{index}", size, size) for index in range(count)]
    nodes = [helper.make_node("MatMul", [f"x{index}", f"w{index}"], [f"x{index + 1}"]) for index in range(count)]
    path.write_bytes(model_of(nodes, [value("x0", [1, size])], [f"x{count}"], *weights).SerializeToString())
    start = time.perf_counter()
    cost = model_cost(read_model(path, digest=False))
    taken = time.perf_counter() - start
    shutil.rmtree(tmp_path)
    assert cost.macs_count == cost.parameters_count == count * size * size
    assert taken < 0.1


def quantised_convolution() -> Graph:
    """Return x, DequantizeLinear of int8 weights 4x3x3x3 and of an int32 bias of 4, Conv; quantised in and out."""
    stored = [
        numpy_helper.from_array(np.zeros((4, 3, 3, 3), np.int8), "w8"),
        numpy_helper.from_array(np.zeros(4, np.int32), "b32"),
        numpy_helper.from_array(np.ones(4, np.float32), "scales"),
        numpy_helper.from_array(np.array(1, np.float32), "scale"),
        numpy_helper.from_array(np.zeros(4, np.int8), "zeros"),
        numpy_helper.from_array(np.array(0, np.int8), "zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w8", "scales", "zeros"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["b32", "scales"], ["b"], axis=0),
        helper.make_node("Conv", ["xd", "w", "b"], ["y"]),
    ]
    return read(model_of(nodes, [value("x", [1, 3, 8, 8])], ["y"], *stored))


def test_biases_of_32_bits_behind_a_dequantizelinear_are_parameters() -> None:
    cost = model_cost(quantised_convolution())
    assert cost.parameters_count == 4 * 3 * 3 * 3 + 4
    assert cost.operators[-1].parameters_count == 4 * 3 * 3 * 3 + 4


def test_dequantised_constants_are_weights_of_their_stored_size_and_no_activations() -> None:
    graph = quantised_convolution()
    cost = model_cost(graph)
    assert [operator.folded for operator in cost.operators] == [False, False, True, True, False]
    # The weights in 8 bits, the biases in 32, the scales a channel and a tensor, the zero points.
    assert cost.weights_bytes == 108 + 16 + 16 + 4 + 4 + 1
    assert cost.operators[-1].weights_bytes == 108 + 16
    assert cost.activations_total_bytes == 192 + 4 * 192 + 4 * (4 * 6 * 6)
    assert liveness(graph).lower_bound_bytes == 4 * 192 + 4 * (4 * 6 * 6)
    assert any("a runtime that fuses them keeps whole numbers" in note for note in liveness(graph).notes)


def test_whole_numbers_that_are_shapes_stay_no_parameters() -> None:
    nodes = [helper.make_node("Cast", ["n"], ["f"], to=FLOAT), helper.make_node("Reshape", ["x", "n"], ["y"])]
    graph = read(model_of(nodes, [value("x", [2, 6])], ["y"], numbers("n", 3, 4)))
    assert model_cost(graph).parameters_count == 0
