"""How operators change shapes: pure functions that both readers share.

An unknown dimension is None and an unknown rank is a shape of None. Operands that do not fit each other give
None as well: the reader names the tensor instead of guessing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edgeprof.model.graph import Shape


def broadcast(shapes: Iterable[Shape | None]) -> Shape | None:
    """Return the shape that numpy's rules give operands of these shapes."""
    known = list(shapes)
    ranked = [shape for shape in known if shape is not None]
    if len(ranked) < len(known) or not ranked:
        return None
    if all(shape == ranked[0] for shape in ranked):
        return ranked[0]
    rank = max(len(shape) for shape in ranked)
    padded = [(1,) * (rank - len(shape)) + shape for shape in ranked]
    sizes = [_broadcast_size(column) for column in zip(*padded, strict=True)]
    return None if any(size == -1 for size in sizes) else tuple(sizes)


def window(
    size: int | None, kernel: int | None, stride: int, dilation: int, pads: int, *, ceil: bool = False
) -> int | None:
    """Return how many windows fit one axis: `pads` is the sum of both ends; None where it is not known or none fits."""
    if size is None or kernel is None or stride < 1 or dilation < 1:
        return None
    free = size + pads - (dilation * (kernel - 1) + 1)
    if free < 0:
        return None
    return (-(-free // stride) if ceil else free // stride) + 1


def same(size: int | None, stride: int) -> int | None:
    """Return how many windows padding SAME gives one axis: the size over the stride, rounded up."""
    return None if size is None or stride < 1 else -(-size // stride)


def reshaped(shape: Shape | None, target: Sequence[int | None] | None, *, zero_copies: bool = True) -> Shape | None:
    """Return the target with its -1 worked out; a 0 copies the dimension of the input unless it is to stand for 0."""
    if target is None:
        return None
    sizes = list(target)
    for index, size in enumerate(sizes):
        if size == 0 and zero_copies:
            sizes[index] = shape[index] if shape is not None and index < len(shape) else None
    if sizes.count(-1) > 1 or any(size is not None and size < -1 for size in sizes):
        return None
    if -1 not in sizes:
        return tuple(sizes)
    return tuple(_remaining(shape, sizes) if size == -1 else size for size in sizes)


def concatenated(shapes: Sequence[Shape | None], axis: int) -> Shape | None:
    """Return the shape of operands laid end to end along an axis."""
    ranked = [shape for shape in shapes if shape is not None]
    position = normal_axis(axis, len(ranked[0])) if ranked else None
    if position is None or len({len(shape) for shape in ranked}) != 1:
        return None
    along = [shape[position] for shape in ranked]
    total = sum(size for size in along if size is not None)
    sizes = [
        next((shape[index] for shape in ranked if shape[index] is not None), None) for index in range(len(ranked[0]))
    ]
    sizes[position] = None if None in along or len(ranked) < len(shapes) else total
    return tuple(sizes)


def reduced(shape: Shape | None, axes: Sequence[int | None] | None, *, keep: bool) -> Shape | None:
    """Return the shape after a reduction: of all axes when `axes` is empty, of unknown ones when it is None."""
    if shape is None:
        return None
    if axes is None or None in axes:
        return (None,) * len(shape) if keep else None
    gone = {normal_axis(axis, len(shape)) for axis in axes if axis is not None} if axes else set(range(len(shape)))
    if None in gone:
        return None
    if keep:
        return tuple(1 if index in gone else size for index, size in enumerate(shape))
    return tuple(size for index, size in enumerate(shape) if index not in gone)


def transposed(shape: Shape | None, order: Sequence[int | None] | None) -> Shape | None:
    """Return the shape with its dimensions in another order; reversed when the order is empty."""
    if shape is None or order is None:
        return None
    wanted = list(order) or list(range(len(shape)))[::-1]
    if sorted(-1 if index is None else index for index in wanted) != list(range(len(shape))):
        return None
    return tuple(shape[index] for index in wanted if index is not None)


def squeezed(shape: Shape | None, axes: Sequence[int | None] | None) -> Shape | None:
    """Return the shape without these dimensions of size 1, or without all of them when none is named."""
    if shape is None or axes is None:
        return None
    if not axes:
        return None if None in shape else tuple(size for size in shape if size != 1)
    return reduced(shape, axes, keep=False)


def unsqueezed(shape: Shape | None, axes: Sequence[int | None] | None) -> Shape | None:
    """Return the shape with dimensions of size 1 put in, at these places of the result."""
    if shape is None or axes is None:
        return None
    rank = len(shape) + len(axes)
    places = {normal_axis(axis, rank) for axis in axes if axis is not None}
    if None in places or len(places) != len(axes):
        return None
    rest = iter(shape)
    return tuple(1 if index in places else next(rest) for index in range(rank))


def multiplied(left: Shape | None, right: Shape | None) -> Shape | None:
    """Return the shape of a matrix product by numpy's rules: vectors are rows or columns, the rest is broadcast."""
    if not left or not right:
        return None
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    outer = broadcast((left[:-2], right[:-2]))
    return None if outer is None else (*outer, *rows, *columns)


def sliced(size: int | None, start: int | None, end: int | None, step: int | None) -> int | None:
    """Return how many elements Python's slice start:end:step takes of one axis."""
    if size is None or start is None or end is None or not step:
        # A slice that runs from the start to beyond any end takes everything, whatever the size.
        return None
    return len(range(*slice(start, end, step).indices(size)))


def normal_axis(axis: int, rank: int) -> int | None:
    """Return the axis counted from the front, or None where there is no such axis."""
    return axis % rank if rank and -rank <= axis < rank else None


def _broadcast_size(sizes: tuple[int | None, ...]) -> int | None:
    """Return the one size that is not 1, None where it is not known, -1 where two disagree."""
    known = {size for size in sizes if size is not None and size != 1}
    if len(known) > 1:
        return -1
    if known:
        return known.pop()
    return None if None in sizes else 1


def _remaining(shape: Shape | None, sizes: list[int | None]) -> int | None:
    """Return what the -1 of a reshape stands for; dimensions that are unknown on both sides may cancel."""
    if shape is None:
        return None
    unknown_before, unknown_after = list(shape).count(None), sizes.count(None)
    if unknown_before != unknown_after or unknown_before > 1:
        return None
    total, other = 1, 1
    for size in shape:
        total *= 1 if size is None else size
    for size in sizes:
        other *= 1 if size is None or size == -1 else size
    return total // other if other and total % other == 0 else None
