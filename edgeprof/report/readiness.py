"""Readiness as text: one line a deployment, and each one's limits and checklist where deployments were named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.report.console import VERDICT_STYLES, captured, text_console
from edgeprof.report.drawing import drawn
from edgeprof.report.escaping import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from edgeprof.records.readiness import Box, Readiness, ReadinessReport

STYLES = {"READY": "green", "READY WITH WARNINGS": "yellow", "NOT READY": "bold red", "UNKNOWN": "yellow"}
MARKS = {"ticked": "[x]", "failed": "[!]", "not measured": "[?]", "open": "[ ]"}
LEGEND = "[x] proven  [!] the evidence is against it  [?] edgeprof can measure it  [ ] yours to tick"


@drawn
def render_readiness(report: ReadinessReport, format_name: str, *, detailed: bool = True) -> str:
    """Return the report in a format; the table and Markdown show the checklists only where `detailed`."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
        case "markdown":
            return "\n".join(_markdown(report, detailed=detailed))
        case _:
            return _table(report, detailed=detailed)


def _table(report: ReadinessReport, *, detailed: bool) -> str:
    console = text_console()
    console.print(Text(_title(report), style="bold"))
    if not detailed:
        console.print(_summary(report.deployments))
        console.print(Text("--for NAME shows the limits and the checklist of one", style="dim"))
        return captured(console)
    for one in report.deployments:
        _draw(console, one)
    console.print(Text(LEGEND, style="dim"))
    return captured(console)


def _title(report: ReadinessReport) -> str:
    where = report.board if report.board == report.target else f"{report.target} ({report.board})"
    return f"{report.model} on {where}{'' if report.status == 'complete' else ' (partial)'}"


def _summary(deployments: Sequence[Readiness]) -> Table:
    table = _blank("for", "verdict", "boxes", "why")
    for one in deployments:
        verdict = Text(one.verdict, style=STYLES[one.verdict])
        table.add_row(one.deployment, verdict, _counted(one.boxes), Text(_worst(one)))
    return table


def _counted(boxes: Sequence[Box]) -> str:
    return f"{sum(box.state == 'ticked' for box in boxes)} of {len(boxes)}"


def _worst(one: Readiness) -> str:
    more = f" (and {len(one.reasons) - 1} more)" if len(one.reasons) > 1 else ""
    return f"{one.reasons[0]}{more}" if one.reasons else "every limit holds"


def _draw(console: Console, one: Readiness) -> None:
    console.print(Text(f"\n{one.deployment}: {one.title}", style="bold"))
    console.print(Text(one.verdict, style=STYLES[one.verdict]))
    for reason in one.reasons:
        console.print(Text(f"  {reason}"))
    limits = _blank("verdict", "limit", "why")
    for finding in one.findings:
        verdict = Text(finding.verdict, style=VERDICT_STYLES[finding.verdict])
        limits.add_row(verdict, Text(finding.limit), Text(finding.reason))
    console.print(limits)
    boxes = _blank("", "box", "evidence", "source")
    for box in one.boxes:
        boxes.add_row(Text(MARKS[box.state]), Text(box.text), Text(box.evidence), Text(box.source, style="dim"))
    console.print(boxes)


def _blank(*titles: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=title in {"verdict", "for", ""}, overflow="fold")
    return table


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _markdown(report: ReadinessReport, *, detailed: bool) -> Iterator[str]:
    yield from (f"### {escape(_title(report))}", "", "| for | verdict | boxes | why |", "| --- | --- | ---: | --- |")
    for one in report.deployments:
        yield f"| {escape(one.title)} | {one.verdict} | {_counted(one.boxes)} | {escape(_worst(one))} |"
    for one in report.deployments if detailed else ():
        yield from ("", f"#### {escape(one.title)}: {one.verdict}", "")
        yield from ("| verdict | limit | why |", "| --- | --- | --- |")
        for finding in one.findings:
            yield f"| {finding.verdict} | {escape(finding.limit)} | {escape(finding.reason)} |"
        yield ""
        for box in one.boxes:
            mark = "x" if box.state == "ticked" else " "
            yield f"- [{mark}] **{escape(box.text)}**: {escape(box.evidence)} ({escape(box.source)})"
