"""What a long run and a deadline run show over time, for a terminal: drawn from the result's breakdowns alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from edgeprof.report.escaping import escape
from edgeprof.units import format_duration, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from edgeprof.records.result import Result

COLUMNS = ("from", "samples", "p50", "p95", "temperature", "clock", "power", "throttled")


def over_time(result: Result) -> Iterator[RenderableType]:
    """Yield the curve of each sustained launch and the misses of each deadline launch; nothing where there are none."""
    for launch, found in result.breakdowns.get("sustained", {}).items():
        yield _curve(launch, found)
        for line in sustained_lines(found):
            yield Text(line)
    for launch, found in result.breakdowns.get("deadline", {}).items():
        yield Text(f"{launch}: {deadline_line(found)}")


def over_time_markdown(result: Result) -> Iterator[str]:
    """Yield the first row of each long run against its last, all rows folded, and the misses of each deadline run."""
    for launch, found in result.breakdowns.get("sustained", {}).items():
        rows, (first, *rest) = found["rows"], sustained_lines(found)
        yield f"\n#### Over time, {escape(launch)}\n"
        yield from _markdown_rows([rows[0], rows[-1]] if len(rows) > 1 else rows)
        yield f"\n{escape(first)}\n"
        yield f"<details><summary>All {len(rows)} rows, and the throttled part</summary>\n"
        yield from _markdown_rows(rows)
        yield from ("", *(f"- {escape(line)}" for line in rest), "", "</details>")
    for launch, found in result.breakdowns.get("deadline", {}).items():
        yield f"\n{escape(launch)}: {escape(deadline_line(found))}"


def _markdown_rows(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"| {' | '.join(COLUMNS)} |"
    yield f"|{' ---: |' * len(COLUMNS)}"
    yield from (f"| {' | '.join(_cells(row))} |" for row in rows)


def _curve(launch: str, found: dict[str, Any]) -> Table:
    table = Table(
        title=f"Over time, {launch}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for title in COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for row in found["rows"]:
        table.add_row(*_cells(row))
    return table


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        format_duration(row["start_s"]),
        f"{row['samples_count']:,}",
        format_duration(row["p50_s"]),
        "—" if row["p95_s"] is None else format_duration(row["p95_s"]),
        _shown("x_celsius", row["temperature_celsius"]),
        "—" if row["frequency_hz"] is None else f"{row['frequency_hz'] / 1e6:,.0f} MHz",
        _shown("x_w", row["power_w"]),
        f"{row['throttled_ratio'] * 100:.0f} %",
    )


def _shown(name: str, value: float | None) -> str:
    return "—" if value is None else format_value(name, value)


def sustained_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield in words: the first row against the last, the time to throttle, the two parts, what was not read."""
    against = found["first_against_last"]
    if against["ratio"] is not None:
        first, last = format_duration(against["first_p50_s"]), format_duration(against["last_p50_s"])
        yield f"first row against last: p50 {first} to {last} ({(against['ratio'] - 1) * 100:+.1f} %)"
    if found["time_to_throttle_s"] is None:
        yield f"time to throttle: — ({found['time_to_throttle_absent']})"
    else:
        yield f"time to throttle: {format_duration(found['time_to_throttle_s'])} ({found['time_to_throttle_by']})"
    for part in ("unthrottled", "throttled"):
        yield f"{part}: {_part(found[part])}"
    if found["power_of"]:
        yield f"power: {found['power_of']}"
    for name, reason in found["absent"].items():
        yield f"{name.rpartition('_')[0]}: {reason}"


def _part(part: dict[str, Any]) -> str:
    if not part["count"]:
        return str(part["reason"])
    shown = [f"{name[:-2]} {format_duration(part[name])}" for name in ("p50_s", "p95_s", "p99_s") if part[name]]
    return f"{', '.join(shown)} of {part['count']:,} samples"


def deadline_line(found: dict[str, Any]) -> str:
    """Return the releases of a launch in words."""
    overdue = f", and {found['overdue_count']:,} never begun" if found["overdue_count"] else ""
    return (
        f"a release every {format_duration(found['period_s'])}: {found['missed_count']:,} of"
        f" {found['releases_count']:,} missed{overdue}, at most {found['longest_run_of_misses_count']:,} in a row"
    )
