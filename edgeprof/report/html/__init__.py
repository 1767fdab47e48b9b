"""HTML: one self-contained page of results that asks no network, draws its charts itself and prints.

All text is escaped where it is put in; scripts and styles run by their digests alone (Content Security Policy), so a
name from a model or a board runs nothing. Observable Plot and D3 (ISC) draw the charts as SVG, which prints sharply and
takes its colours from the page.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from edgeprof.report.html.charts import Chart, Drawing, NoChart
from edgeprof.report.html.elements import Markup, element, joined, table
from edgeprof.report.html.latency import latency_charts
from edgeprof.report.html.operators import operator_charts
from edgeprof.report.html.overtime import over_time_charts
from edgeprof.report.html.page import page
from edgeprof.report.html.sections import environment, latency_table, provenance, resting, side_by_side, verdict
from edgeprof.report.rows import heading, simulation_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.inspection import Inspection
    from edgeprof.records.result import Result

MOST_POINTS, MOST_POINTS_EACH, FEWEST_POINTS_EACH = 6_000, 2_000, 300
"""Drawn of all curves of a kind over all results, and of one result: a page of many results stays quick."""


def render(results: Sequence[Result], inspections: Sequence[Inspection | None] | None = None) -> str:
    """Return the page; `inspections`, one a result, give memory and roofline to results that do not hold them."""
    known = inspections or [None] * len(results)
    most = max(FEWEST_POINTS_EACH, min(MOST_POINTS_EACH, MOST_POINTS // max(1, len(results))))
    charts: list[dict[str, Any]] = []
    articles = [
        _article(result, number, _drawings(result, inspection, most), charts)
        for number, (result, inspection) in enumerate(zip(results, known, strict=True), 1)
    ]
    anchors = [f"result-{number}" for number in range(1, len(results) + 1)]
    several = len(results) > 1
    overview = element("section", side_by_side(results, anchors), class_="overview") if several else Markup("")
    title = f"{len(results)} results" if several else heading(results[0]) if results else "no results"
    return page(title, joined(overview, *articles), charts)


def _drawings(result: Result, inspection: Inspection | None, most: int) -> list[Drawing]:
    facts: dict[str, Any] = {}
    if inspection is not None:
        from edgeprof.summary.operators import operator_facts

        facts = operator_facts(inspection, result.operators)
    return list(chain(latency_charts(result, most), operator_charts(result, facts), over_time_charts(result, most)))


def _article(result: Result, number: int, drawings: Sequence[Drawing], charts: list[dict[str, Any]]) -> Markup:
    """Return the sections of a result; what its charts are drawn from is added to `charts`."""
    anchor = f"result-{number}"
    drawn = [one for one in drawings if isinstance(one, Chart)]
    figures = [_figure(chart, f"{anchor}-{at}", charts) for at, chart in enumerate(drawn)]
    missing = [one for one in drawings if isinstance(one, NoChart)]
    return element(
        "article",
        element("h2", heading(result), id=f"{anchor}-title"),
        element("p", simulated, class_="quiet") if (simulated := simulation_line(result)) else "",
        verdict(result),
        element("h3", "Charts") if figures else "",
        element("div", *figures, class_="charts"),
        *_absent(missing),
        *_titled("Percentiles", latency_table(result)),
        *_titled("What energy and battery life rest on", resting(result)),
        *_titled("Environment", environment(result)),
        *_titled("Provenance", provenance(result)),
        id=anchor,
        aria_labelledby=f"{anchor}-title",
    )


def _titled(title: str, content: Markup) -> Iterator[Markup]:
    if content:
        yield element("h3", title)
        yield content


def _absent(missing: Sequence[NoChart]) -> Iterator[Markup]:
    if missing:
        items = (element("li", element("strong", one.title), ": ", one.reason) for one in missing)
        yield element("h3", "Not in this report")
        yield element("ul", *items, class_="absent")


def _figure(chart: Chart, name: str, charts: list[dict[str, Any]]) -> Markup:
    """Return a chart's place in the page, with the same as a table under it."""
    charts.append(
        {"id": name, "kind": chart.kind, "x": chart.x._asdict(), "y": chart.y._asdict(), "drawn": chart.drawn}
    )
    numbers = frozenset(at for at in range(1, len(chart.head)) if _numeric([row[at] for row in chart.rows]))
    return element(
        "figure",
        element("h4", chart.title, id=f"{name}-title"),
        element("p", chart.says, class_="says", id=f"{name}-says"),
        element("div", class_="plot", id=name, role="img", aria_labelledby=f"{name}-title {name}-says"),
        element("p", chart.note, class_="quiet") if chart.note else "",
        element(
            "details",
            element("summary", f"{chart.title} as a table"),
            table(chart.title, chart.head, chart.rows, numbers=numbers),
            *(element("p", source, class_="quiet") for source in chart.sources),
        ),
        class_=f"chart {chart.kind}",
        data_chart=chart.kind,
        data_points=str(chart.points),
    )


def _numeric(cells: Sequence[str]) -> bool:
    """Say whether a column's cells begin like numbers, and so stand better at the right."""
    return all(cell[:1].isdigit() or cell[:1] in {"", "—", "-"} for cell in cells)
