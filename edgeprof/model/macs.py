"""Multiply-accumulates of one operator: one textbook formula for each family.

All are dense counts: the zeros of sparse weights are counted. A transposed convolution is counted by its
input, every element of which meets the whole kernel, cropped edges included.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from edgeprof.model.graph import Operator, Shape, elements_count, integer, integers
from edgeprof.model.operator_lists import without_macs

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgeprof.model.graph import Graph, Subgraph

    Formula: TypeAlias = Callable[[Operator, "list[Shape | None]", "list[Shape | None]"], int | None]

Count: TypeAlias = tuple[int | None, str]
_largest: Final = 2**62


def operator_macs(
    body: Graph | Subgraph, node: Operator, body_macs: list[int | None], file_format: Literal["tflite", "onnx"]
) -> Count:
    """Return the MACs of an operator, or None with the reason why they cannot be told.

    `body_macs` are those of the subgraphs, by their index.
    """
    if node.subgraphs:
        return _control_flow(node, [body_macs[index] for index in node.subgraphs])
    known = node.type in _contributed if node.custom else True
    formula = formulas[file_format].get(node.type) if known else None
    if formula is None:
        return _without_formula(node, file_format)
    inputs = [body.tensors[index].shape if index >= 0 else None for index in node.inputs]
    outputs = [body.tensors[index].shape if index >= 0 else None for index in node.outputs]
    try:
        count = formula(node, inputs, outputs)
    except _Misfit:
        return None, "its operands do not fit the operator"
    if count is None:
        return None, "a dimension is not known"
    return (count, "") if count <= _largest else (None, "the shapes are absurd")


def _without_formula(node: Operator, file_format: Literal["tflite", "onnx"]) -> Count:
    if node.custom:
        return None, f"{node.domain or 'custom'} operator: its arithmetic is not known"
    if node.type in without_macs[file_format]:
        return 0, ""
    return None, "its arithmetic is not counted in MACs, or not known to this version"


def _control_flow(node: Operator, bodies: list[int | None]) -> Count:
    """Return the larger branch of an If, the body of a call; the turns of a loop are not known from a file."""
    taken = node.attributes.get("taken_branch")
    if isinstance(taken, int) and taken < len(bodies):
        bodies = [bodies[taken]]
    if node.type == "CALL_ONCE":
        return 0, ""
    if node.type not in {"IF", "If", "CALL", "STABLEHLO_COMPOSITE", "STABLEHLO_CASE"}:
        # The bodies of sorts, reductions and scatters compare or add two numbers.
        if not any(bodies) and None not in bodies:
            return 0, ""
        return None, f"it repeats bodies of {sum(count or 0 for count in bodies):,} MACs an unknown number of times"
    if None in bodies:
        return None, "the MACs of a body are not known"
    return max((count or 0 for count in bodies), default=0), ""


def _times(shape: Shape | None, *factors: int | None) -> int | None:
    elements = elements_count(shape)
    return None if elements is None or None in factors else elements * prod(factor or 0 for factor in factors)


class _Misfit(Exception):
    """Operands are missing, or have other dimensions than the operator is defined for."""


def _operand(shapes: list[Shape | None], place: int) -> Shape | None:
    if place >= len(shapes):
        raise _Misfit
    return shapes[place]


def _sizes(shapes: list[Shape | None], place: int, rank: int) -> Shape:
    """Return the dimensions of an operand that must have so many; unknown ones where its rank is not known."""
    shape = _operand(shapes, place)
    if shape is None:
        return (None,) * rank
    if len(shape) != rank:
        raise _Misfit
    return shape


def _along(shapes: list[Shape | None], place: int, axis: int) -> int | None:
    """Return one dimension of an operand."""
    shape = _operand(shapes, place)
    if shape is None:
        return None
    if not -len(shape) <= axis < len(shape):
        raise _Misfit
    return shape[axis]


def _elements(shapes: list[Shape | None], *places: int) -> int | None:
    """Return the elements of some operands together."""
    return _sum(*(elements_count(_operand(shapes, place)) for place in places))


def _rows(shapes: list[Shape | None]) -> Shape | None:
    """Return all dimensions of the first operand but the last."""
    shape = _operand(shapes, 0)
    return None if shape is None else shape[:-1]


def _convolution(_node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    """Weights [out, rows, columns, in / groups]."""
    return _times(_operand(outputs, 0), *_sizes(inputs, 1, 4)[1:])


def _depthwise(_node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    """Weights [1, rows, columns, out]."""
    return _times(_operand(outputs, 0), *_sizes(inputs, 1, 4)[1:3])


def _fully_connected(_node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    """Weights [out, in], for every row."""
    return _times(_operand(outputs, 0), _sizes(inputs, 1, 2)[1])


def _transposed_convolution(_node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """Weights [out, rows, columns, in]; input [batch, height, width, in] is the third operand."""
    return _times(_sizes(inputs, 2, 4), *_sizes(inputs, 1, 4)[:3])


def _convolution_3d(_node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    """Weights [depth, rows, columns, in, out]."""
    return _times(_operand(outputs, 0), *_sizes(inputs, 1, 5)[:4])


def _transposed_convolution_3d(_node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """Weights [depth, rows, columns, out, in]; the input is the third operand."""
    return _times(_sizes(inputs, 2, 5), *_sizes(inputs, 1, 5)[:4])


def _batch_matmul(node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    return _times(_operand(outputs, 0), _along(inputs, 0, -2 if integer(node, "adj_x") else -1))


def _svdf(_node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """Weights over features [filters, in] and over time [filters, memory], for each of the batch."""
    return _times((_along(inputs, 0, 0),), _elements(inputs, 1, 2))


def _rnn(_node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """Input and recurrent weights, both matrices, for each row: of the batch, or of batch and time."""
    return _times(_rows(inputs), _elements(inputs, 1, 2))


def _lstm(node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """All matrices among the weights (gates, recurrence, projection), for each row. Peepholes are vectors: none."""
    basic = node.type == "LSTM" and integer(node, "kernel_type") == 1
    weights = inputs[2:3] if basic else [*inputs[1:9], *inputs[16:17]]
    return _times(_rows(inputs), _matrices(weights))


def _bidirectional_lstm(_node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """Count both directions likewise; the states among the operands (35 to 38) are no weights."""
    return _times(_rows(inputs), _matrices([*inputs[1:35], *inputs[40:]]))


def _matrices(weights: list[Shape | None]) -> int | None:
    """Return the elements of the weights that are matrices."""
    return _sum(*(elements_count(shape) for shape in weights if shape is not None and len(shape) == 2))


def _bidirectional_rnn(_node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    return _times(_rows(inputs), _elements(inputs, 1, 2, 5, 6))


def _dot_general(node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    axes = integers(node, "lhs_contracting_dimensions")
    return _times(_operand(outputs, 0), *(_along(inputs, 0, axis) for axis in axes))


def _general_convolution(node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    kernel, out = _operand(inputs, 1), integer(node, "kernel_output_feature_dimension")
    if kernel is None:
        return None
    return _times(_operand(outputs, 0), *(size for axis, size in enumerate(kernel) if axis != out))


def _onnx_convolution(node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    """Weights [out, in / groups, window]."""
    weights = _operand(inputs, 3 if node.type == "QLinearConv" else 1)
    return None if weights is None else _times(_operand(outputs, 0), *weights[1:])


def _onnx_transposed_convolution(_node: Operator, inputs: list[Shape | None], _out: list[Shape | None]) -> int | None:
    """Weights [in, out / groups, window]."""
    weights = _operand(inputs, 1)
    return None if weights is None else _times(_operand(inputs, 0), *weights[1:])


def _gemm(node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    return _times(_operand(outputs, 0), _sizes(inputs, 0, 2)[0 if integer(node, "transA") else 1])


def _matmul(node: Operator, inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    return _times(_operand(outputs, 0), _along(inputs, 0, -2 if integer(node, "transA") else -1))


def _packed_matmul(node: Operator, _inputs: list[Shape | None], outputs: list[Shape | None]) -> int | None:
    return _times(_operand(outputs, 0), integer(node, "K"))


def _onnx_recurrent(_node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """Weights W and R of all gates and directions, for each of the batch and each step."""
    return _times(_sizes(inputs, 0, 3)[:2], _elements(inputs, 1, 2))


def _einsum(node: Operator, inputs: list[Shape | None], _outputs: list[Shape | None]) -> int | None:
    """One MAC for each combination of all letters, of two operands; a single one is only moved or added up."""
    operands = str(node.attributes.get("equation", "")).replace(" ", "").partition("->")[0]
    terms = operands.split(",")
    if len(terms) == 1 and len(inputs) == 1:
        return 0
    if len(terms) != 2 or len(inputs) != 2 or "." in operands:  # two operands
        raise _Misfit
    sizes: dict[str, int | None] = {}
    for term, shape in zip(terms, inputs, strict=True):
        if shape is None:
            return None
        if len(term) != len(shape):
            raise _Misfit
        for letter, size in zip(term, shape, strict=True):
            sizes[letter] = max(sizes.get(letter) or 0, size) if size is not None else sizes.get(letter)
    return _times((), *sizes.values())


def _sum(*counts: int | None) -> int | None:
    return None if None in counts else sum(count or 0 for count in counts)


_contributed = frozenset({"FusedConv", "FusedGemm", "QGemm", "MatMulNBits", "FusedMatMul"})
_tflite_formulas: Final[dict[str, Formula]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transposed_convolution,
    "CONV_3D": _convolution_3d,
    "CONV_3D_TRANSPOSE": _transposed_convolution_3d,
    "BATCH_MATMUL": _batch_matmul,
    "SVDF": _svdf,
    "RNN": _rnn,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _rnn,
    "BIDIRECTIONAL_SEQUENCE_RNN": _bidirectional_rnn,
    "LSTM": _lstm,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _bidirectional_lstm,
    "STABLEHLO_DOT_GENERAL": _dot_general,
    "STABLEHLO_CONVOLUTION": _general_convolution,
}
_onnx_formulas: Final[dict[str, Formula]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv", "FusedConv", "DeformConv"), _onnx_convolution),
    "ConvTranspose": _onnx_transposed_convolution,
    **dict.fromkeys(("Gemm", "FusedGemm", "QGemm"), _gemm),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul"), _matmul),
    "MatMulNBits": _packed_matmul,
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _onnx_recurrent),
    "Einsum": _einsum,
}
formulas: Final = {"tflite": _tflite_formulas, "onnx": _onnx_formulas}
