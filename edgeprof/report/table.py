"""The terminal's table. Rich draws it: it knows the terminal's width and colours and honours NO_COLOR."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.report.advice import HEADING, advice_left, shown_advice
from edgeprof.report.console import VERDICT_STYLES, captured, text_console
from edgeprof.report.overhead import overhead_line
from edgeprof.report.resting import battery_lines, energy_lines
from edgeprof.report.rows import engine_of, heading, not_in_this_run, sections, simulation_line
from edgeprof.report.sustained import over_time
from edgeprof.report.sweep import is_sweep, render_sweep
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from edgeprof.records.result import Finding, Metric, OperatorTime, Result, Warned

TOP_OPERATORS = 12


def render(results: Sequence[Result]) -> str:
    """Return the results one after the other; several get a table side by side first."""
    if is_sweep(results):
        return render_sweep(results)
    console = text_console()
    if len(results) > 1:
        console.print(_side_by_side(results))
    for result in results:
        _draw(console, result)
    return captured(console)


def _draw(console: Console, result: Result) -> None:
    style = "bold" if result.status == "complete" else "bold yellow"
    console.print(Text(heading(result) + ("" if result.status == "complete" else "  [partial]"), style=style))
    console.print(_metrics(result))
    for remark in (simulation_line(result), not_in_this_run(result), *energy_lines(result), *battery_lines(result)):
        if remark:
            console.print(Text(remark, style="dim"))
    for drawn in over_time(result):
        console.print(drawn)
    if result.operators:
        console.print(_operators(result))
    if result.findings:
        console.print(_findings(result.findings))
    for line in _advice(result):
        console.print(line)
    for warned in result.warnings:
        console.print(_warning(warned))
    console.print(Text(overhead_line(result), style="dim"))
    console.print(Text(_foot(result), style="dim"))


def _metrics(result: Result) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % bounds")
    table.add_column("basis", no_wrap=True)
    table.add_column("samples", justify="right", no_wrap=True)
    for title, rows in sections(result):
        table.add_row(Text(title, style="bold cyan"))
        for row in rows:
            note = Text(row.reason, style="dim") if row.reason else Text(row.bounds)
            table.add_row(f"  {row.title}", row.value, note, Text(row.basis, style="dim"), row.samples)
    return table


def _operators(result: Result) -> Table:
    slowest = sorted(result.operators, key=lambda row: -row.share_ratio)[:TOP_OPERATORS]
    left = len(result.operators) - len(slowest)
    title = f"Operators, slowest first{f' ({left} more not shown)' if left else ''}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("operator")
    table.add_column("type", no_wrap=True)
    counted = any(row.instructions_count is not None for row in slowest)
    table.add_column("instructions" if counted else "time", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    for row in slowest:
        table.add_row(Text(row.name), Text(row.type), _taken(row), f"{row.share_ratio * 100:.1f} %")
    return table


def _taken(row: OperatorTime) -> str:
    if row.instructions_count is not None:
        return f"{row.instructions_count:,.0f}"
    return "—" if row.time_s is None else format_duration(row.time_s)


def _findings(findings: Sequence[Finding]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("verdict", "limit", "why"):
        table.add_column(title, no_wrap=title == "verdict")
    for finding in findings:
        verdict = Text(finding.verdict, style=VERDICT_STYLES[finding.verdict])
        table.add_row(verdict, Text(finding.limit), Text(finding.reason))
    return table


def _advice(result: Result) -> Iterator[Text]:
    if not result.advice:
        return
    yield Text(HEADING, style="italic")
    for one in shown_advice(result.advice):
        yield Text(f"  · {one.text}")
    if left := advice_left(result.advice):
        yield Text(f"    {left}", style="dim")
    yield Text()


def _warning(warned: Warned) -> Text:
    text = Text("! ", style="yellow")
    text.append(warned.text)
    if warned.advice:
        text.append(f"\n  → {warned.advice}", style="dim")
    return text


def _foot(result: Result) -> str:
    parts = [f"{result.plan.inputs}", f"edgeprof {result.tool.version}", result.created]
    if result.board.file:
        parts.insert(0, f"board {result.board.id}: {result.board.file}")
    if result.target.file:
        parts.insert(0, f"target {result.target.name}: {result.target.file}")
    noise = result.breakdowns.get("noise", {})
    if noise:
        first = next(iter(noise.values()))
        parts.insert(0, f"noise band ±{first['noise_band_ratio'] * 100:.1f} % within the run")
    batch = max(result.samples.batch, default=1)
    if batch > 1:
        parts.insert(0, f"timed in batches of {batch}")
    return " · ".join(parts)


COMPARED = ("latency_p50_s", "latency_p99_s", "instructions_count", "memory_peak_bytes", "arena_bytes")


def _side_by_side(results: Sequence[Result]) -> Table:
    from edgeprof.metrics import metric_kind

    shown = [name for name in COMPARED if any(_known(result.metrics.get(name)) for result in results)]
    simulated = any(simulation_line(result) for result in results)
    between = 1 if simulated else 2  # one more column, and a line that is as long
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, between, 0, 0), header_style="bold")
    table.add_column("target", no_wrap=True)
    for name in shown:
        title = metric_kind(name).title
        table.add_column(title.replace(" ", "\n") if simulated else title, justify="right", no_wrap=simulated)
    if simulated:
        table.add_column("engine", no_wrap=True)
    table.add_column("basis", no_wrap=simulated)
    table.add_column("status", no_wrap=simulated)
    for result in results:
        cells = [_cell(name, result.metrics.get(name)) for name in shown]
        bases = sorted({m.basis for name in shown if (m := result.metrics.get(name)) and m.value is not None})
        engine = (Text(engine_of(result)),) if simulated else ()
        table.add_row(Text(result.target.name), *cells, *engine, ", ".join(bases), result.status)
    return table


def _known(metric: Metric | None) -> bool:
    return metric is not None and metric.value is not None


def _cell(name: str, metric: Metric | None) -> str:
    from edgeprof.units import format_value

    return "—" if metric is None or metric.value is None else format_value(name, metric.value)
