"""What `check` found, as text: a table, JSON, Markdown for a pull request, or JUnit XML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.report.console import VERDICT_STYLES, captured, text_console
from edgeprof.report.drawing import drawn
from edgeprof.report.escaping import escape
from edgeprof.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.bundle import Bundle, CheckReport, FoundLibrary, FoundModel
    from edgeprof.records.result import Finding

SHOWN = 20
MARKS = {"PASS": "✅", "WARN": "⚠️", "FAIL": "❌", "SKIP": "⏭️", "INCONCLUSIVE": "❔"}


@drawn
def render_check(report: CheckReport, format_name: str) -> str:
    """Return the report in a format."""
    match format_name:
        case "json":
            return msgspec.json.format(msgspec.json.encode(report), indent=1).decode()
        case "markdown":
            return "\n".join(_markdown(report))
        case "junit":
            from edgeprof.report.junit import render_check as junit

            return junit(report)
        case _:
            return _table(report)


def verdicts(findings: Sequence[Finding]) -> str:
    """Return how many findings there are of each verdict, such as `2 FAIL, 1 PASS`."""
    seen = [finding.verdict for finding in findings]
    return ", ".join(f"{seen.count(name)} {name}" for name in dict.fromkeys((*VERDICT_STYLES,)) if name in seen)


# ── the table ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(report: CheckReport) -> str:
    console = text_console()
    console.print(Text(f"{report.path}: {_what(report)}", style="bold"))
    if report.bundle is not None:
        for line in _bundle_lines(report.bundle):
            console.print(Text(line))
        if report.bundle.models:
            console.print(_models(report.bundle.models))
        if report.bundle.libraries:
            console.print(_libraries(report.bundle.libraries))
    told = [finding for finding in report.findings if finding.verdict != "SKIP"]
    if told:
        console.print(_findings(told))
    for line in _skipped(report.findings):
        console.print(Text(line, style="dim"))
    for warned in report.warnings:
        console.print(Text(f"! {warned.text}", style="yellow"))
        if warned.advice:
            console.print(Text(f"  → {warned.advice}", style="dim"))
    console.print(Text(verdicts(report.findings), style="bold"))
    return captured(console)


def _what(report: CheckReport) -> str:
    partial = "" if report.status == "complete" else " (partial)"
    if report.bundle is not None:
        return f"{report.bundle.kind}, {report.bundle.entries_count:,} files"
    return f"{report.model.format if report.model else 'result'}{partial}"


def _bundle_lines(bundle: Bundle) -> Iterator[str]:
    if bundle.download_bytes is not None:
        yield f"Download   {_size(bundle.download_bytes)}: {bundle.download_note}"
    for abi, size in bundle.download_by_abi_bytes.items():
        yield f"  {abi:<14} {_size(size)} with the libraries of this ABI alone"
    yield f"Unpacked   {_size(bundle.unpacked_bytes)}"
    if bundle.ml_share_ratio:
        yield f"ML share   {bundle.ml_share_ratio:.1%} of the download ({_size(bundle.ml_bytes)})"
    if bundle.ml_unpacked_share_ratio:
        unpacked = _size(bundle.ml_unpacked_bytes)
        yield f"ML share   {bundle.ml_unpacked_share_ratio:.1%} unpacked ({unpacked}): models and ML runtimes"
    if not bundle.models:
        yield "Models     none found"
    if not bundle.libraries:
        yield "Runtimes   none found; one that is linked into another library is not seen"


def _models(models: Sequence[FoundModel]) -> Table:
    table = _blank("model", "format", "size", "in the archive", "")
    for model in models[:SHOWN]:
        table.add_row(Text(model.path), model.format, format_bytes(model.bytes), _packed(model), Text(_note(model)))
    if len(models) > SHOWN:
        table.add_row(f"and {len(models) - SHOWN} more; --format json has them all")
    return table


def _libraries(libraries: Sequence[FoundLibrary]) -> Table:
    table = _blank("runtime library", "runtime", "size", "in the archive", "ABI")
    for library in libraries[:SHOWN]:
        table.add_row(
            Text(library.path), library.runtime, format_bytes(library.bytes), _packed(library), library.abi or ""
        )
    if len(libraries) > SHOWN:
        table.add_row(f"and {len(libraries) - SHOWN} more; --format json has them all")
    return table


def _findings(findings: Sequence[Finding]) -> Table:
    table = _blank("verdict", "limit", "tier", "why", "source", right=())
    for finding in findings:
        table.add_row(
            Text(finding.verdict, style=VERDICT_STYLES[finding.verdict]),
            Text(finding.limit),
            finding.tier,
            Text(finding.reason),
            Text(finding.source, style="dim"),
        )
    return table


def _skipped(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield one line for all limits that were skipped for the same reason."""
    skipped = [finding for finding in findings if finding.verdict == "SKIP"]
    for reason in dict.fromkeys(finding.reason for finding in skipped):
        names = ", ".join(finding.limit for finding in skipped if finding.reason == reason)
        yield f"SKIP  {names}: {reason}"


def _blank(*titles: str, right: tuple[str, ...] = ("size", "in the archive")) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        fixed = title in {"verdict", "tier", "format", "runtime", "ABI", *right}
        table.add_column(title, no_wrap=fixed, justify="right" if title in right else "left", overflow="fold")
    return table


def _packed(item: FoundModel | FoundLibrary) -> str:
    return "" if item.compressed_bytes is None else format_bytes(item.compressed_bytes)


def _note(model: FoundModel) -> str:
    parts = [f"same as {model.same_as}" if model.same_as else "", "by its name" if model.evidence == "name" else ""]
    return "; ".join(part for part in (*parts, model.note) if part)


def _size(count: int) -> str:
    return f"{format_bytes(count)} ({count:,} B)"


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _markdown(report: CheckReport) -> Iterator[str]:
    yield f"### {escape(report.path)}: {verdicts(report.findings) or 'no limits'}"
    yield ""
    yield from ("| verdict | limit | tier | why | source |", "| --- | --- | --- | --- | --- |")
    for finding in report.findings:
        verdict = f"{MARKS[finding.verdict]} {finding.verdict}"
        why, source = escape(finding.reason), escape(finding.source)
        yield f"| {verdict} | {escape(finding.limit)} | {finding.tier} | {why} | {source} |"
    if report.bundle is not None:
        yield ""
        yield from (f"- {escape(' '.join(line.split()))}" for line in _bundle_lines(report.bundle))
        yield from _markdown_bundle(report.bundle)
    for warned in report.warnings:
        yield f"\n> **{escape(warned.text)}** {escape(warned.advice)}".rstrip()


def _markdown_bundle(bundle: Bundle) -> Iterator[str]:
    if bundle.models:
        yield from ("", "| model | format | size | in the archive | |", "| --- | --- | ---: | ---: | --- |")
    for model in bundle.models[:SHOWN]:
        yield (
            f"| {escape(model.path)} | {model.format} | {format_bytes(model.bytes)} | {_packed(model)}"
            f" | {escape(_note(model))} |"
        )
    if bundle.libraries:
        yield from ("", "| runtime library | runtime | ABI | size |", "| --- | --- | --- | ---: |")
    for library in bundle.libraries[:SHOWN]:
        yield f"| {escape(library.path)} | {library.runtime} | {library.abi or ''} | {format_bytes(library.bytes)} |"
