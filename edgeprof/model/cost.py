"""What a model costs to compute: parameters, multiply-accumulates and bytes, per operator and in total.

Conventions: one MAC is one multiplication with its addition, 2 FLOPs. Operators that add, compare, pool,
normalise or look up have 0 MACs. Biases are not MACs.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from edgeprof.errors import ModelInvalid
from edgeprof.model.constants import Constants, constant_size, find_constants, parameters
from edgeprof.model.graph import Body, Graph, Operator, Subgraph, bodies, tensor_bytes
from edgeprof.model.macs import operator_macs

OPS_PER_MAC = 2
"""A multiply-accumulate is one multiplication and one addition."""

_largest = 2**63 - 1
_longest_name = 40


class OperatorCost(Struct, frozen=True, kw_only=True):
    """The cost of one operator for one inference.

    `macs_count` is None with a reason where it cannot be told; for control flow it is that of the bodies.
    `weights_bytes` are the stored bytes of the constants that it reads; `input_bytes` and `output_bytes` those
    of activations, None where a dimension is not known. `folded` operators are evaluated once, before
    the first inference, and cost nothing in it.
    """

    name: str
    type: str
    parameters_count: int
    macs_count: int | None
    weights_bytes: int
    input_bytes: int | None
    output_bytes: int | None
    folded: bool = False
    reason: str = ""


class ModelCost(Struct, frozen=True, kw_only=True):
    """The cost of one inference of a model, and of each operator of its main graph.

    `macs_count` and `activations_total_bytes` are None where something in the graph is not known;
    `macs_known_count` is the sum of what is, and `unknown` says why not and how many operators lack it, a line a
    reason with the first of them named.
    Parameters and weights that several operators share are counted once. `activations_total_bytes` is
    traffic, the sum of all outputs, and not the memory needed.
    """

    parameters_count: int
    macs_count: int | None
    macs_known_count: int
    weights_bytes: int
    activations_total_bytes: int | None
    operators: tuple[OperatorCost, ...]
    subgraphs: tuple[tuple[OperatorCost, ...], ...] = ()
    unknown: tuple[str, ...] = ()


def model_cost(graph: Graph) -> ModelCost:
    """Return the costs of all operators and their totals, in time proportional to the number of operators.

    Raises ModelInvalid where sizes add up to more than any machine could hold.
    """
    macs = _body_macs(graph)
    every = [_costs(graph, body, macs) for body in bodies(graph)]
    parts = [costs.every() for costs in every]
    main = parts[0]
    known = sum(cost.macs_count or 0 for cost in main)
    outputs = [cost.output_bytes for cost in main if not cost.folded]
    parameters_count, weights_bytes = _totals(every)
    for figure in (known, parameters_count, weights_bytes, sum(size or 0 for size in outputs)):
        if figure > _largest:
            raise ModelInvalid(f"the sizes in {graph.name} add up to {figure:.3g}, which no machine can hold")
    return ModelCost(
        parameters_count=parameters_count,
        macs_count=None if any(cost.macs_count is None for cost in main) else known,
        macs_known_count=known,
        weights_bytes=weights_bytes,
        activations_total_bytes=None if None in outputs else sum(size or 0 for size in outputs),
        operators=main,
        subgraphs=tuple(parts[1:]),
        unknown=_unknown(main),
    )


def _unknown(costs: tuple[OperatorCost, ...]) -> tuple[str, ...]:
    groups: dict[str, list[OperatorCost]] = {}
    for cost in costs:
        if cost.reason:
            groups.setdefault(cost.reason, []).append(cost)
    return tuple(
        f"{found[0].type} {_short(found[0].name)!r}{f' and {len(found) - 1} more' if len(found) > 1 else ''}: {reason}"
        for reason, found in groups.items()
    )


def _short(name: str) -> str:
    """Return the end of a name, which tells more than its scopes."""
    return name if len(name) <= _longest_name else f"…{name[1 - _longest_name :]}"


class _Costs(NamedTuple):
    """What the costs of the operators of one graph follow from."""

    body: Body
    constants: Constants
    macs: list[int | None]
    file_format: Literal["tflite", "onnx"]
    sizes: list[int | None]

    def every(self) -> tuple[OperatorCost, ...]:
        return tuple(self.one(node, place) for place, node in enumerate(self.body.operators))

    def one(self, node: Operator, place: int) -> OperatorCost:
        body, source = self.body, self.constants.source
        folded = place in self.constants.folded
        stored = {source[index] for index in node.inputs if index in source}
        count, reason = (0, "") if folded else operator_macs(body, node, self.macs, self.file_format)
        found = parameters(body, node, self.constants) if stored or node.captures else {}
        return OperatorCost(
            name=node.name,
            type=node.type,
            parameters_count=sum(found.values()),
            macs_count=count,
            weights_bytes=sum(constant_size(body.tensors[index]) for index in stored),
            input_bytes=_sum(self.sizes, {index for index in node.inputs if index >= 0 and index not in source}),
            output_bytes=_sum(self.sizes, {index for index in node.outputs if index >= 0}),
            folded=folded,
            reason=reason,
        )


def _costs(graph: Graph, body: Body, macs: list[int | None]) -> _Costs:
    return _Costs(body, find_constants(body, graph.format), macs, graph.format, _activation_sizes(body))


def _activation_sizes(body: Body) -> list[int | None]:
    """Return the bytes of every tensor; a handle to a variable or a table is none: its readers count what it names."""
    return [0 if tensor.dtype in {"resource", "variant"} else tensor_bytes(tensor) for tensor in body.tensors]


def _sum(sizes: list[int | None], indices: set[int]) -> int | None:
    total = 0
    for index in indices:
        size = sizes[index]
        if size is None:
            return None
        total += size
    return total


def _body_macs(graph: Graph) -> list[int | None]:
    """Return the MACs of every subgraph; those that are called come before their callers in both formats' order."""
    macs: list[int | None] = [None] * len(graph.subgraphs)
    done: set[int] = set()
    for index in range(len(graph.subgraphs)):
        _add_body_macs(graph, index, macs, done)
    return macs


def _add_body_macs(graph: Graph, index: int, macs: list[int | None], done: set[int]) -> None:
    """Work out one subgraph after those that it calls. The readers bound how deep that goes."""
    if index in done:
        return
    done.add(index)
    body = graph.subgraphs[index]
    for called in sorted({called for node in body.operators for called in node.subgraphs}):
        _add_body_macs(graph, called, macs, done)
    constants = find_constants(body, graph.format)
    counts = [
        0 if place in constants.folded else operator_macs(body, node, macs, graph.format)[0]
        for place, node in enumerate(body.operators)
    ]
    macs[index] = None if None in counts else sum(count or 0 for count in counts)


def _totals(every: list[_Costs]) -> tuple[int, int]:
    """Return parameters and weights in bytes of the whole model, whatever is shared counted once."""
    counts: dict[tuple[int, int], int] = {}
    sizes: dict[tuple[int, int], int] = {}
    for place, (body, constants, *_) in enumerate(every):
        captured = frozenset(body.captured) if isinstance(body, Subgraph) else frozenset()
        source = constants.source
        for node in body.operators:
            read = [source[index] for index in (*node.inputs, *node.captures) if index in source]
            found = parameters(body, node, constants) if read else {}
            for stored in read:
                if stored in captured:
                    continue
                offset = body.tensors[stored].constant_offset
                key = (place, stored) if offset is None else (-1, offset)
                sizes[key] = constant_size(body.tensors[stored])
                if stored in found:
                    counts[key] = found[stored]
    return sum(counts.values()), sum(sizes.values())
