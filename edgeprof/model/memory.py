"""How much memory the activations of a model need: the lower bound, and the plan that TFLM makes.

Four figures must not be mixed up. The *liveness lower bound* is what any runtime needs that keeps every tensor
in one piece (over all live tensors, so it holds for branches too). The *planner bytes* are what TFLM's
GreedyMemoryPlanner makes of the same lifetimes. The *recorded arena* is what TFLM itself allocated, tail and
all. What a kernel asks for besides (scratch buffers, im2col) is in the last one only.
"""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from edgeprof.model.arena import GreedyPlan, greedy_arena_plan
from edgeprof.model.constants import find_constants
from edgeprof.model.graph import Body, Graph, Subgraph, bodies, tensor_bytes
from edgeprof.model.recorded import RecordedArena, recorded_arena_bytes

__all__ = ["GreedyPlan", "Liveness", "RecordedArena", "greedy_arena_plan", "liveness", "recorded_arena_bytes"]

# Operators whose output may lie where their input lies: some runtimes do, none has to.
_in_place = frozenset({
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout",
})  # fmt: skip


class Liveness(Struct, frozen=True, kw_only=True):
    """Activation bytes that are live while each operator of the main graph runs, in execution order.

    An input of the graph is live from the start to its last use, an output to the end, every other tensor from
    its maker to its last use; None while a tensor lives whose size is not known. `lower_bound_bytes` is the
    largest of them, None with the reason where one is not known. `persistent_bytes` are variable tensors, which
    live from one inference to the next and are not in the curve.
    """

    live_bytes: tuple[int | None, ...]
    lower_bound_bytes: int | None
    peak_operator: int | None
    persistent_bytes: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()


def liveness(graph: Graph) -> Liveness:
    """Return the memory curve of a model, in time proportional to its operators.

    While a control-flow operator runs, the larger of its bodies counts on top. Types below 8 bits are counted
    packed; TFLM unpacks them.
    """
    unknown: list[str] = []
    curve = _curve(graph, graph, {}, unknown)
    known = [live for live in curve if live is not None]
    bound = max(known, default=0) if len(known) == len(curve) else None
    persistent = sum(tensor_bytes(t) or 0 for body in bodies(graph) for t in body.tensors if t.variable)
    reason = f"the size of {len(unknown)} tensors is not known, {unknown[0]!r} first" if unknown else ""
    return Liveness(
        live_bytes=tuple(curve[: len(graph.operators)]),
        lower_bound_bytes=bound,
        peak_operator=curve.index(bound) if graph.operators and bound is not None else None,
        persistent_bytes=persistent,
        reason=reason,
        notes=tuple(_notes(graph)),
    )


def _curve(graph: Graph, body: Body, peaks: dict[int, int | None], unknown: list[str]) -> list[int | None]:
    """Return the live bytes at each operator of one graph; those of its inputs where it has none."""
    constant = find_constants(body, graph.format).source
    first, last = _lifetimes(body)
    steps = max(len(body.operators), 1)
    changes, gaps = [0] * (steps + 1), [0] * (steps + 1)
    for index, start in first.items():
        tensor = body.tensors[index]
        if index in constant or tensor.variable:
            continue
        size = tensor_bytes(tensor)
        if size is not None:
            changes[start] += size
            changes[last[index] + 1] -= size
        elif tensor.dtype not in {"resource", "variant"}:  # handles are numbers of the runtime's own
            unknown.append(tensor.name)
            gaps[start] += 1
            gaps[last[index] + 1] -= 1
    curve: list[int | None] = []
    live = open_gaps = 0
    for place in range(steps):
        live, open_gaps = live + changes[place], open_gaps + gaps[place]
        # A body without operators hands its inputs on, as a branch of an IF may.
        called = body.operators[place].subgraphs if body.operators else ()
        inner = _largest(graph, called, peaks, unknown) if called else 0
        curve.append(None if open_gaps or inner is None else live + inner)
    return curve


def _largest(graph: Graph, called: tuple[int, ...], peaks: dict[int, int | None], unknown: list[str]) -> int | None:
    """Return the most live bytes of these subgraphs, each worked out once. What they capture is counted around them."""
    for index in called:
        if index not in peaks:
            curve = _curve(graph, graph.subgraphs[index], peaks, unknown)
            peaks[index] = None if None in curve else max((live or 0 for live in curve), default=0)
    found = [peaks[index] for index in called]
    return None if None in found else max((peak or 0 for peak in found), default=0)


def _lifetimes(body: Body) -> tuple[dict[int, int], dict[int, int]]:
    """Return at which operator each tensor is made and used last."""
    captured = frozenset(body.captured) if isinstance(body, Subgraph) else frozenset()
    end = max(len(body.operators) - 1, 0)
    first = {index: 0 for index in body.inputs if index >= 0 and index not in captured}
    last = dict(first)
    for place, node in enumerate(body.operators):
        for index in node.outputs:
            if index >= 0:
                first.setdefault(index, place)
                last[index] = place
        for index in (*node.inputs, *node.captures):
            if index in first:
                last[index] = place
    last.update((index, end) for index in body.outputs if index in first)
    return first, last


def _notes(graph: Graph) -> list[str]:
    """Say what the curve does not assume."""
    types = Counter(node.type for body in bodies(graph) for node in body.operators)
    in_place = sum(types[name] for name in _in_place)
    notes = (
        [f"{_counted(in_place, 'operator')} could work in place, as RESHAPE may; the curve does not assume it"]
        if in_place
        else []
    )
    states = types["VAR_HANDLE"]
    if states:
        notes.append(f"{_counted(states, 'VAR_HANDLE')}: state that lives between inferences is outside this curve")
    pairs = min(types["QuantizeLinear"], types["DequantizeLinear"])
    if pairs:
        notes.append(
            f"{_counted(pairs, 'pair')} of QuantizeLinear and DequantizeLinear: counted as the file has them, with"
            " float tensors between them; a runtime that fuses them keeps whole numbers"
        )
    if graph.subgraphs and types["WHILE"] + types["Loop"] + types["Scan"]:
        notes.append("loop bodies are counted beside their inputs and outputs; a runtime may let them share")
    return notes


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
