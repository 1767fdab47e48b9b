"""The rows that every text report shows: metrics in their order, with bounds, basis and sample count."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.metrics import REGISTRY, metric_kind
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.records.result import Metric, Result

SECTIONS = (
    ("Latency", ("latency_", "throughput_", "preempted_", "throttled_", "instructions_", "cycles_")),
    ("Whole path", ("stage_",)),
    ("Deadline", ("deadline_",)),
    ("Memory", ("memory_", "arena_", "stack_", "static_", "sram_", "flash_")),
    ("Power", ("energy_", "power_", "battery_", "temperature_", "cost_", "carbon_")),
    ("Model", ("model_", "weights_", "parameters_", "macs_", "activations_")),
    ("Output", ("accuracy_", "output_")),
)


SCOPES = {"within-run": " in this run", "across-launches": " across launches", "": ""}


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
    """Yield the sections that have at least one metric."""
    for title, prefixes in SECTIONS:
        rows = [
            row_of(name, result.metrics[name])
            for name in REGISTRY
            if name in result.metrics and name.startswith(prefixes)
        ]
        if rows:
            yield title, rows


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
