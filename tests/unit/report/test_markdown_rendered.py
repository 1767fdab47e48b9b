"""The Markdown report as a renderer shows it: tables are tables, and a name is text."""

from __future__ import annotations

from html import unescape

import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace

from edgeprof.records.result import Finding, Metric, Result, Warned
from edgeprof.report.markdown import render

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "[a](javascript:b)",
    "a|b",
    "`code`",
    "**bold** _it_",
    "# head",
    "\\",
    "a\nb",
]


@pytest.fixture
def markdown() -> MarkdownIt:
    """Return a renderer with tables, as GitHub has them, that lets HTML through."""
    return MarkdownIt("commonmark", {"html": True}).enable("table")


def _judged(result: Result, text: str) -> Result:
    finding = Finding(
        limit=text, metric="latency_p99_s", verdict="FAIL", tier="hard", value=0.07, threshold=0.05, unit="s",
        basis="measured", source="", reason=text,
    )  # fmt: skip
    metric = Metric(value=None, basis="measured", count=None, method="", reason=text)
    return replace(
        result,
        model=replace(result.model, name=text),
        metrics={**result.metrics, "latency_p99_s": metric},
        findings=(finding,),
        warnings=(Warned(code="x", text=text, advice=text),),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_is_shown_as_it_is_and_is_no_markup(markdown: MarkdownIt, small_result: Result, text: str) -> None:
    page = markdown.render(render([_judged(small_result, text)]))

    for element in ("<img", "<a ", "<em>", "<code>", "<h1"):
        assert element not in page
    assert page.count("<table>") == 2
    assert page.count("<h3>") == 1
    assert unescape(page).count(text.replace("\n", " ")) >= 5


def test_each_row_of_a_table_has_as_many_cells_as_its_head(markdown: MarkdownIt, small_result: Result) -> None:
    page = markdown.render(render([_judged(small_result, "plain"), small_result]))

    for table in page.split("<table>")[1:]:
        columns = table.count("<th") - table.count("<thead")
        for row in table.partition("<tbody>")[2].split("<tr>")[1:]:
            assert row.count("<td") == columns
