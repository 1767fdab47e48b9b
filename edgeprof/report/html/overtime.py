"""What goes on over time as charts: power with its windows, heat, clocks, minutes of a long run, deadlines, a cell."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from edgeprof.report.html.charts import Axis, Chart, Drawing, NoChart, axis, on, pairs
from edgeprof.report.html.thinning import LOG_FROM_RATIO, Point, thinned, thinned_note
from edgeprof.report.sustained import deadline_line, sustained_lines
from edgeprof.units import format_duration, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Result
    from edgeprof.records.sensors import Quantity, SensorSeries

POWER, TEMPERATURE, FREQUENCY = "Power", "Temperature", "Clock frequency"
BATTERY = "Battery life, and what would change it"
AS_IT_IS = "as it is"
LINES: tuple[tuple[Quantity, str, str], ...] = (
    ("power", POWER, "power_w"),
    ("temperature", TEMPERATURE, "temperature_celsius"),
    ("frequency", FREQUENCY, "frequency_hz"),
)
FEWEST_LEFT = 100
GAP_STEPS = 3.0
"""Readings further apart than this many of their usual steps have a gap between them."""
NEAR_RATIO = 3.0
"""How far beyond its latencies a histogram of deadlines goes to show the period."""
DAY_S, ROUNDED_DAYS = 86400.0, 100


def over_time_charts(result: Result, most: int) -> Iterator[Drawing]:
    """Yield a chart for each quantity, long run, deadline launch and battery; or why there is none."""
    begin_s = _begin(result)
    windows = _windows(result)
    for quantity, title, name in LINES:
        series = [one for one in result.sensors if one.quantity == quantity]
        yield _lines(title, name, series, begin_s, windows if quantity == "power" else (), most)
    yield from _sustained(result)
    yield from _deadlines(result)
    yield _battery(result.breakdowns.get("battery"), result)


def _begin(result: Result) -> float:
    starts = [*result.samples.start_s[:1], *(one.time_s[0] for one in result.sensors if one.time_s)]
    return min(starts, default=0.0)


def _windows(result: Result) -> tuple[tuple[float, float], ...]:
    """Return the windows of inferences that the energy is of, on the agent's clock.

    They are on the trace's own clock; where that is not the agent's, the trace's series in the result tells the offset.
    """
    energy = result.breakdowns.get("energy") or {}
    if not energy.get("windows"):
        return ()
    trace = energy["trace"]
    own = next((one for one in result.sensors if one.source == trace["source"] and one.time_s), None)
    apart = trace["clock"] != "agent" and own is not None and trace["start_s"] is not None
    shift_s = own.time_s[0] - trace["start_s"] if apart and own else 0.0
    return tuple((window["start_s"] + shift_s, window["end_s"] + shift_s) for window in energy["windows"])


# ── sensors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lines(
    title: str,
    name: str,
    series: Sequence[SensorSeries],
    begin_s: float,
    windows: Sequence[tuple[float, float]],
    most: int,
) -> Drawing:
    read = [one for one in series if one.value]
    if not read:
        return NoChart(title, "; ".join(one.reason for one in series if one.reason) or f"no sensor of {title.lower()}")
    highest = max(max(one.value) for one in read)
    last = max(one.time_s[-1] for one in read) - begin_s
    x, y = axis("elapsed_s", "since the beginning", last), axis(name, title.lower(), highest)
    each = max(FEWEST_LEFT, most // len(read))
    kept = [_curve(one, begin_s, each) for one in read]
    shown = sum(len(part) for parts in kept for part in parts)
    taken = sum(len(one.value) for one in read)
    inside = [(begin - begin_s, end - begin_s) for begin, end in windows if -1 <= end - begin_s <= last + 1]
    note = thinned_note(shown, taken, "readings")
    if windows and not inside:
        note += " The windows of inferences are on another clock and are not drawn."
    bands = pairs(x, x, inside)
    said = f", {len(bands)} windows of inferences shaded" if bands else ""
    return Chart(
        "lines", title, f"{_range_of(read, name)}{said}.", x, y,
        {"series": [{"name": one.name, "points": _joined([pairs(x, y, part) for part in parts])}
                    for one, parts in zip(read, kept, strict=True)],
         "bands": bands},
        shown, ("sensor", "readings", "lowest", "mean", "highest", "failed", "source"),
        [_sensor_row(one, name) for one in read], note=note.strip(),
    )  # fmt: skip


def _curve(one: SensorSeries, begin_s: float, most: int) -> list[list[Point]]:
    """Return the readings in parts without a gap, each thinned: what was not read is not drawn as if it had been."""
    steps = sorted(after - before for before, after in pairwise(one.time_s))
    usual_s = max(one.interval_s or 0.0, steps[len(steps) // 2] if steps else 0.0)
    parts: list[list[Point]] = [[]]
    for at, (time_s, value) in enumerate(zip(one.time_s, one.value, strict=True)):
        if at and time_s - one.time_s[at - 1] > GAP_STEPS * usual_s:
            parts.append([])
        parts[-1].append((time_s - begin_s, value))
    return [thinned(part, max(2, most * len(part) // len(one.value))) for part in parts]


def _joined(parts: Sequence[Sequence[Point]]) -> list[tuple[float, float | None]]:
    """Return parts as one list, a point without a value between them: there the line ends."""
    found: list[tuple[float, float | None]] = []
    for part in parts:
        if found:
            found.append((part[0][0], None))
        found += part
    return found


def _range_of(read: Sequence[SensorSeries], name: str) -> str:
    return "; ".join(f"{one.name}: {_span(one, name)}" for one in sorted(read, key=lambda one: -max(one.value))[:4])


def _span(one: SensorSeries, name: str) -> str:
    low, high = _shown(name, min(one.value)), _shown(name, max(one.value))
    return f"{low} throughout" if low == high else f"{low} to {high}"


def _sensor_row(one: SensorSeries, name: str) -> tuple[str, ...]:
    mean = sum(one.value) / len(one.value)
    figures = (_shown(name, value) for value in (min(one.value), mean, max(one.value)))
    role = f" ({one.role})" if one.role else ""
    return (f"{one.name}{role}", f"{len(one.value):,}", *figures, f"{one.failures:,}", one.source)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value / 1e6:,.0f} MHz" if name.endswith("_hz") else format_value(name, value)


# ── minutes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sustained(result: Result) -> Iterator[Drawing]:
    launches = result.breakdowns.get("sustained") or {}
    if not launches:
        yield NoChart("Over minutes", "not a long run: --duration 10m makes one")
    for launch, found in launches.items():
        yield _minutes(launch, found)


def _minutes(launch: str, found: dict[str, Any]) -> Chart:
    rows = found["rows"]
    last = rows[-1]["end_s"]
    slowest = max(row["p95_s"] or row["p50_s"] for row in rows)
    x, y = axis("elapsed_s", "since the first sample", last), axis("latency_s", "latency of an inference", slowest)
    series = []
    for name, key in (("p50", "p50_s"), ("p95", "p95_s")):
        points = [((row["start_s"] + row["end_s"]) / 2, row[key]) for row in rows if row[key] is not None]
        if points:
            series.append({"name": name, "points": pairs(x, y, points)})
    hot = [(row["start_s"], row["end_s"]) for row in rows if row["throttled_ratio"] > 0]
    said = ". ".join(_capitalised(line) for line in sustained_lines(found))
    return Chart(
        "lines", f"Over minutes, {launch}", f"{said}.", x, y,
        {"series": series, "bands": pairs(x, x, hot), "dots": True}, sum(len(one["points"]) for one in series),
        ("from", "samples", "p50", "p95", "temperature", "clock", "power", "throttled"),
        [_minute_row(row) for row in rows],
        note="Shaded: while samples were throttled." if hot else "",
    )  # fmt: skip


def _capitalised(line: str) -> str:
    return line[:1].upper() + line[1:]


def _minute_row(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        format_duration(row["start_s"]),
        f"{row['samples_count']:,}",
        _shown("p50_s", row["p50_s"]),
        _shown("p95_s", row["p95_s"]),
        _shown("temperature_celsius", row["temperature_celsius"]),
        _shown("frequency_hz", row["frequency_hz"]),
        _shown("power_w", row["power_w"]),
        f"{row['throttled_ratio'] * 100:.0f} %",
    )


# ── deadlines ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _deadlines(result: Result) -> Iterator[Drawing]:
    launches = result.breakdowns.get("deadline") or {}
    if not launches:
        yield NoChart("Deadlines", "not a deadline run: --period 33ms makes one")
    for launch, found in launches.items():
        yield _deadline(launch, found)


def _deadline(launch: str, found: dict[str, Any]) -> Chart:
    edges, counts, period_s = found["histogram"]["edges_s"], found["histogram"]["counts"], found["period_s"]
    if edges[0] >= edges[-1]:
        edges = [edges[0] * 0.995, edges[0] * 1.005]
    log = edges[0] > 0 and edges[-1] / edges[0] > LOG_FROM_RATIO
    near = edges[0] / NEAR_RATIO <= period_s <= edges[-1] * NEAR_RATIO
    x = axis("latency_s", "latency from the release", edges[-1], log=log)
    notes = ["Counted from the scheduled release: waiting is part of it."]
    notes += ["The scale is logarithmic."] if log else []
    notes += [] if near else [f"The period, {format_duration(period_s)}, is off the scale."]
    return Chart(
        "histogram", f"Deadlines, {launch}", f"{_capitalised(deadline_line(found))}.", x, Axis("releases"),
        {"edges": on(x, edges), "kinds": ["steady"], "counts": [counts],
         "marks": [(on(x, [period_s])[0], "period")] if near else []},
        sum(counts), ("latency from the release", "releases"),
        [(f"{format_duration(low)} to {format_duration(high)}", f"{count:,}")
         for low, high, count in zip(edges, edges[1:], counts, strict=False) if count],
        note=" ".join(notes),
    )  # fmt: skip


# ── battery ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _battery(report: dict[str, Any] | None, result: Result) -> Drawing:
    """Draw the life and each what-if of a BatteryReport as JSON."""
    if not report:
        absent = result.metrics.get("battery_life_s")
        return NoChart(BATTERY, (absent.reason if absent else None) or "no battery was asked for")
    life: dict[str, Any] = report["metrics"].get("battery_life_s") or {}
    if life.get("value") is None:
        return NoChart(BATTERY, life.get("reason") or "no life could be worked out")
    cases = list(report["what_if"])
    if not any(case["change"] == AS_IT_IS for case in cases):
        cases.insert(0, {"change": AS_IT_IS, "life_s": life["value"], **_bounds(life)})
    possible = [case for case in cases if case["life_s"] is not None]
    x = Axis("battery life", "days", DAY_S)
    lives = on(x, [case["life_s"] for case in possible])
    bars = [
        (case["change"], days, AS_IT_IS if case["change"] == AS_IT_IS else "what if", _lasting(case["life_s"]))
        for case, days in zip(possible, lives, strict=True)
    ]
    assumed = [one["text"].rstrip(".") for one in report["assumptions"] if one["origin"] == "assumed"]
    consumers = "; ".join(f"{one['name']} {one['share_ratio'] * 100:.0f} %" for one in report["consumers"])
    return Chart(
        "bars", BATTERY,
        f"{report['cell']['title']}, {_each(report['inferences'])} every {format_duration(report['period_s'])}:"
        f" {_lasting(life['value'])}." + (f" Drawn by: {consumers}." if consumers else ""),
        x, Axis("change"), {"bars": bars, "given_order": True}, len(bars),
        ("change", "life", "from", "to", "why not"), [_case_row(case) for case in cases],
        note=" ".join(f"{_capitalised(text)}." for text in (f"energy: {report['energy_basis']}", *assumed)),
    )  # fmt: skip


def _each(inferences: float) -> str:
    return "an inference" if inferences == 1 else f"{inferences:g} inferences"


def _bounds(life: dict[str, Any]) -> dict[str, Any]:
    return {"low_s": life.get("low"), "high_s": life.get("high")}


def _case_row(case: dict[str, Any]) -> tuple[str, ...]:
    shown = ("—" if case.get(key) is None else _lasting(case[key]) for key in ("life_s", "low_s", "high_s"))
    return (case["change"], *shown, case.get("reason") or "")


def _lasting(seconds: float) -> str:
    days = seconds / DAY_S
    if days < 1:
        return f"{days * 24:,.1f} hours"
    return f"{days:,.1f} days" if days < ROUNDED_DAYS else f"{days:,.0f} days"
