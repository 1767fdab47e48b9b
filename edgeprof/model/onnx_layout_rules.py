"""Shape rules of the ONNX operators that move, cut, join and make tensors; whole numbers are followed through them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgeprof.model.graph import Shape, elements_count
from edgeprof.model.onnx_proto import Content, max_content, type_names
from edgeprof.model.onnx_values import Node, Value, fitting, nothing, of_content, picked
from edgeprof.model.reading import max_rank
from edgeprof.model.shapes import (
    broadcast,
    concatenated,
    normal_axis,
    reshaped,
    sliced,
    squeezed,
    transposed,
    unsqueezed,
)

if TYPE_CHECKING:
    from edgeprof.model.onnx_rules import Rule


def _moved(node: Node, shape: Shape | None) -> list[Value]:
    """Return the first input's numbers in another shape."""
    first = node.input(0)
    return [Value(shape, first.dtype, fitting(first.content, shape))]


def _identity(node: Node) -> list[Value]:
    return [node.input(0)]


def _cast(node: Node) -> list[Value]:
    first, number = node.input(0), node.integer("to", 0)
    dtype = (
        node.input(1).dtype if node.type == "CastLike" else type_names[number if 0 <= number < len(type_names) else 0]
    )
    content = first.content
    if content is not None and dtype in {"int64", "int32"}:
        content = tuple(int(item) if isinstance(item, float) and math.isfinite(item) else item for item in content)
    return [Value(first.shape, dtype, content)]


def _reshape(node: Node) -> list[Value]:
    target = node.content(1) if node.input(1) is not nothing else node.integers("shape")
    if target is None:
        return _moved(node, _only_rank(node.shape(1)))
    return _moved(node, reshaped(node.shape(0), target, zero_copies=not node.integer("allowzero", 0)))


def _only_rank(shape: Shape | None) -> Shape | None:
    """Return unknown dimensions, as many as a tensor of this shape, one that holds a shape, has elements."""
    rank = shape[0] if shape is not None and len(shape) == 1 else None
    return (None,) * rank if rank is not None and 0 <= rank <= max_rank else None


def _flatten(node: Node) -> list[Value]:
    shape, axis = node.shape(0), node.integer("axis", 1)
    if shape is None or not -len(shape) <= axis <= len(shape):
        return [Value(None, node.input(0).dtype)]
    place = axis + len(shape) if axis < 0 else axis
    return _moved(node, (elements_count(shape[:place]), elements_count(shape[place:])))


def _squeeze(node: Node) -> list[Value]:
    return _moved(node, squeezed(node.shape(0), node.axes(1)))


def _unsqueeze(node: Node) -> list[Value]:
    return _moved(node, unsqueezed(node.shape(0), node.axes(1)))


def _transpose(node: Node) -> list[Value]:
    first, order = node.input(0), node.integers("perm") or ()
    shape = transposed(first.shape, order)
    content = None
    if shape is not None and first.content is not None:
        wanted = order or tuple(range(len(shape)))[::-1]
        axes = [range(size or 0) for size in first.shape or ()]
        content = picked(first, [axes[axis] for axis in wanted], wanted)
    return [Value(shape, first.dtype, fitting(content, shape))]


def _concat(node: Node) -> list[Value]:
    shape = concatenated([value.shape for value in node.inputs], node.integer("axis", 1))
    content: Content | None = None
    if shape is not None and len(shape) == 1 and shape[0] is not None and shape[0] <= max_content:
        parts = [value.content if value.content is not None else (None,) * _length(value) for value in node.inputs]
        content = fitting(tuple(item for part in parts for item in part), shape)
    return [Value(shape, node.input(0).dtype, content)]


def _length(value: Value) -> int:
    return (value.shape[0] or 0) if value.shape else 0


def _slice(node: Node) -> list[Value] | None:
    first = node.input(0)
    starts = node.integers("starts") or node.content(1)
    ends = node.integers("ends") or node.content(2)
    if first.shape is None or starts is None or ends is None or len(starts) != len(ends):
        return [Value((None,) * len(first.shape), first.dtype)] if first.shape is not None else None
    axes = node.integers("axes") or (node.content(3) if node.input(3) is not nothing else tuple(range(len(starts))))
    steps = node.content(4) if node.input(4) is not nothing else (1,) * len(starts)
    if axes is None or steps is None or len(axes) != len(starts) or len(steps) != len(starts):
        return [Value((None,) * len(first.shape), first.dtype)]
    sizes, kept = list(first.shape), [range(size or 0) for size in first.shape]
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        place = None if axis is None else normal_axis(axis, len(sizes))
        if place is None:
            return [Value((None,) * len(sizes), first.dtype)]
        whole = start == 0 and step == 1 and end is not None and end >= 2**31 - 1
        sizes[place] = sizes[place] if whole else sliced(sizes[place], start, end, step)
        kept[place] = kept[place][start:end:step] if sizes[place] is not None else range(0)
    content = picked(first, kept, range(len(kept)))
    return [Value(tuple(sizes), first.dtype, fitting(content, tuple(sizes)))]


def _split(node: Node) -> list[Value] | None:
    first, parts = node.input(0), node.outputs_count
    axis = normal_axis(node.integer("axis", 0), len(first.shape or ()))
    if first.shape is None or axis is None or not parts:
        return None
    lengths = node.integers("split") or (node.content(1) if node.input(1) is not nothing else None)
    if lengths is None or len(lengths) != parts:
        size = first.shape[axis]
        each = None if size is None or node.input(1) is not nothing else -(-size // parts)
        lengths = (each,) * parts
        if each is not None and size is not None:
            lengths = (*lengths[:-1], max(size - each * (parts - 1), 0))
    return [Value((*first.shape[:axis], size, *first.shape[axis + 1 :]), first.dtype) for size in lengths]


def _gather(node: Node) -> list[Value] | None:
    first, indices = node.input(0), node.input(1)
    axis = normal_axis(node.integer("axis", 0), len(first.shape or ()))
    if first.shape is None or indices.shape is None or axis is None:
        return None
    shape = (*first.shape[:axis], *indices.shape, *first.shape[axis + 1 :])
    numbers = node.content(1)
    content: Content | None = None
    if first.content is not None and len(first.shape) == 1 and numbers is not None and len(shape) <= 1:
        count = len(first.content)
        content = tuple(None if i is None or not -count <= i < count else first.content[i] for i in numbers)
    return [Value(shape, first.dtype, fitting(content, shape))]


def _gather_elements(node: Node) -> list[Value]:
    return [Value(node.shape(1), node.input(0).dtype)]


def _gather_nd(node: Node) -> list[Value] | None:
    shape, indices, batch = node.shape(0), node.shape(1), node.integer("batch_dims", 0)
    if shape is None or not indices or indices[-1] is None or not 0 <= batch <= len(shape):
        return None
    return [Value((*indices[:-1], *shape[batch + indices[-1] :]), node.input(0).dtype)]


def _pad(node: Node) -> list[Value] | None:
    shape = node.shape(0)
    pads = node.integers("pads") or node.integers("paddings") or node.content(1)
    if shape is None:
        return None
    axes = node.content(3) if node.input(3) is not nothing else tuple(range(len(shape)))
    if pads is None or axes is None or len(pads) != 2 * len(axes):
        return [Value((None,) * len(shape), node.input(0).dtype)]
    sizes = list(shape)
    for index, axis in enumerate(axes):
        place = None if axis is None else normal_axis(axis, len(shape))
        before, after = pads[index], pads[index + len(axes)]
        if place is None:
            return [Value((None,) * len(shape), node.input(0).dtype)]
        old = sizes[place]
        sizes[place] = None if before is None or after is None or old is None else max(old + before + after, 0)
    return [Value(tuple(sizes), node.input(0).dtype)]


def _resize(node: Node) -> list[Value] | None:
    """Resize has (X, roi, scales, sizes), its version 10 and Upsample (X, scales), old Upsample an attribute."""
    shape, dtype = node.shape(0), node.input(0).dtype
    if shape is None:
        return None
    axes = node.integers("axes") or tuple(range(len(shape)))
    sizes = _proportional(node, [shape[axis] if -len(shape) <= axis < len(shape) else None for axis in axes])
    scales = node.input(2).content or (node.input(1).content if len(node.inputs) == 2 else None)
    attribute = node.attributes.get("scales")
    if scales is None and isinstance(attribute, tuple):
        scales = tuple(item for item in attribute if not isinstance(item, str))
    result = list(shape)
    for index, axis in enumerate(axes):
        place = normal_axis(axis, len(shape))
        if place is None:
            return None
        if sizes and len(sizes) == len(axes):
            result[place] = sizes[index]
        else:
            result[place] = _scaled(shape[place], scales[index] if scales and len(scales) == len(axes) else None)
    return [Value(tuple(result), dtype)]


def _proportional(node: Node, old: list[int | None]) -> tuple[int | None, ...] | None:
    """Return the wanted sizes, shrunk or grown to one common factor where the node asks for that."""
    sizes, policy = node.content(3), node.text("keep_aspect_ratio_policy", "stretch")
    if sizes is None or policy == "stretch" or len(sizes) != len(old):
        return sizes
    factors = [new / size for new, size in zip(sizes, old, strict=True) if new is not None and size]
    if len(factors) != len(old):
        return (None,) * len(sizes)
    factor = min(factors) if policy == "not_larger" else max(factors)
    return tuple(math.floor(factor * (size or 0) + 0.5) for size in old)


def _scaled(size: int | None, scale: float | None) -> int | None:
    if size is None or scale is None or not 0 <= scale < 2**20:
        return None
    return math.floor(size * scale)


def _expand(node: Node) -> list[Value] | None:
    target = node.content(1)
    return None if target is None else [Value(broadcast((node.shape(0), target)), node.input(0).dtype)]


def _tile(node: Node) -> list[Value] | None:
    shape, repeats = node.shape(0), node.content(1)
    if shape is None:
        return None
    if repeats is None or len(repeats) != len(shape):
        return [Value((None,) * len(shape), node.input(0).dtype)]
    sizes = tuple(None if None in {a, b} else (a or 0) * (b or 0) for a, b in zip(shape, repeats, strict=True))
    return [Value(sizes, node.input(0).dtype)]


def _shape(node: Node) -> list[Value]:
    shape = node.shape(0)
    if shape is None:
        return [Value((None,), "int64")]
    return [of_content(shape[node.integer("start", 0) : node.integer("end", len(shape))])]


def _size(node: Node) -> list[Value]:
    return [of_content((elements_count(node.shape(0)),), scalar=True)]


def _constant_of_shape(node: Node) -> list[Value]:
    target = node.content(0)
    if target is None:
        return [Value(_only_rank(node.shape(0)), node.text("value_dtype", "float32"))]
    shape = tuple(None if size is None or size < 0 else size for size in target)
    count, number = elements_count(shape), node.attributes.get("value")
    few = count is not None and count <= max_content and len(shape) <= 1 and isinstance(number, int)
    content = (number,) * count if few and count is not None and isinstance(number, int) else None
    return [Value(shape, node.text("value_dtype", "float32"), content)]


def _range(node: Node) -> list[Value]:
    numbers = [value.content[0] if value.content else None for value in node.inputs]
    dtype = node.input(0).dtype
    if len(numbers) != 3 or None in numbers or not numbers[2]:  # start, limit, step
        return [Value((None,), dtype)]
    start, limit, step = (number or 0 for number in numbers)
    steps = (limit - start) / step
    if not math.isfinite(steps):
        return [Value((None,), dtype)]
    count = max(math.ceil(steps), 0)
    whole = count <= max_content and isinstance(start, int) and isinstance(step, int)
    return [Value((count,), dtype, tuple(start + step * index for index in range(count)) if whole else None)]


def _top_k(node: Node) -> list[Value] | None:
    shape = node.shape(0)
    axis = normal_axis(node.integer("axis", -1), len(shape or ()))
    if shape is None or axis is None:
        return None
    wanted = node.content(1)
    size = wanted[0] if wanted else node.attributes.get("k")
    result = (*shape[:axis], size if isinstance(size, int) else None, *shape[axis + 1 :])
    return [Value(result, node.input(0).dtype), Value(result, "int64")]


def _one_hot(node: Node) -> list[Value] | None:
    shape, depth = node.shape(0), node.content(1)
    axis = normal_axis(node.integer("axis", -1), len(shape) + 1) if shape is not None else None
    if shape is None or axis is None:
        return None
    return [Value((*shape[:axis], depth[0] if depth else None, *shape[axis:]), node.input(2).dtype)]


def _space(node: Node) -> list[Value] | None:
    shape, block = node.shape(0), node.integer("blocksize", 1)
    if shape is None or len(shape) != 4 or block < 1:  # batch, channels, height, width
        return None
    batch, channels, height, width = shape
    if node.type == "DepthToSpace":
        sizes = (_divided(channels, block * block), _times(height, block), _times(width, block))
    else:
        sizes = (_times(channels, block * block), _divided(height, block), _divided(width, block))
    return [Value((batch, *sizes), node.input(0).dtype)]


def _times(size: int | None, factor: int) -> int | None:
    return None if size is None else size * factor


def _divided(size: int | None, factor: int) -> int | None:
    return None if size is None else size // factor


def _non_zero(node: Node) -> list[Value]:
    shape = node.shape(0)
    return [Value((None if shape is None else len(shape), None), "int64")]


def _random(node: Node) -> list[Value]:
    return [Value(node.integers("shape"), "float32")]


def _suppressed(_node: Node) -> list[Value]:
    return [Value((None, 3), "int64")]


def _grid_sample(node: Node) -> list[Value] | None:
    data, grid = node.shape(0), node.shape(1)
    return [Value((*data[:2], *grid[1:-1]), node.input(0).dtype)] if data and grid else None


def _roi_align(node: Node) -> list[Value] | None:
    data, rois = node.shape(0), node.shape(1)
    if not data or not rois or len(data) != 4:  # batch, channels, height, width
        return None
    size = node.integer("output_height", 1), node.integer("output_width", 1)
    return [Value((rois[0], data[1], *size), node.input(0).dtype)]


rules: dict[str, Rule] = {
    "Identity": _identity,
    "Cast": _cast,
    "CastLike": _cast,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "Expand": _expand,
    "Tile": _tile,
    "Shape": _shape,
    "Size": _size,
    "ConstantOfShape": _constant_of_shape,
    "Range": _range,
    "TopK": _top_k,
    "OneHot": _one_hot,
    "DepthToSpace": _space,
    "SpaceToDepth": _space,
    "NonZero": _non_zero,
    "RandomNormal": _random,
    "RandomUniform": _random,
    "NonMaxSuppression": _suppressed,
    "GridSample": _grid_sample,
    "RoiAlign": _roi_align,
}
