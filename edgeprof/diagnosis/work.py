"""What a model asks for and what each operator of it took, laid over each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.model.cost import model_cost
from edgeprof.model.graph import integer
from edgeprof.units import format_value

if TYPE_CHECKING:
    from edgeprof.model.cost import OperatorCost
    from edgeprof.model.graph import Graph, Operator
    from edgeprof.records.diagnosis import Ceilings
    from edgeprof.records.result import OperatorTime, Result

WEIGHTED_WORDS = ("conv", "fully connected", "fully_connected", "gemm", "matmul", "lstm", "gru", "svdf")
"""What the runtimes call operators with weights; XNNPACK runs 1x1 convolutions as fully connected ones."""
DEPTHWISE_WORDS = ("dwconv", "depthwise")
AMDAHL = "Amdahl 1967: the rest takes what it took"
TRUSTED_SUM = (0.7, 1.2)
"""The operators' times are used where their sum is within this of the latency: the passes then saw the same."""


class Work(NamedTuple):
    """One operator of the file that multiplies, and its time (or instructions), where that can be told."""

    place: int
    operator: Operator
    cost: OperatorCost
    macs_count: int
    depthwise: bool
    took: float | None


class Case(NamedTuple):
    """One result with its model: what every rule reads.

    `metric` names what is counted, seconds or instructions, and `latency` is its value, None where neither is known.
    `rows` are the runtime's operators, empty with `rows_reason` where they cannot be used. `work` is in file order.
    """

    result: Result
    graph: Graph
    costs: tuple[OperatorCost, ...]
    metric: str
    latency: float | None
    rows: tuple[OperatorTime, ...]
    rows_reason: str
    work: tuple[Work, ...]
    ceilings: Ceilings

    def taken(self, row: OperatorTime) -> float:
        """Return what a row took, in the unit of `metric`."""
        return taken(row)

    def said(self, value: float) -> str:
        """Return an amount of `metric` as people read it."""
        return format_value(self.metric, value) + (" instructions" if self.metric == "instructions_count" else "")


def case_of(result: Result, graph: Graph, ceilings: Ceilings) -> Case:
    """Return what the rules read."""
    costs = model_cost(graph).operators
    metric = "latency_p50_s" if _value(result, "latency_p50_s") is not None else "instructions_count"
    latency = _value(result, metric)
    rows, reason = _usable(result.operators, latency)
    return Case(result, graph, costs, metric, latency, rows, reason, _work(graph, costs, rows), ceilings)


def taken(row: OperatorTime) -> float:
    """Return a row's time in seconds, or its instructions where those are counted."""
    return float(row.instructions_count or 0) if row.time_s is None else row.time_s


def evidence(case: Case, *more: str) -> tuple[str, ...]:
    """Return the figures that went into advice."""
    told = [f"{case.metric} = {format_value(case.metric, case.latency)}"] if case.latency else []
    if case.rows:
        told.append(f"{len(case.rows)} operators timed, sum {case.said(sum(map(taken, case.rows)))}")
    return (*told, *more)


def many(count: int, what: str) -> str:
    """Return a count with its noun."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def times(factor: float) -> str:
    """Return a factor as people read it."""
    return f"{factor:.{1 if factor < 10 else 0}f}x"  # noqa: PLR2004  two digits


def is_weighted(row: OperatorTime) -> bool:
    """Say whether a runtime's operator has weights, by what the runtime calls it."""
    named = row.type.lower()
    return any(word in named for word in WEIGHTED_WORDS)


def is_depthwise(graph: Graph, operator: Operator) -> bool:
    """Say whether an operator convolves each channel by itself."""
    if operator.type == "DEPTHWISE_CONV_2D":
        return True
    if operator.type not in {"Conv", "QLinearConv", "ConvInteger"}:
        return False
    weights = [graph.tensors[index].shape for index in operator.inputs[1:] if index >= 0]
    kernel = next((shape for shape in weights if shape is not None and len(shape) > 2), None)  # noqa: PLR2004  [out, in, window…]
    return integer(operator, "group", 1) > 1 and kernel is not None and kernel[1] == 1


def _value(result: Result, name: str) -> float | None:
    metric = result.metrics.get(name)
    return metric.value if metric is not None else None


def _usable(rows: tuple[OperatorTime, ...], latency: float | None) -> tuple[tuple[OperatorTime, ...], str]:
    if not rows:
        return (), "single operators were not timed; --per-op does"
    if not latency:
        return rows, ""
    ratio = sum(map(taken, rows)) / latency
    if TRUSTED_SUM[0] <= ratio <= TRUSTED_SUM[1]:
        return rows, ""
    return (), f"the operators' times add up to {ratio:.2g} times the latency: that pass was disturbed or slowed"


def _work(graph: Graph, costs: tuple[OperatorCost, ...], rows: tuple[OperatorTime, ...]) -> tuple[Work, ...]:
    """Lay the runtime's weighted operators over the file's, in order; times are absent where the counts differ."""
    found = [
        (index, operator, cost, cost.macs_count)
        for index, (operator, cost) in enumerate(zip(graph.operators, costs, strict=True))
        if cost.macs_count and not cost.folded
    ]
    timed = [row for row in rows if is_weighted(row)]
    fits = len(timed) == len(found) and all(
        is_depthwise(graph, operator) or not any(word in row.type.lower() for word in DEPTHWISE_WORDS)
        for row, (_, operator, _, _) in zip(timed, found, strict=True)
    )
    return tuple(
        Work(index, operator, cost, macs, is_depthwise(graph, operator), taken(timed[place]) if fits else None)
        for place, (index, operator, cost, macs) in enumerate(found)
    )
