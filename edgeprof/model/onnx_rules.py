"""Shape rules of ONNX operators: one function for a family, from the inputs to the outputs.

A rule returns None where it cannot tell, and then the reader keeps what the file declares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from edgeprof.model.onnx_values import Node, Value, calculated, fitting
from edgeprof.model.shapes import broadcast, multiplied, normal_axis, reduced, same, window

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.model.graph import Shape

    Rule: TypeAlias = Callable[[Node], list[Value] | None]


def like_first(node: Node) -> list[Value]:
    """Give every output the shape and type of the first input."""
    first = node.input(0)
    return [Value(first.shape, first.dtype)] * max(node.outputs_count, 1)


def _predicate(node: Node) -> list[Value]:
    numbers = node.content(0) if node.type == "Not" else None
    content = tuple(None if item is None else not item for item in numbers) if numbers is not None else None
    return [Value(node.shape(0), "bool", content)]


def _elementwise(node: Node) -> list[Value]:
    shape, dtype = broadcast(value.shape for value in node.inputs), node.input(0).dtype
    logical = node.type in _comparisons
    content = fitting(calculated(node.type, node.input(0), node.input(1)), shape) if len(node.inputs) == 2 else None
    return [Value(shape, "bool" if logical else dtype, content)]


def _where(node: Node) -> list[Value]:
    shape = broadcast(value.shape for value in node.inputs)
    chosen, yes, no = node.content(0), node.input(1).content, node.input(2).content
    content = None
    if chosen and yes and no and len({len(chosen), len(yes), len(no)}) == 1:
        content = tuple(
            None if pick is None else (a if pick else b) for pick, a, b in zip(chosen, yes, no, strict=True)
        )
    return [Value(shape, node.input(1).dtype, fitting(content, shape))]


def _convolution(node: Node) -> list[Value] | None:
    data, weights = node.shape(0), node.shape(3 if node.type == "QLinearConv" else 1)
    if not data or weights is None or len(weights) != len(data) or len(data) < 3:  # batch, channels
        return None
    kernel = node.integers("kernel_shape") or weights[2:]
    return [Value((data[0], weights[0], *_windows(node, data[2:], kernel)), _result_type(node))]


def _result_type(node: Node) -> str:
    """Return the type of a quantised result: named by its zero point, or the sum of products in 32 bits."""
    if node.type.startswith("QLinear"):
        return node.input(7).dtype
    return "int32" if node.type in {"ConvInteger", "MatMulInteger"} else node.input(0).dtype


def _windows(node: Node, sizes: Shape, kernel: Shape) -> Shape:
    """Return the spatial sizes behind a window: pads, strides, dilations, auto_pad and ceil_mode."""
    rank = len(sizes)
    strides = _filled(node.integers("strides"), rank)
    dilations = _filled(node.integers("dilations"), rank)
    pads, auto = node.integers("pads") or (0,) * 2 * rank, node.text("auto_pad", "NOTSET")
    if len(kernel) != rank or len(pads) != 2 * rank:
        return (None,) * rank
    if auto in {"SAME_UPPER", "SAME_LOWER"}:
        return tuple(same(size, stride) for size, stride in zip(sizes, strides, strict=True))
    if auto == "VALID":
        pads = (0,) * 2 * rank
    return tuple(
        _window(size, kernel[axis], (strides[axis], dilations[axis]), (pads[axis], pads[rank + axis]), node)
        for axis, size in enumerate(sizes)
    )


def _window(
    size: int | None, kernel: int | None, steps: tuple[int, int], pads: tuple[int, int], node: Node
) -> int | None:
    stride, dilation = steps
    ceil = bool(node.integer("ceil_mode", 0))
    count = window(size, kernel, stride, dilation, sum(pads), ceil=ceil)
    if ceil and count is not None and size is not None and (count - 1) * stride >= size + pads[0]:
        # A window that would start in the padding at the end is dropped.
        count -= 1
    return count


def _filled(numbers: tuple[int, ...] | None, rank: int) -> tuple[int, ...]:
    return numbers if numbers is not None and len(numbers) == rank else (1,) * rank


def _transposed_convolution(node: Node) -> list[Value] | None:
    data, weights = node.shape(0), node.shape(1)
    if not data or weights is None or len(weights) != len(data) or len(data) < 3:  # batch, channels
        return None
    rank = len(data) - 2
    channels = None if weights[1] is None else weights[1] * node.integer("group", 1)
    fixed = node.integers("output_shape")
    if fixed is not None and len(fixed) >= rank:
        return [Value((data[0], channels, *fixed[-rank:]), node.input(0).dtype)]
    kernel = node.integers("kernel_shape") or weights[2:]
    if len(kernel) != rank:
        return None
    sizes = tuple(_grown(node, axis, size, kernel[axis], rank) for axis, size in enumerate(data[2:]))
    return [Value((data[0], channels, *sizes), node.input(0).dtype)]


def _grown(node: Node, axis: int, size: int | None, kernel: int | None, rank: int) -> int | None:
    if size is None or kernel is None:
        return None
    stride = _filled(node.integers("strides"), rank)[axis]
    if node.text("auto_pad", "NOTSET").startswith("SAME"):
        return size * stride
    dilation = _filled(node.integers("dilations"), rank)[axis]
    more, pads = node.integers("output_padding") or (0,) * rank, node.integers("pads") or (0,) * 2 * rank
    if len(more) != rank or len(pads) != 2 * rank:
        return None
    grown = stride * (size - 1) + more[axis] + dilation * (kernel - 1) + 1 - pads[axis] - pads[rank + axis]
    return grown if grown >= 0 else None


def _pool(node: Node) -> list[Value] | None:
    data, kernel = node.shape(0), node.integers("kernel_shape")
    if not data or kernel is None or len(data) < 3:  # batch, channels
        return None
    shape = (*data[:2], *_windows(node, data[2:], kernel))
    return [Value(shape, node.input(0).dtype), Value(shape, "int64")]


def _global_pool(node: Node) -> list[Value] | None:
    data = node.shape(0)
    return None if data is None else [Value((*data[:2], *(1 for _ in data[2:])), node.input(0).dtype)]


def _gemm(node: Node) -> list[Value] | None:
    left, right = node.shape(0), node.shape(3 if node.type == "QGemm" else 1)
    if left is None or right is None or len(left) != 2 or len(right) != 2:  # matrices
        return None
    rows = left[1 if node.integer("transA", 0) else 0]
    return [Value((rows, right[0 if node.integer("transB", 0) else 1]), node.input(0).dtype)]


def _matmul(node: Node) -> list[Value]:
    right = 3 if node.type == "QLinearMatMul" else 1
    return [Value(multiplied(node.shape(0), node.shape(right)), _result_type(node))]


def _packed_matmul(node: Node) -> list[Value] | None:
    data = node.shape(0)
    return [Value((*data[:-1], node.integer("N", 0)), node.input(0).dtype)] if data else None


def _einsum(node: Node) -> list[Value] | None:
    operands, arrow, result = node.text("equation", "").replace(" ", "").partition("->")
    terms = operands.split(",")
    if not arrow or "." in operands or len(terms) != len(node.inputs):
        return None
    sizes: dict[str, int | None] = {}
    for term, value in zip(terms, node.inputs, strict=True):
        if value.shape is None or len(term) != len(value.shape):
            return None
        for letter, size in zip(term, value.shape, strict=True):
            sizes[letter] = sizes.get(letter) or size
    return [Value(tuple(sizes.get(letter) for letter in result), node.input(0).dtype)]


def _normalization(node: Node) -> list[Value]:
    """Give the first output the shape of the input; the rest are statistics of it."""
    first = node.input(0)
    if node.type == "BatchNormalization":
        rest = [Value(node.shape(3), first.dtype)] * 4
    else:
        axis = normal_axis(node.integer("axis", -1), len(first.shape or ()))
        kept = None if first.shape is None or axis is None else (*first.shape[:axis], *(1 for _ in first.shape[axis:]))
        rest = [Value(kept, "float32")] * 2
    return [Value(first.shape, first.dtype), *rest]


def _dropout(node: Node) -> list[Value]:
    return [Value(node.shape(0), node.input(0).dtype), Value(node.shape(0), "bool")]


def _reduction(node: Node) -> list[Value]:
    axes, keep = node.axes(1), bool(node.integer("keepdims", 1))
    if axes == () and node.integer("noop_with_empty_axes", 0):
        return like_first(node)
    return [Value(reduced(node.shape(0), axes, keep=keep), node.input(0).dtype)]


def _arg(node: Node) -> list[Value]:
    return [Value(reduced(node.shape(0), [node.integer("axis", 0)], keep=bool(node.integer("keepdims", 1))), "int64")]


def _recurrent(node: Node) -> list[Value] | None:
    """X [time, batch, in], R [directions, gates * hidden, hidden]: all states, the last state, the last cell."""
    data, recurrence = node.shape(0), node.shape(2)
    if data is None or recurrence is None or len(data) != 3 or len(recurrence) != 3:  # as above
        return None
    directions, hidden, dtype = recurrence[0], recurrence[2], node.input(0).dtype
    if node.integer("layout", 0):
        every, last = (data[0], data[1], directions, hidden), (data[0], directions, hidden)
    else:
        every, last = (data[0], directions, data[1], hidden), (directions, data[1], hidden)
    return [Value(every, dtype), Value(last, dtype), Value(last, dtype)]


def _quantized(node: Node) -> list[Value]:
    zero_point = node.input(2)
    dtype = zero_point.dtype if zero_point.dtype != "undefined" else "uint8"
    return [Value(node.shape(0), dtype)]


def _dequantized(node: Node) -> list[Value]:
    return [Value(node.shape(0), node.input(1).dtype)]


def _dynamically_quantized(node: Node) -> list[Value]:
    return [Value(node.shape(0), "uint8"), Value((), "float32"), Value((), "uint8")]


_comparisons = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Xor"})
_unary = (
    "Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Clip Cos Cosh CumProd CumSum Elu Erf Exp Floor Gelu "
    "GroupNormalization HardSigmoid HardSwish Hardmax InstanceNormalization LRN LeakyRelu Log LogSoftmax "
    "LpNormalization MeanVarianceNormalization Mish Neg PRelu RMSNormalization Reciprocal Relu ReverseSequence Round "
    "Scatter ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt "
    "Swish Tan Tanh TensorScatter ThresholdedRelu Trilu RandomNormalLike RandomUniformLike Bernoulli RotaryEmbedding"
)
_binary = (
    "Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min "
    "Mod Mul Or Pow Sub Sum Xor"
)
_reductions = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
rules: dict[str, Rule] = {
    **dict.fromkeys(_unary.split(), like_first),
    **dict.fromkeys(_binary.split(), _elementwise),
    **dict.fromkeys(("IsInf", "IsNaN", "Not"), _predicate),
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv", "FusedConv"), _convolution),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), _global_pool),
    **dict.fromkeys(("Gemm", "FusedGemm", "QGemm"), _gemm),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization"), _normalization),
    **dict.fromkeys((f"Reduce{kind}" for kind in _reductions.split()), _reduction),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
    "ConvTranspose": _transposed_convolution,
    "MatMulNBits": _packed_matmul,
    "Einsum": _einsum,
    "Where": _where,
    "Dropout": _dropout,
    "QuantizeLinear": _quantized,
    "DequantizeLinear": _dequantized,
    "DynamicQuantizeLinear": _dynamically_quantized,
}
