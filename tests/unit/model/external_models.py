"""ONNX models whose weights lie in other files, as exporters and as hostile hands write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import ModelProto, NodeProto, TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FLOAT = TensorProto.FLOAT


def elsewhere(name: str, *dims: int, dtype: int = FLOAT, **place: object) -> TensorProto:
    """Return a tensor whose data lies where `location`, `offset` and `length` say, as they are written."""
    return _placed(name, dims, dtype, place)


def _placed(name: str, dims: Sequence[int], dtype: int, place: Mapping[str, object]) -> TensorProto:
    stored = TensorProto(name=name, data_type=dtype, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in place.items():
        stored.external_data.add(key=key, value=str(value))
    return stored


def model_of(nodes: list[NodeProto], *weights: TensorProto, size: int = 8) -> ModelProto:
    """Return a model of x to y, both 1 x size."""
    value = [helper.make_tensor_value_info(name, FLOAT, [1, size]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], list(weights))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def product(*weights: TensorProto, size: int = 8) -> ModelProto:
    """Return x times each weight, one after the other."""
    names = ["x", *(f"h{at}" for at in range(len(weights) - 1)), "y"]
    nodes = [
        helper.make_node("MatMul", [before, weight.name], [after])
        for before, weight, after in zip(names, weights, names[1:], strict=False)
    ]
    return model_of(nodes, *weights, size=size)


def written(path: Path, model: ModelProto) -> Path:
    """Write the model file alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def simple(folder: Path, content: bytes | None = bytes(256), place: Mapping[str, object] = {}) -> Path:
    """Write m.onnx, one product with an 8 x 8 weight in m.data, and m.data unless it has no content."""
    stored = _placed("w", (8, 8), FLOAT, {"location": "m.data", "offset": 0, "length": 256, **place})
    path = written(folder / "m.onnx", product(stored))
    if content is not None:
        (folder / "m.data").write_bytes(content)
    return path


def in_a_branch(stored: TensorProto) -> ModelProto:
    """Return a model that has the weight in the body of an If."""
    made = helper.make_tensor_value_info("b", FLOAT, [1, 8])
    branches = [
        helper.make_graph([helper.make_node("MatMul", ["x", stored.name], ["b"])], "then", [], [made], [stored]),
        helper.make_graph([helper.make_node("Identity", ["x"], ["b"])], "else", [], [made]),
    ]
    condition = helper.make_tensor("c", TensorProto.BOOL, [1], [True])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    return model_of([node], condition)


def in_a_constant(stored: TensorProto) -> ModelProto:
    """Return a model that has the weight in an attribute of a Constant."""
    nodes = [helper.make_node("Constant", [], ["w"], value=stored), helper.make_node("MatMul", ["x", "w"], ["y"])]
    return model_of(nodes)


def in_a_function(stored: TensorProto) -> ModelProto:
    """Return a model that has the weight in the body of a function of its own."""
    nodes = [helper.make_node("Constant", [], ["w"], value=stored), helper.make_node("MatMul", ["a", "w"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    model = model_of([helper.make_node("Own", ["x"], ["y"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function("own", "Own", ["a"], ["b"], nodes, opset))
    return model


def in_a_sparse_one(stored: TensorProto, indices: TensorProto) -> ModelProto:
    """Return a model that has the weight as the values of a sparse initializer, or as its indices."""
    sparse = helper.make_sparse_tensor(stored, indices, [8, 8])
    model = model_of([helper.make_node("MatMul", ["x", stored.name], ["y"])])
    model.graph.sparse_initializer.append(sparse)
    return model


def in_a_list(stored: TensorProto) -> ModelProto:
    """Return a model that has the weight in a list of tensors, an attribute of an operator of another domain."""
    node = helper.make_node("Table", ["x"], ["y"], domain="com.example", entries=[stored])
    return model_of([node])
