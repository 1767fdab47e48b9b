"""Every node test of the onnx wheel, about 1,900 models: our shapes may be unknown, they may not be wrong."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest
from onnx import numpy_helper

from edgeprof.model.cost import model_cost
from edgeprof.model.memory import liveness
from edgeprof.model.onnx import read_onnx

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnx.backend.test.case.test_case import TestCase

Sizes: TypeAlias = tuple[int | None, ...]


@pytest.fixture(scope="module")
def cases() -> list[TestCase]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return collect_testcases("")


def with_small_inputs_as_constants(case: TestCase, model: ModelProto) -> ModelProto:
    """Return the model with its shapes, axes and scales stored in it, as exporters store them."""
    arrays = case.data_sets[0][0] if case.data_sets else []
    for value, array in list(zip(model.graph.input, arrays, strict=False))[1:]:
        if isinstance(array, np.ndarray) and array.ndim <= 1 and array.size <= 16 and array.dtype.kind in "if":
            model.graph.initializer.append(numpy_helper.from_array(array, value.name))
    return model


def declared(model: ModelProto) -> dict[str, Sizes]:
    """Take the declared shapes of the outputs out of a model and return them."""
    shapes: dict[str, Sizes] = {}
    for value in model.graph.output:
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and tensor.HasField("shape"):
            dims = (dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
            shapes[value.name] = tuple(dims)
        value.ClearField("type")
    return shapes


def verdict(ours: Sizes | None, wanted: Sizes) -> str:
    if ours is None:
        return "unknown"
    if len(ours) != len(wanted):
        return "wrong"
    if any(a != b for a, b in zip(ours, wanted, strict=True) if a is not None and b is not None):
        return "wrong"
    return "exact" if None not in ours else "partly"


@pytest.mark.slow
def test_no_shape_contradicts_the_expected_outputs_of_onnx(cases: list[TestCase]) -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for case in cases:
        if case.model is None:
            continue
        model = with_small_inputs_as_constants(case, case.model)
        wanted = declared(model)
        graph = read_onnx(model.SerializeToString(), Path(case.name))
        model_cost(graph)
        liveness(graph)
        for tensor in (graph.tensors[index] for index in graph.outputs):
            if tensor.name in wanted:
                said = verdict(tensor.shape, wanted[tensor.name])
                counts[said] += 1
                wrong += [(case.name, tensor.shape, wanted[tensor.name])] if said == "wrong" else []
    assert wrong == []
    assert counts["exact"] > 1500
