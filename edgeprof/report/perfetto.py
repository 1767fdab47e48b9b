"""Chrome's trace format, which ui.perfetto.dev and chrome://tracing open: samples, operators and sensors over time.

"Trace Event Format" (Google, 2016): complete events `X`, counters `C`, names as metadata `M`; times in microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from edgeprof.report.rows import heading
from edgeprof.wire import PREEMPTED, THROTTLED, WARMUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgeprof.records.result import Result
    from edgeprof.records.sensors import SensorSeries

MOST_SAMPLES = 50_000
"""Of one result; beyond it every n-th is drawn and the trace says so."""
OPERATOR_TRACK = 1000


def render(results: Sequence[Result]) -> str:
    """Return one trace; each result is a process in it."""
    events = [event for number, result in enumerate(results, 1) for event in _events(number, result)]
    whole = {"traceEvents": events, "displayTimeUnit": "ns"}
    return msgspec.json.encode(whole).decode()


def _events(process: int, result: Result) -> Iterator[dict[str, Any]]:
    yield _named("process_name", process, 0, heading(result))
    timed = not _counts(result)
    sensed = [series.time_s[0] for series in result.sensors if series.time_s]
    begin_s = min([*(result.samples.start_s if timed else ()), *sensed], default=0.0)
    if timed:
        yield from _samples(process, result, begin_s)
    yield from _operators(process, result)
    for series in result.sensors:
        yield from _counter(process, series, begin_s)


def _counts(result: Result) -> bool:
    """Say whether the board counts instructions or cycles: its samples are no times then, and have no place in time."""
    counted = (result.metrics.get(name) for name in ("instructions_count", "cycles_count"))
    return "latency_p50_s" not in result.metrics and any(metric and metric.value is not None for metric in counted)


def _samples(process: int, result: Result, begin_s: float) -> Iterator[dict[str, Any]]:
    columns = result.samples
    step = max(1, -(-len(columns.start_s) // MOST_SAMPLES))
    thinned = f", every {step}th drawn" if step > 1 else ""
    for launch in sorted(set(columns.launch)):
        yield _named("thread_name", process, launch + 1, f"launch {launch}{thinned}")
    for at in range(0, len(columns.start_s), step):
        flags = columns.flags[at]
        name = "warm-up" if flags & WARMUP else "inference"
        arguments: dict[str, Any] = {"batch": columns.batch[at]}
        for word, flag in (("preempted", PREEMPTED), ("throttled", THROTTLED)):
            if flags & flag:
                arguments[word] = True
        yield _span(process, columns.launch[at] + 1, name, (columns.start_s[at] - begin_s, columns.duration_s[at]),
                    arguments)  # fmt: skip


def _operators(process: int, result: Result) -> Iterator[dict[str, Any]]:
    """Lay the operators of one inference end to end: they were timed in a pass of their own."""
    timed = [row for row in result.operators if row.time_s is not None]
    if not timed:
        return
    yield _named("thread_name", process, OPERATOR_TRACK, "operators of one inference, mean times end to end")
    at_s = 0.0
    for row in timed:
        taken_s = row.time_s or 0.0
        yield _span(process, OPERATOR_TRACK, f"{row.type} {row.name}", (at_s, taken_s), {"share": row.share_ratio})
        at_s += taken_s


def _counter(process: int, series: SensorSeries, begin_s: float) -> Iterator[dict[str, Any]]:
    name = f"{series.name} ({series.unit})"
    for time_s, value in zip(series.time_s, series.value, strict=True):
        yield {"ph": "C", "pid": process, "name": name, "ts": (time_s - begin_s) * 1e6, "args": {series.unit: value}}


def _span(
    process: int, thread: int, name: str, when_s: tuple[float, float], arguments: dict[str, Any]
) -> dict[str, Any]:
    start_s, duration_s = when_s
    return {
        "ph": "X", "pid": process, "tid": thread, "name": name, "ts": start_s * 1e6, "dur": duration_s * 1e6,
        "args": arguments,
    }  # fmt: skip


def _named(kind: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "tid": thread, "name": kind, "args": {"name": name}}
