"""How long a battery lasts as one page without anything from elsewhere: for whoever decides on the battery."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.report.battery_words import ORIGINS, changed, consumers, context, verdict
from edgeprof.report.html.elements import element, joined, table
from edgeprof.report.html.page import page
from edgeprof.report.html.sections import pill, verdict_of

if TYPE_CHECKING:
    from edgeprof.records.battery import BatteryReport
    from edgeprof.report.html.elements import Markup


def battery_page(report: BatteryReport) -> str:
    """Return the page: the answer first, then where the charge goes, what would change it and what it rests on."""
    content = element(
        "article",
        element("h2", f"Battery: {report.subject}"),
        element(
            "section",
            _pill(report),
            element("p", element("strong", verdict(report)), class_="headline"),
            element("p", f"{context(report)}.", class_="quiet"),
            *(_warning(one.text, one.advice) for one in report.warnings),
            class_="verdict",
        ),
        element("h3", "Where the charge goes"),
        table("Mean current at the cell", ("what draws", "mean at the cell", "share"), _rows(consumers(report)),
              numbers=frozenset({1, 2})),
        _what_if(report),
        element("h3", "Can the cell give it?"),
        element("ul", *_findings(report), class_="findings"),
        element("h3", "What this rests on"),
        table("Every input, and who says it", ("input", "who says it", "what changes it"), _assumptions(report),
              numbers=frozenset()),
    )  # fmt: skip
    return page(f"Battery: {report.subject}", content, ())


def cells_page(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return the library of cells as a page."""
    content = table("Cells as their makers state them", head, _rows(rows), numbers=frozenset(range(2, len(head))))
    return page("Cells", element("article", element("h2", "Cells"), content), ())


def _pill(report: BatteryReport) -> Markup:
    """Return the verdict on the cell's ratings, nothing where none of them is known."""
    found = verdict_of(report.findings)
    return joined() if found == "SKIP" else pill(found)


def _rows(rows: list[list[str]]) -> list[tuple[str, ...]]:
    return [tuple(row) for row in rows]


def _what_if(report: BatteryReport) -> Markup:
    if not report.what_if:
        return joined()
    head = ("what if", "life", "range", "most goes to")
    rows = _rows([changed(row) for row in report.what_if])
    drawn = table("Life if one thing were different", head, rows, numbers=frozenset())
    return joined(element("h3", "What would change it"), drawn)


def _findings(report: BatteryReport) -> list[Markup]:
    return [
        element(
            "li", pill(one.verdict), element("div", element("strong", one.limit), " ", one.reason, _source(one.source))
        )
        for one in report.findings
    ]


def _source(source: str) -> str:
    return element("small", source) if source else ""


def _assumptions(report: BatteryReport) -> list[tuple[str, ...]]:
    return [(one.text, ORIGINS[one.origin].lower(), one.option) for one in report.assumptions]


def _warning(text: str, advice: str) -> Markup:
    return element("p", element("strong", "Note: "), text, element("small", advice) if advice else "", class_="warning")
