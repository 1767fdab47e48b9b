"""Each operator of a model as the words that its kernel reads (firmware_stubs/core/ep_program.h)."""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate
from math import prod
from typing import TYPE_CHECKING

from edgeprof.model.graph import integer, tensor_bytes
from edgeprof.program import tables
from edgeprof.program.blob import Constants
from edgeprof.program.fixed import Scale, float32, quantize_multiplier, round_half_away
from edgeprof.program.tables import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgeprof.model.graph import Graph, Operator, Quantization, Tensor

Lowered = tuple[str, tuple[int, ...]]
BLOCK = 4
"""Output channels whose weights stand together, and the bytes of each in turn."""


class Unsupported(Exception):
    """What of this operator the executor cannot do."""


class Source:
    """The model: its tensors' places, their constants' bytes, and what is written of them."""

    def __init__(self, graph: Graph, content: bytes, offsets: Mapping[int, int]) -> None:
        self.graph = graph
        self.constants = Constants()
        self._content = content
        self._offsets = offsets

    def place(self, index: int) -> int:
        """Return where a tensor lies: in the arena, or in the program."""
        if index in self._offsets:
            return self._offsets[index]
        return self.constants.place(self.constant(index))

    def constant(self, index: int) -> bytes:
        """Return the bytes of a constant."""
        tensor = self.graph.tensors[index]
        if tensor.constant_offset is None or tensor.constant_bytes is None:
            raise Unsupported(f"{tensor.name!r} is to be a constant in the file")
        if tensor.sparse:
            raise Unsupported(f"{tensor.name!r} is stored sparse")
        return self._content[tensor.constant_offset : tensor.constant_offset + tensor.constant_bytes]

    def integers(self, index: int) -> tuple[int, ...]:
        """Return the numbers of a constant of whole numbers."""
        letter = {"int32": "i", "int64": "q"}.get(self.graph.tensors[index].dtype)
        if letter is None:
            raise Unsupported(f"{self.graph.tensors[index].name!r} is to be int32")
        content = self.constant(index)
        return struct.unpack(f"<{len(content) // struct.calcsize(letter)}{letter}", content)

    def tensor(self, index: int, *dtypes: str) -> Tensor:
        """Return a tensor of one of these types, int8 if none is named."""
        if index < 0:
            raise Unsupported("an input is left out")
        tensor = self.graph.tensors[index]
        if tensor.dtype not in (dtypes or ("int8",)):
            raise Unsupported(f"{tensor.name!r} is {tensor.dtype}; {' or '.join(dtypes or ('int8',))} can be done")
        return tensor

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape, all of it known."""
        tensor = self.graph.tensors[index]
        if tensor.shape is None or any(not size for size in tensor.shape):
            raise Unsupported(f"the shape of {tensor.name!r} is not known or empty")
        return tuple(size or 0 for size in tensor.shape)

    def grid(self, index: int) -> Grid:
        """Return the scale and zero point of an int8 tensor."""
        quantization = self.quantization(index)
        if len(quantization.scales) != 1:
            raise Unsupported(f"{self.graph.tensors[index].name!r} has a scale for each channel")
        return Grid(quantization.scales[0], quantization.zero_points[0] if quantization.zero_points else 0)

    def quantization(self, index: int) -> Quantization:
        """Return the quantisation of an int8 tensor."""
        quantization = self.tensor(index).quantization
        if quantization is None:
            raise Unsupported(f"{self.graph.tensors[index].name!r} is not quantised")
        return quantization

    def bytes_of(self, index: int) -> int:
        """Return the bytes of a tensor."""
        size = tensor_bytes(self.graph.tensors[index])
        if size is None:
            raise Unsupported(f"the size of {self.graph.tensors[index].name!r} is not known")
        return size


def _activation(operator: Operator, grid: Grid) -> tuple[int, int]:
    """Return the range that a fused activation leaves: CalculateActivationRangeQuantized."""

    def code(value: float) -> int:
        return grid.zero_point + round_half_away(float32(value / grid.scale))

    match operator.attributes.get("fused_activation_function", "NONE"):
        case "NONE":
            return -128, 127
        case "RELU":
            return max(-128, code(0.0)), 127
        case "RELU6":
            return max(-128, code(0.0)), min(127, code(6.0))
        case "RELU_N1_TO_1":
            return max(-128, code(-1.0)), min(127, code(1.0))
        case other:
            raise Unsupported(f"the fused activation {other}")


def _scales(scales: list[Scale]) -> bytes:
    return b"".join(struct.pack("<ii", *scale) for scale in scales)


def _rank_4(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 4:  # images
        raise Unsupported(f"a tensor of the shape {list(shape)}; four dimensions can be done")
    return shape


def _pad(operator: Operator, size: int, out: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """Return the padding in front of one dimension, after checking that the output has the size that it should."""
    reach = (kernel - 1) * dilation + 1
    same = operator.attributes.get("padding", "SAME") == "SAME"
    wanted = -(-size // stride) if same else (size - reach) // stride + 1
    if out != wanted or stride < 1 or dilation < 1:
        raise Unsupported(f"an output of {out} where {wanted} was expected")
    return max(0, (out - 1) * stride + reach - size) // 2 if same else 0


# ── convolutions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _channel_scales(source: Source, operator: Operator, channels: int, axis: int) -> list[Scale]:
    """Return the factor of each output channel: input scale * weight scale / output scale, in double."""
    weights = source.quantization(operator.inputs[1])
    if any(weights.zero_points):
        raise Unsupported("the weights have a zero point other than 0")
    if len(weights.scales) not in {1, channels} or (len(weights.scales) > 1 and weights.axis != axis):
        raise Unsupported(f"{len(weights.scales)} scales along dimension {weights.axis} for {channels} channels")
    one, out = source.grid(operator.inputs[0]).scale, source.grid(operator.outputs[0]).scale
    found = [quantize_multiplier(one * scale / out) for scale in weights.scales]
    return found if len(found) == channels else found * channels


def _bias(source: Source, operator: Operator, channels: int) -> int:
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:  # input, weights, bias
        return source.constants.place(bytes(4 * channels))
    source.tensor(operator.inputs[2], "int32")
    return source.constants.place(source.constant(operator.inputs[2]))


def _conv(source: Source, operator: Operator) -> Lowered:
    source_index, weights_index = operator.inputs[0], operator.inputs[1]
    batches, in_h, in_w, in_c = _rank_4(source.shape(source_index))
    out_c, kernel_h, kernel_w, group_in = _rank_4(source.shape(weights_index))
    _, out_h, out_w, _ = _rank_4(source.shape(operator.outputs[0]))
    if in_c % group_in or out_c % (in_c // group_in):
        raise Unsupported(f"{in_c} channels in groups of {group_in} for {out_c} outputs")
    stride_h, stride_w = integer(operator, "stride_h"), integer(operator, "stride_w")
    dilation_h, dilation_w = integer(operator, "dilation_h_factor", 1), integer(operator, "dilation_w_factor", 1)
    geometry = (
        batches, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w,
        _pad(operator, in_h, out_h, kernel_h, stride_h, dilation_h),
        _pad(operator, in_w, out_w, kernel_w, stride_w, dilation_w),
    )  # fmt: skip
    scales = _channel_scales(source, operator, out_c, 0)
    return _dense(source, operator, geometry, scales, group_in, out_c // (in_c // group_in))


def _fully_connected(source: Source, operator: Operator) -> Lowered:
    if integer(operator, "weights_format"):
        raise Unsupported("weights in a shuffled order")
    weights_shape = source.shape(operator.inputs[1])
    depth, out_c = weights_shape[-1], prod(weights_shape[:-1])
    rows = prod(source.shape(operator.outputs[0])) // out_c
    if prod(source.shape(operator.inputs[0])) != rows * depth:
        raise Unsupported(f"{rows} rows of {depth} do not make up the input")
    geometry = (1, 1, rows, depth, 1, rows, out_c, 1, 1, 1, 1, 1, 1, 0, 0)
    weights = source.quantization(operator.inputs[1])
    if len(weights.scales) == 1:
        # GetQuantizedConvolutionMultipler: this product is one of float32.
        product = float32(source.grid(operator.inputs[0]).scale * weights.scales[0])
        if any(weights.zero_points):
            raise Unsupported("the weights have a zero point other than 0")
        scales = [quantize_multiplier(product / source.grid(operator.outputs[0]).scale)] * out_c
    else:
        scales = _channel_scales(source, operator, out_c, 0)
    return _dense(source, operator, geometry, scales, depth, out_c)


def _dense(
    source: Source, operator: Operator, geometry: tuple[int, ...], scales: list[Scale], depth: int, group_out: int
) -> Lowered:
    in_c, out_c, taps = geometry[3], geometry[6], geometry[7] * geometry[8]
    weights = source.constant(operator.inputs[1])
    source.tensor(operator.inputs[1])
    blocked = depth == in_c and depth % BLOCK == 0 and out_c >= BLOCK
    if blocked:
        weights = in_blocks(weights, out_c, taps * depth)
    places = (source.place(operator.inputs[0]), source.place(operator.outputs[0]), source.constants.place(weights))
    bias = _bias(source, operator, out_c)
    ends = _ends(source, operator)
    return "CONV", (
        *places,
        bias,
        source.constants.place(_scales(scales)),
        *geometry,
        *ends,
        depth,
        group_out,
        int(blocked),
    )


def in_blocks(weights: bytes, rows: int, row_bytes: int) -> bytes:
    """Put four rows together, four bytes of each in turn; rows that are left over stay as they are."""
    words = array("I", weights[: rows // BLOCK * BLOCK * row_bytes])
    row = row_bytes // 4
    blocked = array("I", bytes(len(words) * 4))
    for block in range(0, len(words), BLOCK * row):
        for lane in range(BLOCK):
            blocked[block + lane : block + BLOCK * row : BLOCK] = words[block + lane * row : block + (lane + 1) * row]
    return blocked.tobytes() + weights[len(words) * 4 :]


def _ends(source: Source, operator: Operator) -> tuple[int, int, int, int]:
    """Return input offset, output offset and the range of the activation."""
    out = source.grid(operator.outputs[0])
    return -source.grid(operator.inputs[0]).zero_point, out.zero_point, *_activation(operator, out)


def _depthwise(source: Source, operator: Operator) -> Lowered:
    batches, in_h, in_w, in_c = _rank_4(source.shape(operator.inputs[0]))
    _, kernel_h, kernel_w, out_c = _rank_4(source.shape(operator.inputs[1]))
    _, out_h, out_w, _ = _rank_4(source.shape(operator.outputs[0]))
    if out_c % in_c:
        raise Unsupported(f"{out_c} output channels of {in_c}")
    stride_h, stride_w = integer(operator, "stride_h"), integer(operator, "stride_w")
    dilation_h, dilation_w = integer(operator, "dilation_h_factor", 1), integer(operator, "dilation_w_factor", 1)
    scales = source.constants.place(_scales(_channel_scales(source, operator, out_c, 3)))
    source.tensor(operator.inputs[1])
    weights = source.constants.place(source.constant(operator.inputs[1]))
    return "DEPTHWISE", (
        source.place(operator.inputs[0]), source.place(operator.outputs[0]), weights,
        _bias(source, operator, out_c), scales,
        batches, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w,
        _pad(operator, in_h, out_h, kernel_h, stride_h, dilation_h),
        _pad(operator, in_w, out_w, kernel_w, stride_w, dilation_w),
        *_ends(source, operator), out_c // in_c,
    )  # fmt: skip


# ── pooling, two inputs ──────────────────────────────────────────────────────────────────────────────────────────────


def _pool(code: str) -> Callable[[Source, Operator], Lowered]:
    def lower(source: Source, operator: Operator) -> Lowered:
        batches, in_h, in_w, channels = _rank_4(source.shape(operator.inputs[0]))
        _, out_h, out_w, _ = _rank_4(source.shape(operator.outputs[0]))
        kernel_h, kernel_w = integer(operator, "filter_height"), integer(operator, "filter_width")
        stride_h, stride_w = integer(operator, "stride_h"), integer(operator, "stride_w")
        grid = source.grid(operator.outputs[0])
        if source.grid(operator.inputs[0]) != grid:
            raise Unsupported("input and output are quantised differently")
        return code, (
            source.place(operator.inputs[0]), source.place(operator.outputs[0]),
            batches, in_h, in_w, channels, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w,
            _pad(operator, in_h, out_h, kernel_h, stride_h), _pad(operator, in_w, out_w, kernel_w, stride_w),
            *_activation(operator, grid),
        )  # fmt: skip

    return lower


def _binary(source: Source, operator: Operator, scales: tuple[Scale, Scale, Scale], left_shift: int) -> tuple[int, ...]:
    first, second = operator.inputs[:2]
    out = operator.outputs[0]
    shape = _padded(source.shape(out))
    grid = source.grid(out)
    flat = prod(shape) if source.shape(first) == source.shape(second) == source.shape(out) else 0
    return (
        source.place(first), source.place(second), source.place(out), *shape,
        *_strides(source.shape(first), shape), *_strides(source.shape(second), shape),
        -source.grid(first).zero_point, -source.grid(second).zero_point, grid.zero_point,
        *_activation(operator, grid), *(number for scale in scales for number in scale), left_shift, flat,
    )  # fmt: skip


def _padded(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) > 4:  # the kernels' loops
        raise Unsupported(f"the shape {list(shape)}; up to four dimensions can be done")
    return (*(1,) * (4 - len(shape)), *shape)


def _strides(shape: tuple[int, ...], out: tuple[int, ...]) -> tuple[int, ...]:
    """Return a stride for each output dimension, 0 where the input repeats."""
    sizes = _padded(shape)
    if any(size not in {1, wanted} for size, wanted in zip(sizes, out, strict=True)):
        raise Unsupported(f"an input of the shape {list(shape)} for an output of {list(out)}")
    steps = _dense_strides(sizes)
    return tuple(0 if size == 1 else step for size, step in zip(sizes, steps, strict=True))


def _dense_strides(sizes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(reversed(tuple(accumulate(reversed(sizes[1:]), int.__mul__, initial=1))))


def _add(source: Source, operator: Operator) -> Lowered:
    first, second = (source.grid(index).scale for index in operator.inputs[:2])
    out = source.grid(operator.outputs[0]).scale
    twice = 2 * max(first, second)
    scales = (
        quantize_multiplier(first / twice),
        quantize_multiplier(second / twice),
        quantize_multiplier(twice / ((1 << 20) * out)),
    )
    if scales[2].shift > 0:
        raise Unsupported("an output scale that is far too small for its inputs")
    return "ADD", _binary(source, operator, scales, 20)


def _mul(source: Source, operator: Operator) -> Lowered:
    first, second = (source.grid(index).scale for index in operator.inputs[:2])
    scale = quantize_multiplier(first * second / source.grid(operator.outputs[0]).scale)
    return "MUL", _binary(source, operator, (Scale(0, 0), Scale(0, 0), scale), 0)


# ── softmax, tables, copies ──────────────────────────────────────────────────────────────────────────────────────────


def _softmax(source: Source, operator: Operator) -> Lowered:
    shape = source.shape(operator.inputs[0])
    out = source.grid(operator.outputs[0])
    if out != Grid(1 / 256, -128):
        raise Unsupported("the output of a softmax has the scale 1/256 and the zero point -128")
    beta = operator.attributes.get("beta", 1.0)
    grid = source.grid(operator.inputs[0])
    exponentials = tables.softmax_exponentials(grid, float(beta) if isinstance(beta, int | float) else 1.0)
    places = (source.place(operator.inputs[0]), source.place(operator.outputs[0]))
    return "SOFTMAX", (*places, source.constants.place(exponentials), prod(shape) // shape[-1], shape[-1])


def _looked_up(source: Source, operator: Operator, code: str, table: bytes) -> Lowered:
    first, out = operator.inputs[0], operator.outputs[0]
    return code, (source.place(first), source.place(out), source.constants.place(table), prod(source.shape(first)))


def _unary(of: Callable[[Grid, Grid], bytes], fixed: Grid | None = None) -> Callable[[Source, Operator], Lowered]:
    def lower(source: Source, operator: Operator) -> Lowered:
        grid, out = source.grid(operator.inputs[0]), source.grid(operator.outputs[0])
        if fixed is not None and out != fixed:
            raise Unsupported(f"its output has the scale {fixed.scale} and the zero point {fixed.zero_point}")
        return _looked_up(source, operator, "TABLE", of(grid, out))

    return lower


def _leaky_relu(source: Source, operator: Operator) -> Lowered:
    alpha = operator.attributes.get("alpha", 0.0)
    grid, out = source.grid(operator.inputs[0]), source.grid(operator.outputs[0])
    factor = float(alpha) if isinstance(alpha, int | float) else 0.0
    return _looked_up(source, operator, "TABLE", tables.leaky_relu(grid, out, factor))


def _quantize(source: Source, operator: Operator) -> Lowered:
    out = source.grid(operator.outputs[0])
    if source.tensor(operator.inputs[0], "int8", "float32").dtype == "float32":
        return _looked_up(source, operator, "QUANTIZE", tables.quantize_steps(out))
    return _looked_up(source, operator, "TABLE", tables.requantize(source.grid(operator.inputs[0]), out))


def _dequantize(source: Source, operator: Operator) -> Lowered:
    source.tensor(operator.outputs[0], "float32")
    return _looked_up(source, operator, "DEQUANTIZE", tables.dequantize(source.grid(operator.inputs[0])))


def _copied(source: Source, operator: Operator) -> Lowered:
    size, given = source.bytes_of(operator.outputs[0]), source.bytes_of(operator.inputs[0])
    if size != given:
        raise Unsupported(f"an output of {size} bytes from an input of {given}")
    return "COPY", (source.place(operator.inputs[0]), source.place(operator.outputs[0]), 1, size, 0, 0)


def _padding(source: Source, operator: Operator) -> Lowered:
    shape, out = source.shape(operator.inputs[0]), source.shape(operator.outputs[0])
    pairs = source.integers(operator.inputs[1])
    if len(shape) > 5 or len(pairs) != 2 * len(shape):  # the kernel's loops
        raise Unsupported(f"the shape {list(shape)}; up to five dimensions can be done")
    if any(number < 0 for number in pairs):
        raise Unsupported("padding that takes away")
    grid = source.grid(operator.outputs[0])
    value = grid.zero_point
    if len(operator.inputs) > 2 and operator.inputs[2] >= 0:  # a value is named
        if source.grid(operator.inputs[2]) != grid:
            raise Unsupported("the value is quantised otherwise than the output")
        (value,) = struct.unpack("<b", source.constant(operator.inputs[2]))
    ahead = (1,) * (5 - len(shape))
    before = (*(0,) * len(ahead), *pairs[::2])
    places = (source.place(operator.inputs[0]), source.place(operator.outputs[0]))
    return "PAD", (*places, *ahead, *shape, *before, *ahead, *out, value, 1)


def _mean(source: Source, operator: Operator) -> Lowered:
    shape = _padded(source.shape(operator.inputs[0]))
    ahead = 4 - len(source.shape(operator.inputs[0]))
    axes = {axis % (4 - ahead) + ahead for axis in source.integers(operator.inputs[1])}
    grid, out = source.grid(operator.inputs[0]), source.grid(operator.outputs[0])
    steps = _dense_strides(shape)
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    summed = tuple(size if axis in axes else 1 for axis, size in enumerate(shape))
    count = prod(summed)
    scale = quantize_multiplier(grid.scale / out.scale)
    # The mean's division is part of the factor, as in QuantizedMeanOrSum.
    shift = min(count.bit_length() - 1, 32, 31 + scale.shift)
    scale = Scale((scale.multiplier << shift) // count, scale.shift - shift)
    places = (source.place(operator.inputs[0]), source.place(operator.outputs[0]))
    return "MEAN", (
        *places, *kept, *steps, *summed, *steps, grid.zero_point, out.zero_point, count, -128, 127, *scale
    )  # fmt: skip


def _concatenation(source: Source, operator: Operator) -> Lowered:
    out = source.shape(operator.outputs[0])
    axis = integer(operator, "axis") % len(out)
    grid = source.grid(operator.outputs[0])
    if operator.attributes.get("fused_activation_function", "NONE") != "NONE":
        raise Unsupported("a fused activation")
    words = [source.place(operator.outputs[0]), prod(out[:axis])]
    for index in operator.inputs:
        if source.grid(index) != grid:
            raise Unsupported("an input that is quantised otherwise than the output")
        words += [source.place(index), prod(source.shape(index)[axis:])]
    if len(words) > 255:  # a byte says how many words there are
        raise Unsupported(f"{len(operator.inputs)} inputs")
    return "CONCATENATION", tuple(words)


LOWERINGS: dict[str, Callable[[Source, Operator], Lowered]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "AVERAGE_POOL_2D": _pool("AVERAGE_POOL"),
    "MAX_POOL_2D": _pool("MAX_POOL"),
    "ADD": _add,
    "MUL": _mul,
    "SOFTMAX": _softmax,
    "RELU": _unary(tables.relu),
    "RELU6": _unary(tables.relu6),
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _unary(tables.logistic_table, Grid(1 / 256, -128)),
    "TANH": _unary(tables.tanh_table, Grid(1 / 128, 0)),
    "HARD_SWISH": _unary(tables.hard_swish),
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
    "RESHAPE": _copied,
    "SQUEEZE": _copied,
    "EXPAND_DIMS": _copied,
    "PAD": _padding,
    "PADV2": _padding,
    "MEAN": _mean,
    "CONCATENATION": _concatenation,
}
