"""What a model asks of a runtime on a Linux board: amounts of work by kind, after what the runtime merges.

The kinds are those that kernels of XNNPACK and MLAS treat apart: products of convolutions, of 1x1 ones, of depthwise
ones and of dense layers, values written and gathered, weights read, and what is done to each value elsewhere. Only the
micro models' kinds are counted as known; other cheap operators borrow a cost and are named, the rest is outside.
"""

from __future__ import annotations

from collections import Counter
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.model.cost import model_cost
from edgeprof.model.graph import elements_count, integer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeprof.model.cost import OperatorCost
    from edgeprof.model.graph import Graph, Operator

CONVOLUTIONS = frozenset({"CONV_2D", "Conv"})
DEPTHWISE = frozenset({"DEPTHWISE_CONV_2D"})
DENSE = frozenset({"FULLY_CONNECTED", "Gemm", "MatMul"})
WEIGHTED = CONVOLUTIONS | DEPTHWISE | DENSE
FREE = frozenset(
    ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "SHAPE", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Shape",
     "Constant", "Dropout")
)  # fmt: skip
"""What moves no values: it costs a call."""

SEEN: dict[str, str] = {
    "ADD": "add", "Add": "add", "RELU": "relu", "RELU6": "relu", "Relu": "relu", "Clip": "relu",
    "PRELU": "prelu", "PRelu": "prelu", "MAX_POOL_2D": "max_pool", "MaxPool": "max_pool",
    "AVERAGE_POOL_2D": "mean_pool", "MEAN": "mean_pool", "GlobalAveragePool": "mean_pool",
    "SOFTMAX": "softmax", "Softmax": "softmax", "LOGISTIC": "logistic", "Sigmoid": "logistic",
    "PAD": "pad", "PADV2": "pad", "Pad": "pad", "CONCATENATION": "concat", "Concat": "concat",
}  # fmt: skip
"""Operators that a micro model has, and the cost that is fitted to it."""

BORROWED: dict[str, str] = {
    word: cost
    for cost, words in {
        "add": "MUL SUB MAXIMUM MINIMUM NEG ABS SQUARE SQUARED_DIFFERENCE EQUAL GREATER LESS SELECT_V2 Mul Sub Max Min"
        " Neg Abs Where Equal Greater Less Not And Or",
        "prelu": "LEAKY_RELU HARD_SWISH LeakyRelu HardSwish HardSigmoid",
        "max_pool": "REDUCE_MAX REDUCE_MIN GlobalMaxPool ReduceMax ReduceMin",
        "mean_pool": "SUM AveragePool ReduceMean ReduceSum BatchNormalization",
        "logistic": "TANH EXP LOG SQRT RSQRT DIV POW ELU GELU SIN COS Tanh Exp Log Sqrt Reciprocal Div Pow Elu Gelu"
        " Erf",
        "pad": "MIRROR_PAD TRANSPOSE STRIDED_SLICE SLICE SPLIT SPLIT_V GATHER TILE BROADCAST_TO CAST QUANTIZE"
        " DEQUANTIZE RESIZE_NEAREST_NEIGHBOR SPACE_TO_DEPTH DEPTH_TO_SPACE PACK UNPACK Transpose Slice Split Gather"
        " Tile Expand Cast",
        "concat": "RESIZE_BILINEAR Resize",
    }.items()
    for word in words.split()
}
"""Operators of which nothing was measured but that touch each value a few times, and whose cost is taken for theirs."""

CLAMPS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1", "Relu", "Clip"})
MERGED_BEHIND = CLAMPS | {"LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "BatchNormalization"}
READS = frozenset({"max_pool", "mean_pool"})
"""Kinds whose work is what they read, not what they write."""


class Work(NamedTuple):
    """Amounts by kind of work; `unseen` operators borrow their costs, `outside` ones are not known at all.

    `borrowed` are the amounts among `amounts` that are of unseen operators. `macs` are of all weighted operators.
    """

    dtype: str
    amounts: Counter[str]
    borrowed: Counter[str]
    macs: int
    unseen: tuple[str, ...]
    outside: tuple[str, ...]


class Layer(NamedTuple):
    """One weighted operator as its kernel sees it."""

    kind: str
    macs: int
    outputs: int
    channels: int
    patches: int
    weights: int


class Machine(NamedTuple):
    """What decides on how much work a kernel makes of a layer: output channels at once, and the cache that it has.

    What does not fit the cache counts as far: weights where those of the model do not, values where a layer's do not.
    """

    channel_tile: int = 1
    cache_bytes: int = 1 << 20


PLAIN = Machine()


def model_work(graph: Graph, machine: Machine = PLAIN) -> Work:
    """Return the work of one inference; products count as if there were whole tiles of output channels."""
    costs = model_cost(graph).operators
    merged = _merged(graph, costs)
    quantised = graph_dtype(graph) == "int8"
    amounts: Counter[str] = Counter(invoke=1, edge_elements=_elements(graph, (*graph.inputs, *graph.outputs)) or 0)
    width = 1 if quantised else 4
    far_weights = sum(cost.weights_bytes for cost in costs) > machine.cache_bytes
    borrowed: Counter[str] = Counter()
    unseen, outside, macs = set(), set(), 0
    for place, (operator, cost) in enumerate(zip(graph.operators, costs, strict=True)):
        if cost.folded or place in merged:
            continue
        reason = _outside(graph, operator, cost)
        if reason:
            outside.add(reason)
            continue
        one = _operator_amounts(graph, operator, cost, machine.channel_tile, width)
        values = width * ((_elements(graph, operator.inputs[:1]) or 0) + (_elements(graph, operator.outputs) or 0))
        if values > machine.cache_bytes and operator.type not in FREE:
            one["far_value_bytes"] = values
        if far_weights and "weight_bytes" in one:
            one["far_weight_bytes"] = one["weight_bytes"]
        amounts += one
        macs += cost.macs_count or 0 if operator.type in WEIGHTED else 0
        if operator.type in BORROWED:
            unseen.add(operator.type)
            borrowed += one
    return Work(graph_dtype(graph), amounts, borrowed, macs, tuple(sorted(unseen)), tuple(sorted(outside)))


def graph_dtype(graph: Graph) -> str:
    """Return what most of a model's products are done in: `int8`, `float32`, or another type by its name."""
    if graph.format == "onnx" and any(operator.type == "QuantizeLinear" for operator in graph.operators):
        return "int8"
    counted: Counter[str] = Counter()
    for operator, cost in zip(graph.operators, model_cost(graph).operators, strict=True):
        if operator.outputs and operator.outputs[0] >= 0 and not cost.folded:
            counted[graph.tensors[operator.outputs[0]].dtype] += 1 + (cost.macs_count or 0)
    return counted.most_common(1)[0][0] if counted else ""


def priced(work: Mapping[str, float], costs: Mapping[str, float]) -> float:
    """Return what amounts cost."""
    return sum(amount * costs.get(kind, 0.0) for kind, amount in work.items())


def _outside(graph: Graph, operator: Operator, cost: OperatorCost) -> str:
    """Say why nothing is known of an operator, or nothing."""
    if operator.custom or operator.subgraphs or operator.type not in WEIGHTED | FREE | SEEN.keys() | BORROWED.keys():
        return f"no micro model has {operator.type}"
    if any(graph.tensors[index].sparse for index in operator.inputs if index >= 0):
        return f"{operator.type} with sparse weights"
    if operator.type in WEIGHTED and not cost.macs_count:
        return f"{operator.type} of sizes that are not known"
    if _elements(graph, operator.outputs) is None or _elements(graph, operator.inputs[:1]) is None:
        return f"{operator.type} of sizes that are not known"
    return ""


def _operator_amounts(graph: Graph, operator: Operator, cost: OperatorCost, tile: int, width: int) -> Counter[str]:
    amounts: Counter[str] = Counter(operators=1)
    if operator.type in WEIGHTED:
        layer = _layer(graph, operator, cost)
        whole = -(-layer.channels // tile) * tile / max(layer.channels, 1)
        amounts[f"{layer.kind}_macs"] = layer.macs * whole  # type: ignore[assignment]  # a Counter holds any number
        amounts[f"{layer.kind}_outputs"] = layer.outputs
        amounts["weight_bytes"] = layer.weights * width
        if layer.kind == "conv":
            amounts["patches"] = layer.patches
    elif operator.type not in FREE:
        kind = SEEN.get(operator.type) or BORROWED[operator.type]
        touched = operator.inputs[:1] if kind in READS else operator.outputs
        amounts[f"{kind}_elements"] = _elements(graph, touched) or 0
    return amounts


def _layer(graph: Graph, operator: Operator, cost: OperatorCost) -> Layer:
    macs, outputs = cost.macs_count or 0, _elements(graph, operator.outputs) or 0
    weight = graph.tensors[operator.inputs[1]].shape or ()
    sizes = [size or 1 for size in weight]
    stored, channels = prod(sizes), _channels(operator, sizes)
    depth = macs // max(outputs, 1)
    if operator.type in DENSE:
        return Layer("dense", macs, outputs, channels, 0, stored)
    if operator.type in DEPTHWISE or (integer(operator, "group", 1) > 1 and sizes[1:2] == [1]):
        return Layer("depthwise", macs, outputs, channels, 0, stored)
    window = sizes[1:3] if graph.format == "tflite" else sizes[2:]
    kind = "pointwise" if prod(window) == 1 else "conv"
    return Layer(kind, macs, outputs, channels, outputs // max(channels, 1) * depth, stored)


def _channels(operator: Operator, weight: list[int]) -> int:
    last = {"DEPTHWISE_CONV_2D", "MatMul"} | ({"Gemm"} if not integer(operator, "transB") else set())
    return weight[-1] if operator.type in last else weight[0]


def _elements(graph: Graph, indices: tuple[int, ...]) -> int | None:
    counts = [elements_count(graph.tensors[index].shape) for index in indices if index >= 0]
    return None if None in counts else sum(count or 0 for count in counts)


# ── what runtimes merge ──────────────────────────────────────────────────────────────────────────────────────────────


def _merged(graph: Graph, costs: tuple[OperatorCost, ...]) -> set[int]:
    """Return the operators that are part of another one's kernel.

    XNNPACK merges clamps into what is before them and constant padding into the convolution behind it (its
    subgraph/fusion); ONNX Runtime merges activations into convolutions and products, and a quantised operator with the
    QuantizeLinear and DequantizeLinear nodes around it (onnxruntime.ai/docs/performance/model-optimizations).
    """
    made = {index: place for place, operator in enumerate(graph.operators) for index in operator.outputs}
    used = Counter(index for operator in graph.operators for index in operator.inputs)
    used.update(graph.outputs)
    read_by = {index: place for place, operator in enumerate(graph.operators) for index in operator.inputs}
    found = set()
    for place, operator in enumerate(graph.operators):
        before = graph.operators[made[operator.inputs[0]]] if operator.inputs and operator.inputs[0] in made else None
        behind = graph.operators[read_by[operator.outputs[0]]] if operator.outputs[:1] and (
            operator.outputs[0] in read_by) else None  # fmt: skip
        alone = bool(operator.inputs) and used[operator.inputs[0]] == 1
        kinds = CLAMPS if graph.format == "tflite" else MERGED_BEHIND
        mergeable = WEIGHTED | ({"ADD", "PAD"} if graph.format == "tflite" else set())
        clamps = operator.type in kinds and before is not None and before.type in mergeable and alone
        pads = operator.type == "PAD" and behind is not None and behind.type in CONVOLUTIONS | DEPTHWISE
        grids = operator.type in {"QuantizeLinear", "DequantizeLinear"}  # those at the edges count as edge elements
        adds_bias = operator.type == "Add" and _bias_of(graph, operator, before) and alone
        if clamps or pads or grids or adds_bias:
            found.add(place)
    return {place for place in found if not costs[place].folded}


def _bias_of(graph: Graph, operator: Operator, before: Operator | None) -> bool:
    """Tell whether an addition is the bias of the matrix product before it."""
    added = [graph.tensors[index] for index in operator.inputs[1:] if index >= 0]
    return before is not None and before.type == "MatMul" and any(tensor.constant_bytes for tensor in added)
