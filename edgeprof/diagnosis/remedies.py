"""What would help, each rule a function from a case to advice with its effect on this model, or to nothing.

Times after a change are bounds, not promises: Amdahl's law (1967) with the largest gain that the part can have. The
share of a part is taken from above, as what the other operators leave of the latency, so that the bound holds although
profilers round each time down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.diagnosis.bound import traffic_bytes
from edgeprof.diagnosis.work import AMDAHL, evidence, is_weighted, many, taken, times
from edgeprof.model.memory import liveness
from edgeprof.records.diagnosis import Advice, Effect
from edgeprof.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edgeprof.diagnosis.work import Case
    from edgeprof.records.result import OperatorTime

WAKE_S = 10e-6
"""Handing a piece of work to another thread and waiting for it takes several microseconds: less cannot gain."""
ROUNDED_S = 1e-6
"""LiteRT's profiler rounds each time down to whole microseconds."""
BATCH = 8
WORTH = 0.02
"""Less than this of the latency is not worth a sentence."""
SHOWN = 3


def operators_advice(case: Case) -> Iterator[Advice]:
    """Name the operators that take half of the time: nothing else can gain more."""
    if not case.rows or not case.latency:
        return
    slowest, summed, total = [], 0.0, sum(map(taken, case.rows))
    for row in sorted(case.rows, key=taken, reverse=True):
        slowest.append(row)
        summed += taken(row)
        if summed >= total / 2:
            break
    most = ", ".join(f"{row.type} {taken(row) / total:.0%}" for row in slowest[:SHOWN])
    left = f" and {len(slowest) - SHOWN} more" if len(slowest) > SHOWN else ""
    yield _timed(
        case, "operators", max(case.latency - _seen(case, slowest), 0.0),
        f"{many(len(slowest), 'operator')} of {len(case.rows)} take about {summed / total:.0%} of the time"
        f" ({most}{left}): all else together can gain about {1 - summed / total:.0%}",
    )  # fmt: skip


def depthwise_advice(case: Case) -> Iterator[Advice]:
    """Compare what a MAC costs in depthwise and in other operators."""
    deep = [(work.took, work.macs_count) for work in case.work if work.depthwise and work.took is not None]
    others = [(work.took, work.macs_count) for work in case.work if not work.depthwise and work.took is not None]
    if not deep or not others or not case.latency:
        return
    deep_took, deep_macs = sum(took for took, _ in deep), sum(macs for _, macs in deep)
    other_took, other_macs = sum(took for took, _ in others), sum(macs for _, macs in others)
    if not other_took or deep_took < WORTH * case.latency or deep_took / deep_macs <= other_took / other_macs:
        return
    ratio = (deep_took / deep_macs) / (other_took / other_macs)
    low = max(case.latency - deep_took - _rounding(case, len(deep)), 0.0)
    yield _timed(
        case, "depthwise", low,
        f"{many(len(deep), 'depthwise operator')} take about {deep_took / case.latency:.0%} of the time for"
        f" {deep_macs / (deep_macs + other_macs):.0%} of the MACs, {times(ratio)[:-1]} times as much a MAC as the"
        f" others: MACs mislead here, and all of it gone gains {times(case.latency / low) if low else 'all'} at most",
    )  # fmt: skip


def threads_advice(case: Case) -> Iterator[Advice]:
    """Bound what more threads gain by the share of the operators that split."""
    cores, threads = _cores(case), case.result.runtime.threads if case.result.runtime else 1
    if case.metric != "latency_p50_s" or not case.latency or not case.rows or cores <= threads:
        return
    alone = sum(taken(row) for row in case.rows if not is_weighted(row))
    split = [taken(row) for row in case.rows if is_weighted(row)]
    low = alone + (case.latency - alone) * threads / cores
    gain, each = case.latency / low, sum(split) / max(len(split), 1)
    size = f"{many(len(split), 'operator')} of {format_duration(each)} on average can be split"
    text = f"--threads {cores} gains at most {times(gain)}, with idle cores: {size}"
    if each < WAKE_S:
        text = f"--threads {cores} is likely to gain nothing: {size}, and waking a thread takes several µs;"
        text += f" {times(gain)} at most"
    yield _timed(case, "threads", low, text)


def delegate_advice(case: Case) -> Iterator[Advice]:
    """Bound what the operators outside the delegate cost."""
    outside = (case.result.runtime.detail if case.result.runtime else {}).get("not_delegated")
    count, nodes = (
        (outside or {}).get("count", 0),
        (case.result.runtime.detail if case.result.runtime else {}).get("nodes"),
    )
    if not count or not nodes:
        return
    types = {str(name).split(" ", maxsplit=1)[0] for name in (outside or {}).get("names", ())}
    rows = [row for row in case.rows if row.type in types]
    named = ", ".join(sorted(types))
    text = f"{count} of {nodes} nodes run outside the delegate ({named})"
    if not rows or not case.latency:
        yield Advice(kind="delegate", text=f"{text}: {count / nodes:.0%} of the nodes", basis="estimated", rule=AMDAHL,
                     evidence=evidence(case))  # fmt: skip
        return
    low = max(case.latency - _seen(case, rows), 0.0)
    share = sum(map(taken, rows)) / case.latency
    gain = f"gains {case.latency / low:.2f}x at most" if low else "can gain all of it"
    yield _timed(case, "delegate", low, f"{text} and take about {share:.1%} of the time: all in one {gain}")


def batch_advice(case: Case) -> Iterator[Advice]:
    """Bound what a batch gains where reading the weights is most of the traffic."""
    moved = [cost for cost in case.costs if not cost.folded]
    weights, traffic = sum(cost.weights_bytes for cost in moved), sum(map(traffic_bytes, moved))
    first = [case.graph.tensors[index].shape for index in case.graph.inputs]
    if case.metric != "latency_p50_s" or not case.latency or not traffic or weights < traffic / 2:
        return
    if not all(shape and shape[0] in {1, None} for shape in first):
        return
    by_bytes = traffic / (weights / BATCH + traffic - weights)
    rate = 1 / case.latency
    yield Advice(
        kind="batch", basis="estimated", rule="the weights are read once a batch; nothing gains more than the batch",
        text=f"weights are {weights / traffic:.0%} of the bytes an inference moves: in batches of {BATCH}"
        f" (--sweep batch=1,{BATCH}) an item moves {times(by_bytes)} less, {BATCH}x the items a second at most;"
        " each answer waits for its batch",
        # no metric counts items: throughput_hz is of inferences, which become longer and fewer
        effects=(Effect(metric="latency_p50_s", now=case.latency, low=case.latency, high=case.latency * BATCH),),
        evidence=evidence(
            case, f"weights read = {weights:,} B of {traffic:,} B",
            f"items a second = {rate:.4g}, in batches {rate * BATCH:.4g} at most",
        ),
    )  # fmt: skip


def memory_advice(case: Case) -> Iterator[Advice]:
    """Name the operator at the peak of the activations, and what shrinking it can gain."""
    alive = liveness(case.graph)
    if alive.peak_operator is None or not alive.lower_bound_bytes:
        return
    rest = [live or 0 for index, live in enumerate(alive.live_bytes) if index != alive.peak_operator]
    second, peak = max(rest, default=0), alive.lower_bound_bytes
    operator = case.graph.operators[alive.peak_operator]
    gain = (
        f"shrinking it alone gains {format_bytes(peak - second)} at most, since another needs {format_bytes(second)}"
        if second < peak
        else f"shrinking it alone gains nothing, for as much is alive at {many(rest.count(peak), 'other operator')}"
    )
    yield Advice(
        kind="memory", basis="computed", rule="most bytes of tensors alive at once, in file order",
        text=f"activations peak at operator {alive.peak_operator} {operator.type} with {format_bytes(peak)}: {gain}",
        effects=(Effect(metric="activations_peak_bytes", now=peak, low=second, high=peak),),
        evidence=(f"next highest = {second:,} B",),
    )  # fmt: skip


# ── what the rules share ─────────────────────────────────────────────────────────────────────────────────────────────


def _timed(case: Case, kind: str, low: float, text: str) -> Advice:
    effects = (Effect(metric=case.metric, now=case.latency or 0.0, low=low),)
    return Advice(kind=kind, text=text, basis="estimated", rule=AMDAHL, effects=effects, evidence=evidence(case))  # type: ignore[arg-type]  # a kind


def _seen(case: Case, rows: Iterable[OperatorTime]) -> float:
    """Return the most that these rows took: each may have been rounded down."""
    counted = list(rows)
    return sum(map(taken, counted)) + _rounding(case, len(counted))


def _rounding(case: Case, count: int) -> float:
    """Return what rounding down can have hidden."""
    rounded = case.result.runtime is not None and "litert" in case.result.runtime.name
    return count * ROUNDED_S if rounded and case.metric == "latency_p50_s" else 0.0


def _cores(case: Case) -> int:
    allowed = len(case.result.plan.cpus)
    cores = case.result.environment.before.get("cores")
    return allowed or (int(cores) if cores else 1)
