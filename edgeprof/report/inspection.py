"""What inspect and fit found, as text."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.report.markdown import escape
from edgeprof.report.rows import row_of
from edgeprof.report.table import captured, text_console
from edgeprof.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edgeprof.records.inspection import BoardFit, Fit, InspectedOperator, Inspection

SORTS = ("order", "macs", "parameters", "weights", "live", "output")
CURVE_ROWS = 32
CURVE_WIDTH = 40
VERDICT_STYLES = {"READY": "green", "READY WITH WARNINGS": "yellow", "NOT READY": "bold red", "UNKNOWN": "dim"}


def render_inspection(inspection: Inspection, format_name: str, *, sort: str = "order", top: int | None = None) -> str:
    """Return an inspection in a format."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(inspection), indent=1).decode()
        case "csv":
            return _inspection_csv(inspection)
        case "markdown":
            return _inspection_markdown(inspection, _sorted(inspection.operators, sort, top))
        case _:
            return _inspection_table(inspection, _sorted(inspection.operators, sort, top))


def _sorted(operators: Sequence[InspectedOperator], sort: str, top: int | None) -> list[tuple[int, InspectedOperator]]:
    keys = {
        "macs": lambda row: row.macs_count,
        "parameters": lambda row: row.parameters_count,
        "weights": lambda row: row.weights_bytes,
        "live": lambda row: row.live_bytes,
        "output": lambda row: row.output_bytes,
    }
    rows = list(enumerate(operators))
    if sort in keys:
        rows.sort(key=lambda row: -(keys[sort](row[1]) or 0))
    return rows[:top] if top else rows


def _inspection_table(inspection: Inspection, rows: Sequence[tuple[int, InspectedOperator]]) -> str:
    console = text_console()
    model = inspection.model
    console.print(Text(f"{model.name} ({model.format}, {format_bytes(model.bytes or 0)})", style="bold"))
    for title, tensors in (("in ", model.inputs), ("out", model.outputs)):
        for tensor in tensors:
            quantised = f", scale {tensor.scale:g}, zero point {tensor.zero_point}" if tensor.scale is not None else ""
            console.print(Text(f"  {title} {tensor.name} {tensor.dtype} {_shape(tensor.shape)}{quantised}"))
    console.print(_totals(inspection))
    console.print(_operators(rows, roofline=inspection.peak is not None))
    left = len(inspection.operators) - len(rows)
    if left:
        console.print(Text(f"({left} more operators; --top shows more)", style="dim"))
    _memory_curve(console, inspection)
    if inspection.quantisation:
        stored = ", ".join(f"{count} {kind}" for kind, count in inspection.quantisation.items())
        console.print(Text(f"Constants: {stored}"))
    for warning in inspection.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    return captured(console)


def _totals(inspection: Inspection) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column("")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("")
    for name, metric in inspection.metrics.items():
        row = row_of(name, metric)
        table.add_row(row.title, row.value, Text(row.reason or metric.method, style="dim"))
    arena = inspection.arena
    planned = "TFLM's greedy plan of the arena's head: what fits at least"
    _add_bytes(table, "Arena, planned", arena.planner_bytes, planned, arena.planner_reason)
    recorded = "recorded by TFLM on this machine; a 32-bit board needs less"
    _add_bytes(table, "Arena, recorded", arena.recorded_bytes, recorded, arena.recorded_reason)
    if inspection.intensity is not None:
        note = "operations a byte moved, 2 a MAC, activations and weights from memory each time"
        table.add_row("Intensity", f"{inspection.intensity:.2f} op/B", Text(note, style="dim"))
    if inspection.peak is not None:
        _add_roofline(table, inspection)
    return table


def _add_bytes(table: Table, title: str, value: int | None, method: str, reason: str) -> None:
    table.add_row(
        title, "—" if value is None else format_bytes(value), Text(reason if value is None else method, style="dim")
    )


def _add_roofline(table: Table, inspection: Inspection) -> None:
    peak = inspection.peak
    if peak is None:
        return
    if inspection.bound_s is None or peak.ops_per_s is None or peak.bytes_per_s is None:
        table.add_row("Roofline bound", "—", Text(peak.reason or "some operators' sizes are not known", style="dim"))
        return
    note = (
        f"no run on {peak.board} can be faster: {peak.ops_per_s / 1e9:,.1f} G op/s ({peak.unit}),"
        f" {peak.bytes_per_s / 1e9:,.1f} GB/s, ridge {peak.ops_per_s / peak.bytes_per_s:.0f} op/B"
    )
    table.add_row("Roofline bound", format_duration(inspection.bound_s), Text(note, style="dim"))


def _operators(rows: Sequence[tuple[int, InspectedOperator]], *, roofline: bool) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("type", overflow="fold")
    table.add_column("output", overflow="fold")
    for title in ("MACs", "params", "weights", "live", *(("bound by",) if roofline else ())):
        table.add_column(title, justify="right", no_wrap=True)
    for index, row in rows:
        cells = [
            "?" if row.macs_count is None else f"{row.macs_count:,}",
            f"{row.parameters_count:,}",
            format_bytes(row.weights_bytes),
            "?" if row.live_bytes is None else format_bytes(row.live_bytes),
        ]
        if roofline:
            cells.append(row.roofline.bound if row.roofline else "—")
        shape = Text(f"{row.dtype} {_shape(row.outputs[0] if row.outputs else None)}")
        table.add_row(str(index), Text(row.type + (" (folded)" if row.folded else "")), shape, *cells)
    return table


def _memory_curve(console: Console, inspection: Inspection) -> None:
    live = [row.live_bytes or 0 for row in inspection.operators]
    peak = max(live, default=0)
    if not peak:
        return
    console.print(
        Text(f"Memory alive over operators, peak {format_bytes(peak)} at {inspection.arena.peak_operator}", "bold")
    )
    step = max(1, -(-len(live) // CURVE_ROWS))
    for first in range(0, len(live), step):
        part = live[first : first + step]
        size = max(part)
        index = first + part.index(size)
        bar = "█" * max(1, round(size / peak * CURVE_WIDTH)) if size else ""
        style = "bold red" if size == peak else "cyan"
        line = Text(f"{index:>5} {inspection.operators[index].type[:24]:<24} ")
        line.append(f"{bar:<{CURVE_WIDTH}}", style=style)
        line.append(f" {format_bytes(size)}")
        console.print(line)


def _shape(shape: Sequence[int | None] | None) -> str:
    return "?" if shape is None else "x".join("?" if size is None else str(size) for size in shape) or "scalar"


def _inspection_csv(inspection: Inspection) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = ("name", "type", "dtype", "parameters_count", "macs_count", "weights_bytes", "output_bytes", "live_bytes")
    writer.writerow(("index", *columns))
    for index, row in enumerate(inspection.operators):
        figures = (row.parameters_count, row.macs_count, row.weights_bytes, row.output_bytes, row.live_bytes)
        writer.writerow([index, row.name, row.type, row.dtype, *["" if v is None else v for v in figures]])
    return out.getvalue().rstrip("\n")


def _inspection_markdown(inspection: Inspection, rows: Sequence[tuple[int, InspectedOperator]]) -> str:
    lines = [f"### {escape(inspection.model.name)}", "", "| figure | value | how |", "| --- | ---: | --- |"]
    for name, metric in inspection.metrics.items():
        row = row_of(name, metric)
        lines.append(f"| {row.title} | {row.value} | {escape(row.reason or metric.method)} |")
    lines += ["", "| # | type | output | MACs | parameters | live |", "| ---: | --- | --- | ---: | ---: | ---: |"]
    for index, operator in rows:
        macs = "?" if operator.macs_count is None else f"{operator.macs_count:,}"
        live = "?" if operator.live_bytes is None else format_bytes(operator.live_bytes)
        shape = _shape(operator.outputs[0] if operator.outputs else None)
        kind = escape(operator.type)
        lines.append(f"| {index} | {kind} | {shape} | {macs} | {operator.parameters_count:,} | {live} |")
    return "\n".join(lines)


# ── fit ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def render_fit(fit: Fit, format_name: str) -> str:
    """Return verdicts in a format."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(fit), indent=1).decode()
        case "csv":
            return _fit_csv(fit)
        case "markdown":
            return _fit_markdown(fit)
        case _:
            return _fit_table(fit)


def _fit_table(fit: Fit) -> str:
    console = text_console()
    console.print(Text(f"{fit.model.name} ({format_bytes(fit.model.bytes or 0)}) on {len(fit.boards)} boards", "bold"))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("board", "verdict", "flash", "memory", "why"):
        table.add_column(title, no_wrap=title != "why")
    for board in fit.boards:
        why = "" if board.verdict == "READY" else board.reason
        why += f". Shrink first: {board.shrink}" if board.shrink else ""
        verdict = Text(board.verdict, style=VERDICT_STYLES[board.verdict])
        memory = _used(board, "sram_peak_bytes") or _used(board, "memory_peak_bytes")
        table.add_row(board.board, verdict, _used(board, "flash_bytes"), memory, Text(why))
    console.print(table)
    for assumption in fit.assumptions:
        console.print(Text(f"assumed on microcontrollers: {assumption}", style="dim"))
    return captured(console)


def _used(board: BoardFit, metric: str) -> str:
    finding = next((finding for finding in board.findings if finding.metric == metric), None)
    if finding is None or finding.value is None or finding.threshold is None:
        return ""
    return f"{format_bytes(finding.value)} of {format_bytes(finding.threshold)}"


def _fit_csv(fit: Fit) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("board", "verdict", "metric", "finding", "needs", "has", "reason"))
    for board in fit.boards:
        for finding in board.findings:
            value = "" if finding.value is None else finding.value
            has = "" if finding.threshold is None else finding.threshold
            writer.writerow((board.board, board.verdict, finding.metric, finding.verdict, value, has, finding.reason))
    return out.getvalue().rstrip("\n")


def _fit_markdown(fit: Fit) -> str:
    lines = [f"### {escape(fit.model.name)}", "", "| board | verdict | why |", "| --- | --- | --- |"]
    lines += [f"| {board.board} | {board.verdict} | {escape(board.reason)} |" for board in fit.boards]
    return "\n".join(lines)
