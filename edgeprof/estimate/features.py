"""What a model asks of a core, operator by operator: work of six kinds that cost alike wherever they occur.

The kinds are those of CMSIS-NN's int8 kernels, which most runtimes share in outline: products of a patch matrix with
the weights (convolutions, 1x1 among them), depthwise products, products that use each weight once (fully connected),
values written (each is scaled back to int8), values gathered into patches (im2col), and calls of operators.
The channel counts and windows of a layer enter through the ratio of these: a layer of few input channels writes many
values for each multiply-accumulate, one of few output channels gathers many.

Only what the measured models contain is counted as known: int8 CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD,
AVERAGE_POOL_2D, RESHAPE and SOFTMAX of .tflite files.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

from edgeprof.model.cost import model_cost
from edgeprof.model.graph import elements_count

if TYPE_CHECKING:
    from numpy import bool_
    from numpy.typing import NDArray

    from edgeprof.model.cost import OperatorCost
    from edgeprof.model.graph import Graph, Operator, Tensor

WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
MEASURED = WEIGHTED | {"ADD", "AVERAGE_POOL_2D", "RESHAPE", "SOFTMAX"}
LIGHT = frozenset(
    word
    for line in (
        "ABS CAST CONCATENATION DEQUANTIZE DIV EXPAND_DIMS GATHER HARD_SWISH LEAKY_RELU LOGISTIC MAX_POOL_2D MAXIMUM",
        "MEAN MINIMUM MIRROR_PAD MUL NEG PACK PAD PADV2 PRELU QUANTIZE REDUCE_MAX RELU RELU6 RELU_N1_TO_1",
        "RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SLICE SPLIT SPLIT_V SQUEEZE STRIDED_SLICE SUB SUM TANH TRANSPOSE",
        "UNPACK",
    )
    for word in line.split()
)
"""Operators outside the data that touch each value a few times: counted by their elements, and trusted less."""

REDUCING = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "MEAN", "SUM", "REDUCE_MAX"})


class Work(NamedTuple):
    """Amounts of the six kinds of work. Scratch of a convolution whose window is 1x1 needs no patches."""

    matmul_macs: float = 0
    depthwise_macs: float = 0
    fully_connected_macs: float = 0
    outputs: float = 0
    patches: float = 0
    operators: float = 0


KINDS = Work._fields


class OperatorWork(NamedTuple):
    """The work of one operator, as the file has it and without the channels that never change; none if it is folded.

    `light` operators are outside the measured models but cheap; `outside` says why nothing is known of this one.
    """

    name: str
    type: str
    dense: Work
    reduced: Work
    light: bool = False
    outside: str = ""


class Features(NamedTuple):
    """What the estimator reads of a model. `dead_channels_known` is False where the weights were not looked at."""

    operators: tuple[OperatorWork, ...]
    dead_channels_known: bool

    @property
    def outside(self) -> tuple[str, ...]:
        """Return what is outside the data, each reason once."""
        return tuple(dict.fromkeys(operator.outside for operator in self.operators if operator.outside))


def features(graph: Graph, content: bytes | None = None) -> Features:
    """Return the work of every operator of the main graph; `content` is the model file, for its dead channels.

    An output channel whose weights are all zero is constant. It is dead, as is what it feeds: some runtimes fold it
    into the next bias. Without `content` the reduced work is the dense one.
    """
    live: dict[int, NDArray[bool_]] = {}
    operators = tuple(
        _operator_work(graph, operator, cost, content, live)
        for operator, cost in zip(graph.operators, model_cost(graph).operators, strict=True)
    )
    return Features(operators, content is not None)


def total(works: tuple[Work, ...] | list[Work]) -> Work:
    """Return the sum of some works, kind by kind."""
    return Work(*(sum(column) for column in zip(*works, strict=True))) if works else Work()


def _operator_work(
    graph: Graph, operator: Operator, cost: OperatorCost, content: bytes | None, live: dict[int, NDArray[bool_]]
) -> OperatorWork:
    outputs = [graph.tensors[index] for index in operator.outputs if index >= 0]
    name = operator.name or (outputs[0].name if outputs else operator.type)
    if cost.folded:
        return OperatorWork(name, operator.type, Work(), Work())
    outside = _outside(graph, operator, cost)
    if outside:
        return OperatorWork(name, operator.type, Work(), Work(), outside=outside)
    if operator.type in WEIGHTED:
        dense = _weighted(graph, operator, cost.macs_count or 0, 1.0, 1.0)
        kept_in, kept_out = (1.0, 1.0) if content is None else _kept(graph, operator, content, live)
        reduced = _weighted(graph, operator, cost.macs_count or 0, kept_in, kept_out)
        return OperatorWork(name, operator.type, dense, reduced)
    _pass_on(graph, operator, live)
    touched = outputs if operator.type not in REDUCING else [graph.tensors[index] for index in operator.inputs[:1]]
    work = Work(outputs=sum(elements_count(tensor.shape) or 0 for tensor in touched), operators=1)
    return OperatorWork(name, operator.type, work, work, light=operator.type not in MEASURED)


def _outside(graph: Graph, operator: Operator, cost: OperatorCost) -> str:
    """Say why an operator is outside the data, or nothing."""
    if graph.format != "tflite":
        return f"the data has int8 .tflite models only, this is an .{graph.format} file"
    if operator.custom or operator.type not in MEASURED | LIGHT:
        return f"no measured model has {operator.type}"
    tensors = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
    if any(elements_count(tensor.shape) is None for tensor in tensors) or cost.macs_count is None:
        return f"{operator.type} has sizes that are not known"
    odd = _odd_type(graph, operator)
    if odd:
        return f"the data has int8 models only, this one has {operator.type} in {odd}"
    if operator.type == "CONV_2D" and graph.tensors[operator.inputs[0]].shape[-1:] != tensors[1].shape[-1:]:  # type: ignore[index]  # shapes are known here
        return "no measured model has a CONV_2D in groups"
    return ""


def _odd_type(graph: Graph, operator: Operator) -> str:
    """Return a type of values that no measured model has; conversions to and from float at the ends are let pass."""
    values = [*operator.inputs[: 2 if operator.type in WEIGHTED | {"ADD"} else 1], *operator.outputs[:1]]
    types = {graph.tensors[index].dtype for index in values if index >= 0} - {"int8"}
    if operator.type in {"QUANTIZE", "DEQUANTIZE"}:
        types -= {"float32", "uint8"}
    return " and ".join(sorted(types))


def _weighted(graph: Graph, operator: Operator, macs: float, kept_in: float, kept_out: float) -> Work:
    """Return the work of a convolution or product of which shares of the channels are kept."""
    shape = graph.tensors[operator.inputs[1]].shape or ()
    values = elements_count(graph.tensors[operator.outputs[0]].shape) or 0
    written = values * kept_out
    match operator.type:
        case "DEPTHWISE_CONV_2D":
            return Work(depthwise_macs=macs * kept_out, outputs=written, operators=1)
        case "FULLY_CONNECTED":
            return Work(fully_connected_macs=macs * kept_in * kept_out, outputs=written, operators=1)
        case _:
            channels, rows, columns, depth = (size or 0 for size in shape)
            gathered = values / channels * rows * columns * depth * kept_in if rows * columns > 1 and channels else 0.0
            return Work(matmul_macs=macs * kept_in * kept_out, outputs=written, patches=gathered, operators=1)


def _kept(graph: Graph, operator: Operator, content: bytes, live: dict[int, NDArray[bool_]]) -> tuple[float, float]:
    """Return the shares of input and output channels that are alive, and note the latter."""
    import numpy as np

    weights = _weights(graph.tensors[operator.inputs[1]], content)
    if weights is None:
        return 1.0, 1.0
    alive_in = live.get(operator.inputs[0])
    if operator.type == "DEPTHWISE_CONV_2D":
        alive: NDArray[bool_] = np.asarray(weights.any(axis=(0, 1, 2)))
        if alive_in is not None and len(alive) % len(alive_in) == 0:
            alive &= np.repeat(alive_in, len(alive) // len(alive_in))
    else:
        if alive_in is None or len(alive_in) != weights.shape[-1]:
            alive_in = np.ones(weights.shape[-1], dtype=bool)
        alive = np.asarray(weights[..., alive_in].reshape(weights.shape[0], -1).any(axis=1))
    live[operator.outputs[0]] = alive
    return float(alive_in.mean()) if alive_in is not None else 1.0, float(alive.mean())


def _weights(tensor: Tensor, content: bytes) -> NDArray[bool_] | None:
    """Return where weights are not zero, or None where they do not lie in the file as they are."""
    import numpy as np

    shape = [size or 0 for size in tensor.shape or ()]
    start, size = tensor.constant_offset, prod(shape)
    if start is None or tensor.sparse or not size or start + size > len(content):
        return None
    return np.not_equal(np.frombuffer(content, np.int8, size, start).reshape(shape), 0)


def _pass_on(graph: Graph, operator: Operator, live: dict[int, NDArray[bool_]]) -> None:
    """Let an operator that keeps channels apart keep dead ones dead; one that mixes them revives all."""
    if not operator.outputs or operator.type not in {"ADD", "RESHAPE", *REDUCING}:
        return
    channels = (graph.tensors[operator.outputs[0]].shape or (None,))[-1]
    sources = [live.get(index) for index in operator.inputs if index >= 0 and graph.tensors[index].dtype == "int8"]
    known = [source for source in sources if source is not None and len(source) == channels]
    if known and len(known) == len(sources):
        alive = known[0].copy()
        for source in known[1:]:
            alive |= source
        live[operator.outputs[0]] = alive
