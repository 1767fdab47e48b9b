"""Which output of one model stands against which of another: by name where both have the same names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edgeprof.model.graph import Graph

SOFTMAXES = frozenset({"SOFTMAX", "LOGSOFTMAX", "LOG_SOFTMAX"})
PASSED_THROUGH = frozenset({
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "UNSQUEEZE", "FLATTEN", "IDENTITY", "CAST", "QUANTIZE", "DEQUANTIZE",
    "QUANTIZELINEAR", "DEQUANTIZELINEAR",
})  # fmt: skip
NAMED_PAIRS = 6
"""As many pairs are named in a line."""


class Pairs(NamedTuple):
    """Places of outputs, BASE's first and NEW's second, and the outputs that have none on the other side."""

    places: tuple[tuple[int, int], ...]
    by_name: bool
    alone: tuple[str, ...] = ()


def output_names(graph: Graph) -> tuple[str, ...]:
    """Return the names of a model's outputs, in its order."""
    return tuple(graph.tensors[index].name for index in graph.outputs)


def paired_outputs(base: Graph, new: Graph) -> Pairs:
    """Return the pairs in BASE's order: by name where both have the same names, else by position.

    Converters put outputs in another order from version to version, and rename them. Where one model has more outputs
    than the other, those of one name are paired, and the rest are alone.
    """
    ours, theirs = output_names(base), output_names(new)
    named = len(set(ours)) == len(ours) and len(set(theirs)) == len(theirs)
    if named and (set(ours) == set(theirs) or len(ours) != len(theirs)):
        shared = tuple((at, theirs.index(name)) for at, name in enumerate(ours) if name in theirs)
        alone = (*_of("BASE", ours, theirs), *_of("NEW", theirs, ours))
        return Pairs(shared, by_name=True, alone=alone)
    if len(ours) != len(theirs):
        return Pairs((), by_name=False, alone=(*_of("BASE", ours, ()), *_of("NEW", theirs, ())))
    return Pairs(tuple((at, at) for at in range(len(ours))), by_name=False)


def _of(side: str, names: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{side}'s {name!r}" for name in names if name not in others)


def gives_classes(graph: Graph, place: int, shape: tuple[int, ...]) -> bool:
    """Tell whether an output is one score a class: a vector out of a softmax, however it is spelled and stored."""
    makers = {output: operator for operator in graph.operators for output in operator.outputs}
    maker = makers.get(graph.outputs[place])
    while maker is not None and maker.type.upper() in PASSED_THROUGH and maker.inputs:
        maker = makers.get(maker.inputs[0])
    return maker is not None and maker.type.upper() in SOFTMAXES and sum(size != 1 for size in shape) == 1


def pairing_note(base: Graph, new: Graph) -> str:
    """Return how the outputs were paired; empty where there is nothing to tell: one output of one name."""
    ours, theirs, pairs = output_names(base), output_names(new), paired_outputs(base, new)
    if pairs.by_name:
        names = [repr(ours[one]) for one, _ in pairs.places]
        return f"outputs by name: {_some(names)}" if len(ours) > 1 or len(theirs) > 1 else ""
    if all(ours[one] == theirs[other] for one, other in pairs.places):  # two outputs of one name
        return "outputs by position"
    names = [f"{ours[one]!r} with {theirs[other]!r}" for one, other in pairs.places]
    return f"outputs by position, their names differ: {_some(names)}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_PAIRS} more" if len(names) > NAMED_PAIRS else ""
    return ", ".join(names[:NAMED_PAIRS]) + more
