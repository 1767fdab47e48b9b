"""What a model needs, from its file alone: operators with their costs, memory over them, the roofline of a board."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprof.model import read_model
from edgeprof.model.arena import greedy_arena_plan
from edgeprof.model.cost import OPS_PER_MAC, model_cost
from edgeprof.model.graph import Subgraph, bodies
from edgeprof.model.memory import liveness
from edgeprof.records.inspection import Arena, InspectedOperator, Inspection, Peak, Roofline
from edgeprof.summary.static import model_facts, model_metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgeprof.model.cost import OperatorCost
    from edgeprof.model.graph import Graph, Operator
    from edgeprof.model.memory import Liveness
    from edgeprof.records.board import Board

DIGEST_LIMIT_BYTES = 16 * 2**20
"""The digest of a larger model is left out: what an inspection costs is to grow with operators, not with bytes."""


def inspect_model(
    model: str | Path,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    board: str | None = None,
    exact: bool = False,
) -> Inspection:
    """Return what a model needs, from its file alone.

    With `board` also the roofline bound there; with `exact` the arena that TFLM records, which takes the
    tflite-micro wheel and a process of its own. A varying batch is taken as 1 unless `shapes` fixes it.
    """
    known = None
    if board is not None:
        from edgeprof.boards import load_board
        from edgeprof.targets import board_folders

        known = load_board(board, board_folders())
    path = Path(model)
    graph = read_model(path, shapes, digest_up_to_bytes=DIGEST_LIMIT_BYTES, batch=1)
    return inspect_graph(graph, path, known, record=exact)


def inspect_graph(graph: Graph, path: Path, board: Board | None = None, *, record: bool = False) -> Inspection:
    """Return everything that the file says; `record` also asks the tflite-micro wheel, where it is installed."""
    cost, alive = model_cost(graph), liveness(graph)
    peak = board_peak(board, _computes_in(graph)) if board is not None else None
    operators = tuple(
        _operator(graph, operator, costs, live, peak)
        for operator, costs, live in zip(graph.operators, cost.operators, alive.live_bytes, strict=True)
    )
    bounds = [row.roofline.bound_s for row in operators if row.roofline is not None]
    return Inspection(
        model=model_facts(graph),
        metrics=model_metrics(graph, cost, alive),
        operators=operators,
        arena=_arena(graph, path, alive, record=record),
        quantisation=dict(Counter(_storage(graph)).most_common()),
        intensity=_intensity(cost.macs_count, _traffic(cost.operators)),
        peak=peak,
        bound_s=sum(bounds) if bounds and _all_bounded(operators) else None,
        warnings=graph.warnings,
    )


def _all_bounded(operators: tuple[InspectedOperator, ...]) -> bool:
    """Say whether no operator that does something in an inference lacks its bound: else the sum is none of the model.

    One that moves no byte, such as a handle to a variable, takes no time.
    """
    return all(row.roofline is not None or row.folded or row.input_bytes == row.output_bytes == 0 for row in operators)


def _operator(
    graph: Graph, operator: Operator, cost: OperatorCost, live: int | None, peak: Peak | None
) -> InspectedOperator:
    outputs = [graph.tensors[index] for index in operator.outputs if index >= 0]
    return InspectedOperator(
        name=operator.name or (outputs[0].name if outputs else operator.type),
        type=operator.type,
        input_shapes=tuple(graph.tensors[index].shape for index in operator.inputs if index >= 0),
        output_shapes=tuple(tensor.shape for tensor in outputs),
        dtype=outputs[0].dtype if outputs else "",
        parameters_count=cost.parameters_count,
        macs_count=cost.macs_count,
        weights_bytes=cost.weights_bytes,
        input_bytes=cost.input_bytes,
        output_bytes=cost.output_bytes,
        live_bytes=live,
        folded=cost.folded,
        reason=cost.reason,
        roofline=None if peak is None else _roofline(cost, peak),
    )


def _arena(graph: Graph, path: Path, alive: Liveness, *, record: bool) -> Arena:
    plan = greedy_arena_plan(graph)
    recorded, recorded_reason = None, "TFLM runs .tflite models only"
    if graph.format == "tflite":
        recorded, recorded_reason = _recorded(path) if record else (None, "not asked for: --exact")
    peak = graph.operators[alive.peak_operator] if alive.peak_operator is not None else None
    name = f"{alive.peak_operator} {peak.type}" if peak is not None else None
    return Arena(
        planner_bytes=plan.planner_bytes,
        liveness_lower_bound_bytes=alive.lower_bound_bytes,
        recorded_bytes=recorded,
        peak_operator=name,
        variables_bytes=plan.variables_bytes,
        planner_reason=plan.reason,
        recorded_reason=recorded_reason,
        notes=(*plan.notes, *alive.notes),
    )


def _recorded(path: Path) -> tuple[int | None, str]:
    from edgeprof.model.recorded import recorded_arena_bytes

    asked = recorded_arena_bytes(path)
    return asked.total_bytes, asked.reason


def _storage(graph: Graph) -> list[str]:
    """Return how each constant is stored: its type, and whether it is quantised as a whole or a channel."""
    kinds = []
    for body in bodies(graph):
        captured = frozenset(body.captured) if isinstance(body, Subgraph) else frozenset()
        for index, tensor in enumerate(body.tensors):
            if tensor.constant_bytes is not None and index not in captured:
                scales = len(tensor.quantization.scales) if tensor.quantization is not None else 0
                kinds.append(f"{tensor.dtype}{'' if scales == 0 else ' per channel' if scales > 1 else ' per tensor'}")
    return kinds


# ── roofline ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _computes_in(graph: Graph) -> str:
    """Return the type that most activations have: what the arithmetic runs in."""
    types = Counter(tensor.dtype for tensor in graph.tensors if tensor.constant_bytes is None)
    return types.most_common(1)[0][0] if types else ""


def board_peak(board: Board, dtype: str) -> Peak:
    """Return a board's dense peak for a type and its memory bandwidth, from its facts; never a sparse figure."""
    unit, ops = _fastest(board, dtype)
    bandwidth = board.memory_bandwidth_bytes_per_s
    missing = [
        name for name, value in ((f"a peak for {dtype}", ops), ("a memory bandwidth", bandwidth)) if value is None
    ]
    reason = f"no source gives {' or '.join(missing)} of {board.name}" if missing else ""
    return Peak(board=board.id, unit=unit, ops_per_s=ops, bytes_per_s=bandwidth, reason=reason)


def _fastest(board: Board, dtype: str) -> tuple[str, float | None]:
    found: list[tuple[float, str]] = []
    for accelerator in board.accelerators:
        peaks = {
            "int8": accelerator.peak_int8_dense_ops_per_s,
            "float16": accelerator.peak_fp16_dense_flop_per_s,
            "float32": accelerator.peak_fp32_dense_flop_per_s,
        }
        if peaks.get(dtype):
            found.append((float(peaks[dtype] or 0), accelerator.name))
    found += [
        (core.peak_int8_dense_ops_per_s * (core.count or 1), core.model)
        for core in board.cores
        if dtype == "int8" and core.peak_int8_dense_ops_per_s
    ]
    return (max(found)[1], max(found)[0]) if found else ("", None)


def _roofline(cost: OperatorCost, peak: Peak) -> Roofline | None:
    """Return the larger of compute and memory time, a lower bound; below the ridge memory binds (Williams 2009)."""
    traffic = _traffic((cost,))
    if peak.ops_per_s is None or peak.bytes_per_s is None or cost.macs_count is None or not traffic:
        return None
    operations = OPS_PER_MAC * cost.macs_count
    compute_s, memory_s = operations / peak.ops_per_s, traffic / peak.bytes_per_s
    intensity, ridge = operations / traffic, peak.ops_per_s / peak.bytes_per_s
    bound_s = max(compute_s, memory_s)
    return Roofline(
        intensity=intensity, ridge=ridge, bound_s=bound_s, bound="memory" if intensity < ridge else "compute"
    )


def _traffic(costs: tuple[OperatorCost, ...]) -> int | None:
    total = 0
    for cost in costs:
        if cost.folded:
            continue
        if cost.input_bytes is None or cost.output_bytes is None:
            return None
        total += cost.input_bytes + cost.output_bytes + cost.weights_bytes
    return total


def _intensity(macs: int | None, traffic: int | None) -> float | None:
    return None if macs is None or not traffic else OPS_PER_MAC * macs / traffic
