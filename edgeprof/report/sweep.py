"""The latency-throughput table of a sweep: what threads and batch size bring, and what they cost in latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.profiling.sweeping import sweep_of
from edgeprof.report.console import captured, text_console
from edgeprof.report.escaping import escape
from edgeprof.report.overhead import overhead_line, overhead_rows
from edgeprof.report.rows import simulation_line
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Result

TITLES = ("variant", "p50", "p95", "p99", "inferences/s", "items/s", "speed-up", "memory peak")
FOOT = "an inference handles a batch of items at once; speed-up: items/s against the first row"


class SweepRow(NamedTuple):
    """One variant; what was not measured is None. `items_hz` counts items: inferences a second times the batch."""

    variant: str
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    inferences_hz: float | None
    items_hz: float | None
    speed_up: float | None
    memory_peak_bytes: float | None
    basis: str
    status: str


def is_sweep(results: Sequence[Result]) -> bool:
    """Tell whether these are the variants of a sweep."""
    return bool(results) and all(sweep_of(result.variant) for result in results)


def sweep_rows(results: Sequence[Result]) -> list[SweepRow]:
    """Return a row a result; the speed-up is against the first result of the same target."""
    several = len({result.target.name for result in results}) > 1
    first: dict[str, float] = {}
    rows = []
    for result in results:
        inferences = _value(result, "throughput_hz")
        items = None if inferences is None else inferences * sweep_of(result.variant).get("batch", 1)
        if items is not None:
            first.setdefault(result.target.name, items)
        metric = result.metrics.get("latency_p50_s")
        name = f"{result.target.name} {result.variant}" if several else result.variant or ""
        rows.append(
            SweepRow(
                variant=name,
                p50_s=_value(result, "latency_p50_s"),
                p95_s=_value(result, "latency_p95_s"),
                p99_s=_value(result, "latency_p99_s"),
                inferences_hz=inferences,
                items_hz=items,
                speed_up=None if items is None else items / first[result.target.name],
                memory_peak_bytes=_value(result, "memory_peak_bytes"),
                basis=metric.basis if metric is not None else "",
                status=result.status,
            )
        )
    return rows


def _value(result: Result, name: str) -> float | None:
    metric = result.metrics.get(name)
    return None if metric is None else metric.value


def render_sweep(results: Sequence[Result]) -> str:
    """Return the table for a terminal, with what findings and warnings say of which variant below it."""
    table = Table(title=heading(results), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in TITLES:
        table.add_column(title, justify="left" if title == "variant" else "right")
    for row in sweep_rows(results):
        table.add_row(*(Text(cell) for cell in _cells(row)))
    console = text_console()
    console.print(table)
    for line in (*_simulated(results), FOOT, _overhead(results)):
        console.print(Text(line, style="dim"))
    for line in _remarks(results):
        console.print(Text(f"! {line}", style="yellow"))
    return captured(console)


def render_sweep_markdown(results: Sequence[Result]) -> str:
    """Return the table for a pull request."""
    lines = [
        f"### {escape(heading(results))}",
        "",
        f"| {' | '.join(TITLES)} |",
        f"| --- |{' ---: |' * (len(TITLES) - 1)}",
        *(f"| {' | '.join(map(escape, _cells(row)))} |" for row in sweep_rows(results)),
        "",
        *(f"{escape(line)}\n" for line in _simulated(results)),
        FOOT,
        "",
        escape(_overhead(results)),
        *(f"\n> {escape(line)}" for line in _remarks(results)),
    ]
    return "\n".join(lines)


def _simulated(results: Sequence[Result]) -> list[str]:
    """Return what the times of simulated boards were drawn from, a line a target."""
    lines = {result.target.name: simulation_line(result) for result in results}
    return [line if len(lines) == 1 else f"{name} {line}" for name, line in lines.items() if line]


def _overhead(results: Sequence[Result]) -> str:
    """Return what reading sensors took of the board, of the variant that it took most of."""
    most = max(results, key=lambda result: overhead_rows(result)["sensors_share_ratio"] or 0.0)
    which = f" ({most.variant}, the most of them)" if overhead_rows(most)["sensors_share_ratio"] else ""
    return f"{overhead_line(most)}{which}"


def heading(results: Sequence[Result]) -> str:
    """Return the model, the targets and the basis of what was timed."""
    targets = dict.fromkeys(result.target.name for result in results)
    bases = dict.fromkeys(row.basis for row in sweep_rows(results) if row.basis)
    return f"{results[0].model.name} on {', '.join(targets)} ({', '.join(bases) or 'nothing measured'})"


def _cells(row: SweepRow) -> tuple[str, ...]:
    partial = "" if row.status == "complete" else f" [{row.status}]"
    return (
        row.variant + partial,
        _shown("p50_s", row.p50_s),
        _shown("p95_s", row.p95_s),
        _shown("p99_s", row.p99_s),
        _shown("rate_hz", row.inferences_hz).removesuffix(" /s"),
        _shown("rate_hz", row.items_hz).removesuffix(" /s"),
        "—" if row.speed_up is None else f"{row.speed_up:.2f}x",
        _shown("memory_bytes", row.memory_peak_bytes),
    )


def _shown(name: str, value: float | None) -> str:
    return "—" if value is None else format_value(name, value)


def _remarks(results: Sequence[Result]) -> Iterator[str]:
    """Yield findings that did not pass and the warnings, each once with the variants that it holds for."""
    said: dict[str, list[str]] = {}
    for result in results:
        for finding in result.findings:
            if finding.verdict != "PASS":
                said.setdefault(f"{finding.verdict} {finding.limit}", []).append(result.variant or "")
        for warned in result.warnings:
            said.setdefault(warned.code, []).append(result.variant or "")
    texts = {warned.code: warned.text for result in reversed(results) for warned in result.warnings}
    for key, names in said.items():
        where = "every variant" if len(names) >= len(results) else ", ".join(dict.fromkeys(names))
        yield f"{texts.get(key, key)} ({where})"
