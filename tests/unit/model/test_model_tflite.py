from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from edgeprof.errors import ModelInvalid, ModelUnsupported, UsageError
from edgeprof.model import read_model
from edgeprof.model.cost import model_cost
from edgeprof.model.graph import Graph, tensor_bytes
from edgeprof.model.memory import greedy_arena_plan, liveness
from edgeprof.model.tflite import read_tflite
from edgeprof.model.tflite_schema import builtin_options, builtin_options_2, operator_names, type_names
from tests.unit.model.flatbuffer_writer import Table, code, model, operator, small_convolution, subgraph, tensor

if TYPE_CHECKING:
    from pathlib import Path

ADD, CONV, DEQUANTIZE, FULLY_CONNECTED, CUSTOM, IF, WHILE = 0, 3, 6, 9, 32, 118, 119
VAR_HANDLE, CALL_ONCE, TRANSPOSE_CONV, UNIDIRECTIONAL_LSTM = 142, 129, 67, 44


def read(data: bytes, shapes: dict[str, tuple[int, ...]] | None = None) -> Graph:
    return read_tflite(data, "test.tflite", shapes)


def test_the_operator_names_are_those_of_the_litert_wheel() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    numbered = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
    assert dict(enumerate(operator_names)) == numbered


def test_the_types_are_those_of_the_litert_wheel() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    numbered = {number: name.lower() for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    assert dict(enumerate(type_names)) == numbered


def test_every_table_of_options_has_the_number_of_the_litert_wheel() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    assert builtin_options[schema.BuiltinOptions.Conv2DOptions][2].name == "stride_h"
    assert builtin_options[schema.BuiltinOptions.WhileOptions][1].kind == "graph"
    assert builtin_options[schema.BuiltinOptions.BatchMatMulOptions][0].name == "adj_x"
    assert builtin_options_2[schema.BuiltinOptions2.StablehloDotGeneralOptions][2].name == "lhs_contracting_dimensions"
    assert builtin_options_2[schema.BuiltinOptions2.StableHLOCompositeOptions][1].kind == "graph"


def test_a_convolution_is_read_with_its_options_and_its_quantisation() -> None:
    graph = read(small_convolution())
    convolution, reshape = graph.operators
    assert (convolution.type, reshape.type) == ("CONV_2D", "RESHAPE")
    assert convolution.attributes["padding"] == "SAME"
    assert convolution.attributes["fused_activation_function"] == "RELU"
    assert (convolution.attributes["stride_h"], convolution.attributes["dilation_w_factor"]) == (1, 1)
    kernel = graph.tensors[1]
    assert kernel.constant_bytes == 72
    assert kernel.quantization is not None
    assert kernel.quantization.scales == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert kernel.quantization.zero_points == (0, 0, 0, 0)


def test_a_constant_says_where_its_bytes_lie_in_the_file() -> None:
    data = small_convolution()
    target = read(data).tensors[4]
    assert target.constant_offset is not None
    assert struct.unpack_from("<2i", data, target.constant_offset) == (-1, 256)


def test_a_convolution_costs_its_outputs_times_its_kernel() -> None:
    cost = model_cost(read(small_convolution()))
    assert cost.macs_count == 8 * 8 * 4 * 3 * 3 * 2
    assert cost.parameters_count == 72 + 4
    assert cost.weights_bytes == 72 + 16 + 8
    assert cost.activations_total_bytes == 256 + 256
    assert [item.input_bytes for item in cost.operators] == [128, 256]


def test_a_batch_that_varies_is_taken_as_the_file_has_it_and_said() -> None:
    graph = read(small_convolution())
    assert graph.tensors[0].shape == (1, 8, 8, 2)
    assert graph.warnings == ("the batch of input 'image' varies; taken as 1, which a runtime allocates",)


def test_shapes_that_are_given_are_followed_through_the_graph() -> None:
    graph = read(small_convolution(), {"image": (4, 8, 8, 2)})
    assert [graph.tensors[index].shape for index in (0, 3, 5)] == [(4, 8, 8, 2), (4, 8, 8, 4), (4, 256)]
    assert model_cost(graph).macs_count == 4 * 8 * 8 * 4 * 3 * 3 * 2


def test_a_shape_for_an_unknown_input_lists_the_inputs() -> None:
    with pytest.raises(UsageError, match=r"no input 'images'; it has image \(\?,8,8,2\)") as caught:
        read(small_convolution(), {"images": (1, 8, 8, 2)})
    assert caught.value.hint == "did you mean image?"


def test_a_shape_that_the_input_cannot_have_is_refused() -> None:
    with pytest.raises(UsageError, match=r"cannot have the shape \(1,9,8,2\); the model wants \(\?,8,8,2\)"):
        read(small_convolution(), {"image": (1, 9, 8, 2)})


def test_dimensions_other_than_the_batch_stay_unknown_unless_they_are_given() -> None:
    tensors = [
        tensor("x", [1, 1, 1, 2], signature=[1, -1, -1, 2]),
        tensor("w", [4, 3, 3, 2], buffer=1),
        tensor("y", [1, 1, 1, 4], signature=[1, -1, -1, 4]),
    ]
    options = Table({0: ("b", 1), 1: ("i", 2), 2: ("i", 2)})
    data = model([code(CONV)], [subgraph(tensors, [operator(0, [0, 1], [2], 1, options)], [0], [2])], [bytes(72)])
    unknown = read(data)
    assert unknown.tensors[2].shape == (1, None, None, 4)
    assert model_cost(unknown).macs_count is None
    assert model_cost(unknown).unknown == ("CONV_2D 'y': a dimension is not known",)
    assert liveness(unknown).lower_bound_bytes is None
    assert greedy_arena_plan(unknown).planner_bytes is None
    fixed = read(data, {"x": (1, 9, 11, 2)})
    assert fixed.tensors[2].shape == (1, 4, 5, 4)
    assert model_cost(fixed).macs_count == 4 * 5 * 4 * 18


def test_a_custom_operator_is_named_and_never_counted_as_nothing() -> None:
    tensors = [tensor("x", [1, 4]), tensor("y", [1, 4])]
    data = model([code(CUSTOM, "MySpectrogram")], [subgraph(tensors, [operator(0, [0], [1])], [0], [1])], [])
    graph = read(data)
    assert (graph.operators[0].type, graph.operators[0].custom) == ("MySpectrogram", True)
    cost = model_cost(graph)
    assert cost.macs_count is None
    assert cost.macs_known_count == 0
    assert cost.unknown == ("MySpectrogram 'y': custom operator: its arithmetic is not known",)


def test_float16_weights_behind_a_dequantize_are_weights_and_not_activations() -> None:
    tensors = [
        tensor("x", [1, 8], dtype=0),
        tensor("half", [4, 8], dtype=1, buffer=1),
        tensor("full", [4, 8], dtype=0),
        tensor("y", [1, 4], dtype=0),
    ]
    operators = [operator(0, [1], [2]), operator(1, [0, 2, -1], [3], 8, Table())]
    graph = read(
        model([code(DEQUANTIZE), code(FULLY_CONNECTED)], [subgraph(tensors, operators, [0], [3])], [bytes(64)])
    )
    cost = model_cost(graph)
    assert [item.folded for item in cost.operators] == [True, False]
    assert (cost.macs_count, cost.parameters_count, cost.weights_bytes) == (32, 32, 64)
    assert cost.activations_total_bytes == 16
    assert liveness(graph).lower_bound_bytes == 32 + 16
    plan = greedy_arena_plan(graph)
    assert plan.planner_bytes == 32 + 128 + 16
    assert plan.notes == ("constants dequantised at run time: 1; TFLM folds nothing, so they count in its plan",)


def test_control_flow_counts_its_larger_branch_and_both_bodies_are_read() -> None:
    main = [tensor("c", [1], dtype=6), tensor("x", [1, 8]), tensor("y", [1, 4])]
    wide = [tensor("x", [1, 8]), tensor("w", [4, 8], buffer=1), tensor("y", [1, 4])]
    options = Table({0: ("i", 1), 1: ("i", 2)})
    graphs = [
        subgraph(main, [operator(0, [0, 1], [2], 92, options)], [0, 1], [2]),
        subgraph(wide, [operator(1, [0, 1, -1], [2], 8, Table())], [0], [2]),
        subgraph([tensor("x", [1, 8]), tensor("y", [1, 4])], [operator(2, [0], [1])], [0], [1]),
    ]
    graph = read(model([code(IF), code(FULLY_CONNECTED), code(ADD)], graphs, [bytes(32)]))
    assert graph.operators[0].subgraphs == (0, 1)
    cost = model_cost(graph)
    assert (cost.macs_count, cost.parameters_count) == (32, 32)
    assert liveness(graph).live_bytes == (1 + 8 + 4 + 12,)


def test_the_turns_of_a_loop_are_not_guessed() -> None:
    body = [tensor("x", [1, 8]), tensor("w", [8, 8], buffer=1), tensor("y", [1, 8])]
    graphs = [
        subgraph(
            [tensor("x", [1, 8]), tensor("y", [1, 8])],
            [operator(0, [0], [1], 93, Table({0: ("i", 1), 1: ("i", 2)}))],
            [0],
            [1],
        ),
        subgraph([tensor("x", [1, 8]), tensor("c", [1], dtype=6)], [], [0], [1]),
        subgraph(body, [operator(1, [0, 1, -1], [2], 8, Table())], [0], [2]),
    ]
    cost = model_cost(read(model([code(WHILE), code(FULLY_CONNECTED)], graphs, [bytes(64)])))
    assert cost.macs_count is None
    assert cost.unknown == ("WHILE 'y': it repeats bodies of 64 MACs an unknown number of times",)


def test_a_subgraph_that_calls_itself_is_refused() -> None:
    loop = operator(0, [0], [1], 93, Table({0: ("i", 1), 1: ("i", 1)}))
    graphs = [subgraph([tensor("x", [1]), tensor("y", [1])], [loop], [0], [1])] * 2
    with pytest.raises(ModelInvalid, match=r"subgraph 1 .* calls itself"):
        read(model([code(WHILE)], graphs, []))


def test_streaming_state_is_read_and_said_to_lie_outside_the_plan() -> None:
    main = [
        tensor("handle", [], dtype=13),
        tensor("x", [1, 8]),
        tensor("y", [1, 8]),
        tensor("state", [1, 8], variable=True),
    ]
    operators = [
        operator(0, [], [], 103, Table({0: ("i", 1)})),
        operator(1, [], [0], 111, Table({0: "", 1: "memory"})),
        operator(2, [1, 3], [2]),
    ]
    graphs = [subgraph(main, operators, [1], [2]), subgraph([], [], [], [])]
    graph = read(model([code(CALL_ONCE), code(VAR_HANDLE), code(ADD)], graphs, []))
    assert graph.operators[1].attributes["shared_name"] == "memory"
    assert graph.tensors[3].variable
    assert liveness(graph).persistent_bytes == 8
    plan = greedy_arena_plan(graph)
    assert [item.name for item in plan.tensors] == ["x", "y"]
    assert (plan.planner_bytes, plan.variables_bytes) == (32, 8)
    assert "the state behind VAR_HANDLE lies in the arena's tail, not in this plan" in plan.notes


def test_four_bit_weights_are_counted_by_their_shape_and_their_packed_bytes() -> None:
    tensors = [tensor("x", [1, 8]), tensor("w", [4, 8], dtype=17, buffer=1, scales=[1.0]), tensor("y", [1, 4])]
    graph = read(
        model(
            [code(FULLY_CONNECTED)],
            [subgraph(tensors, [operator(0, [0, 1, -1], [2], 8, Table())], [0], [2])],
            [bytes(16)],
        )
    )
    cost = model_cost(graph)
    assert (cost.parameters_count, cost.weights_bytes, tensor_bytes(graph.tensors[1])) == (32, 16, 16)


def test_a_sparse_weight_counts_what_it_stores() -> None:
    weight = tensor("w", [4, 8], buffer=1, scales=[1.0])
    weight[6] = Table()
    graph = read(
        model(
            [code(FULLY_CONNECTED)],
            [
                subgraph(
                    [tensor("x", [1, 8]), weight, tensor("y", [1, 4])],
                    [operator(0, [0, 1, -1], [2], 8, Table())],
                    [0],
                    [2],
                )
            ],
            [bytes(5)],
        )
    )
    assert graph.tensors[1].sparse
    assert (model_cost(graph).parameters_count, model_cost(graph).macs_count) == (5, 32)


def test_a_transposed_convolution_is_counted_by_its_input() -> None:
    tensors = [
        tensor("size", [4], dtype=2, buffer=1),
        tensor("w", [3, 2, 2, 5], buffer=2),
        tensor("x", [1, 4, 4, 5]),
        tensor("y", [1, 8, 8, 3]),
    ]
    options = Table({1: ("i", 2), 2: ("i", 2)})
    graph = read(
        model(
            [code(TRANSPOSE_CONV)],
            [subgraph(tensors, [operator(0, [0, 1, 2], [3], 49, options)], [2], [3])],
            [bytes(16), bytes(60)],
        )
    )
    assert model_cost(graph).macs_count == 4 * 4 * 5 * 2 * 2 * 3


def test_an_lstm_counts_its_matrices_for_every_step() -> None:
    tensors = [
        tensor("x", [1, 10, 3]),
        *(tensor(f"w{i}", [4, 3], buffer=1) for i in range(4)),
        *(tensor(f"r{i}", [4, 4], buffer=2) for i in range(4)),
        tensor("y", [1, 10, 4]),
    ]
    graph = read(
        model(
            [code(UNIDIRECTIONAL_LSTM)],
            [subgraph(tensors, [operator(0, list(range(9)), [9], 71, Table())], [0], [9])],
            [bytes(12), bytes(16)],
        )
    )
    assert model_cost(graph).macs_count == 10 * 4 * (12 + 16)


def test_weights_that_two_operators_share_are_counted_once() -> None:
    tensors = [
        tensor("x", [1, 8]),
        tensor("w", [8, 8], buffer=1),
        tensor("h", [1, 8]),
        tensor("v", [8, 8], buffer=1),
        tensor("y", [1, 8]),
    ]
    operators = [operator(0, [0, 1, -1], [2], 8, Table()), operator(0, [2, 3, -1], [4], 8, Table())]
    cost = model_cost(read(model([code(FULLY_CONNECTED)], [subgraph(tensors, operators, [0], [4])], [bytes(64)])))
    assert (cost.parameters_count, cost.weights_bytes, cost.macs_count) == (64, 64, 128)


def test_a_plan_that_the_file_carries_is_followed() -> None:
    tensors = [tensor("x", [1, 16]), tensor("y", [1, 16]), tensor("z", [1, 16])]
    graph = subgraph(tensors, [operator(0, [0], [1]), operator(0, [1], [2])], [0], [2])
    words = struct.pack("<6i", 1, 0, 3, 64, -1, 0)
    plan = greedy_arena_plan(read(model([code(ADD)], [graph], [words], metadata={"OfflineMemoryAllocation": 1})))
    assert [(item.name, item.offset_bytes) for item in plan.tensors] == [("x", 64), ("y", 16), ("z", 0)]
    assert plan.planner_bytes == 80


def test_an_operator_of_a_later_schema_is_named_by_its_number() -> None:
    data = model([code(250)], [subgraph([tensor("x", [1]), tensor("y", [1])], [operator(0, [0], [1])], [0], [1])], [])
    graph = read(data)
    assert graph.operators[0].type == "BUILTIN_250"
    assert model_cost(graph).macs_count is None


def test_another_schema_version_is_not_supported() -> None:
    data = bytearray(small_convolution())
    root = struct.unpack_from("<I", data)[0]
    data[root + 8] = 4
    with pytest.raises(ModelUnsupported, match="schema version 4"):
        read(bytes(data))


def test_a_file_is_told_by_its_content_and_not_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(small_convolution())
    graph = read_model(path, digest=False)
    assert (graph.format, graph.name, graph.sha256) == ("tflite", "model.bin", "")


SLICE, STRIDED_SLICE, GATHER = 65, 45, 36


def followed(kind: int, operands: list[list[int]], options: Table | None = None, number: int = 0) -> object:
    """Return the output's shape of one operator on x, ?x8x4x6 with 2 rows given, and constants of whole numbers."""
    constants = [tensor(f"c{index}", [len(item)], dtype=2, buffer=index + 1) for index, item in enumerate(operands)]
    tensors = [
        tensor("x", [1, 8, 4, 6], signature=[-1, -1, 4, 6]),
        tensor("y", [1], signature=[-1] * 4 if number != 32 else [-1, -1, -1]),
        *constants,
    ]
    node = operator(0, [0, *range(2, 2 + len(operands))], [1], number, options)
    tensors[1][0] = ("i", [1] * (3 if number == 32 else 4))
    buffers = [struct.pack(f"<{len(item)}i", *item) for item in operands]
    graph = read(model([code(kind)], [subgraph(tensors, [node], [0], [1])], buffers), {"x": (2, 8, 4, 6)})
    return graph.tensors[1].shape


def test_a_slice_takes_its_sizes_or_the_rest() -> None:
    assert followed(SLICE, [[0, 3, 0, 1], [2, -1, 4, 2]]) == (2, 5, 4, 2)


def test_a_strided_slice_follows_its_masks_as_python_slices() -> None:
    # x[:, 1:7:2, -1, 0:100] of 2x8x4x6: the end of the first is masked, the third is one element and no dimension.
    options = Table({0: ("i", 0b0001), 1: ("i", 0b0001), 4: ("i", 0b0100)})
    assert followed(STRIDED_SLICE, [[9, 1, -1, 0], [9, 7, 0, 100], [1, 2, 1, 1]], options, 32) == (2, 3, 6)


def test_a_gather_puts_its_indices_where_the_axis_was() -> None:
    assert followed(GATHER, [[3, 1, 1, 0, 2]], Table({0: ("i", 1)}), 23) == (2, 5, 4, 6)


def test_a_transposed_convolution_has_the_shape_that_its_first_operand_says() -> None:
    tensors = [
        tensor("size", [4], dtype=2, buffer=1),
        tensor("w", [3, 2, 2, 5], buffer=2),
        tensor("x", [1, 4, 4, 5], signature=[1, -1, 4, 5]),
        tensor("y", [1, 1, 1, 3], signature=[1, -1, -1, 3]),
    ]
    node = operator(0, [0, 1, 2], [3], 49, Table({1: ("i", 2), 2: ("i", 2)}))
    buffers = [struct.pack("<4i", 1, 8, 8, 3), bytes(60)]
    data = model([code(TRANSPOSE_CONV)], [subgraph(tensors, [node], [2], [3])], buffers)
    assert read(data, {"x": (1, 4, 4, 5)}).tensors[3].shape == (1, 8, 8, 3)


@pytest.mark.parametrize(
    ("kind", "operands", "shapes"),
    [
        (CONV, [0], {}),
        (CONV, [0, 1], {1: [4, 3]}),
        (FULLY_CONNECTED, [0, 1], {1: [4, 4, 4]}),
        (TRANSPOSE_CONV, [0, 1], {}),
        (UNIDIRECTIONAL_LSTM, [], {}),
    ],
)
def test_operands_that_do_not_fit_an_operator_are_said_and_nothing_is_counted(
    kind: int, operands: list[int], shapes: dict[int, list[int]]
) -> None:
    tensors = [tensor("x", shapes.get(0, [1, 8, 8, 2])), tensor("w", shapes.get(1, [4, 3, 3, 2])), tensor("y", [1, 4])]
    cost = model_cost(read(model([code(kind)], [subgraph(tensors, [operator(0, operands, [2])], [0], [2])], [])))
    assert cost.macs_count is None
    assert cost.operators[0].reason == "its operands do not fit the operator"


def test_where_a_size_is_not_known_the_curve_has_a_gap_and_no_number() -> None:
    tensors = [
        tensor("a", [1, 8]),
        tensor("x", [1, 1], signature=[1, -1]),
        tensor("b", [1, 8]),
        tensor("y", [1, 1], signature=[1, -1]),
        tensor("c", [1, 8]),
    ]
    nodes = [operator(0, [0, 0], [2]), operator(1, [1], [3]), operator(0, [2, 2], [4])]
    graph = read(model([code(ADD), code(CUSTOM, "Mine")], [subgraph(tensors, nodes, [0], [4])], []))
    alive = liveness(graph)
    # x is no input of the graph and nothing makes it, so it is nowhere; y lives while Mine runs.
    assert alive.live_bytes == (16, None, 16)
    assert (alive.lower_bound_bytes, alive.peak_operator) == (None, None)
    assert alive.reason == "the size of 1 tensors is not known, 'y' first"
