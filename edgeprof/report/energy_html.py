"""What an integration found as one page without anything from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.report.energy_words import HEAD, alignment_text, bounds_title, heading, remarks, rows_of, window_row
from edgeprof.report.html.elements import element, joined, table
from edgeprof.report.html.page import page

if TYPE_CHECKING:
    from edgeprof.records.energy import EnergyReport
    from edgeprof.report.html.elements import Markup


def energy_page(report: EnergyReport) -> str:
    """Return the page: the metrics first, then every window, and what makes them less certain."""
    metrics = [(row.title, row.value, row.bounds or row.reason, row.basis, str(row.samples)) for row in rows_of(report)]
    windows = [tuple(window_row(number, window)) for number, window in enumerate(report.windows, 1)]
    content = element(
        "article",
        element("h2", f"Energy: {report.trace.source}"),
        element("p", heading(report), class_="quiet"),
        element("p", f"Alignment: {alignment_text(report)}", class_="quiet"),
        table("Over the windows", ("metric", "median", bounds_title(report), "basis", "windows"), metrics,
              numbers=frozenset({1, 4})),
        *(_warning(one.text, one.advice) for one in report.findings),
        element("h3", "Windows"),
        table("Each window on the recording's clock", HEAD, windows, numbers=frozenset(range(1, len(HEAD)))),
        element("h3", "How it was reckoned"),
        element("ul", *(element("li", line) for line in remarks(report))),
    )  # fmt: skip
    return page(f"Energy: {report.trace.source}", content, ())


def _warning(text: str, advice: str) -> Markup:
    said = joined(element("strong", "Note: "), text, element("small", advice) if advice else "")
    return element("p", said, class_="warning")
