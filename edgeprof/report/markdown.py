"""Markdown for a pull request: the first screen says what a reader has to know, the rest is folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.report.advice import HEADING, advice_left, shown_advice
from edgeprof.report.escaping import escape
from edgeprof.report.overhead import overhead_line
from edgeprof.report.resting import battery_lines, energy_lines
from edgeprof.report.rows import heading, not_in_this_run, sections, simulation_line
from edgeprof.report.sustained import over_time_markdown
from edgeprof.report.sweep import is_sweep, render_sweep_markdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Finding, Result
    from edgeprof.report.rows import Row

HEADLINE = (
    "latency_p50_s", "latency_p99_s", "instructions_count", "cycles_count", "deadline_p99_s", "deadline_max_s",
    "deadline_miss_ratio", "stage_total_p50_s", "memory_peak_bytes", "sram_peak_bytes", "flash_bytes",
    "energy_per_inference_j", "battery_life_s", "throughput_hz", "latency_first_s", "temperature_peak_celsius",
    "throttled_ratio", "model_bytes",
)  # fmt: skip
MOST_ROWS, MOST_FINDINGS = 9, 8
WORST_FIRST = ("FAIL", "INCONCLUSIVE", "WARN", "PASS", "SKIP")
HEAD = ("| metric | value | 95 % bounds | basis | samples |", "| --- | ---: | --- | --- | ---: |")


def render(results: Sequence[Result]) -> str:
    """Return the results one after the other."""
    if is_sweep(results):
        return render_sweep_markdown(results)
    return "\n\n".join("\n".join(_lines(result)) for result in results)


def _lines(result: Result) -> Iterator[str]:
    yield f"### {escape(heading(result))}{'' if result.status == 'complete' else ' (partial)'}"
    yield ""
    yield f"**{_counted(result.findings)}**" if result.findings else "No limit was set."
    first, folded = _findings(result.findings)
    if first:
        yield ""
        yield from _verdict_rows(first)
    yield ""
    yield from HEAD
    yield from map(_row, _headline(result))
    yield from over_time_markdown(result)
    for warned in result.warnings:
        advice = f" {escape(warned.advice)}" if warned.advice else ""
        yield f"\n> **{escape(warned.text)}**{advice}"
    life, *rest = (*battery_lines(result), "")
    yield ""
    for line in (simulation_line(result), life, *energy_lines(result), not_in_this_run(result), overhead_line(result)):
        if line:
            yield f"- {escape(line)}"
    yield from _folded(result, folded, [line for line in rest if line])


def _counted(findings: Sequence[Finding]) -> str:
    seen = [finding.verdict for finding in findings]
    return ", ".join(f"{seen.count(verdict)} {verdict}" for verdict in WORST_FIRST if verdict in seen)


def _headline(result: Result) -> list[Row]:
    """Return the rows that are read first: what was measured, or was to be."""
    known = {row.name: row for _, rows in sections(result) for row in rows}
    powered = any(one.kind == "energy" for one in result.plan.passes)
    wanted = [name for name in HEADLINE if name in known and (known[name].basis or powered or "energy" not in name)]
    return [known[name] for name in wanted[:MOST_ROWS]]


def _findings(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Return the findings that are shown, the worst first, and those that are folded: of many those that are good."""
    ordered = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.verdict))
    if len(ordered) <= MOST_FINDINGS:
        return ordered, []
    wrong = [finding for finding in ordered if finding.verdict not in {"PASS", "SKIP"}]
    return wrong, ordered[len(wrong) :]


def _verdict_rows(findings: Sequence[Finding]) -> Iterator[str]:
    yield from ("| verdict | limit | why |", "| --- | --- | --- |")
    for finding in findings:
        yield f"| {finding.verdict} | {escape(finding.limit)} | {escape(finding.reason)} |"


def _row(row: Row) -> str:
    return f"| {row.title} | {row.value} | {escape(row.bounds or row.reason)} | {row.basis} | {row.samples} |"


def _folded(result: Result, findings: Sequence[Finding], battery: Sequence[str]) -> Iterator[str]:
    yield "\n<details><summary>All figures, and what would help</summary>\n"
    if findings:
        yield from (*_verdict_rows(findings), "")
    yield from HEAD
    yield from (_row(row) for _, rows in sections(result) for row in rows)
    if battery:
        yield ""
        yield from (f"- {escape(line)}" for line in battery)
    if result.advice:
        yield f"\n{HEADING}:\n"
        yield from (f"- {escape(one.text)}" for one in shown_advice(result.advice))
        if left := advice_left(result.advice):
            yield f"- {escape(left)}"
    yield "\n</details>"
