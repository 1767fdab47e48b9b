"""Operators before and after those that only change a shape, against TFLM, byte for byte."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgeprof.model import read_model
from edgeprof.program import pack_program
from edgeprof.program.lowering import LOWERINGS
from tests.firmware.checking import check
from tests.firmware.small_models import SmallModel, Values

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeprof.program import Program

pytestmark = [pytest.mark.usefixtures("_oracle"), pytest.mark.timeout(300)]
ALIASES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
IMAGE = (1, 4, 6, 8)
GRID = (0.05, 3)

Shape = tuple[int, ...]


class Chain(SmallModel):
    """A model that grows at its end; `shapes` and `grids` are those of its tensors."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.values = Values(seed)
        self.shapes: dict[int, Shape] = {}

    def activation(self, shape: Shape, grid: tuple[float, int] = GRID, dtype: str = "int8") -> int:
        """Add a tensor that is computed or given."""
        index = self.tensor(shape, *(grid if dtype == "int8" else (0.0, 0)), dtype=dtype)
        self.shapes[index] = shape
        return index

    def then(
        self,
        name: str,
        inputs: list[int],
        shape: Shape,
        options: dict[str, Any] | None = None,
        *,
        table: str = "",
        grid: tuple[float, int] = GRID,
        dtype: str = "int8",
    ) -> int:
        """Add an operator and return its output."""
        out = self.activation(shape, grid, dtype)
        self.operator(name, inputs, [out], None if options is None else (f"{table}Options", options))
        return out

    def numbers(self, *numbers: int) -> int:
        """Add a list of whole numbers, as axes and shapes are."""
        return self.constant(np.array(numbers, np.int32))

    def reshaped(self, source: int, shape: Shape, grid: tuple[float, int] = GRID, dtype: str = "int8") -> int:
        """Add a RESHAPE."""
        inputs = [source, self.numbers(*shape)]
        return self.then("RESHAPE", inputs, shape, {"newShape": list(shape)}, table="Reshape", grid=grid, dtype=dtype)

    def squeezed(self, source: int, axis: int, dtype: str = "int8") -> int:
        """Add a SQUEEZE of one dimension."""
        shape = self.shapes[source]
        left = (*shape[:axis], *shape[axis + 1 :])
        return self.then("SQUEEZE", [source], left, {"squeezeDims": [axis]}, table="Squeeze", dtype=dtype)

    def expanded(self, source: int, axis: int, dtype: str = "int8") -> int:
        """Add an EXPAND_DIMS."""
        shape = self.shapes[source]
        inputs = [source, self.numbers(axis)]
        return self.then("EXPAND_DIMS", inputs, (*shape[:axis], 1, *shape[axis:]), {}, table="ExpandDims", dtype=dtype)

    def softmax(self, source: int) -> int:
        """Add a SOFTMAX, which reads how long a row is."""
        return self.then("SOFTMAX", [source], self.shapes[source], {"beta": 1.0}, table="Softmax", grid=(1 / 256, -128))

    def padded(self, source: int) -> int:
        """Add a PAD of one more on every side, which reads every dimension."""
        shape = self.shapes[source]
        pairs = self.constant(np.array([[1, 2]] * len(shape), np.int32))
        return self.then("PAD", [source, pairs], tuple(size + 3 for size in shape), {}, table="Pad")


# ── every operator, between two operators that only change a shape ───────────────────────────────────────────────────


def _window(name: str, table: str) -> Callable[[Chain, int], int]:
    def add(chain: Chain, source: int) -> int:
        options = {"padding": 1, "strideH": 2, "strideW": 1, "filterHeight": 2, "filterWidth": 3}
        return chain.then(name, [source], (1, 2, 4, 8), options, table=table)

    return add


def _convolution(chain: Chain, source: int) -> int:
    weights = chain.constant(chain.values.int8(5, 2, 3, 8), [0.01] * 5)
    inputs = [source, weights, chain.constant(chain.values.int32(5))]
    options = {"padding": 1, "strideH": 1, "strideW": 1}
    return chain.then("CONV_2D", inputs, (1, 3, 4, 5), options, table="Conv2D")


def _depthwise(chain: Chain, source: int) -> int:
    weights = chain.constant(chain.values.int8(1, 2, 3, 8), [0.01] * 8, 3)
    inputs = [source, weights, chain.constant(chain.values.int32(8))]
    options = {"padding": 0, "strideH": 2, "strideW": 2, "depthMultiplier": 1}
    return chain.then("DEPTHWISE_CONV_2D", inputs, (1, 2, 3, 8), options, table="DepthwiseConv2D")


def _fully_connected(chain: Chain, source: int) -> int:
    weights = chain.constant(chain.values.int8(5, 8), [0.01])
    return chain.then("FULLY_CONNECTED", [source, weights], (24, 5), {}, table="FullyConnected")


def _two_inputs(name: str) -> Callable[[Chain, int], int]:
    def add(chain: Chain, source: int) -> int:
        column = chain.constant(chain.values.int8(6, 1), [0.02], 0, 5)
        return chain.then(name, [source, column], IMAGE, {}, table=name.capitalize())

    return add


def _unary(name: str, grid: tuple[float, int] = (0.07, -9), table: str = "") -> Callable[[Chain, int], int]:
    def add(chain: Chain, source: int) -> int:
        options: dict[str, Any] | None = {} if table else None
        return chain.then(name, [source], chain.shapes[source], options, table=table, grid=grid)

    return add


def _with_value(chain: Chain, source: int) -> int:
    pairs = chain.constant(np.array([[0, 0], [1, 0], [0, 2], [1, 1]], np.int32))
    value = chain.constant(chain.values.int8(1), [GRID[0]], 0, GRID[1])
    return chain.then("PADV2", [source, pairs, value], (1, 5, 8, 10), {}, table="PadV2")


def _mean(chain: Chain, source: int) -> int:
    return chain.then("MEAN", [source, chain.numbers(1, 3)], (1, 6), {"keepDims": False}, table="Reducer")


def _concatenation(chain: Chain, source: int) -> int:
    return chain.then("CONCATENATION", [source, source], (1, 4, 12, 8), {"axis": 2}, table="Concatenation")


def _dequantize(chain: Chain, source: int) -> int:
    shape = chain.shapes[source]
    middle = chain.then("DEQUANTIZE", [source], shape, {}, table="Dequantize", dtype="float32")
    # Its output has no int8 to go on with: floats are reshaped, too.
    floats = chain.reshaped(middle, (*shape[::-1],), dtype="float32")
    return chain.then("QUANTIZE", [floats], (*shape[::-1],), {}, table="Quantize", grid=(0.07, -9))


OPERATORS: dict[str, Callable[[Chain, int], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _window("AVERAGE_POOL_2D", "Pool2D"),
    "MAX_POOL_2D": _window("MAX_POOL_2D", "Pool2D"),
    "ADD": _two_inputs("ADD"),
    "MUL": _two_inputs("MUL"),
    "SOFTMAX": Chain.softmax,
    "RELU": _unary("RELU"),
    "RELU6": _unary("RELU6"),
    "LEAKY_RELU": _unary("LEAKY_RELU", table="LeakyRelu"),
    "LOGISTIC": _unary("LOGISTIC", (1 / 256, -128)),
    "TANH": _unary("TANH", (1 / 128, 0)),
    "HARD_SWISH": _unary("HARD_SWISH", table="HardSwish"),
    "QUANTIZE": _unary("QUANTIZE", table="Quantize"),
    "DEQUANTIZE": _dequantize,
    "RESHAPE": lambda chain, source: chain.reshaped(source, (6, 4, 1, 8)),
    "SQUEEZE": lambda chain, source: chain.squeezed(source, 0),
    "EXPAND_DIMS": lambda chain, source: chain.expanded(source, 2),
    "PAD": Chain.padded,
    "PADV2": _with_value,
    "MEAN": _mean,
    "CONCATENATION": _concatenation,
}


def test_every_operator_of_the_executor_is_among_these() -> None:
    assert set(OPERATORS) == set(LOWERINGS)


def image(chain: Chain, alias: str) -> tuple[int, int]:
    """Return an input, and the image that it is made by an operator that only changes its shape."""
    match alias:
        case "RESHAPE":
            source = chain.activation((8, 6, 4))
            return source, chain.reshaped(source, IMAGE)
        case "SQUEEZE":
            source = chain.activation((1, *IMAGE))
            return source, chain.squeezed(source, 0)
        case _:
            source = chain.activation(IMAGE[1:])
            return source, chain.expanded(source, 0)


def changed(chain: Chain, alias: str, source: int) -> int:
    """Return a tensor in another shape."""
    shape = chain.shapes[source]
    match alias:
        case "RESHAPE":
            return chain.reshaped(source, (shape[-1], math.prod(shape[:-1])))
        case "SQUEEZE":
            return chain.squeezed(source, shape.index(1)) if 1 in shape else chain.reshaped(source, (1, *shape))
        case _:
            return chain.expanded(source, len(shape))


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("name", sorted(LOWERINGS))
def test_an_operator_sees_the_shape_that_was_made_for_it_and_what_follows_the_next_one(
    native_agent: Path, tmp_path: Path, name: str, alias: str
) -> None:
    chain = Chain(len(name))
    source, made = image(chain, alias)
    out = OPERATORS[name](chain, made)
    last = changed(chain, alias, out)
    outputs = [last, chain.softmax(last), chain.softmax(made)]
    check(chain.write([source], outputs), native_agent, tmp_path)


# ── several of them, at both ends, of constants ──────────────────────────────────────────────────────────────────────


def packed(content: bytes, folder: Path) -> Program:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return pack_program(read_model(path), path)


def test_one_tensor_in_three_shapes_is_read_in_each(native_agent: Path, tmp_path: Path) -> None:
    chain = Chain(1)
    source = chain.activation((8, 12))
    middle = chain.then("RELU", [source], (8, 12))
    shapes = [middle, chain.reshaped(middle, (24, 4)), chain.expanded(chain.reshaped(middle, (4, 24)), 1)]
    outputs = [chain.softmax(each) for each in shapes] + [chain.padded(each) for each in shapes]
    check(chain.write([source], outputs), native_agent, tmp_path)


@pytest.mark.parametrize("ends", [("a",), ("a", "c"), ("m", "c"), ("m", "a", "b", "c"), ("x", "a", "c")])
@pytest.mark.parametrize("given", [False, True])
def test_a_chain_of_them_may_be_the_models_input_and_any_of_its_outputs(
    native_agent: Path,
    tmp_path: Path,
    ends: tuple[str, ...],
    given: bool,  # noqa: FBT001  a parameter
) -> None:
    chain = Chain(2)
    names = {"x": chain.activation((3, 8))}
    names["m"] = names["x"] if given else chain.then("RELU", [names["x"]], (3, 8))
    names["a"] = chain.reshaped(names["m"], (1, 4, 6))
    names["b"] = chain.squeezed(names["a"], 0)
    names["c"] = chain.expanded(names["b"], 1)
    outputs = [*(names[end] for end in ends), chain.padded(names["c"])]
    content = chain.write([names["x"]], outputs)
    assert [tensor.shape for tensor in packed(content, tmp_path).outputs] == [chain.shapes[index] for index in outputs]
    check(content, native_agent, tmp_path)


@pytest.mark.parametrize("given", [False, True])
def test_its_bytes_are_kept_until_the_last_of_its_shapes_was_read(
    native_agent: Path,
    tmp_path: Path,
    given: bool,  # noqa: FBT001  a parameter
) -> None:
    chain = Chain(3)
    source = chain.activation((4, 12))
    kept = source if given else chain.then("RELU6", [source], (4, 12))
    other = chain.reshaped(chain.reshaped(kept, (2, 24)), (12, 4))
    last = chain.padded(kept)
    for _ in range(3):
        last = chain.padded(last)
    out = chain.then("CONCATENATION", [other, other], (12, 8), {"axis": 1}, table="Concatenation")
    check(chain.write([source], [last, chain.softmax(out)]), native_agent, tmp_path)


@pytest.mark.parametrize("name", ["ADD", "MUL"])
def test_a_tensor_meets_itself_in_another_shape(native_agent: Path, tmp_path: Path, name: str) -> None:
    chain = Chain(4)
    row = chain.activation((1, 7))
    column = chain.reshaped(row, (7, 1))
    out = chain.then(name, [row, column], (7, 7), {}, table=name.capitalize())
    check(chain.write([row], [out]), native_agent, tmp_path)


def test_a_shape_may_come_with_a_scale_of_its_own(native_agent: Path, tmp_path: Path) -> None:
    chain = Chain(5)
    source = chain.activation((4, 6), (0.05, 3))
    rescaled = chain.reshaped(source, (6, 4), (0.21, -40))
    out = chain.then("TANH", [rescaled], (6, 4), grid=(1 / 128, 0))
    check(chain.write([source], [chain.softmax(rescaled), out]), native_agent, tmp_path)


def test_floats_are_reshaped_before_they_are_quantised(native_agent: Path, tmp_path: Path) -> None:
    chain = Chain(6)
    source = chain.activation((4, 6), dtype="float32")
    floats = chain.squeezed(chain.expanded(chain.reshaped(source, (6, 4), dtype="float32"), 1, "float32"), 1, "float32")
    codes = chain.then("QUANTIZE", [floats], (6, 4), {}, table="Quantize")
    check(chain.write([source], [chain.padded(codes)]), native_agent, tmp_path)


def constant(chain: Chain, values: Any, shape: Shape, scales: list[float], zero_point: int = 0) -> int:  # noqa: ANN401
    """Return a constant that reaches its shape by a RESHAPE."""
    stored = chain.constant(values, scales, 0, zero_point)
    return chain.reshaped(stored, shape, (scales[0], zero_point))


def test_a_constant_is_read_in_the_shape_that_it_was_given(native_agent: Path, tmp_path: Path) -> None:
    chain = Chain(7)
    source = chain.activation((1, 4, 6, 8))
    column = constant(chain, chain.values.int8(1, 6), (6, 1), [0.02], 5)
    added = chain.then("ADD", [source, column], IMAGE, {}, table="Add")
    weights = constant(chain, chain.values.int8(40), (5, 8), [0.01])
    dense = chain.then("FULLY_CONNECTED", [added, weights], (24, 5), {}, table="FullyConnected")
    kernel = constant(chain, chain.values.int8(3, 3, 8, 2), (2, 3, 3, 8), [0.01])
    options = {"padding": 0, "strideH": 1, "strideW": 1}
    image = chain.then("CONV_2D", [source, kernel], (1, 4, 6, 2), options, table="Conv2D")
    check(chain.write([source], [dense, image]), native_agent, tmp_path)


def test_a_reshaped_constant_may_be_an_output(native_agent: Path, tmp_path: Path) -> None:
    chain = Chain(8)
    source = chain.activation((2, 3))
    told = constant(chain, chain.values.int8(12), (3, 4), [0.1])
    outputs = [told, chain.softmax(chain.reshaped(told, (2, 6))), chain.softmax(source)]
    check(chain.write([source], outputs), native_agent, tmp_path)


def test_a_spectrogram_that_arrives_flat_is_filtered_as_an_image(native_agent: Path, tmp_path: Path) -> None:
    chain = Chain(9)
    source = chain.activation((1, 1960))
    picture = chain.reshaped(source, (1, 49, 40, 1))
    filters = chain.constant(chain.values.int8(1, 10, 8, 8), [0.01] * 8, 3)
    inputs = [picture, filters, chain.constant(chain.values.int32(8))]
    options = {"padding": 0, "strideH": 2, "strideW": 2, "depthMultiplier": 8, "fusedActivationFunction": 1}
    heard = chain.then("DEPTHWISE_CONV_2D", inputs, (1, 25, 20, 8), options, table="DepthwiseConv2D")
    weights = chain.constant(chain.values.int8(4, 4000), [0.005])
    told = chain.then("FULLY_CONNECTED", [heard, weights], (1, 4), {}, table="FullyConnected", grid=(0.9, 10))
    check(chain.write([source], [chain.softmax(told)]), native_agent, tmp_path)
