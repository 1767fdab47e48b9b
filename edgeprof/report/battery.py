"""How long a battery lasts, as text: one sentence first, then why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.printable import printable
from edgeprof.report.battery_words import ORIGINS, changed, consumers, context, verdict
from edgeprof.report.columns import Cell, Column, columns, page, wrapped
from edgeprof.report.drawing import drawn
from edgeprof.report.escaping import escape
from edgeprof.units import format_charge, format_current

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.battery import BatteryReport
    from edgeprof.report.columns import Page

STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "red", "SKIP": "dim", "INCONCLUSIVE": "yellow"}


@drawn
def render_battery(report: BatteryReport, format_name: str) -> str:
    """Return the report in a format."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
        case "markdown":
            return "\n".join(_markdown(report))
        case "html":
            from edgeprof.report.battery_html import battery_page

            return battery_page(report)
        case _:
            return "\n".join(_table(page(), report))


@drawn
def render_cells(format_name: str) -> str:
    """Return the library of cells."""
    from edgeprof.battery.cells import list_cells

    cells = list_cells()
    if format_name == "json":
        return msgspec.json.format(msgspec.json.encode(cells), indent=1).decode()
    rows = [
        [
            cell.name, cell.chemistry or "", f"{cell.voltage_v:g} V", format_charge(cell.capacity_c),
            _current(cell.rated_a), _current(cell.max_continuous_a), _current(cell.max_pulse_a),
        ]
        for cell in cells
    ]  # fmt: skip
    titles = ("cell", "chemistry", "nominal", "capacity", "rated at", "continuous", "pulse")
    if format_name == "markdown":
        return "\n".join(_markdown_table(titles, rows))
    if format_name == "html":
        from edgeprof.report.battery_html import cells_page

        return cells_page(titles, rows)
    return "\n".join(columns(page(), [Column(title, right=place > 1) for place, title in enumerate(titles)], rows))


def _current(current_a: float | None) -> str:
    return "—" if current_a is None else format_current(current_a)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(paper: Page, report: BatteryReport) -> Iterator[str]:
    for line in wrapped(printable(verdict(report)), paper.width):
        yield paper.styled(line, "bold")
    yield from _hanging(paper, context(report), "dim")
    yield ""
    yield from columns(paper, _titles("what draws", "mean at the cell", "share"), consumers(report))
    if report.what_if:
        yield ""
        head = [*_titles("what if", "life", "range"), Column("most goes to", wrap=True)]
        yield from columns(paper, head, [changed(row) for row in report.what_if])
    yield ""
    yield from columns(
        paper,
        [Column(""), Column("cell", wrap=True), Column("", wrap=True)],
        [(Cell(one.verdict, STYLES[one.verdict]), one.limit, one.reason) for one in report.findings],
    )
    yield ""
    yield paper.styled("What this rests on", "bold")
    for one in report.assumptions:
        yield from _hanging(paper, f"· [{ORIGINS[one.origin]}] {one.text}{_change(one.option)}", "dim")
    for warned in report.warnings:
        yield from _hanging(paper, f"! {warned.text}" + (f" → {warned.advice}" if warned.advice else ""))


def _change(option: str) -> str:
    return f" ({option})" if option else ""


def _titles(*titles: str) -> list[Column]:
    return [Column(title, right=place > 0) for place, title in enumerate(titles)]


def _hanging(paper: Page, text: str, style: str = "") -> list[str]:
    first, *rest = wrapped(printable(text), paper.width - 2)
    return [paper.styled(line, style) for line in (first, *(f"  {line}" for line in rest))]


# ── a page for a pull request, or for whoever decides ────────────────────────────────────────────────────────────────


def _markdown(report: BatteryReport) -> Iterator[str]:
    yield f"### Battery: {escape(report.subject)}"
    yield f"\n**{escape(verdict(report))}**\n"
    yield f"{escape(context(report))}."
    yield "\n#### Where the charge goes\n"
    yield from _markdown_table(("what draws", "mean at the cell", "share"), consumers(report))
    if report.what_if:
        yield "\n#### What would change it\n"
        yield from _markdown_table(
            ("what if", "life", "range", "most goes to"), [changed(row) for row in report.what_if]
        )
    yield "\n#### Can the cell give it?\n"
    rows = [[one.verdict, one.limit, one.reason] for one in report.findings]
    yield from _markdown_table(("verdict", "of the cell", "why"), rows, numbers=False)
    yield "\n#### What this rests on\n"
    for one in report.assumptions:
        yield f"- {'**assumed** ' if one.origin == 'assumed' else ''}{escape(one.text)}{escape(_change(one.option))}"
    for warned in report.warnings:
        yield f"\n> **{escape(warned.text)}** {escape(warned.advice)}"


def _markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> Iterator[str]:
    yield "| " + " | ".join(titles) + " |"
    yield "| ---" + (" | ---:" if numbers else " | ---") * (len(titles) - 1) + " |"
    for row in rows:
        yield "| " + " | ".join(map(escape, row)) + " |"
