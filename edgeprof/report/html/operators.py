"""The model's operators as charts: their times, the memory over them, and where each is under the roof."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeprof.report.html.charts import Axis, Chart, Drawing, NoChart, axis, on
from edgeprof.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import OperatorTime, Result

TIMES, MEMORY, ROOFLINE = "Operators", "Memory over operators", "Roofline"
MOST_BARS, MOST_ROWS = 24, 200
GIGA = 1e9


def operator_charts(result: Result, facts: dict[str, Any]) -> Iterator[Drawing]:
    """Yield times, memory and roofline; `facts` as `operator_facts` gives them, where the result has none."""
    yield _times(result.operators)
    yield _memory(result.breakdowns.get("memory_curve") or facts.get("memory_curve"))
    yield _roofline(result.breakdowns.get("roofline") or facts.get("roofline"))


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _times(operators: Sequence[OperatorTime]) -> Drawing:
    if not operators:
        return NoChart(TIMES, "single operators were not timed: --per-op times them")
    counted = operators[0].time_s is None
    slowest = sorted(enumerate(operators), key=lambda row: -row[1].share_ratio)
    shown = slowest[:MOST_BARS]
    taken = [_taken(row) for _, row in shown]
    x = Axis("instructions an inference") if counted else axis("time_s", "time an inference", max(taken))
    bars = [
        (f"{place} {row.name}", value, row.type, f"{row.share_ratio * 100:.1f} %")
        for (place, row), value in zip(shown, on(x, taken), strict=True)
    ]
    first = slowest[0][1]
    rows = [
        (str(place), row.name, row.type, _said(row), f"{row.share_ratio * 100:.1f} %", f"{row.calls:,}")
        for place, row in slowest[:MOST_ROWS]
    ]
    left = "".join(
        f" {what} shows the slowest {most} of {len(operators):,}."
        for what, most in (("The chart", MOST_BARS), ("The table", MOST_ROWS))
        if len(operators) > most
    )
    return Chart(
        "bars", TIMES, f"{first.name} takes most, {first.share_ratio * 100:.1f} % of the sum of all operators.", x,
        Axis("operator"), {"bars": bars}, len(bars),
        ("#", "operator", "type", x.label, "share", "calls"), rows,
        note=f"Timed in a pass of their own: the sum is not the latency.{left}",
    )  # fmt: skip


def _taken(row: OperatorTime) -> float:
    return row.time_s if row.time_s is not None else float(row.instructions_count or 0)


def _said(row: OperatorTime) -> str:
    return format_duration(row.time_s) if row.time_s is not None else f"{row.instructions_count or 0:,}"


# ── memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _memory(curve: dict[str, Any] | None) -> Drawing:
    if curve is None:
        return NoChart(MEMORY, "the result does not hold it: the model's file is not here")
    if curve["peak"] is None:
        return NoChart(MEMORY, str(curve["reason"]))
    peak, operators = curve["peak"], curve["operators"]
    y = axis("live_bytes", "activations alive", peak["live_bytes"])
    live = on(y, [row["live_bytes"] for row in operators])
    steps = [(row["index"], value, f"{row['index']} {row['name']}") for row, value in zip(operators, live, strict=True)]
    rows = [(str(row["index"]), row["name"], row["type"], format_bytes(row["live_bytes"])) for row in operators]
    stride = curve["stride"]
    name, most = f"{peak['index']} {peak['name']}", format_bytes(peak["live_bytes"])
    others = sum(row["live_bytes"] == peak["live_bytes"] for row in operators) - 1
    same = f" As much is alive at {others} others." if others > 0 else ""
    return Chart(
        "steps", MEMORY, f"The peak is {most}, at operator {name} ({peak['type']}).{same}",
        Axis("operator, in order of execution"), y,
        {"steps": steps, "stride": stride,
         "peak": (peak["index"], on(y, [peak["live_bytes"]])[0], f"peak {most} at {name}")},
        len(steps),
        ("#", "operator", "type", "alive"), rows[:MOST_ROWS],
        note="Computed from the model's file: inputs, outputs and what is needed later; no runtime's own memory."
        + (f" Each step is the largest of {stride} operators." if stride > 1 else "")
        + (f" The table shows the first {MOST_ROWS}." if len(rows) > MOST_ROWS else ""),
    )  # fmt: skip


# ── roofline ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _roofline(found: dict[str, Any] | None) -> Drawing:
    if found is None:
        return NoChart(ROOFLINE, "the result does not hold it: the model's file is not here")
    if found["reason"] or not found["points"]:
        return NoChart(ROOFLINE, found["reason"] or "no operator multiplies anything")
    ridge, peak, bandwidth = found["ridge"], found["peak_ops_per_s"], found["bandwidth_bytes_per_s"]
    points = [
        (
            float(f"{point['intensity']:.6g}"),
            float(f"{2 * point['macs_count'] / (point['time_s'] or point['bound_s']) / GIGA:.6g}"),
            point["bound"],
            point["time_s"] is not None,
            f"{point['index']} {point['name']}",
        )
        for point in found["points"]
    ]
    timed = sum(point[3] for point in points)
    bound = sum(point["bound"] == "memory" for point in found["points"])
    unseen = found["without_macs_count"]
    return Chart(
        "roofline", ROOFLINE,
        f"{bound} of {len(points)} operators are memory-bound: left of the ridge at {ridge:.3g} operations a byte.",
        Axis("arithmetic intensity", "op/B", log=True), Axis("performance", "Gop/s", log=True),
        {"points": points, "ridge": ridge, "peak": peak / GIGA, "bandwidth": bandwidth / GIGA}, len(points),
        ("operator", "type", "MACs", "bytes moved", "op/B", "bound by", "at least", "time"),
        [_point_row(point) for point in found["points"][:MOST_ROWS]],
        note=f"Roof of {found['unit']} on {found['board']}: {peak / GIGA:,g} Gop/s, {bandwidth / GIGA:,g} GB/s; the run"
        " may have used another unit. A MAC is 2 operations, weights and activations move once."
        f" {_timed_note(timed, len(points))}"
        + (f" {unseen} operators that multiply nothing are not drawn." if unseen else ""),
        sources=tuple(found["sources"]),
    )  # fmt: skip


def _timed_note(timed: int, count: int) -> str:
    if timed == count:
        return "All are where the run timed them."
    where = "on the roof, their bound: no time of the run is theirs alone"
    return f"{timed} are where the run timed them, the others (hollow) {where}." if timed else f"All are {where}."


def _point_row(point: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{point['index']} {point['name']}",
        point["type"],
        f"{point['macs_count']:,}",
        format_bytes(point["moved_bytes"]),
        f"{point['intensity']:.3g}",
        point["bound"],
        format_duration(point["bound_s"]),
        "—" if point["time_s"] is None else format_duration(point["time_s"]),
    )
