"""Kept results as text: lists, the best, and a drawn trend with its steps marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.metrics import metric_kind
from edgeprof.report.console import captured, text_console
from edgeprof.report.drawing import drawn
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.history.change_points import Step
    from edgeprof.history.keeping import Entry, Point

BAR_CELLS = 40


@drawn
def render_entries(entries: Sequence[Entry], shown: Sequence[str], format_name: str, *, chosen: bool = False) -> str:
    """Return kept results with some of their figures; `chosen`: of all that are kept, those that options name."""
    if format_name == "json":
        return _json([entry._asdict() for entry in entries])
    if not entries:
        return "no kept result is like that" if chosen else "no result has been kept yet"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("id", no_wrap=True)
    for name in ("model", "target", "runtime", "tag"):
        table.add_column(name, overflow="fold", min_width=10 if name != "tag" else None)
    shown = [name for name in shown if any(name in entry.values for entry in entries)]
    for name in shown:
        table.add_column(metric_kind(name).title.replace(" ", "\n", 1), justify="right", no_wrap=True)
    for entry in entries:
        figures = [format_value(name, entry.values[name]) if name in entry.values else "—" for name in shown]
        mark = "" if entry.status == "complete" else " (partial)"
        words = (entry.id.partition("-")[0], entry.model + mark, entry.target, _short(entry.runtime), entry.tag or "")
        table.add_row(*(Text(word) for word in words), *figures)
    return _drawn(table)


@drawn
def render_trend(metric: str, points: Sequence[Point], found: Sequence[Step], format_name: str) -> str:
    """Return one metric over time: a line a result, a bar from 0, and the steps."""
    by_place = {step.at: step for step in found}
    if format_name == "json":
        whole = {
            "metric": metric,
            "points": [point._asdict() for point in points],
            "steps": [{"id": points[step.at].id, "change_ratio": step.change_ratio} for step in found],
        }
        return _json(whole)
    if not points:
        return f"no kept result has {metric}"
    table = Table(
        title=metric_kind(metric).title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column("when", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("tag", overflow="fold")
    highest = max(point.value for point in points)
    for at, point in enumerate(points):
        step = by_place.get(at)
        if step is not None:
            style = "red" if (step.change_ratio > 0) == (metric_kind(metric).better == "less") else "green"
            table.add_row("", "", Text(f"── step {step.change_ratio * 100:+.1f} % ──", style=style), "")
        bar = "█" * max(1, round(BAR_CELLS * point.value / highest)) if highest > 0 else ""
        table.add_row(point.created[:19], format_value(metric, point.value), bar, Text(point.tag or ""))
    return _drawn(table)


def _short(runtime: str) -> str:
    """Return a runtime without how it was built, which fills lines."""
    name, _, built = runtime.partition(", ")
    return f"{name}, …" if built else name


def _drawn(table: Table) -> str:
    console = text_console()
    console.print(table)
    return captured(console)


def _json(whole: object) -> str:
    return msgspec.json.format(msgspec.json.encode(whole), indent=1).decode()
