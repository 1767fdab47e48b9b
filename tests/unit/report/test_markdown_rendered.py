"""The Markdown report as a renderer shows it: tables are tables, and a name is text."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace

from edgeprof import Options, profile
from edgeprof.records.result import Finding, Metric, Result, Warned
from edgeprof.report.advice import HEADING
from edgeprof.report.markdown import render

if TYPE_CHECKING:
    from pathlib import Path

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
    assert page.count("<table>") == 3  # findings, headline, all figures
    assert page.count("<h3>") == 1
    assert unescape(page).count(text.replace("\n", " ")) >= 5


def test_each_row_of_a_table_has_as_many_cells_as_its_head(markdown: MarkdownIt, small_result: Result) -> None:
    page = markdown.render(render([_judged(small_result, "plain"), small_result]))

    for table in page.split("<table>")[1:]:
        columns = table.count("<th") - table.count("<thead")
        for row in table.partition("<tbody>")[2].split("<tr>")[1:]:
            assert row.count("<td") == columns


# ── the first screen ─────────────────────────────────────────────────────────────────────────────────────────────────


def _first_screen(text: str) -> list[str]:
    return text.partition("<details>")[0].splitlines()


def test_what_is_read_first_fits_a_screen_and_the_rest_is_folded(kws: Path) -> None:
    result = profile(
        kws,
        "local",
        options=Options(runs=320, per_op=True),
        limits=["edge", "mobile", "latency_p50_s<1ns"],
        history=False,
    )
    text = render([result])
    first = _first_screen(text)
    assert len(result.findings) > 8
    assert len(first) < 40
    assert "**1 FAIL" in first[2]
    assert sum(line.startswith("| Latency") for line in first) == 2
    assert [line.split("|")[1].strip() for line in first if line.startswith("| FAIL")] == ["FAIL"]
    assert not any(line.startswith(("| PASS", "| SKIP")) for line in first)
    assert text.count("| PASS |") == sum(finding.verdict == "PASS" for finding in result.findings)
    assert HEADING not in "\n".join(first)
    for metric in ("Latency p90", "Activations, peak"):
        assert metric in text


def test_without_a_limit_the_report_says_that_there_is_no_verdict(small_result: Result) -> None:
    assert _first_screen(render([small_result]))[2] == "No limit was set."


def test_a_long_run_shows_its_first_row_against_its_last_and_folds_all_others(markdown: MarkdownIt, kws: Path) -> None:
    result = profile(
        kws, "sim:raspberry-pi-5?fault=throttle&after=1000", options=Options(duration_s=120.0), history=False
    )
    text = render([result])
    first = _first_screen(text)
    (launch,) = result.breakdowns["sustained"].values()
    assert sum(line.endswith("% |") for line in first) == 2
    assert any(line.startswith("first row against last: p50 ") for line in first)
    page = markdown.render(text)
    curve = page.partition("<summary>All 10 rows")[2].partition("</details>")[0]
    assert curve.count("<tr>") == len(launch["rows"]) + 1 == 11
    assert "time to throttle" in curve
    assert "unthrottled: p50" in curve


def test_a_deadline_run_shows_its_misses(kws: Path) -> None:
    result = profile(kws, "sim:raspberry-pi-5", options=Options(period_s=0.033, duration_s=3.0), history=False)
    assert "launch 0: a release every 33.00 ms: 0 of 90 missed" in render([result])
