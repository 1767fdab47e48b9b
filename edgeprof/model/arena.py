"""The arena plan of TensorFlow Lite for Microcontrollers, offset by offset as its GreedyMemoryPlanner makes it.

The rules are those of tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc and
micro_allocation_info.cc at 90b983c2: sizes rounded up to 16 bytes, largest first, of equal ones the later
tensor first, each at the lowest offset that is free for all of its lifetime.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec import Struct

from edgeprof.model.graph import Body, Graph, Operator, Tensor, bodies, elements_count, type_bits

alignment_bytes: Final = 16
# TFLM's own planner is quadratic; a graph beyond this is no microcontroller's, and Python would take seconds.
_most_steps: Final = 1_000_000
_resource_bytes: Final = 4
_calls: Final = frozenset({"IF", "WHILE", "CALL_ONCE"})
_own_scratch: Final = frozenset({
    "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "TRANSPOSE_CONV", "BATCH_MATMUL", "MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN",
    "ADD_N", "RESIZE_BILINEAR", "TRANSPOSE", "CUMSUM", "PACK", "SPLIT",
})  # fmt: skip


class PlannedTensor(Struct, frozen=True, kw_only=True):
    """One buffer of the plan: 0 is the main graph, 1 the first of Graph.subgraphs. Steps count as TFLM counts them."""

    subgraph: int
    tensor: int
    name: str
    offset_bytes: int
    size_bytes: int
    first_step: int
    last_step: int


class GreedyPlan(Struct, frozen=True, kw_only=True):
    """The arena's head: `planner_bytes` for all tensors, None with the reason where there can be no plan.

    Not in it: the tail (TFLM's own structures, variable tensors, `variables_bytes`), and what kernels ask for.
    """

    planner_bytes: int | None
    tensors: tuple[PlannedTensor, ...] = ()
    variables_bytes: int = 0
    reason: str = ""
    notes: tuple[str, ...] = ()


class _Request(NamedTuple):
    """A buffer to be placed; `wanted` is the offset that the file itself fixes, or -1."""

    subgraph: int
    tensor: int
    size: int
    first: int
    last: int
    wanted: int


class _TooMuch(Exception):
    """The plan would take longer than anyone would wait for it."""


def greedy_arena_plan(graph: Graph) -> GreedyPlan:
    """Return where TFLM would put every tensor of a .tflite model, byte for byte.

    Kernels' scratch buffers are not known from a file: the notes say which operators may ask for some.
    """
    if graph.format != "tflite":
        return GreedyPlan(planner_bytes=None, reason="TFLM runs .tflite models only")
    unplannable = _unplannable(graph)
    if unplannable:
        return GreedyPlan(planner_bytes=None, reason=unplannable)
    try:
        requests = _requests(graph)
        offsets = _place(requests)
    except _TooMuch:
        return GreedyPlan(planner_bytes=None, reason="the graph is too large for TFLM's planner, which is quadratic")
    every = bodies(graph)
    return GreedyPlan(
        planner_bytes=max((offset + item.size for offset, item in zip(offsets, requests, strict=True)), default=0),
        tensors=tuple(
            PlannedTensor(
                subgraph=item.subgraph,
                tensor=item.tensor,
                name=every[item.subgraph].tensors[item.tensor].name,
                offset_bytes=offset,
                size_bytes=item.size,
                first_step=item.first,
                last_step=item.last,
            )
            for offset, item in zip(offsets, requests, strict=True)
        ),
        variables_bytes=sum(_size(tensor) or 0 for body in every for tensor in body.tensors if tensor.variable),
        notes=tuple(_notes(graph)),
    )


def _unplannable(graph: Graph) -> str:
    """Return why there can be no plan, or nothing."""
    for body in bodies(graph):
        for tensor in body.tensors:
            if tensor.constant_bytes is None and _size(tensor) is None:
                return f"the size of tensor {tensor.name!r} ({tensor.dtype}) is not known, or TFLM has no such type"
    count = sum(len(body.tensors) for body in bodies(graph))
    if graph.offline_offsets and len(graph.offline_offsets) != count:
        return f"the file's own plan is for {len(graph.offline_offsets)} tensors, it has {count}"
    return ""


def _size(tensor: Tensor) -> int | None:
    """Return the bytes that TFLM allocates: 4 for a resource, one for each element below 8 bits."""
    if tensor.dtype in {"resource", "variant"}:
        return _resource_bytes * (elements_count(tensor.shape) or 0) if tensor.dtype == "resource" else None
    elements, bits = elements_count(tensor.shape), type_bits.get(tensor.dtype)
    return None if elements is None or bits is None else elements * max(bits // 8, 1)


class _Lifetimes:
    """The walk of TFLM's AllocationInfoBuilder: a step for every operator, and one for entering a subgraph."""

    def __init__(self, graph: Graph) -> None:
        self.bodies = bodies(graph)
        self.first: dict[tuple[int, int], int] = {}
        self.last: dict[tuple[int, int], int] = {}
        self.step = 0

    def walk(self, place: int) -> None:
        """Mark the tensors of one subgraph, and of those that its operators run."""
        body = self.bodies[place]
        for index in body.inputs:
            self._create(place, index)
            self._use(place, index)
        for node in body.operators:
            self.step += 1
            for index in node.outputs:
                self._create(place, index)
            if node.type in _calls:
                self._enter(node)
            for index in (*node.inputs, *node.outputs):
                self._use(place, index)
        for index in body.outputs:
            self._create(place, index)
            self._use(place, index)

    def _enter(self, node: Operator) -> None:
        for called in node.subgraphs:
            self.step += 1
            self.walk(called + 1)

    def _create(self, place: int, index: int) -> None:
        if index >= 0:
            self.first.setdefault((place, index), self.step)

    def _use(self, place: int, index: int) -> None:
        if index >= 0:
            self.last[place, index] = self.step


def _walk_length(every: tuple[Body, ...], place: int, known: dict[int, int]) -> int:
    """Return how many marks the walk of a subgraph makes; calls may double it at every level."""
    if place not in known:
        known[place] = sum(
            1
            + len(node.inputs)
            + len(node.outputs)
            + sum(_walk_length(every, called + 1, known) for called in node.subgraphs if node.type in _calls)
            for node in every[place].operators
        )
    return known[place]


def _requests(graph: Graph) -> list[_Request]:
    """Return the buffers in the order in which TFLM adds them: by subgraph, then by tensor."""
    if _walk_length(bodies(graph), 0, {}) > _most_steps:
        raise _TooMuch
    lifetimes = _Lifetimes(graph)
    lifetimes.walk(0)
    requests, number = [], -1
    for place, body in enumerate(lifetimes.bodies):
        # VAR_HANDLE points its output at persistent memory before anything is planned.
        handles = {index for node in body.operators if node.type == "VAR_HANDLE" for index in node.outputs}
        for index, tensor in enumerate(body.tensors):
            number += 1
            wanted = graph.offline_offsets[number] if graph.offline_offsets else -1
            size = _size(tensor) or 0
            if _elsewhere(tensor, wanted) or not size or index in handles:
                continue
            key = (place, index)
            # A tensor that nothing makes or uses keeps TFLM's mark for "not set", -1, at both ends.
            aligned = -(-size // alignment_bytes) * alignment_bytes
            requests.append(
                _Request(place, index, aligned, lifetimes.first.get(key, -1), lifetimes.last.get(key, -1), wanted)
            )
    return requests


def _elsewhere(tensor: Tensor, wanted: int) -> bool:
    """Say whether a tensor lies outside the plan: in flash, or with the variables unless the file places it."""
    return tensor.constant_bytes is not None or (tensor.variable and wanted < 0)


def _place(requests: list[_Request]) -> list[int]:
    """Return the offset of each buffer. Raises _TooMuch where that would take too long."""
    order = sorted(
        range(len(requests)),
        key=lambda index: (0, index, 0) if requests[index].wanted >= 0 else (1, -requests[index].size, -index),
    )
    # Buffers that are placed already, by every step of their lives: those are all that can be in the way.
    steps = max((item.last for item in requests), default=0) + 2
    living: list[list[int]] = [[] for _ in range(steps)]
    offsets = [0] * len(requests)
    work = _most_steps
    for index in order:
        item = requests[index]
        life = range(item.first + 1, item.last + 2)
        near = {other for step in life for other in living[step]}
        work -= len(life) + sum(len(living[step]) for step in life)
        if work < 0:
            raise _TooMuch
        offsets[index] = item.wanted if item.wanted >= 0 else _gap(item.size, near, requests, offsets)
        for step in life:
            living[step].append(index)
    return offsets


def _gap(size: int, near: set[int], requests: list[_Request], offsets: list[int]) -> int:
    """Return the lowest offset with room before the next buffer that lives at the same time."""
    candidate = 0
    for other in sorted(near, key=offsets.__getitem__):
        if offsets[other] - candidate >= size:
            break
        candidate = max(candidate, offsets[other] + requests[other].size)
    return candidate


def _notes(graph: Graph) -> list[str]:
    nodes = [node for body in bodies(graph) for node in body.operators]
    types = {node.type for node in nodes}
    notes = []
    scratch = sorted(types & _own_scratch)
    if scratch:
        notes.append(f"kernels may ask for scratch buffers on top: {', '.join(scratch)}")
    if "VAR_HANDLE" in types:
        notes.append("the state behind VAR_HANDLE lies in the arena's tail, not in this plan")
    if graph.offline_offsets:
        notes.append("the file carries offsets of its own (OfflineMemoryAllocation), which TFLM follows")
    folded = sum(node.type in {"DEQUANTIZE", "DENSIFY"} and _constant_operand(graph, node) for node in graph.operators)
    if folded:
        notes.append(f"constants dequantised at run time: {folded}; TFLM folds nothing, so they count in its plan")
    return notes


def _constant_operand(graph: Graph, node: Operator) -> bool:
    return bool(node.inputs) and node.inputs[0] >= 0 and graph.tensors[node.inputs[0]].constant_bytes is not None
