"""What a result holds of its model's operators: memory over them, and the roofline. Pure: a Graph's inspection to JSON.

Roofline: attainable = min(peak, intensity * bandwidth), intensity = 2 * MACs / bytes moved; an operator left of the
ridge (peak / bandwidth) is memory-bound (Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from edgeprof.model.cost import OPS_PER_MAC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.board import Board
    from edgeprof.records.inspection import InspectedOperator, Inspection
    from edgeprof.records.result import OperatorTime

MOST_OPERATORS = 500
NO_BOARD = "no board is named whose peak and memory bandwidth are known: --board names one"
PEAK_FIELDS = ("peak_", "memory_bandwidth")


def operator_facts(
    inspection: Inspection, timed: Sequence[OperatorTime] = (), board: Board | None = None
) -> dict[str, Any]:
    """Return `{"memory_curve": …, "roofline": …}` for a result's breakdowns; empty for a model without operators."""
    if not inspection.operators:
        return {}
    return {"memory_curve": memory_curve(inspection), "roofline": roofline(inspection, timed, board)}


def memory_curve(inspection: Inspection) -> dict[str, Any]:
    """Return what is alive in bytes at each operator in order of execution, and where it is most.

    `operators` are `{index, name, type, live_bytes}`, `peak` is one of them or null with `reason`; above 500 operators
    each stands for the largest of `stride` neighbours.
    """
    rows = [
        {"index": index, "name": row.name, "type": row.type, "live_bytes": row.live_bytes}
        for index, row in enumerate(inspection.operators)
        if not row.folded
    ]
    unknown = sum(row["live_bytes"] is None for row in rows)
    if unknown or not rows:
        reason = f"the sizes of {unknown} operators are not known" if unknown else "every operator is worked out once"
        return {"operators": [], "peak": None, "reason": reason, "operators_count": len(rows), "stride": 1}
    stride = _stride(len(rows))
    kept = [max(rows[at : at + stride], key=_live) for at in range(0, len(rows), stride)]
    return {"operators": kept, "peak": max(rows, key=_live), "operators_count": len(rows), "stride": stride}


def _live(row: dict[str, Any]) -> int:
    return int(row["live_bytes"])


def _stride(count: int) -> int:
    return max(1, -(-count // MOST_OPERATORS))


def roofline(inspection: Inspection, timed: Sequence[OperatorTime] = (), board: Board | None = None) -> dict[str, Any]:
    """Return peak, bandwidth, ridge and a point an operator; without a peak or a bandwidth, why, and the points alone.

    A point has `macs_count`, `moved_bytes`, `intensity` (operations a byte), `bound` and `bound_s` where there is a
    roof, and `time_s` where one operator of the result is surely the same. `sources` say where the roof is from.
    Operators that multiply nothing have no intensity and are counted in `without_macs_count`.
    """
    seconds = _times(inspection, timed)
    points = [
        point
        for index, row in enumerate(inspection.operators)
        if (point := _point(index, row, seconds.get(index))) is not None
    ]
    live = [row for row in inspection.operators if not row.folded]
    points.sort(key=lambda point: -(point["time_s"] or point["bound_s"] or 0.0))
    peak = inspection.peak
    roof = peak is not None and peak.ops_per_s is not None and peak.bytes_per_s is not None
    return {
        "board": peak.board if peak else None,
        "unit": peak.unit if peak else None,
        "peak_ops_per_s": peak.ops_per_s if peak else None,
        "bandwidth_bytes_per_s": peak.bytes_per_s if peak else None,
        "ridge": peak.ops_per_s / peak.bytes_per_s
        if roof and peak is not None and peak.ops_per_s and peak.bytes_per_s
        else None,
        "reason": "" if roof else (peak.reason if peak else NO_BOARD),
        "sources": _sources(board) if roof and board else [],
        "points": points[:MOST_OPERATORS],
        "points_count": len(points),
        "without_macs_count": len(live) - len(points),
    }


def _point(index: int, row: InspectedOperator, time_s: float | None) -> dict[str, Any] | None:
    if row.folded or not row.macs_count or row.input_bytes is None or row.output_bytes is None:
        return None
    moved = row.input_bytes + row.output_bytes + row.weights_bytes
    if not moved:
        return None
    return {
        "index": index,
        "name": row.name,
        "type": row.type,
        "macs_count": row.macs_count,
        "moved_bytes": moved,
        "intensity": OPS_PER_MAC * row.macs_count / moved,
        "bound": row.roofline.bound if row.roofline else None,
        "bound_s": row.roofline.bound_s if row.roofline else None,
        "time_s": time_s,
    }


def _times(inspection: Inspection, timed: Sequence[OperatorTime]) -> dict[int, float]:
    """Return seconds by an operator's place, where name and type, or a name that is there once, say which it is.

    Runtimes that fuse operators or name them after kernels leave theirs without a time.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(inspection.operators):
        places[row.name].append(index)
    named: dict[str, list[OperatorTime]] = defaultdict(list)
    for one in timed:
        named[one.name].append(one)
    return {
        places[name][0]: rows[0].time_s
        for name, rows in named.items()
        if len(rows) == 1 and rows[0].time_s is not None and len(places[name]) == 1
    }


def _sources(board: Board) -> list[str]:
    return [
        f"{fact.field} = {fact.value}: {fact.source}"
        for fact in board.sources
        if any(word in fact.field for word in PEAK_FIELDS)
    ]
