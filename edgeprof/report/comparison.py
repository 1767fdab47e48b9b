"""Comparisons as text: what changed, how sure that is, and what the gate says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.metrics import metric_kind
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.records.comparison import Change, Comparison

SIGNS = {"better": "better", "worse": "WORSE", "same": "same", "cannot tell": "?"}
STYLES = {"better": "green", "worse": "bold red", "same": "dim", "cannot tell": "yellow"}
VERDICT_STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red", "SKIP": "dim", "INCONCLUSIVE": "yellow"}


def render_comparisons(found: Sequence[Comparison], format_name: str) -> str:
    """Return the comparisons in a format."""
    return FORMATS[format_name](found)


def exit_code(found: Sequence[Comparison], *, strict: bool = False) -> int:
    """Return 5 where one broke off, 1 where the gate failed, 6 where it could not tell under --strict, else 0."""
    verdicts = {finding.verdict for one in found for finding in one.findings}
    if any(warned.code == "broken-off" for one in found for warned in one.warnings):
        return 5
    if "FAIL" in verdicts:
        return 1
    return 6 if strict and "INCONCLUSIVE" in verdicts else 0


def _json(found: Sequence[Comparison]) -> str:
    whole = msgspec.json.encode(found[0] if len(found) == 1 else found)
    return msgspec.json.format(whole, indent=1).decode()


def shown_change(change: Change) -> tuple[str, str, str, str]:
    """Return base, new, change with bounds, and verdict, as text."""
    base, new = (("—" if v is None else format_value(change.metric, v)) for v in (change.base, change.new))
    ratio = "" if change.change_ratio is None else f"{change.change_ratio * 100:+.2f} %"
    if change.way != "exact" and change.low is not None and change.high is not None:
        ratio += f" ({change.low * 100:+.2f} … {change.high * 100:+.2f})"
    return base, new, ratio, SIGNS[change.verdict]


def heading(one: Comparison) -> str:
    """Return what is compared with what, and where."""
    where = one.base.target if one.base.target == one.new.target else f"{one.base.target} and {one.new.target}"
    return f"{one.new.name} against {one.base.name} on {where}"


def how_sure(one: Comparison) -> str:
    """Return one line on what the latency's verdict rests on."""
    if one.launches:
        pairs = sum(launch.pairs for launch in one.launches)
        return f"latency: {pairs:,} pairs of inferences in turns over {len(one.launches)} fresh launches"
    if any(change.way == "saved" and change.metric == "latency_p50_s" for change in one.changes):
        return "latency: two saved results support coarse verdicts only; compare the models themselves for fine ones"
    return "exact figures need no repetition"


def _table(found: Sequence[Comparison]) -> str:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  only for the table
    from rich.table import Table  # noqa: PLC0415  the same
    from rich.text import Text  # noqa: PLC0415  the same

    from edgeprof.report.table import captured, text_console  # noqa: PLC0415  the same

    console = text_console()
    for one in found:
        console.print(Text(heading(one), style="bold"))
        table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("")
        for name in ("base", "new", "change"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        table.add_column("basis", no_wrap=True, style="dim")
        for change in one.changes:
            base, new, ratio, said = shown_change(change)
            title = metric_kind(change.metric).title
            table.add_row(title, base, new, ratio, Text(said, style=STYLES[change.verdict]), change.basis)
        console.print(table)
        for difference in one.differences:
            console.print(
                Text(f"! {difference.what} differs: {difference.base} against {difference.new}", style="yellow")
            )
        for finding in one.findings:
            line = Text(f"{finding.verdict:<13}", style=VERDICT_STYLES[finding.verdict])
            line.append(f"{metric_kind(finding.metric).title}: {finding.reason}")
            console.print(line)
        for warned in one.warnings:
            console.print(Text(f"! {warned.text}\n  → {warned.advice}", style="yellow"))
        console.print(Text(how_sure(one), style="dim"))
    return captured(console)


FORMATS: dict[str, Callable[[Sequence[Comparison]], str]] = {"table": _table, "json": _json}
