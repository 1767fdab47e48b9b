from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from onnx import TensorProto, ValueInfoProto, helper

from tests.unit.model.flatbuffer_writer import small_convolution

if TYPE_CHECKING:
    from types import ModuleType


def script() -> ModuleType:
    path = Path(__file__).resolve().parents[3] / "scripts" / "fuzz_model.py"
    spec = importlib.util.spec_from_file_location("fuzz_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_model"] = module
    spec.loader.exec_module(module)
    return module


def small_onnx() -> bytes:
    def value(name: str, *shape: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    weights = [
        helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], bytes(432), raw=True),
        helper.make_tensor("target", TensorProto.INT64, [2], [1, -1]),
    ]
    branch = helper.make_graph([helper.make_node("Relu", ["flat"], ["b"])], "branch", [], [value("b", 1, 144)])
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], strides=[1, 1]),
        helper.make_node("Reshape", ["h", "target"], ["flat"]),
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch),
    ]
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [1])
    graph = helper.make_graph(nodes, "small", [value("x", 1, 3, 8, 8), condition], [value("y", 1, 144)], weights)
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def test_damaged_models_end_in_a_model_error_or_an_answer() -> None:
    outcome = script().fuzz([small_convolution(), small_onnx()], seconds=3.0, seed=20)
    assert [finding.what for finding in outcome.findings] == []
    assert outcome.tried > 200
    assert outcome.outcomes["read"]
    assert outcome.outcomes["ModelInvalid"]
