"""What an integration found, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.printable import printable
from edgeprof.report.columns import Cell, Column, columns, page, wrapped
from edgeprof.report.drawing import drawn
from edgeprof.report.energy_words import (
    HEAD,
    alignment_text,
    bounds_title,
    heading,
    remarks,
    rows_of,
    window_row,
)
from edgeprof.report.escaping import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.energy import EnergyReport
    from edgeprof.report.columns import Page

SHOWN_WINDOWS = 20


@drawn
def render_energy(report: EnergyReport, format_name: str) -> str:
    """Return the report in a format."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
        case "markdown":
            return "\n".join(_markdown(report))
        case "html":
            from edgeprof.report.energy_html import energy_page

            return energy_page(report)
        case _:
            return "\n".join(_table(page(), report))


def _table(paper: Page, report: EnergyReport) -> Iterator[str]:
    yield paper.styled(printable(heading(report)), "bold")
    yield from _hanging(paper, f"alignment: {alignment_text(report)}")
    yield ""
    head = [Column(title, right=place > 0, spare=3 if title == "idle" else 0) for place, title in enumerate(HEAD)]
    yield from columns(paper, head, [window_row(at, w) for at, w in enumerate(report.windows[:SHOWN_WINDOWS], 1)])
    more = len(report.windows) - SHOWN_WINDOWS
    if more > 0:
        yield paper.styled(f"{more} more windows not shown; --format json has all", "dim")
    yield ""
    rows = [
        (row.title, Cell(row.value, "bold"), row.bounds or row.reason, Cell(row.basis, "dim"))
        for row in rows_of(report)
    ]
    titles = [Column(""), Column("median", right=True), Column(bounds_title(report), wrap=True), Column("basis")]
    yield from columns(paper, titles, rows)
    yield ""
    for line in remarks(report):
        yield from _hanging(paper, f"· {line}", "dim")
    for finding in report.findings:
        yield from _hanging(paper, f"! {finding.text}" + (f" → {finding.advice}" if finding.advice else ""))


def _markdown(report: EnergyReport) -> Iterator[str]:
    yield f"### {escape(heading(report))}"
    yield ""
    yield f"Alignment: {escape(alignment_text(report))}"
    yield ""
    yield "| " + " | ".join(HEAD) + " |"
    yield "| ---" + " | ---:" * (len(HEAD) - 1) + " |"
    for at, window in enumerate(report.windows[:SHOWN_WINDOWS], 1):
        yield "| " + " | ".join(escape(cell) for cell in window_row(at, window)) + " |"
    yield ""
    yield f"| metric | median | {bounds_title(report)} | basis | windows |"
    yield "| --- | ---: | --- | --- | ---: |"
    for row in rows_of(report):
        yield f"| {row.title} | {row.value} | {escape(row.bounds or row.reason)} | {row.basis} | {row.samples} |"
    yield ""
    for line in remarks(report):
        yield f"- {escape(line)}"
    for finding in report.findings:
        yield f"\n> **{escape(finding.text)}** {escape(finding.advice)}"


def _hanging(paper: Page, text: str, style: str = "") -> list[str]:
    """Return a paragraph, the lines after the first set in under its text."""
    first, *rest = wrapped(printable(text), paper.width - 2)
    return [paper.styled(line, style) for line in (first, *(f"  {line}" for line in rest))]
