"""Which tensors are weights: those stored in the file, and those that a runtime computes from them once.

LiteRT evaluates DEQUANTIZE and DENSIFY of a constant before the first inference, and ONNX Runtime folds every
operator whose inputs are all constant. Such results are weights, not activations. TFLM folds nothing.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from edgeprof.model.graph import Body, Operator, Tensor, elements_count, tensor_bytes, type_bits

_random: Final = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
# Operands that say how, not what with: scales, zero points, limits. Whole numbers are told by their type.
_settings: Final[dict[str, frozenset[int]]] = {
    "QuantizeLinear": frozenset({1, 2}),
    "DequantizeLinear": frozenset({1, 2}),
    "QLinearConv": frozenset({1, 2, 4, 5, 6, 7}),
    "QLinearMatMul": frozenset({1, 2, 4, 5, 6, 7}),
    "ConvInteger": frozenset({2, 3}),
    "MatMulInteger": frozenset({2, 3}),
    "MatMulNBits": frozenset({2, 3, 4}),
    "Clip": frozenset({1, 2}),
    "Pad": frozenset({1, 2, 3}),
    "Resize": frozenset({1, 2, 3}),
    "Upsample": frozenset({1}),
    "Dropout": frozenset({1, 2}),
    "OneHot": frozenset({1, 2}),
    "Range": frozenset({0, 1, 2}),
    "PADV2": frozenset({1, 2}),
    "ConstantOfShape": frozenset({0}),
}
# Operands that are parameters although they are stored as wide whole numbers.
_bias: Final = {
    "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3, "CONV_3D": 2, "SVDF": 3,
    "QLinearConv": 8, "QGemm": 6, "DequantizeLinear": 0,
}  # fmt: skip
_weight_types: Final = frozenset(
    name for name in type_bits if name.startswith(("float", "bfloat", "complex")) or type_bits[name] <= 16
) - {"bool"}


class Constants(NamedTuple):
    """For one graph: the stored tensor behind each constant one, by index, itself where it is stored.

    `folded` are the operators that a runtime evaluates once, before the first inference, `dequantised` the
    tensors that DequantizeLinear makes of stored ones.
    """

    source: dict[int, int]
    folded: frozenset[int]
    dequantised: frozenset[int]


def find_constants(body: Body, file_format: Literal["tflite", "onnx"]) -> Constants:
    """Return the constant tensors of one graph, in time proportional to its operators."""
    source = {index: index for index, tensor in enumerate(body.tensors) if tensor.constant_bytes is not None}
    folded: set[int] = set()
    dequantised: set[int] = set()
    for place, node in enumerate(body.operators):
        operands = [index for index in node.inputs if index >= 0]
        if any(index not in source for index in operands) or node.subgraphs or not _foldable(node, file_format):
            continue
        if node.type == "Constant" or not operands:
            folded.add(place) if node.type == "Constant" else None
            continue
        folded.add(place)
        largest = max(operands, key=lambda index: elements_count(body.tensors[index].shape) or 0)
        for index in node.outputs:
            if index >= 0:
                source.setdefault(index, index if node.type == "ConstantOfShape" else source[largest])
        if node.type == "DequantizeLinear":
            dequantised.update(node.outputs)
    return Constants(source, frozenset(folded), frozenset(dequantised))


def parameters(body: Body, node: Operator, constants: Constants) -> dict[int, int]:
    """Return the parameters that an operator reads: their number by the index of the stored tensor.

    Parameters are elements of constant tensors, biases and the statistics of batch normalisation included; not
    shapes, axes, paddings, indices, quantisation scales or zero points.
    """
    found: dict[int, int] = {}
    settings, bias = _settings.get(node.type, frozenset()), _bias.get(node.type)
    for slot, index in enumerate((*node.inputs, *node.captures)):
        stored = constants.source.get(index)
        if stored is None or slot in settings:
            continue
        tensor = body.tensors[stored]
        weight = tensor.dtype in _weight_types or tensor.quantization is not None
        if weight or slot == bias or index in constants.dequantised:
            found[stored] = _packed(node) or stored_elements(tensor)
    return found


def stored_elements(tensor: Tensor) -> int:
    """Return how many numbers a constant stores: fewer than its shape has where it is sparse."""
    bits = type_bits.get(tensor.dtype)
    dense = elements_count(tensor.shape) or 0
    if not tensor.sparse or not bits or tensor.constant_bytes is None:
        return dense
    return min(tensor.constant_bytes * 8 // bits, dense)


def constant_size(tensor: Tensor) -> int:
    """Return the bytes of a weight: as stored, or, for one that is made by a ConstantOfShape, as in memory."""
    return tensor.constant_bytes if tensor.constant_bytes is not None else (tensor_bytes(tensor) or 0)


def _foldable(node: Operator, file_format: str) -> bool:
    if file_format == "tflite":
        return node.type in {"DEQUANTIZE", "DENSIFY"}
    return node.type not in _random and not node.custom


def _packed(node: Operator) -> int:
    """Return the weights of a MatMulNBits, which stores several in a byte."""
    size = [node.attributes.get(name) for name in ("K", "N")]
    if node.type != "MatMulNBits" or not all(isinstance(item, int) for item in size):
        return 0
    return int(size[0] or 0) * int(size[1] or 0)  # type: ignore[arg-type]
