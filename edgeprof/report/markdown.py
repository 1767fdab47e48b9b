"""Markdown: a table that fits a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.report.advice import HEADING, advice_left, shown_advice
from edgeprof.report.escaping import escape
from edgeprof.report.rows import heading, sections
from edgeprof.report.sweep import is_sweep, render_sweep_markdown
from edgeprof.summary.sensors import sensor_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Result


def render(results: Sequence[Result]) -> str:
    """Return the results one after the other."""
    if is_sweep(results):
        return render_sweep_markdown(results)
    return "\n\n".join("\n".join(_lines(result)) for result in results)


def _lines(result: Result) -> Iterator[str]:
    yield f"### {escape(heading(result))}{'' if result.status == 'complete' else ' (partial)'}"
    yield ""
    if result.findings:
        yield from ("| verdict | limit | why |", "| --- | --- | --- |")
        for finding in result.findings:
            yield f"| {finding.verdict} | {escape(finding.limit)} | {escape(finding.reason)} |"
        yield ""
    yield from ("| metric | value | 95 % bounds | basis | samples |", "| --- | ---: | --- | --- | ---: |")
    for _, rows in sections(result):
        for row in rows:
            note = row.bounds or row.reason
            yield f"| {row.title} | {row.value} | {escape(note)} | {row.basis} | {row.samples} |"
    if result.advice:
        yield f"\n{HEADING}:\n"
        for one in shown_advice(result.advice):
            yield f"- {escape(one.text)}"
        if left := advice_left(result.advice):
            yield f"- {escape(left)}"
    for warned in result.warnings:
        advice = f" {escape(warned.advice)}" if warned.advice else ""
        yield f"\n> **{escape(warned.text)}**{advice}"
    sensors = sensor_line(result.breakdowns.get("sensors", {}))
    if sensors:
        yield f"\n{escape(sensors)}"
