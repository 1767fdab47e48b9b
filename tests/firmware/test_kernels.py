# ruff: noqa: FBT001, PLR0913, PLR0917 (what hypothesis draws, one parameter for each property)
"""Every operator of the reference executor against TFLM, byte for byte, natively under ASan and UBSan."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.firmware.checking import check
from tests.firmware.small_models import SmallModel, Values

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.usefixtures("_oracle"), pytest.mark.timeout(300)]
examples = settings(
    max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
seeds = st.integers(0, 2**31)
PADDINGS = {"SAME": 0, "VALID": 1}
ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3}


def out_size(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    reach = (kernel - 1) * dilation + 1
    return -(-size // stride) if padding == "SAME" else (size - reach) // stride + 1


@st.composite
def windows(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an image, a window over it and its steps; the window fits where it must."""
    padding = draw(st.sampled_from(sorted(PADDINGS)))
    found: dict[str, Any] = {"padding": padding}
    for side in "hw":
        kernel, dilation = draw(st.integers(1, 5)), draw(st.sampled_from([1, 1, 2, 3]))
        reach = (kernel - 1) * dilation + 1
        least = reach if padding == "VALID" else 1
        found |= {
            f"kernel_{side}": kernel, f"dilation_{side}": dilation, f"stride_{side}": draw(st.integers(1, 3)),
            f"size_{side}": draw(st.integers(least, least + 8)),
        }  # fmt: skip
    return found


def image(window: dict[str, Any], *, dilated: bool = True) -> tuple[int, int]:
    h, w = (
        out_size(
            window[f"size_{side}"], window[f"kernel_{side}"], window[f"stride_{side}"],
            window[f"dilation_{side}"] if dilated else 1, window["padding"],
        )
        for side in "hw"
    )  # fmt: skip
    return h, w


def convolution_options(window: dict[str, Any], activation: str) -> dict[str, Any]:
    return {
        "padding": PADDINGS[window["padding"]], "strideH": window["stride_h"], "strideW": window["stride_w"],
        "dilationHFactor": window["dilation_h"], "dilationWFactor": window["dilation_w"],
        "fusedActivationFunction": ACTIVATIONS[activation],
    }  # fmt: skip


@examples
@given(windows(), st.integers(1, 2), st.integers(1, 12), st.integers(1, 11), st.booleans(), st.booleans(),
       st.sampled_from(sorted(ACTIVATIONS)), seeds)  # fmt: skip
def test_conv_2d(
    native_agent: Path, tmp_path: Path, window: dict[str, Any], batches: int, channels: int, filters: int,
    per_channel: bool, bias: bool, activation: str, seed: int,
) -> None:  # fmt: skip
    values, model = Values(seed), SmallModel()
    source = model.tensor((batches, window["size_h"], window["size_w"], channels), values.scale(), values.zero_point())
    scales = [values.scale(0.001, 0.05) for _ in range(filters if per_channel else 1)]
    weights = model.constant(values.int8(filters, window["kernel_h"], window["kernel_w"], channels), scales)
    inputs = [source, weights]
    if bias:
        inputs.append(model.constant(values.int32(filters)))
    out = model.tensor((batches, *image(window), filters), values.scale(0.01, 1), values.zero_point())
    model.operator("CONV_2D", inputs, [out], ("Conv2DOptions", convolution_options(window, activation)))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(st.sampled_from([2, 3, 4]), st.sampled_from([1, 3, 4]), st.sampled_from([1, 2, 4]), seeds)
def test_conv_2d_in_groups(
    native_agent: Path, tmp_path: Path, groups: int, depth: int, filters: int, seed: int
) -> None:
    values, model = Values(seed), SmallModel()
    source = model.tensor((1, 5, 6, groups * depth), values.scale(), values.zero_point())
    total = groups * filters
    weights = model.constant(values.int8(total, 3, 3, depth), [values.scale(0.001, 0.05) for _ in range(total)])
    bias = model.constant(values.int32(total))
    out = model.tensor((1, 5, 6, total), values.scale(0.01, 1), values.zero_point())
    model.operator("CONV_2D", [source, weights, bias], [out], ("Conv2DOptions", {"strideH": 1, "strideW": 1}))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(windows(), st.integers(1, 2), st.integers(1, 10), st.sampled_from([1, 1, 2, 3]),
       st.sampled_from(sorted(ACTIVATIONS)), seeds)  # fmt: skip
def test_depthwise_conv_2d(
    native_agent: Path, tmp_path: Path, window: dict[str, Any], batches: int, channels: int, multiplier: int,
    activation: str, seed: int,
) -> None:  # fmt: skip
    # TFLite itself asks for one dilation or one stride other than 1, not for both.
    values, model, filters = Values(seed), SmallModel(), channels * multiplier
    source = model.tensor((batches, window["size_h"], window["size_w"], channels), values.scale(), values.zero_point())
    weights = model.constant(
        values.int8(1, window["kernel_h"], window["kernel_w"], filters),
        [values.scale(0.001, 0.05) for _ in range(filters)],
        3,
    )
    bias = model.constant(values.int32(filters))
    out = model.tensor((batches, *image(window), filters), values.scale(0.01, 1), values.zero_point())
    options = {**convolution_options(window, activation), "depthMultiplier": multiplier}
    model.operator("DEPTHWISE_CONV_2D", [source, weights, bias], [out], ("DepthwiseConv2DOptions", options))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(
    st.integers(1, 4), st.integers(1, 40), st.integers(1, 13), st.booleans(), st.sampled_from(["NONE", "RELU"]), seeds
)
def test_fully_connected(
    native_agent: Path,
    tmp_path: Path,
    rows: int,
    depth: int,
    filters: int,
    per_channel: bool,
    activation: str,
    seed: int,
) -> None:
    values, model = Values(seed), SmallModel()
    scale = values.scale()
    source = model.tensor((rows, depth), scale, values.zero_point())
    scales = [values.scale(0.001, 0.05) for _ in range(filters if per_channel else 1)]
    weights = model.constant(values.int8(filters, depth), scales)
    bias = model.constant(values.int32(filters), [scale * scales[0]])
    out = model.tensor((rows, filters), values.scale(0.05, 1), values.zero_point())
    options = {"fusedActivationFunction": ACTIVATIONS[activation]}
    model.operator("FULLY_CONNECTED", [source, weights, bias], [out], ("FullyConnectedOptions", options))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]), windows(), st.integers(1, 2), st.integers(1, 9),
       st.sampled_from(sorted(ACTIVATIONS)), seeds)  # fmt: skip
def test_pooling(
    native_agent: Path, tmp_path: Path, operator: str, window: dict[str, Any], batches: int, channels: int,
    activation: str, seed: int,
) -> None:  # fmt: skip
    values, model = Values(seed), SmallModel()
    scale, zero_point = values.scale(0.01), values.zero_point()
    source = model.tensor((batches, window["size_h"], window["size_w"], channels), scale, zero_point)
    out = model.tensor((batches, *image(window, dilated=False), channels), scale, zero_point)
    options = {
        "padding": PADDINGS[window["padding"]], "strideH": window["stride_h"], "strideW": window["stride_w"],
        "filterHeight": window["kernel_h"], "filterWidth": window["kernel_w"],
        "fusedActivationFunction": ACTIVATIONS[activation],
    }  # fmt: skip
    model.operator(operator, [source], [out], ("Pool2DOptions", options))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(st.sampled_from(["ADD", "MUL"]), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 15),
       st.booleans(), st.sampled_from(sorted(ACTIVATIONS)), seeds)  # fmt: skip
def test_add_and_mul_with_two_inputs_a_constant_or_repeats(
    native_agent: Path,
    tmp_path: Path,
    operator: str,
    shape: list[int],
    repeats: int,
    constant: bool,
    activation: str,
    seed: int,
) -> None:
    values, model = Values(seed), SmallModel()
    first = model.tensor(tuple(shape), values.scale(), values.zero_point())
    other = tuple(1 if repeats >> index & 1 else size for index, size in enumerate(shape))
    scale, zero_point = values.scale(), values.zero_point()
    second = (
        model.constant(values.int8(*other), [scale], 0, zero_point)
        if constant
        else model.tensor(other, scale, zero_point)
    )
    out = model.tensor(tuple(shape), values.scale(0.01, 1), values.zero_point())
    table = "AddOptions" if operator == "ADD" else "MulOptions"
    model.operator(operator, [first, second], [out], (table, {"fusedActivationFunction": ACTIVATIONS[activation]}))
    check(model.write([first] if constant else [first, second], [out]), native_agent, tmp_path, seed)


@examples
@given(st.integers(1, 4), st.integers(1, 300), st.sampled_from([0.5, 1.0, 2.0]), seeds)
def test_softmax(native_agent: Path, tmp_path: Path, rows: int, depth: int, beta: float, seed: int) -> None:
    values, model = Values(seed), SmallModel()
    source = model.tensor((rows, depth), values.scale(0.001, 1), values.zero_point())
    out = model.tensor((rows, depth), 1 / 256, -128)
    model.operator("SOFTMAX", [source], [out], ("SoftmaxOptions", {"beta": beta}))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


UNARY = {
    "RELU": None, "RELU6": None, "LEAKY_RELU": None, "HARD_SWISH": None,
    "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0), "QUANTIZE": None,
}  # fmt: skip


@examples
@given(st.sampled_from(sorted(UNARY)), seeds)
def test_unary_operators_over_all_codes(native_agent: Path, tmp_path: Path, operator: str, seed: int) -> None:
    values, model = Values(seed), SmallModel()
    source = model.tensor((1, 2048), values.scale(0.005, 0.3), values.zero_point())
    scale, zero_point = UNARY[operator] or (values.scale(0.02, 0.3), values.zero_point())
    out = model.tensor((1, 2048), scale, zero_point)
    options = {
        "LEAKY_RELU": ("LeakyReluOptions", {"alpha": values.scale(0.01, 0.9)}),
        "HARD_SWISH": ("HardSwishOptions", {}),
        "QUANTIZE": ("QuantizeOptions", {}),
    }
    model.operator(operator, [source], [out], options.get(operator))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(seeds)
def test_floats_are_quantised_and_codes_made_floats(native_agent: Path, tmp_path: Path, seed: int) -> None:
    values, model = Values(seed), SmallModel()
    source = model.tensor((1, 300), dtype="float32")
    middle = model.tensor((1, 300), values.scale(0.005, 0.1), values.zero_point())
    out = model.tensor((1, 300), dtype="float32")
    model.operator("QUANTIZE", [source], [middle], ("QuantizeOptions", {}))
    model.operator("DEQUANTIZE", [middle], [out], ("DequantizeOptions", {}))
    check(model.write([source], [middle, out]), native_agent, tmp_path, seed)


@examples
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=4),
    st.booleans(),
    seeds,
)
def test_pad(native_agent: Path, tmp_path: Path, sides: list[tuple[int, int, int]], valued: bool, seed: int) -> None:
    import numpy as np

    values, model = Values(seed), SmallModel()
    scale, zero_point = values.scale(), values.zero_point()
    source = model.tensor(tuple(size for size, _, _ in sides), scale, zero_point)
    paddings = model.constant(np.array([[before, after] for _, before, after in sides], np.int32))
    inputs = [source, paddings]
    if valued:
        inputs.append(model.constant(values.int8(1), [scale], 0, zero_point))
    out = model.tensor(tuple(sum(side) for side in sides), scale, zero_point)
    name = "PADV2" if valued else "PAD"
    model.operator(name, inputs, [out], ("PadV2Options" if valued else "PadOptions", {}))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.integers(1, 15), st.booleans(), st.booleans(), seeds)
def test_mean(
    native_agent: Path,
    tmp_path: Path,
    shape: list[int],
    chosen: int,
    keep: bool,
    same: bool,
    seed: int,
) -> None:
    import numpy as np

    values, model = Values(seed), SmallModel()
    axes = [axis for axis in range(len(shape)) if chosen >> axis & 1] or [0]
    scale, zero_point = values.scale(), values.zero_point()
    source = model.tensor(tuple(shape), scale, zero_point)
    axis = model.constant(np.array([a - len(shape) * (seed % 2) for a in axes], np.int32))
    left = tuple(1 if a in axes else size for a, size in enumerate(shape) if keep or a not in axes)
    out = model.tensor(left, scale if same else values.scale(), zero_point if same else values.zero_point())
    model.operator("MEAN", [source, axis], [out], ("ReducerOptions", {"keepDims": keep}))
    check(model.write([source], [out]), native_agent, tmp_path, seed)


@examples
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.integers(1, 4), min_size=1, max_size=5),
    st.integers(0, 3),
    seeds,
)
def test_concatenation(
    native_agent: Path, tmp_path: Path, shape: list[int], parts: list[int], at: int, seed: int
) -> None:
    values, model = Values(seed), SmallModel()
    axis = at % len(shape)
    scale, zero_point = values.scale(), values.zero_point()
    inputs = [model.tensor((*shape[:axis], part, *shape[axis + 1 :]), scale, zero_point) for part in parts]
    out = model.tensor((*shape[:axis], sum(parts), *shape[axis + 1 :]), scale, zero_point)
    model.operator("CONCATENATION", inputs, [out], ("ConcatenationOptions", {"axis": axis}))
    check(model.write(inputs, [out]), native_agent, tmp_path, seed)


@examples
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.booleans(), seeds)
def test_reshape_between_operators_and_at_both_ends(
    native_agent: Path,
    tmp_path: Path,
    shape: list[int],
    alone: bool,
    seed: int,
) -> None:
    import numpy as np

    values, model = Values(seed), SmallModel()
    scale, zero_point = values.scale(), values.zero_point()
    flat = (1, math.prod(shape))
    source = model.tensor(tuple(shape), scale, zero_point)
    middle = source
    if not alone:
        middle = model.tensor(tuple(shape), scale, zero_point)
        model.operator("RELU", [source], [middle], None)
    wanted = model.constant(np.array(flat, np.int32))
    out = model.tensor(flat, scale, zero_point)
    model.operator("RESHAPE", [middle, wanted], [out], ("ReshapeOptions", {"newShape": list(flat)}))
    outputs = [out]
    if seed % 2:
        outputs.append(model.tensor(flat, scale, zero_point))
        model.operator("RELU6", [out], [outputs[-1]], None)
    check(model.write([source], outputs), native_agent, tmp_path, seed)
