"""What inspect found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.printable import printable
from edgeprof.report.columns import Cell, Column, Page, columns, page, wrapped
from edgeprof.report.drawing import drawn
from edgeprof.report.escaping import csv_text, escape
from edgeprof.report.rows import model_size, row_of
from edgeprof.units import format_bytes, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.inspection import InspectedOperator, Inspection

    Rows = Sequence[tuple[int, InspectedOperator]]

TOP = 40
CURVE_ROWS = 32


@drawn
def render_inspection(inspection: Inspection, format_name: str, *, sort: str = "order", top: int | None = TOP) -> str:
    """Return an inspection in a format; table and Markdown show `top` operators, the others all."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(inspection), indent=1).decode()
        case "csv":
            return _inspection_csv(inspection)
        case "markdown":
            return _inspection_markdown(inspection, sort, top)
        case _:
            return _inspection_table(inspection, sort, top)


def _sorted(inspection: Inspection, sort: str) -> list[tuple[int, InspectedOperator]]:
    """Return the operators with their places, those that a runtime folds before the first inference left out."""
    keys = {
        "macs": lambda row: row.macs_count,
        "parameters": lambda row: row.parameters_count,
        "weights": lambda row: row.weights_bytes,
        "live": lambda row: row.live_bytes,
        "output": lambda row: row.output_bytes,
    }
    rows = [(place, row) for place, row in enumerate(inspection.operators) if not row.folded]
    if sort in keys:
        rows.sort(key=lambda row: -(keys[sort](row[1]) or 0))
    return rows


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _inspection_table(inspection: Inspection, sort: str, top: int | None) -> str:
    paper, model = page(), inspection.model
    lines = [paper.styled(printable(f"{model.name} ({model.format}, {model_size(model)})"), "bold")]
    for title, tensors in (("in ", model.inputs), ("out", model.outputs)):
        for tensor in tensors:
            quantised = f", scale {tensor.scale:g}, zero point {tensor.zero_point}" if tensor.scale is not None else ""
            lines.append(printable(f"  {title} {tensor.name} {tensor.dtype} {_shape(tensor.shape)}{quantised}"))
    lines += ["", *_totals(paper, inspection), ""]
    rows = _sorted(inspection, sort)
    lines += _operators(paper, rows[:top], roofline=any(row.roofline for row in inspection.operators))
    lines += [paper.styled(text, "dim") for text in _left_out(inspection, len(rows), top)]
    lines += ["", *_memory_curve(paper, inspection), ""]
    stored = ", ".join(f"{count} of {kind}" for kind, count in inspection.quantisation.items())
    notes = [f"constants: {stored}" if stored else "the model has no constants", *inspection.arena.notes]
    lines += [paper.styled(line, "dim") for note in notes for line in _hanging(f"· {note}", paper.width)]
    lines += [line for text in inspection.warnings for line in _hanging(f"! {text}", paper.width)]
    return "\n".join(lines)


def _hanging(text: str, width: int) -> list[str]:
    """Return a paragraph, the lines after the first set in under its text."""
    first, *rest = wrapped(printable(text), width - 2)
    return [first, *(f"  {line}" for line in rest)]


def _left_out(inspection: Inspection, shown: int, top: int | None) -> list[str]:
    folded = len(inspection.operators) - shown
    said = [f"{shown - top:,} more operators; --top {shown} shows all"] if top is not None and shown > top else []
    if folded:
        said.append(f"not shown: {folded:,} that a runtime works out once, before the first inference")
    return said


def _totals(paper: Page, inspection: Inspection) -> list[str]:
    rows: list[tuple[str, str, str]] = []
    for name, metric in inspection.metrics.items():
        row = row_of(name, metric)
        rows.append((row.title, row.value, row.reason or metric.method))
    arena = inspection.arena
    for title, value, method, reason in (
        ("Arena, planned", arena.planner_bytes, "TFLM's greedy plan of the arena's head", arena.planner_reason),
        (
            "Arena, recorded",
            arena.recorded_bytes,
            "by TFLM on this 64-bit machine, head and tail",
            arena.recorded_reason,
        ),
    ):
        if inspection.model.format == "tflite":
            rows.append((title, "—" if value is None else format_bytes(value), reason if value is None else method))
    if inspection.intensity is not None:
        note = "2 operations a MAC; activations and weights from memory each time"
        rows.append(("Intensity", f"{inspection.intensity:.2f} op/B", note))
    if inspection.peak is not None:
        rows.append(_roofline(inspection))
    head = (Column(""), Column("", right=True), Column("", wrap=True))
    return columns(paper, head, [(title, value, Cell(note, "dim")) for title, value, note in rows])


def _roofline(inspection: Inspection) -> tuple[str, str, str]:
    peak = inspection.peak
    if peak is None or inspection.bound_s is None or peak.ops_per_s is None or peak.bytes_per_s is None:
        reason = peak.reason if peak is not None and peak.reason else "the sizes of some operators are not known"
        return "Roofline bound", "—", reason
    note = (
        f"no run on {peak.board} can be faster: {peak.ops_per_s / 1e9:,.1f} G op/s ({peak.unit}),"
        f" {peak.bytes_per_s / 1e9:,.1f} GB/s, ridge {peak.ops_per_s / peak.bytes_per_s:.1f} op/B"
    )
    return "Roofline bound", format_duration(inspection.bound_s), note


def _operators(paper: Page, rows: Rows, *, roofline: bool) -> list[str]:
    head = [
        Column("#", right=True),
        Column("type", wrap=True),
        Column("dtype", spare=3),
        Column("output", wrap=True),
        Column("MACs", right=True),
        Column("params", right=True, spare=1),
        Column("weights", right=True, spare=2),
        Column("live", right=True),
        *([Column("bound by")] if roofline else []),
    ]
    cells = [
        (
            str(index),
            row.type,
            row.dtype,
            _shape(row.output_shapes[0]) if row.output_shapes else "—",
            "?" if row.macs_count is None else f"{row.macs_count:,}",
            f"{row.parameters_count:,}",
            format_bytes(row.weights_bytes),
            "?" if row.live_bytes is None else format_bytes(row.live_bytes),
            *((row.roofline.bound if row.roofline else "—",) if roofline else ()),
        )
        for index, row in rows
    ]
    return columns(paper, head, cells)


def _memory_curve(paper: Page, inspection: Inspection) -> list[str]:
    """Return a bar for each operator, or for the largest of several where they are many."""
    peak = inspection.metrics["activations_peak_bytes"].value
    if peak is None:
        return [paper.styled("No memory curve: the sizes of some tensors are not known", "dim")]
    live = [(place, int(row.live_bytes or 0)) for place, row in _sorted(inspection, "order")]
    step = max(1, -(-len(live) // CURVE_ROWS))
    groups = f", a bar the most of {step} operators" if step > 1 else ""
    title = f"Memory alive over operators, peak {format_bytes(peak)} at {inspection.arena.peak_operator}{groups}"
    lines = [paper.styled(line, "bold") for line in _hanging(title, paper.width)] if live else []
    width = min(paper.width - 43, 60)
    for first in range(0, len(live), step):
        index, size = max(live[first : first + step], key=lambda item: item[1])
        bar = "█" * (max(1, round(size / peak * width)) if size else 0)
        kind = printable(inspection.operators[index].type)[:22]
        drawn = paper.styled(bar, "red" if size == peak else "cyan") + " " * (width - len(bar))
        lines.append(f"{index:>6} {kind:<22} {drawn} {format_bytes(size):>10}")
    return lines


def _shape(shape: Sequence[int | None] | None) -> str:
    return "?" if shape is None else "x".join("?" if size is None else str(size) for size in shape) or "scalar"


# ── CSV and Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────


def _inspection_csv(inspection: Inspection) -> str:
    names = ("name", "type", "dtype", "parameters_count", "macs_count", "weights_bytes", "output_bytes", "live_bytes")
    rows = (
        [index, *("" if (value := getattr(row, name)) is None else value for name in names)]
        for index, row in enumerate(inspection.operators)
    )
    return csv_text([("index", *names), *rows])


def _inspection_markdown(inspection: Inspection, sort: str, top: int | None) -> str:
    rows = _sorted(inspection, sort)
    lines = [f"### {escape(inspection.model.name)}", "", "| figure | value | how |", "| --- | ---: | --- |"]
    for name, metric in inspection.metrics.items():
        row = row_of(name, metric)
        lines.append(f"| {row.title} | {row.value} | {escape(row.reason or metric.method)} |")
    lines += ["", "| # | type | output | MACs | parameters | live |", "| ---: | --- | --- | ---: | ---: | ---: |"]
    for index, operator in rows[:top]:
        macs = "?" if operator.macs_count is None else f"{operator.macs_count:,}"
        live = "?" if operator.live_bytes is None else format_bytes(operator.live_bytes)
        shape = _shape(operator.output_shapes[0] if operator.output_shapes else None)
        kind = escape(operator.type)
        lines.append(f"| {index} | {kind} | {shape} | {macs} | {operator.parameters_count:,} | {live} |")
    lines += [f"\n{text}" for text in _left_out(inspection, len(rows), top)]
    lines += [f"\n> {escape(text)}" for text in inspection.warnings]
    return "\n".join(lines)
