"""Operators that ONNX Runtime multiplies as unsigned by signed bytes, whose kernels saturate on x86 without VNNI.

With AVX2 or AVX-512 alone they add the products of a pair in 16 bits (vpmaddubsw): 255 x 65 + 255 x 65 is more than
32,767. MLAS has exact kernels for uint8 weights, for depthwise convolutions and for ConvInteger, and weights within
±64 never get there (onnxruntime/core/mlas/lib/platform.cpp, core/optimizer/qdq_transformer/avx2_weight_s8_to_u8.cc).
Which operators of a QDQ model run in int8 was found by comparing ONNX Runtime 1.31 with and without VNNI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.model.constants import find_constants
from edgeprof.model.graph import bodies, integer
from edgeprof.model.reading import mapped

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator
    from pathlib import Path

    from edgeprof.model.constants import Constants
    from edgeprof.model.graph import Body, Graph, Operator, Tensor

INTEGER: dict[str, tuple[int, ...]] = {
    "MatMulInteger": (1,), "QLinearMatMul": (3,), "QLinearConv": (3,), "QGemm": (3,), "MatMulIntegerToFloat": (1,),
    "DynamicQuantizeMatMul": (1,), "QAttention": (1,), "DynamicQuantizeLSTM": (1, 2),
}  # fmt: skip
"""Operators on bytes, and the inputs that are their weights."""
FLOAT = frozenset({"MatMul", "Gemm", "Conv"})
"""Operators that become such ones between DequantizeLinear and QuantizeLinear; their weights are input 1."""
DOMAINS = frozenset({"", "com.microsoft"})
LAYOUT = frozenset({"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "MaxPool"})
"""ONNX Runtime moves these out from between a DequantizeLinear and what reads it."""
CLAMPS = frozenset({"Relu", "Clip"})
"""And drops these before a QuantizeLinear that clamps as much."""
WITHIN_64 = bytes(value & 0xFF for value in range(-64, 65))
CHUNK_BYTES = 1 << 20


class Saturating(NamedTuple):
    """An operator that can saturate. `stored`: its weights are in the model, so that they can be turned into uint8."""

    name: str
    type: str
    stored: bool


def saturating(graph: Graph, path: Path) -> tuple[Saturating, ...]:
    """Return the operators of an ONNX model that can saturate; weights that cannot be read here count as large."""
    if graph.format != "onnx":
        return ()
    found = [(body, use) for body in bodies(graph) for use in _signed(body)]
    if not found:
        return ()
    with mapped(path) as memory:
        return tuple(
            Saturating(use.operator.name, use.operator.type, use.stored) for _, use in found if _large(memory, use)
        )


class _Use(NamedTuple):
    operator: Operator
    weights: tuple[Tensor | None, ...]
    stored: bool


def _signed(body: Body) -> Iterator[_Use]:
    """Yield what multiplies by signed bytes, with the stored weights; None for those that the file does not hold so."""
    constants = find_constants(body, "onnx")
    wiring = _wiring(body)
    for operator in body.operators:
        if operator.domain not in DOMAINS or _is_depthwise(body, operator):
            continue
        sources = _weights(body, wiring, constants, operator)
        if sources:
            stored = tuple(_stored(body, constants, index) for index in sources)
            yield _Use(operator, stored, all(index in constants.source for index in sources))


class _Wiring(NamedTuple):
    """The bytes that each tensor is dequantised from, and the tensors that nothing reads but to quantise them."""

    dequantised: dict[int, int]
    quantised: set[int]


def _wiring(body: Body) -> _Wiring:
    """Look through what only changes a layout, and after an operator through clamps; in one pass each way."""
    dequantised: dict[int, int] = {}
    readers: dict[int, list[Operator]] = {}
    for operator in body.operators:
        first = operator.inputs[0] if operator.inputs else -1
        if operator.type == "DequantizeLinear" and first >= 0:
            dequantised[operator.outputs[0]] = first
        elif operator.type in LAYOUT and first in dequantised:
            dequantised[operator.outputs[0]] = dequantised[first]
        for index in (*operator.inputs, *operator.captures):
            readers.setdefault(index, []).append(operator)
    quantised: set[int] = set()
    ends = set(body.outputs)
    for operator in reversed(body.operators):
        for index in operator.outputs:
            found = readers.get(index, [])
            if found and index not in ends and all(_quantises(reader, quantised) for reader in found):
                quantised.add(index)
    return _Wiring(dequantised, quantised)


def _quantises(reader: Operator, quantised: set[int]) -> bool:
    if reader.type == "QuantizeLinear":
        return True
    return reader.type in CLAMPS | LAYOUT and reader.outputs[0] in quantised


def _weights(body: Body, wiring: _Wiring, constants: Constants, operator: Operator) -> list[int]:
    """Return the signed weights of an operator that is computed on bytes."""
    slots = INTEGER.get(operator.type)
    if slots is not None:
        given = [operator.inputs[slot] for slot in slots if slot < len(operator.inputs)]
        return [index for index in given if index >= 0 and body.tensors[index].dtype == "int8"]
    if operator.type not in FLOAT or len(operator.inputs) < 2:  # activations and weights
        return []
    activations, weights = (wiring.dequantised.get(index) for index in operator.inputs[:2])
    if activations is None or weights is None or weights not in constants.source:
        return []
    bytewise = body.tensors[activations].dtype in {"int8", "uint8"} and body.tensors[weights].dtype == "int8"
    fused = operator.type != "Conv" or operator.outputs[0] in wiring.quantised
    return [weights] if bytewise and fused else []


def _is_depthwise(body: Body, operator: Operator) -> bool:
    """Tell whether each channel is convolved with a kernel of its own: those kernels are exact."""
    slot = {"Conv": 1, "QLinearConv": 3}.get(operator.type)
    if slot is None or slot >= len(operator.inputs) or operator.inputs[slot] < 0:
        return False
    shape = body.tensors[operator.inputs[slot]].shape
    return shape is not None and len(shape) > 1 and (shape[0], shape[1]) == (integer(operator, "group", 1), 1)


def _stored(body: Body, constants: Constants, index: int) -> Tensor | None:
    source = constants.source.get(index)
    tensor = body.tensors[source] if source is not None else None
    return tensor if tensor is not None and tensor.dtype == "int8" and tensor.constant_offset is not None else None


def _large(memory: mmap.mmap, use: _Use) -> bool:
    return any(tensor is None or _beyond_64(memory, tensor) for tensor in use.weights)


def _beyond_64(memory: mmap.mmap, tensor: Tensor) -> bool:
    """Tell whether a weight is outside -64 … 64."""
    start, end = tensor.constant_offset or 0, (tensor.constant_offset or 0) + (tensor.constant_bytes or 0)
    return any(
        memory[at : min(at + CHUNK_BYTES, end)].translate(None, WITHIN_64) for at in range(start, end, CHUNK_BYTES)
    )
