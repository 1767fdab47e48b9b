"""Comparisons in a terminal: one table each, or several NEW beside one BASE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.comparing.regression import GATED
from edgeprof.comparing.shown import ratio_text, value_text
from edgeprof.metrics import REGISTRY, metric_kind
from edgeprof.report.comparison_words import (
    have_one_base,
    heading,
    heading_of_all,
    how_sure,
    new_name,
    quality_line,
    scores_line,
    shown_change,
    shown_changes,
    sign_of,
    titles,
)
from edgeprof.report.console import VERDICT_STYLES, captured, text_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edgeprof.records.comparison import Change, Comparison

STYLES = {"better": "green", "worse": "bold red", "same": "dim", "cannot tell": "yellow"}


def render(found: Sequence[Comparison], *, whole: bool) -> str:
    """Return the comparisons as tables."""
    console = text_console()
    if have_one_base(found):
        console.print(Text(heading_of_all(found), style="bold"))
        console.print(_side_by_side(found, whole=whole))
        for one in found:
            console.print(Text(new_name(one), style="bold"))
            _draw_below(console, one, whole=whole)
        return captured(console)
    for one in found:
        console.print(Text(heading(one), style="bold"))
        console.print(_pair(one, whole=whole))
        _draw_below(console, one, whole=whole)
    return captured(console)


def _grid() -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("")
    return table


def _pair(one: Comparison, *, whole: bool) -> Table:
    table = _grid()
    for name in ("base", "new", "change %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("basis", no_wrap=True, style="dim")
    for change in shown_changes(one, whole=whole).rows:
        shown = shown_change(change)
        title = metric_kind(change.metric).title
        said = Text(shown.verdict, style=_style(change))
        table.add_row(title, shown.base, shown.new, shown.ratio.replace(" %", ""), said, change.basis)
    return table


def _side_by_side(found: Sequence[Comparison], *, whole: bool) -> Table:
    table = _grid()
    table.add_column("base", justify="right", no_wrap=True)
    for one in found:
        table.add_column(Text(new_name(one)), justify="right")
    rows = {change.metric for one in found for change in shown_changes(one, whole=whole).rows}
    for name in sorted(rows, key=_weight):
        of_each = [next((c for c in one.changes if c.metric == name), None) for one in found]
        base = next((change.base for change in of_each if change is not None and change.base is not None), None)
        table.add_row(metric_kind(name).title, value_text(name, base), *map(_cell, of_each))
    return table


def _weight(name: str) -> tuple[int, int]:
    return (GATED.index(name) if name in GATED else len(GATED), list(REGISTRY).index(name))


def _cell(change: Change | None) -> Text:
    if change is None:
        return Text("—")
    text = Text(f"{value_text(change.metric, change.new)}  {ratio_text(change.change_ratio)} ")
    return text.append(sign_of(change), style=_style(change))


def _style(change: Change) -> str:
    return STYLES["same" if change.allowed else change.verdict]


def _draw_below(console: Console, one: Comparison, *, whole: bool) -> None:
    """Draw what is the same, what differs besides, the outputs, the findings, and what it all rests on."""
    shown = shown_changes(one, whole=whole)
    if shown.same:
        console.print(Text(f"the same: {titles(shown.same)}", style="dim"))
    if shown.open:
        console.print(Text(f"not told by one run each (--all shows them): {titles(shown.open)}", style="dim"))
    for difference in one.differences:
        console.print(Text(f"! {difference.what} differs: {difference.base} against {difference.new}", style="yellow"))
    for line in (quality_line(one.quality), scores_line(one.quality)) if one.quality is not None else ():
        if line:
            console.print(Text(line))
    for finding in one.findings:
        text = Text(f"{finding.verdict:<13}", style=VERDICT_STYLES[finding.verdict])
        console.print(text.append(f"{finding_title(finding.limit, finding.metric)}: {finding.reason}", style="default"))
    for warned in one.warnings:
        advice = f"\n  → {warned.advice}" if warned.advice else ""
        console.print(Text(f"! {warned.text}{advice}", style="yellow"))
    console.print(Text(how_sure(one), style="dim"))


def finding_title(limit: str, metric: str) -> str:
    """Return what a finding is about: the metric, or the rule where it has none of its own."""
    if limit.startswith("regression/"):
        return metric_kind(metric).title
    return limit.removeprefix("compare/").removeprefix("run/").partition("/")[0].capitalize()
