"""What the dimensions are that a .tflite file lets vary.

A file carries two shapes a tensor: `shape`, which a runtime allocates when nobody resizes, and
`shape_signature`, with -1 for what may vary. A varying batch (the first dimension) is taken as the file's own
`shape` has it, with a warning. Everything else that varies is None, or follows from the shapes that the
caller fixes for the inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from edgeprof.model.graph import Operator, Shape, Subgraph, Tensor, integer
from edgeprof.model.reading import check_shapes, checked_shape
from edgeprof.model.shapes import (
    broadcast,
    concatenated,
    multiplied,
    normal_axis,
    reduced,
    reshaped,
    same,
    squeezed,
    transposed,
    unsqueezed,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgeprof.model.tflite_body import Body

    Values: TypeAlias = Callable[[Tensor], tuple[int, ...] | None]
    Shapes: TypeAlias = list[Shape | None]
    Numbers: TypeAlias = list[tuple[int, ...] | None]
    Rule: TypeAlias = Callable[[Operator, Shapes, Numbers], Shapes | None]


def resolve(
    bodies: list[Body], shapes: Mapping[str, tuple[int, ...]], values: Values
) -> tuple[list[Subgraph], list[str]]:
    """Return the subgraphs with their dimensions decided, and warnings that say what was taken or is not known.

    Raises UsageError for a name that is not an input, or a shape that the input cannot have.
    """
    main = bodies[0]
    wanted = {main.graph.tensors[index].name: main.signatures[index] for index in main.graph.inputs}
    check_shapes(shapes, wanted, resizable=True)
    others = [_with_shapes(body.graph, _defaults(body, fixed=bool(shapes))) for body in bodies[1:]]
    if not shapes and all(_only_batch(signature) for signature in main.signatures):
        return [main.graph, *others], _batch_warning(main)
    found = _inferred(main, shapes, values)
    unknown = [
        tensor.name for tensor, shape in zip(main.graph.tensors, found, strict=True) if shape is None or None in shape
    ]
    warnings = [f"dimensions not known of {len(unknown)} tensors, {unknown[0]!r} first"] if unknown else []
    return [_with_shapes(main.graph, found), *others], [*warnings, *([] if shapes else _batch_warning(main))]


def _only_batch(signature: Shape | None) -> bool:
    return signature is not None and None not in signature[1:]


def _batch_warning(main: Body) -> list[str]:
    varying = [index for index in main.graph.inputs if index >= 0 and None in (main.signatures[index] or ())[:1]]
    if not varying:
        return []
    tensor = main.graph.tensors[varying[0]]
    size = tensor.shape[0] if tensor.shape else None
    return [f"the batch of input {tensor.name!r} varies; taken as {size}, which a runtime allocates"]


def _defaults(body: Body, *, fixed: bool) -> Shapes:
    """Return what can be said of a subgraph that is called by another: the file's shapes, or its signatures."""
    return [
        tensor.shape if not fixed and _only_batch(signature) else signature
        for tensor, signature in zip(body.graph.tensors, body.signatures, strict=True)
    ]


def _with_shapes(graph: Subgraph, shapes: Shapes) -> Subgraph:
    tensors = tuple(
        tensor if tensor.shape == shape else replace(tensor, shape=shape)
        for tensor, shape in zip(graph.tensors, shapes, strict=True)
    )
    return replace(graph, tensors=tensors)


def _inferred(body: Body, shapes: Mapping[str, tuple[int, ...]], values: Values) -> Shapes:
    """Return the shapes of all tensors, followed from the inputs operator by operator."""
    tensors, found = body.graph.tensors, list(body.signatures)
    for index in body.graph.inputs:
        if index >= 0:
            found[index] = _input_shape(tensors[index], found[index], shapes)
    for node in body.graph.operators:
        if all(None not in (found[index] or (None,)) for index in node.outputs if index >= 0):
            continue
        inputs = [found[index] if index >= 0 else None for index in node.inputs]
        numbers = [values(tensors[index]) if index >= 0 else None for index in node.inputs]
        results = rules[node.type](node, inputs, numbers) if node.type in rules else None
        for index, result in zip(node.outputs, results or [], strict=False):
            if index >= 0 and result is not None:
                checked_shape(tensors[index].name, tuple(size or 0 for size in result))
                found[index] = _merged(found[index], result)
    return found


def _input_shape(tensor: Tensor, signature: Shape | None, shapes: Mapping[str, tuple[int, ...]]) -> Shape | None:
    if tensor.name in shapes:
        return checked_shape(tensor.name, shapes[tensor.name])
    if not signature or shapes or tensor.shape is None:
        return signature
    return (tensor.shape[0], *signature[1:])


def _merged(declared: Shape | None, inferred: Shape) -> Shape:
    """Return the file's sizes where it fixes them, the inferred ones elsewhere."""
    if declared is None or len(declared) != len(inferred):
        return inferred
    return tuple(new if old is None else old for old, new in zip(declared, inferred, strict=True))


def _like_first(_node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    return inputs[:1] or None


def _broadcast(_node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    return [broadcast(inputs)] if inputs else None


def _spatial(node: Operator, size: int | None, axis: str, kernel: int | None) -> int | None:
    stride = integer(node, f"stride_{axis}", 1)
    if node.attributes.get("padding") == "SAME":
        return same(size, stride)
    return window(size, kernel, stride, integer(node, f"dilation_{axis}_factor", 1), 0)


def _convolution(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    match inputs:
        case [(batch, height, width, _), (out, rows, columns, last), *_]:
            channels = last if node.type == "DEPTHWISE_CONV_2D" else out
            return [(batch, _spatial(node, height, "h", rows), _spatial(node, width, "w", columns), channels)]
        case _:
            return None


def _pool(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    match inputs:
        case [(batch, height, width, channels)]:
            rows = _spatial(node, height, "h", integer(node, "filter_height"))
            return [(batch, rows, _spatial(node, width, "w", integer(node, "filter_width")), channels)]
        case _:
            return None


def _fully_connected(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    match inputs:
        case [tuple(shape), (units, depth), *_]:
            if integer(node, "keep_num_dims"):
                return [(*shape[:-1], units)]
            return [((reshaped(shape, (-1, depth)) or (None,))[0], units)]
        case _:
            return None


def _reshape(node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    target = numbers[1] if len(numbers) > 1 else None
    new = node.attributes.get("new_shape")
    if target is None and isinstance(new, tuple) and len(inputs) == 1:
        target = tuple(int(size) for size in new)
    return [reshaped(inputs[0], target, zero_copies=False)] if inputs else None


def _concatenation(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    return [concatenated(inputs, integer(node, "axis"))]


def _pad(_node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    match inputs, numbers:
        case [[tuple(shape), *_], [_, tuple(pads), *_]] if len(pads) == 2 * len(shape):
            sums = [pads[2 * axis] + pads[2 * axis + 1] for axis in range(len(shape))]
            return [tuple(None if size is None else size + more for size, more in zip(shape, sums, strict=True))]
    return None


def _reduction(node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    if len(inputs) < 2 or not numbers[1]:  # the axes are the second input
        return None
    return [reduced(inputs[0], numbers[1], keep=bool(integer(node, "keep_dims")))]


def _transpose(_node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    return [transposed(inputs[0], numbers[1])] if len(inputs) > 1 and numbers[1] else None


def _resize(_node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    match inputs, numbers:
        case [[(batch, _, _, channels), *_], [_, (height, width), *_]]:
            return [(batch, height, width, channels)]
        case _:
            return None


def _batch_matmul(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    match inputs:
        case [tuple(left), tuple(right)] if min(len(left), len(right)) > 1:
            left = (*left[:-2], left[-1], left[-2]) if integer(node, "adj_x") else left
            right = (*right[:-2], right[-1], right[-2]) if integer(node, "adj_y") else right
            return [multiplied(left, right)]
    return None


def _squeeze(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    axes = node.attributes.get("squeeze_dims", ())
    return [squeezed(inputs[0], [int(axis) for axis in axes])] if inputs and isinstance(axes, tuple) else None


def _expand_dims(_node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    return [unsqueezed(inputs[0], numbers[1])] if len(inputs) > 1 and numbers[1] else None


def _pack(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    shape = unsqueezed(inputs[0], [integer(node, "axis")]) if inputs else None
    axis = normal_axis(integer(node, "axis"), len(shape or ()))
    if shape is None or axis is None:
        return None
    return [(*shape[:axis], len(inputs), *shape[axis + 1 :])]


def _split(node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    match inputs, numbers:
        case [[_, tuple(shape)], [(axis,), _]]:
            place, parts = normal_axis(axis, len(shape)), integer(node, "num_splits")
            if place is None or parts != len(node.outputs) or not parts:
                return None
            size = shape[place]
            return [(*shape[:place], None if size is None else size // parts, *shape[place + 1 :])] * parts
        case _:
            return None


def _slice(_node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    """Begin and size of each dimension; -1 takes the rest."""
    match inputs, numbers:
        case [[tuple(shape), *_], [_, tuple(begins), tuple(counts)]] if len(begins) == len(counts) == len(shape):
            parts = zip(shape, begins, counts, strict=True)
            return [tuple(_rest(size, begin) if count == -1 else count for size, begin, count in parts)]
    return None


def _rest(size: int | None, begin: int) -> int | None:
    return None if size is None else max(size - begin, 0)


def _strided_slice(node: Operator, inputs: Shapes, numbers: Numbers) -> Shapes | None:
    """Slice as Python does; a bit of a mask leaves an end out, or takes one element and its dimension away."""
    match inputs, numbers:
        case [[tuple(shape), *_], [_, tuple(begins), tuple(ends), tuple(steps)]]:
            pass
        case _:
            return None
    if integer(node, "ellipsis_mask") or integer(node, "new_axis_mask") or integer(node, "offset"):
        return None
    if not len(begins) == len(ends) == len(steps) <= len(shape):
        return None
    sizes: list[int | None] = []
    for axis, (size, begin, end, step) in enumerate(zip(shape, begins, ends, steps, strict=False)):
        if _bit(node, "shrink_axis_mask", axis):
            continue
        first = None if _bit(node, "begin_mask", axis) else begin
        last = None if _bit(node, "end_mask", axis) else end
        whole = first in {None, 0} and last is None and step == 1
        sizes.append(size if whole else _taken(size, slice(first, last, step)))
    return [(*sizes, *shape[len(begins) :])]


def _bit(node: Operator, mask: str, axis: int) -> bool:
    return bool(integer(node, mask) >> axis & 1)


def _taken(size: int | None, part: slice) -> int | None:
    return None if size is None or not part.step else len(range(*part.indices(size)))


def _gather(node: Operator, inputs: Shapes, _numbers: Numbers) -> Shapes | None:
    match inputs:
        case [tuple(shape), tuple(indices)]:
            axis, batch = normal_axis(integer(node, "axis"), len(shape)), integer(node, "batch_dims")
            if axis is None or not 0 <= batch <= min(axis, len(indices)):
                return None
            return [(*shape[:axis], *indices[batch:], *shape[axis + 1 :])]
        case _:
            return None


def _transposed_convolution(_node: Operator, _inputs: Shapes, numbers: Numbers) -> Shapes | None:
    """Return the first operand, which is the shape of the output."""
    return [numbers[0]] if numbers and numbers[0] and len(numbers[0]) == 4 and min(numbers[0]) > 0 else None


_unary = (
    "ABS CAST CEIL COS DENSIFY DEQUANTIZE ELU EXP FAKE_QUANT FLOOR GELU HARD_SWISH L2_NORMALIZATION LEAKY_RELU "
    "LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_NOT LOGISTIC LOG_SOFTMAX NEG PRELU QUANTIZE RELU RELU6 RELU_0_TO_1 "
    "RELU_N1_TO_1 REVERSE_V2 ROUND RSQRT SIGN SIN SOFTMAX SQRT SQUARE TANH ZEROS_LIKE CUMSUM"
)
_binary = (
    "ADD ADD_N DIV EQUAL FLOOR_DIV FLOOR_MOD GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR MAXIMUM "
    "MINIMUM MUL NOT_EQUAL POW SELECT SELECT_V2 SQUARED_DIFFERENCE SUB ATAN2"
)
rules: dict[str, Rule] = {
    **dict.fromkeys(_unary.split(), _like_first),
    **dict.fromkeys(_binary.split(), _broadcast),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _convolution),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _pool),
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), _pad),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL"), _reduction),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _resize),
    "FULLY_CONNECTED": _fully_connected,
    "RESHAPE": _reshape,
    "CONCATENATION": _concatenation,
    "TRANSPOSE": _transpose,
    "BATCH_MATMUL": _batch_matmul,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "PACK": _pack,
    "SPLIT": _split,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "TRANSPOSE_CONV": _transposed_convolution,
}
