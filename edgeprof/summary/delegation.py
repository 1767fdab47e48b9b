"""What a provider or a delegate that was named took of the model, and what to do where that is not all of it. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from edgeprof.records.result import Metric, Warned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgeprof.records.events import Json
    from edgeprof.records.inspection import InspectedOperator
    from edgeprof.records.result import Measurement, PassMeasurement, Plan

METRIC = "delegated_ratio"
CPU = "CPUExecutionProvider"
OWN_KERNELS = frozenset({"", "none"})
"""The delegates that name nobody."""
NOTE_ADVICE = {
    "cpu-fallback": "these are figures of the CPU: check that the delegate or provider supports the model's operators"
    " and types, and that its driver is there (edgeprof doctor --target TARGET)",
    "partial-delegation": "each change between the two copies tensors: replace or quantise the named operators, or"
    " compare with --delegate none",
    "provider-missing": "install the onnxruntime build that has it, with the driver that it needs",
    "provider-unused": "leave it out of --provider, or check that it supports the model's operators and types",
    "delegation-unknown": "a newer runtime tells; compare with --delegate none or --provider cpu",
}
"""Notes on who ran the model: warnings with advice, said once however many passes say them."""
SILENT = frozenset({"memory", "operators", "pair"})
"""Passes that need not tell who ran the model, since telling would disturb what they measure."""


def accelerators(delegate: str, providers: Sequence[str]) -> tuple[str, ...]:
    """Return who was named to take nodes from the CPU, the preferred one first."""
    return (*(() if delegate in OWN_KERNELS else (delegate,)), *(name for name in providers if name != CPU))


def delegation_warnings(measurement: Measurement) -> Iterator[Warned]:
    """Yield what passes note of who ran the model, with how many of them do where it is not all."""
    telling = [measured for measured in measurement.passes if _tells(measured)]
    said = dict.fromkeys(note for measured in measurement.passes for note in measured.notes)
    for code, text in said:
        if code in NOTE_ADVICE:
            count = sum((code, text) in measured.notes for measured in telling)
            part = f" (in {count} of {len(telling)} passes)" if 0 < count < len(telling) else ""
            yield Warned(code=code, text=f"{text}{part}", advice=NOTE_ADVICE[code])


def delegation_metrics(measurement: Measurement, plan: Plan) -> dict[str, Metric]:
    """Return the share of the nodes that those took that were named, of the pass where it is least; else nothing."""
    named = accelerators(plan.delegate, plan.providers)
    telling = [measured.detail.get("asked") for measured in measurement.passes if _tells(measured)]
    if not named or not telling:
        return {}
    shares = [_share(asked) for asked in telling]
    if any(share is None for share in shares):
        reason = "the runtime does not tell how many of the nodes ran where"
        return {METRIC: Metric(value=None, basis="computed", count=None, method=_method(named), reason=reason)}
    least = min((share for share in shares if share is not None), key=lambda share: share[0])
    return {METRIC: Metric(value=least[0], basis="computed", count=least[1], method=_method(named))}


def delegated_macs(operators: Sequence[InspectedOperator], detail: Mapping[str, Json]) -> dict[str, Json]:
    """Return `{"delegation": {"macs_ratio": …}}` of what was taken in part, where each node that was left is known."""
    left = (detail.get("asked") or {}).get("left") or {}
    names = list(left.get("names", ()))
    if not names or len(names) < left["count"] or not detail["asked"]["taken"]:
        return {}
    counts = Counter(f"{row.type} {row.name}" for row in operators)
    macs = {f"{row.type} {row.name}": row.macs_count for row in operators}
    total = sum(row.macs_count or 0 for row in operators)
    if not total or any(counts[name] != 1 for name in names) or None in macs.values():
        return {}
    return {"delegation": {"macs_ratio": 1 - sum(macs[name] or 0 for name in names) / total}}


def _tells(measured: PassMeasurement) -> bool:
    return bool(measured.runtime) and measured.kind not in SILENT


def _share(asked: Any) -> tuple[float, int | None] | None:  # noqa: ANN401  what the agent says as JSON
    """Return the share and the count of nodes; nothing was taken of a graph however many nodes it has."""
    if not isinstance(asked, dict) or "taken" not in asked:
        return None
    nodes = asked.get("nodes")
    if not asked["taken"]:
        return 0.0, nodes
    return (asked["taken"] / nodes, nodes) if nodes else None


def _method(named: Sequence[str]) -> str:
    return f"nodes of the graph that {' and '.join(named)} took, as the runtime tells"
