"""What is known of an ONNX value while shapes are followed, and how whole numbers are followed with them."""

from __future__ import annotations

import operator
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from edgeprof.model.graph import Attribute, Shape, elements_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edgeprof.model.onnx_proto import Content

Number: TypeAlias = int | float | None


class Value(NamedTuple):
    """Shape and type, and the numbers themselves where they are few: such values become shapes further on."""

    shape: Shape | None = None
    dtype: str = "undefined"
    content: Content | None = None


nothing = Value()


class Node(NamedTuple):
    """What a rule sees of an operator: an input that is left out is `nothing`."""

    type: str
    inputs: tuple[Value, ...]
    outputs_count: int
    attributes: Mapping[str, Attribute]
    opset: int

    def input(self, index: int) -> Value:
        """Return an input, `nothing` where there are fewer."""
        return self.inputs[index] if index < len(self.inputs) else nothing

    def shape(self, index: int) -> Shape | None:
        """Return the shape of an input."""
        return self.input(index).shape

    def integer(self, name: str, default: int) -> int:
        """Return an attribute that is a whole number."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a list of whole numbers, None where it is absent."""
        value = self.attributes.get(name)
        return tuple(int(item) for item in value) if _whole(value) and isinstance(value, tuple) else None

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a text."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def content(self, index: int) -> tuple[int | None, ...] | None:
        """Return the whole numbers of an input, as far as they are known."""
        return whole_numbers(self.input(index))

    def axes(self, index: int) -> tuple[int | None, ...] | None:
        """Return axes: an attribute in older operator sets, an input in newer ones; () where neither is there."""
        given = self.integers("axes")
        if given is not None:
            return given
        return () if self.input(index) is nothing else self.content(index)


def whole_numbers(value: Value) -> tuple[int | None, ...] | None:
    """Return the content of a value that holds whole numbers, None where it is not known or holds others."""
    if value.content is None:
        return None
    return tuple(int(item) if isinstance(item, int) else None for item in value.content)


def of_content(numbers: tuple[Number, ...], dtype: str = "int64", *, scalar: bool = False) -> Value:
    """Return a value that holds these numbers."""
    return Value(() if scalar else (len(numbers),), dtype, numbers)


def calculated(kind: str, left: Value, right: Value) -> Content | None:
    """Return what an operator makes of two small operands of whole numbers, or None where it cannot be told."""
    function = _arithmetic.get(kind)
    first, second = whole_numbers(left), whole_numbers(right)
    if function is None or not first or not second or max(map(_rank, (left, right))) > 1:
        return None
    count = max(len(first), len(second))
    if {len(first), len(second)} - {1, count}:
        return None
    first, second = (numbers * count if len(numbers) == 1 else numbers for numbers in (first, second))
    return tuple(_safely(function, one, other) for one, other in zip(first, second, strict=True))


def picked(value: Value, places: Sequence[range], axes: Sequence[int]) -> Content | None:
    """Return the numbers at these places along these axes, the last axis fastest: what a slice or a transpose takes."""
    if value.content is None or value.shape is None or len(axes) != len(value.shape):
        return None
    stride, strides = 1, [0] * len(value.shape)
    for axis in reversed(range(len(value.shape))):
        strides[axis], stride = stride, stride * (value.shape[axis] or 0)
    if stride != len(value.content):
        return None
    steps = [strides[axis] for axis in axes]
    return tuple(
        value.content[sum(place * step for place, step in zip(each, steps, strict=True))] for each in product(*places)
    )


def fitting(content: Content | None, shape: Shape | None) -> Content | None:
    """Return the content if it has as many numbers as the shape."""
    return content if content is not None and elements_count(shape) == len(content) else None


def _rank(value: Value) -> int:
    return 2 if value.shape is None else len(value.shape)


def _safely(function: Callable[[int, int], int | None], left: int | None, right: int | None) -> int | None:
    if left is None or right is None:
        return None
    result = function(left, right)
    return result if result is not None and abs(result) < 1 << 63 else None


def _divided(left: int, right: int) -> int | None:
    """Divide as C does, towards zero: that is what ONNX does to whole numbers."""
    return None if right == 0 else abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)


def _remainder(left: int, right: int) -> int | None:
    return None if right == 0 else left % right


def _whole(value: Attribute | None) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, int) for item in value)


_arithmetic: dict[str, Callable[[int, int], int | None]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": _divided,
    "Mod": _remainder,
    "Max": max,
    "Min": min,
    "And": operator.and_,
    "Or": operator.or_,
    "Equal": operator.eq,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
}
