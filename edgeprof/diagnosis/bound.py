"""What binds: memory, arithmetic, or the cost of starting operators, from the measured time against the roofline.

Below the ridge point, the peak over the bandwidth, an operator is memory-bound; above it compute-bound (Williams,
Waterman, Patterson 2009). The bound of a model is the sum over its operators of the larger of the two times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.diagnosis.work import is_weighted, taken
from edgeprof.inspecting import board_peak
from edgeprof.model.cost import OPS_PER_MAC
from edgeprof.records.diagnosis import Advice, Ceilings
from edgeprof.units import format_bytes, format_duration

if TYPE_CHECKING:
    from edgeprof.diagnosis.work import Case
    from edgeprof.model.cost import OperatorCost
    from edgeprof.records.board import Board
    from edgeprof.records.diagnosis import BoundBy
    from edgeprof.records.result import Result

HALF = 0.5
CACHED = 1.1
"""Traffic in more than this of the time that the memory needs for it was not the memory's."""
SMALL_S = 10e-6
"""An operator this short may be mostly its own start."""
IDLE_SHARE = 0.25
"""Of an operator's time: below this its arithmetic and its bytes do not explain it."""
RULE = "roofline: below the ridge point memory-bound, summed over operators (Williams 2009)"


class _Sums(NamedTuple):
    """Seconds that the roofline allows, over all operators, and what they move and compute."""

    bound_s: float | None
    memory_s: float | None
    compute_s: float | None
    memory_part_s: float
    traffic_bytes: int
    operations: int


class _Said(NamedTuple):
    """A verdict and the sentence behind the figures."""

    by: BoundBy
    text: str


def board_ceilings(board: Board | None, result: Result, dtype: str) -> Ceilings:
    """Return what a board's facts say of the unit that ran the model: an accelerator's peak bounds no CPU."""
    if board is None:
        return Ceilings(reason="the board is none that edgeprof has facts of, and it was not calibrated")
    if _on_accelerator(result):
        peak = board_peak(board, dtype)
        return Ceilings(
            ops_per_s=peak.ops_per_s, bytes_per_s=peak.bytes_per_s, unit=peak.unit, source=f"{board.id}.toml",
            reason=peak.reason,
        )  # fmt: skip
    core = board.cores[0] if board.cores else None
    one = core.peak_int8_dense_ops_per_s if core is not None and dtype == "int8" else None
    threads = result.runtime.threads if result.runtime is not None else 1
    ops = one * min(threads, core.count or 1) if one is not None and core is not None else None
    missing = [
        name
        for name, value in (
            (f"a peak of the cores for {dtype}", ops), ("a memory bandwidth", board.memory_bandwidth_bytes_per_s)
        )
        if value is None
    ]  # fmt: skip
    return Ceilings(
        ops_per_s=ops,
        bytes_per_s=board.memory_bandwidth_bytes_per_s,
        unit=core.model if core is not None else "",
        source=f"{board.id}.toml",
        reason=f"no source gives {' or '.join(missing)} of {board.name}" if missing else "",
    )


def bound_advice(case: Case) -> Advice:
    """Return what binds this model there, or why that cannot be told."""
    said, sums = _judged(case), _sums(case)
    evidence = [f"{OPS_PER_MAC} x MACs = {sums.operations:,}", f"bytes moved = {sums.traffic_bytes:,}"]
    if case.latency is not None:
        evidence.append(f"{case.metric} = {case.latency:g}")
    if case.rows_reason:
        evidence.append(case.rows_reason)
    if case.ceilings.source:
        ops, bandwidth = case.ceilings.ops_per_s, case.ceilings.bytes_per_s
        told = [f"{ops:.3g} op/s" if ops else "", f"{bandwidth:.3g} B/s" if bandwidth else ""]
        evidence.append(f"ceilings = {', '.join(filter(None, told)) or 'none'} ({case.ceilings.source})")
    return Advice(
        kind="bound", text=said.text, basis="estimated", rule=RULE, evidence=tuple(evidence), bound_by=said.by
    )


def _judged(case: Case) -> _Said:
    sums, latency = _sums(case), case.latency
    if latency is None or case.metric != "latency_p50_s":
        return _Said("unknown", "memory- or compute-bound cannot be told: this run has no time, only counts")
    at = f"it moves {format_bytes(sums.traffic_bytes / latency)}/s and computes {sums.operations / latency / 1e9:.3g}"
    at += f" GOP/s in {format_duration(latency)}"
    if sums.memory_s is None and sums.compute_s is None:
        return _Said("unknown", f"memory- or compute-bound cannot be told: {case.ceilings.reason}; {at}")
    if sums.memory_s is not None and sums.memory_s > CACHED * latency:
        return _Said(*_cached(case, sums, latency, at))
    return _half_known(case, sums, latency, at) if sums.bound_s is None else _placed(case, sums, latency, at)


def _placed(case: Case, sums: _Sums, latency: float, at: str) -> _Said:
    """Say on which side of the ridge the time goes, where both ceilings are known."""
    share = (sums.bound_s or 0.0) / latency
    if share > CACHED:
        return _Said("unknown", f"faster than the roofline allows ({share:.0%}): caches or fused operators; {at}")
    if share >= HALF:
        by: BoundBy = "memory" if sums.memory_part_s > HALF * (sums.bound_s or 0.0) else "compute"
        return _Said(by, f"{by}-bound: the roofline explains {share:.0%} of the time; {at}")
    return _below(case, share, at)


def _cached(case: Case, sums: _Sums, latency: float, at: str) -> tuple[BoundBy, str]:
    """Say that the bytes come from a cache; whether arithmetic binds is left."""
    bandwidth = case.ceilings.bytes_per_s or 0
    seen = f"{at}, more than the {format_bytes(bandwidth)}/s of that memory, so its bytes stay in a cache"
    share = sums.compute_s / latency if sums.compute_s is not None else None
    if share is not None and share >= HALF:
        return "compute", f"compute-bound: the peak explains {share:.0%} of the time; {seen}"
    told = f", and arithmetic explains {share:.0%} of the time" if share is not None else ""
    return "unknown", f"not bound by memory: {seen}{told}"


def _half_known(case: Case, sums: _Sums, latency: float, at: str) -> _Said:
    """Judge by the one ceiling that is known: it can say what binds, else only what does not."""
    by: BoundBy = "memory" if sums.memory_s is not None else "compute"
    share = (sums.memory_s if sums.memory_s is not None else sums.compute_s or 0) / latency
    if share >= HALF:
        return _Said(by, f"{by}-bound: that alone explains {share:.0%} of the time; {at}")
    return _Said(
        "unknown", f"not {by}-bound: that explains {share:.0%} of the time; what else cannot be told:"
        f" {case.ceilings.reason}",
    )  # fmt: skip


def _below(case: Case, share: float, at: str) -> _Said:
    """Tell the cost of starting operators from kernels that do not reach the roofline."""
    if case.latency is None:
        return _Said("unknown", at)
    short = f"the roofline explains {share:.0%} of the time"
    if not case.rows:
        each = format_duration(case.latency / max(len(case.graph.operators), 1))
        return _Said("unknown", f"neither memory nor arithmetic binds: {short}, {each} an operator; {case.rows_reason}")
    timed = [(work.took, _bound_s(work.cost, case.ceilings)) for work in case.work if work.took is not None]
    timed += [(taken(row), 0.0) for row in case.rows if not is_weighted(row)]
    small = [took for took, bound_s in timed if took < SMALL_S and bound_s < IDLE_SHARE * took]
    outside = max(0.0, case.latency - sum(map(taken, case.rows)))
    overhead = (sum(small) + outside) / case.latency
    if overhead >= HALF:
        return _Said(
            "overhead",
            f"overhead-bound: {short}, and {overhead:.0%} goes to {len(small)} operators of less than"
            f" {format_duration(SMALL_S)} and to what is between operators; fewer and larger operators would help",
        )
    return _Said("kernels", f"neither memory nor arithmetic binds: {short}, so the kernels leave the rest; {at}")


def _sums(case: Case) -> _Sums:
    moved = [cost for cost in case.costs if not cost.folded]
    macs = [cost.macs_count or 0 for cost in moved]
    ops, bandwidth = case.ceilings.ops_per_s, case.ceilings.bytes_per_s
    traffic, operations = sum(map(traffic_bytes, moved)), OPS_PER_MAC * sum(macs)
    memory_s = traffic / bandwidth if bandwidth else None
    compute_s = operations / ops if ops else None
    pairs = [(traffic_bytes(c) / bandwidth, OPS_PER_MAC * (c.macs_count or 0) / ops) for c in moved] if (
        ops and bandwidth
    ) else []  # fmt: skip
    return _Sums(
        bound_s=sum(max(pair) for pair in pairs) if pairs else None,
        memory_s=memory_s,
        compute_s=compute_s,
        memory_part_s=sum(memory for memory, compute in pairs if memory > compute),
        traffic_bytes=traffic,
        operations=operations,
    )


def traffic_bytes(cost: OperatorCost) -> int:
    """Return what an operator reads and writes at least: weights and activations once; unknown sizes as none."""
    return (cost.input_bytes or 0) + (cost.output_bytes or 0) + cost.weights_bytes


def _bound_s(cost: OperatorCost, ceilings: Ceilings) -> float:
    compute = OPS_PER_MAC * (cost.macs_count or 0) / ceilings.ops_per_s if ceilings.ops_per_s else 0.0
    memory = traffic_bytes(cost) / ceilings.bytes_per_s if ceilings.bytes_per_s else 0.0
    return max(compute, memory)


def _on_accelerator(result: Result) -> bool:
    """Say whether something else than the cores ran at least part of the model."""
    detail = result.runtime.detail if result.runtime is not None else {}
    names = [str(one.get("name", "")) for one in detail.get("delegates", ()) if isinstance(one, dict)]
    others = [name for name in names if name != "xnnpack"]
    return bool(others) or any(name != "CPUExecutionProvider" for name in detail.get("providers", ()))
