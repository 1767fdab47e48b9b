"""The rows that every text report shows: metrics in their order, with bounds, basis and sample count."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.metrics import REGISTRY, metric_kind
from edgeprof.summary.summarise import LATENCY_KINDS
from edgeprof.units import format_bytes, format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.result import Metric, ModelFacts, Result

SECTIONS = (
    ("Latency", ("latency_", "throughput_", "preempted_", "throttled_", "delegated_", "instructions_", "cycles_")),
    ("Whole path", ("stage_",)),
    ("Deadline", ("deadline_",)),
    ("Memory", ("memory_", "arena_", "stack_", "static_", "sram_", "flash_")),
    ("Power", ("energy_", "power_", "inferences_", "battery_", "temperature_", "cost_", "carbon_")),
    ("Model", ("model_", "weights_", "parameters_", "macs_", "activations_")),
    ("Output", ("accuracy_", "output_")),
)


PASSES = (
    ("latency back to back", ("latency_", "throughput_", "preempted_"), LATENCY_KINDS),
    ("the whole path", ("stage_",), ("stages",)),
    ("deadlines", ("deadline_",), ("deadline",)),
    ("memory", ("memory_",), ("memory",)),
)
"""What is not shown row by row where it was not asked for: its name, its metrics, the passes that give them."""

SCOPES = {"within-run": " in this run", "across-launches": " across launches", "": ""}


def model_size(model: ModelFacts) -> str:
    """Return the size of a model as text."""
    return "size not known" if model.bytes is None else format_bytes(model.bytes)


class Row(NamedTuple):
    """One metric as text."""

    name: str
    title: str
    value: str
    bounds: str
    basis: str
    samples: str
    reason: str


def sections(result: Result) -> Iterator[tuple[str, list[Row]]]:
    """Yield the sections that have at least one metric that was measured, or was to be."""
    out = tuple(prefix for _, prefixes in _not_asked(result) for prefix in prefixes)
    for title, prefixes in SECTIONS:
        rows = [
            row_of(name, result.metrics[name])
            for name in REGISTRY
            if name in result.metrics
            and name.startswith(prefixes)
            and (result.metrics[name].value is not None or not name.startswith(out))
        ]
        if rows:
            yield title, rows


def not_in_this_run(result: Result) -> str:
    """Return what the plan did not ask for, in a line; empty where it asked for all that a result has names for."""
    names = [
        title
        for title, prefixes in _not_asked(result)
        if any(name.startswith(prefixes) and metric.value is None for name, metric in result.metrics.items())
    ]
    return f"not in this run: {', '.join(names)}" if names else ""


def _not_asked(result: Result) -> Iterator[tuple[str, tuple[str, ...]]]:
    kinds = {one.kind for one in result.plan.passes}
    yield from ((title, prefixes) for title, prefixes, of in PASSES if kinds.isdisjoint(of))


def simulation_line(result: Result) -> str:
    """Return what a simulated board's times were drawn from: engine, clock, and what was declared; empty elsewhere."""
    drawn = result.runtime.detail.get("cost_model") if result.runtime is not None else None
    if result.runtime is None or drawn is None:
        return ""
    detail = result.runtime.detail
    engine, clock, assumed = detail.get("engine"), detail.get("clock_hz"), detail.get("assumptions")
    by = f"{engine}, " if engine and engine not in str(drawn).split() else ""
    at = f" at {clock / 1e6:g} MHz" if isinstance(clock, int | float) else ""
    assumes = f"; assumes {', '.join(map(str, assumed))}" if isinstance(assumed, list | tuple) and assumed else ""
    return f"simulated: {by}{drawn}{at}{assumes}"


def engine_of(result: Result) -> str:
    """Return what ran the model: the runtime, or the engine that a simulated one stands for."""
    if result.runtime is None:
        return "—"
    engine = result.runtime.detail.get("engine")
    return str(engine or ("—" if simulation_line(result) else result.runtime.name))


def row_of(name: str, metric: Metric) -> Row:
    """Return a metric as text; one that was not measured has a dash and its reason."""
    title = metric_kind(name).title
    if metric.value is None:
        return Row(name, title, "—", "", "", "", metric.reason or "")
    value = format_value(name, metric.value)
    count = "" if metric.count is None else f"{metric.count:,}"
    return Row(name, title, value, _bounds(name, metric), metric.basis, count, "")


def _bounds(name: str, metric: Metric) -> str:
    if metric.low is None and metric.high is None:
        return ""
    low = format_value(name, metric.low) if metric.low is not None else "?"
    high = format_value(name, metric.high) if metric.high is not None else "?"
    return f"{low} … {high}{SCOPES[metric.scope or '']}"


def heading(result: Result) -> str:
    """Return what ran where: model, board, runtime, threads."""
    runtime = result.runtime
    if runtime is None:
        ran = "no runtime"
    else:
        threads = f"{runtime.threads} thread{'s' if runtime.threads > 1 else ''}"
        ran = f"{' '.join(part for part in (runtime.name, runtime.version) if part)}, {threads}"
    board = result.board.name
    where = board if board == result.target.name else f"{result.target.name} ({board})"
    return f"{result.model.name} on {where}, {ran}"
