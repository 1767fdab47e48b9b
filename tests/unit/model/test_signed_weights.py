"""Which ONNX operators can saturate: told of the file, and seen in what ONNX Runtime computes on this very CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeprof.agent.board_state import board_state
from edgeprof.diagnosis.int8_kernels import lacks_vnni
from edgeprof.model import read_model
from edgeprof.model.signed_weights import saturating

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = dict[str, Any]  # numpy arrays and scalars

ROWS, DEEP, WIDE = 4, 64, 16
MICROSOFT = "com.microsoft"
LARGE = (np.arange(DEEP * WIDE) % 38 + 90).astype(np.int8)  # times 255, every pair of them is beyond 16 bits
IMAGE, KERNEL = (1, 16, 6, 6), (16, 16, 3, 3)


class Made(NamedTuple):
    """A model of one operator and what it is given."""

    content: bytes
    given: Arrays


def made(nodes: list[Any], given: Arrays, stored: Arrays, gives: str = "int32") -> Made:
    """Return a model of these nodes from x to y."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in given.items()
    ]
    output = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(gives)), None)
    held = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph(nodes, "one", inputs, [output], held)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return Made(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString(), given)


def weights(shape: tuple[int, ...] = (DEEP, WIDE)) -> NDArray[np.int8]:
    return np.resize(LARGE, shape)


def codes(shape: tuple[int, ...] = (ROWS, DEEP)) -> NDArray[np.uint8]:
    return np.full(shape, 255, np.uint8)


def scalar(value: int, dtype: type = np.int8) -> NDArray[Any]:
    return np.array(value, dtype)


def integer(
    kind: str, stored: NDArray[Any], inputs: str = "x w", domain: str = "", others: dict[str, Any] | None = None
) -> Made:
    """Return an operator on bytes."""
    node = helper.make_node(kind, inputs.replace("-", "").split(" "), ["y"], domain=domain)
    gives = {"MatMulInteger": "int32", "QLinearMatMul": "uint8"}.get(kind, "float32")
    return made([node], {"x": codes()}, {"w": stored, "s": np.float32(0.01), **(others or {})}, gives)


def between(
    kind: str,
    stored: NDArray[Any],
    activations: str = "uint8",
    *,
    after: str = "Q",
    before: str = "",
    turned: bool = False,
) -> Made:
    """Return a float operator between DequantizeLinear and, `after` it, what quantises; `before`, `turned`: layouts."""
    flat = kind != "Conv"
    given = np.full((ROWS, DEEP) if flat else IMAGE, 2.55, np.float32)
    zero = scalar(0 if activations != "int8" else -128, np.dtype(activations).type)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["dq"]),
        helper.make_node("DequantizeLinear", ["w", "s", "wz"], ["dw"]),
    ]
    left, right = "dq", "dw"
    if before:
        nodes.append(helper.make_node(before, ["dq"], ["b"]))
        left = "b"
    if turned:
        nodes.append(helper.make_node("Transpose", ["dw"], ["t"], perm=[1, 0]))
        right = "t"
    nodes.append(helper.make_node(kind, [left, right], ["m" if after else "y"], **_group(kind, stored)))
    last = "m"
    for clamp in after.split()[:-1]:
        nodes.append(helper.make_node(clamp, [last], [clamp]))
        last = clamp
    if after:
        nodes.append(helper.make_node("QuantizeLinear", [last, "ys", "z"], ["yq"]))
        nodes.append(helper.make_node("DequantizeLinear", ["yq", "ys", "z"], ["y"]))
    stored_too = {"s": np.float32(0.01), "z": zero, "wz": np.zeros((), stored.dtype), "ys": np.float32(2)}
    return made(nodes, {"x": given}, {"w": stored, **stored_too}, "float32")


def _group(kind: str, stored: NDArray[Any]) -> dict[str, Any]:
    return {"group": IMAGE[1] // stored.shape[1]} if kind == "Conv" else {}


UNSIGNED = (weights().astype(np.int16) + 128).astype(np.uint8)
NONE = scalar(0)
REAL: dict[str, Any] = {
    "xs": np.float32(0.01),
    "xz": scalar(0, np.uint8),
    "z": NONE,
    "ys": np.float32(2),
    "yz": scalar(0, np.uint8),
}
LINEAR = "x xs xz w s z ys yz"
KERNELS = weights(KERNEL)
CASES: dict[str, tuple[Made, bool]] = {
    "MatMulInteger": (integer("MatMulInteger", weights()), True),
    "MatMulInteger of uint8 weights": (integer("MatMulInteger", UNSIGNED), False),
    "MatMulInteger of weights of 7 bits": (integer("MatMulInteger", weights().clip(-64, 64)), False),
    "one weight of -65": (integer("MatMulInteger", np.full((DEEP, WIDE), -65, np.int8)), True),
    "QLinearMatMul": (integer("QLinearMatMul", weights(), LINEAR, others=REAL), True),
    "QGemm": (integer("QGemm", weights(), "x xs xz w s z", MICROSOFT, others=REAL), True),
    "MatMulIntegerToFloat": (integer("MatMulIntegerToFloat", weights(), "x w xs s xz z", MICROSOFT, others=REAL), True),
    "MatMul": (between("MatMul", weights()), True),
    "MatMul of int8 activations": (between("MatMul", weights(), "int8"), True),
    "MatMul that gives floats": (between("MatMul", weights(), after=""), True),
    "MatMul of uint8 weights": (between("MatMul", UNSIGNED), False),
    "MatMul of weights of 7 bits": (between("MatMul", weights().clip(-64, 64)), False),
    "MatMul of turned weights": (between("MatMul", weights((WIDE, DEEP)), turned=True), True),
    "MatMul after Relu": (between("MatMul", weights(), before="Relu", after=""), False),
    "Gemm": (between("Gemm", weights()), True),
    "Gemm that gives floats": (between("Gemm", weights(), "int8", after=""), True),
    "Conv": (between("Conv", KERNELS), True),
    "Conv of int8 activations": (between("Conv", KERNELS, "int8"), True),
    "Conv and Relu": (between("Conv", KERNELS, after="Relu Q"), True),
    "Conv that gives floats": (between("Conv", KERNELS, after=""), False),
    "Conv and Sigmoid": (between("Conv", KERNELS, after="Sigmoid Q"), False),
    "Conv of uint8 weights": (between("Conv", np.resize(UNSIGNED, KERNEL)), False),
    "Conv of two groups": (between("Conv", weights((16, 8, 3, 3))), True),
    "depthwise Conv": (between("Conv", weights((16, 1, 3, 3))), False),
    "Conv of two kernels a channel": (between("Conv", weights((32, 1, 3, 3))), True),
    "Conv after Identity": (between("Conv", KERNELS, "int8", before="Identity"), True),
}


def outputs(case: Made, *, precise: bool) -> NDArray[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", str(int(precise)))
    session = onnxruntime.InferenceSession(case.content, options, providers=["CPUExecutionProvider"])
    found: NDArray[Any] = session.run(None, case.given)[0]
    return found


@pytest.mark.parametrize("name", CASES)
def test_an_operator_saturates_where_it_is_said_to_and_where_this_cpu_lacks_vnni(tmp_path: Path, name: str) -> None:
    case, expected = CASES[name]
    path = tmp_path / "one.onnx"
    path.write_bytes(case.content)
    assert bool(saturating(read_model(path), path)) is expected
    fast, exact = (outputs(case, precise=precise).astype(np.float64) for precise in (False, True))
    differ = bool(np.abs(fast - exact).max() > 0.005 * np.abs(exact).max())  # floats are rounded in another order
    assert differ is (expected and lacks_vnni(board_state().get("cpu_features", ())))


def test_weights_that_are_an_input_are_told_apart_since_no_option_turns_them(tmp_path: Path) -> None:
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    path = tmp_path / "two.onnx"
    path.write_bytes(made([node], {"x": codes(), "w": weights()}, {}).content)
    assert [one.stored for one in saturating(read_model(path), path)] == [False]


@pytest.mark.parametrize("way", ["listed", "beside"])
def test_weights_that_cannot_be_read_here_count_as_large(tmp_path: Path, way: str) -> None:
    stored = helper.make_tensor("w", TensorProto.INT8, [DEEP, WIDE], [1] * (DEEP * WIDE))
    if way == "beside":
        stored.ClearField("int32_data")
        stored.data_location = TensorProto.EXTERNAL
        stored.external_data.add(key="location", value="w.bin")
    values = [
        helper.make_tensor_value_info("x", TensorProto.UINT8, [ROWS, DEEP]),
        helper.make_tensor_value_info("y", TensorProto.INT32, [ROWS, WIDE]),
    ]
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    path = tmp_path / "one.onnx"
    path.write_bytes(
        helper.make_model(helper.make_graph([node], "g", values[:1], values[1:], [stored])).SerializeToString()
    )
    assert saturating(read_model(path), path)


def test_a_body_of_a_loop_or_branch_is_looked_into(tmp_path: Path) -> None:
    def branch(name: str) -> Any:  # noqa: ANN401  onnx has no types here
        out = helper.make_tensor_value_info(name, TensorProto.INT32, [ROWS, WIDE])
        return helper.make_graph([helper.make_node("MatMulInteger", ["x", "w"], [name])], name, [], [out])

    node = helper.make_node("If", ["c"], ["y"], then_branch=branch("a"), else_branch=branch("b"))
    path = tmp_path / "if.onnx"
    path.write_bytes(made([node], {"x": codes(), "c": np.ones((), bool)}, {"w": weights()}).content)
    assert {one.type for one in saturating(read_model(path), path)} == {"MatMulInteger"}


def test_a_chain_of_ten_thousand_clamps_is_read_at_once(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [f"m{at}"], [f"m{at + 1}"]) for at in range(10_000)]
    first = between("Conv", KERNELS, after="")
    path = tmp_path / "chain.onnx"
    model = onnx.load_from_string(first.content)
    model.graph.node[-1].output[0] = "m0"
    model.graph.node.extend([*nodes, helper.make_node("QuantizeLinear", ["m10000", "s", "z"], ["y"])])
    path.write_bytes(model.SerializeToString())
    assert saturating(read_model(path), path)
