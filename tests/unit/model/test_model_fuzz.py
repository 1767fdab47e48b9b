from __future__ import annotations

import importlib.util
import math
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, ValueInfoProto, helper

from tests.unit.model.flatbuffer_writer import small_convolution

if TYPE_CHECKING:
    from types import ModuleType


@cache
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
    outcome = script().fuzz([small_convolution(), small_onnx()], seconds=math.inf, seed=20, tries=1_000)
    assert [finding.what for finding in outcome.findings] == []
    assert outcome.tried == 1_000
    assert outcome.outcomes["read"]
    assert outcome.outcomes["ModelInvalid"]


small = {"tflite": small_convolution(), "onnx": small_onnx()}
changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=8)), min_size=1, max_size=8)


@settings(max_examples=300)
@given(kind=st.sampled_from(sorted(small)), changed=changes, cut=st.floats(0, 1))
def test_a_model_that_is_changed_anywhere_ends_in_a_model_error_or_an_answer(
    kind: str, changed: list[tuple[float, bytes]], cut: float
) -> None:
    data = bytearray(small[kind])
    for place, piece in changed:
        start = int(place * len(data))
        data[start : start + len(piece)] = piece
    if cut < 0.2:
        del data[int(len(data) * 5 * cut) :]
    assert script().examine(bytes(data)) in {"read", "ModelInvalid", "ModelUnsupported"}


@given(data=st.binary(max_size=512))
def test_bytes_that_claim_to_be_a_model_end_in_a_model_error_or_an_answer(data: bytes) -> None:
    examine = script().examine
    for start in (b"", b"\x1c\0\0\0TFL3", b"\x08\x08\x42\x02\x10\x0d\x3a"):
        assert examine(start + data) in {"read", "ModelInvalid", "ModelUnsupported"}
