"""The sections of one result in the page, in words and tables: verdict, figures, environment, where each is from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edgeprof.metrics import metric_kind
from edgeprof.report.advice import HEADING, shown_advice
from edgeprof.report.html.elements import Markup, element, joined, table
from edgeprof.report.overhead import overhead_line
from edgeprof.report.resting import battery_lines, energy_lines
from edgeprof.report.rows import engine_of, heading, not_in_this_run, row_of, sections, simulation_line
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.events import Json
    from edgeprof.records.result import Finding, Metric, Result, Warned

TILES = (
    "latency_p50_s", "latency_p99_s", "instructions_count", "throughput_hz", "deadline_miss_ratio", "memory_peak_bytes",
    "sram_peak_bytes", "flash_bytes", "energy_per_inference_j", "battery_life_s", "temperature_peak_celsius",
)  # fmt: skip
MOST_TILES = 6
SIDE_BY_SIDE = (
    "latency_p50_s", "latency_p99_s", "instructions_count", "memory_peak_bytes", "sram_peak_bytes", "flash_bytes",
    "energy_per_inference_j", "battery_life_s",
)  # fmt: skip
WORST_FIRST = ("FAIL", "INCONCLUSIVE", "WARN", "SKIP", "PASS")
SIGNS = {"PASS": "✓", "WARN": "!", "FAIL": "✕", "SKIP": "·", "INCONCLUSIVE": "?"}
WORDS = {
    "FAIL": "Broken",
    "INCONCLUSIVE": "Cannot be decided",
    "WARN": "Close, or missed softly",
    "SKIP": "Skipped",
    "PASS": "Kept",
}


# ── verdict ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def verdict_of(findings: Sequence[Finding]) -> str:
    """Return the worst verdict; empty where there is none."""
    return next((word for word in WORST_FIRST if any(finding.verdict == word for finding in findings)), "")


def pill(verdict: str) -> Markup:
    """Return a verdict as a coloured word: the sign before it says the same without colour."""
    if not verdict:
        return element("span", "no limits", class_="pill none")
    sign = element("span", f"{SIGNS[verdict]} ", aria_hidden="true")
    return element("span", sign, verdict, class_=f"pill {verdict.lower()}")


def verdict(result: Result) -> Markup:
    """Return the first thing that is read: the verdict, the main figures, the findings, the warnings."""
    return element(
        "section",
        _headline(result),
        _tiles(result),
        _findings(result.findings),
        _advice(result),
        *(_warning(warned) for warned in result.warnings),
        class_="verdict",
    )


def _headline(result: Result) -> Markup:
    worst = verdict_of([finding for finding in result.findings if finding.tier != "info"])
    count = sum(finding.verdict == worst for finding in result.findings)
    said = (
        f"{WORDS[worst]}: {count} of {_many(len(result.findings))}"
        if worst
        else "No limit was set, so there is no verdict"
    )
    partial = "" if result.status == "complete" else " The run broke off: this is a part of it."
    return element("p", pill(worst), " ", element("strong", f"{said}."), partial, class_="headline")


def _many(count: int) -> str:
    return "1 finding" if count == 1 else f"{count} findings"


def _tiles(result: Result) -> Markup:
    shown = [(name, metric) for name in TILES if (metric := result.metrics.get(name)) and metric.value is not None]
    tiles = (
        element(
            "div",
            element("dt", metric_kind(name).title),
            element("dd", row_of(name, metric).value, element("small", metric.basis)),
            class_="tile",
        )
        for name, metric in shown[:MOST_TILES]
    )
    return element("dl", *tiles, class_="tiles")


def _findings(findings: Sequence[Finding]) -> Markup:
    if not findings:
        return Markup("")
    ordered = sorted(findings, key=lambda finding: WORST_FIRST.index(finding.verdict))
    items = (
        element(
            "li",
            pill(finding.verdict),
            element("div", element("strong", finding.limit), " ", finding.reason, _source(finding)),
        )
        for finding in ordered
    )
    return joined(element("h3", "Findings"), element("ul", *items, class_="findings"))


def _source(finding: Finding) -> Markup:
    parts = [finding.tier, f"basis {finding.basis}" if finding.basis else "", finding.source]
    return element("small", " · ".join(part for part in parts if part))


def _advice(result: Result) -> Markup:
    """Return every sentence of advice, with its basis and the rule that it rests on."""
    if not result.advice:
        return Markup("")
    items = (
        element("li", one.text, element("small", f"{one.basis}: {one.rule}" if one.rule else one.basis))
        for one in shown_advice(result.advice, len(result.advice))
    )
    return joined(element("h3", HEADING), element("ul", *items, class_="advice"))


def _warning(warned: Warned) -> Markup:
    advice = element("small", warned.advice) if warned.advice else ""
    return element("p", element("strong", "Note: "), warned.text, advice, class_="warning")


def side_by_side(results: Sequence[Result], anchors: Sequence[str]) -> Markup:
    """Return the table of several results, a row each, with a link to it."""
    shown = [name for name in SIDE_BY_SIDE if any(_value(result.metrics.get(name)) is not None for result in results)]
    engines = ("engine",) if any(simulation_line(result) for result in results) else ()
    head = ("model", "target", "verdict", *(metric_kind(name).title for name in shown), *engines, "basis", "status")
    right = {3 + at for at in range(len(shown))}
    rows: list[tuple[str, ...]] = []
    for result, anchor in zip(results, anchors, strict=True):
        metrics = {name: result.metrics.get(name) for name in shown}
        bases = sorted({metric.basis for metric in metrics.values() if metric and metric.value is not None})
        target = f"{result.target.name} {result.variant or ''}".strip()
        rows.append(
            (
                element("a", result.model.name, href=f"#{anchor}"),
                target,
                pill(verdict_of(result.findings)),
                *(_cell(name, metric) for name, metric in metrics.items()),
                *((engine_of(result),) if engines else ()),
                ", ".join(bases),
                result.status,
            )
        )
    return table("Results side by side", head, rows, numbers=frozenset(right))


def _value(metric: Metric | None) -> float | None:
    return None if metric is None else metric.value


def _cell(name: str, metric: Metric | None) -> str:
    value = _value(metric)
    return "—" if value is None else format_value(name, value)


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def latency_table(result: Result) -> Markup:
    """Return the latencies with bounds and basis; nothing where there are none."""
    rows = [
        (row.title, row.value, row.bounds or row.reason, row.basis, row.samples)
        for title, found in sections(result)
        for row in found
        if title in {"Latency", "Deadline"}
    ]
    if not rows:
        return Markup("")
    head = ("figure", "value", "bounds", "basis", "samples")
    return table("Percentiles with 95 % bounds", head, rows, numbers=frozenset({1, 4}))


def provenance(result: Result) -> Markup:
    """Return every figure of the result: value, bounds, basis, samples, method and assumptions, or why it is absent."""
    rows: list[tuple[str, ...]] = []
    for name, metric in result.metrics.items():
        row = row_of(name, metric)
        how = "; ".join(
            part for part in (metric.method, *(f"assumes {one}" for one in metric.assumptions)) if part and row.basis
        )
        absent = f"not measured: {row.reason}" if row.reason else ""
        rows.append((row.title, row.value, row.bounds, row.basis, row.samples, how or absent))
    head = ("figure", "value", "bounds", "basis", "samples", "how it was got")
    return table("Every figure and how it was got", head, rows, numbers=frozenset({1, 4}))


def resting(result: Result) -> Markup:
    """Return what energy and battery life rest on; nothing where neither was asked for."""
    lines = [*energy_lines(result), *battery_lines(result)]
    return element("ul", *(element("li", line) for line in lines)) if lines else Markup("")


# ── environment ──────────────────────────────────────────────────────────────────────────────────────────────────────


def environment(result: Result) -> Markup:
    """Return what ran where, and the board's state before and after."""
    facts = [(name, text) for name, text in _facts(result) if text]
    drawn = table("What ran where", ("what", "which"), facts, numbers=frozenset())
    before, unread = _state(result.environment.before)
    after, _ = _state(result.environment.after)
    states: list[tuple[str, ...]] = [
        (key, before.get(key, "—"), after.get(key, "—")) for key in dict.fromkeys((*before, *after))
    ]
    if not states:
        return joined(drawn, element("p", "The board tells nothing of its state.", class_="quiet"))
    state = table("State of the board", ("what", "before", "after"), states, numbers=frozenset())
    missing = "; ".join(f"{key} ({reason})" for key, reason in unread.items())
    return joined(drawn, state, element("p", f"Not read: {missing}.", class_="quiet") if missing else "")


def _state(state: dict[str, Json]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the board said, and what could not be read with the reasons."""
    absent = state.get("absent")
    told = {key: value for key, value in state.items() if key != "absent"}
    return _flat(told), _flat(absent) if isinstance(absent, dict) else {}


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    yield "run", heading(result)
    yield "simulated", simulation_line(result).removeprefix("simulated: ")
    yield "model", f"{result.model.name}, {result.model.format}"
    yield "model SHA-256", result.model.sha256 or ""
    yield "inputs", result.plan.inputs
    yield "target", f"{result.target.name} over {result.target.link}"
    yield "agent", " ".join(part for part in (result.target.agent, result.target.protocol) if part)
    yield "board", " ".join(part for part in (result.board.name, result.board.id and f"({result.board.id})") if part)
    yield "power mode", result.board.power_mode or ""
    if result.runtime is not None:
        yield "runtime", f"{result.runtime.name} {result.runtime.version}, threads: {result.runtime.threads}"
        for key, text in _flat(result.runtime.detail).items():
            yield f"runtime, {key}", text
    for key, text in _flat(result.board.identity).items():
        yield f"board, {key}", text
    yield "passes", ", ".join(f"{one.kind} {one.launch}" for one in result.plan.passes)
    yield "sensors", overhead_line(result).removeprefix("sensors: ")
    yield "left out", not_in_this_run(result)
    yield "result", f"{result.id}, {result.created}, {result.status}"
    yield "edgeprof", f"{result.tool.name} {result.tool.version}: {' '.join(result.tool.command)}"


def _flat(state: dict[str, Json], before: str = "") -> dict[str, str]:
    """Return nested state as lines: keys joined by a dot, lists by a comma."""
    found: dict[str, str] = {}
    for key, value in state.items():
        name = f"{before}{key}"
        match value:
            case dict():
                found |= _flat(value, f"{name}.")
            case list() | tuple():
                found[name] = ", ".join(_text(one) for one in value)
            case _:
                found[name] = _text(value)
    return found


def _text(value: Json) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
