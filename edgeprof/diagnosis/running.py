"""What the way that a model is run costs: its start, other work on the cores, a clock below its highest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprof.records.diagnosis import Advice, Effect
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgeprof.diagnosis.work import Case

COLD = 2.0
"""A start that takes less than this many inferences is not worth a sentence."""
PREEMPTED_RATIO = 0.01
SLOWED = 0.95
"""Below this share of the highest clock the board was not at its fastest."""


def cold_start_advice(case: Case) -> Iterator[Advice]:
    """Compare the first answer after a start with those of a model that is kept loaded.

    Its effects are on the two parts of a start: a model that is kept is not loaded again, and its first inference is
    one like the others.
    """
    load, first = _value(case, "latency_load_s"), _value(case, "latency_first_s")
    if load is None or first is None or case.metric != "latency_p50_s" or not case.latency:
        return
    start = load + first
    if start < COLD * case.latency:
        return
    yield Advice(
        kind="cold-start", basis="estimated", rule="load and first inference against the median of a loaded model",
        text=f"the first answer takes {format_duration(start)}, {start / case.latency:,.0f} times a later one: keeping"
        f" the model loaded saves {format_duration(start - case.latency)} a start",
        effects=(
            Effect(metric="latency_load_s", now=load, low=0.0, high=0.0),
            Effect(metric="latency_first_s", now=first, low=case.latency),
        ),
        evidence=(f"load = {format_duration(load)}", f"first = {format_duration(first)}"),
    )  # fmt: skip


def preempted_advice(case: Case) -> Iterator[Advice]:
    """Say what other work on the cores costs the slowest answers."""
    share, raw = _value(case, "preempted_ratio"), _value(case, "latency_p99_s")
    calm = _value(case, "latency_unpreempted_p99_s")
    if share is None or raw is None or calm is None or share < PREEMPTED_RATIO or calm >= raw:
        return
    yield Advice(
        kind="preempted", basis="estimated", rule="p99 of the samples without involuntary context switches",
        text=f"{share:.0%} of the samples were interrupted by other work: the p99 of all is {format_duration(raw)},"
        f" of the others {format_duration(calm)}, which cores of its own give at best",
        effects=(Effect(metric="latency_p99_s", now=raw, low=calm),),
        evidence=(f"preempted_ratio = {share:.3f}",),
    )  # fmt: skip


def clock_advice(case: Case) -> Iterator[Advice]:
    """Say what a clock below its highest costs at most."""
    after = case.result.environment.after
    now, most = (
        max((after.get(name) or {}).values(), default=0) for name in ("frequency_hz", "frequency_hardware_limit_hz")
    )
    if not now or not most or now >= SLOWED * most or not case.latency or case.metric != "latency_p50_s":
        return
    why = _why_slow(case)
    yield Advice(
        kind="clock", basis="estimated", rule="time is no shorter than cycles over the highest clock",
        text=f"the cores ran at {now / 1e9:.2f} of {most / 1e9:.2f} GHz{f' ({why})' if why else ''}:"
        f" the highest clock gains {most / now:.2f}x at most",
        effects=(Effect(metric="latency_p50_s", now=case.latency, low=case.latency * now / most),),
        evidence=(f"frequency_hz = {now}", f"frequency_hardware_limit_hz = {most}"),
    )  # fmt: skip


def _why_slow(case: Case) -> str:
    """Return what held the clock down: the board's own word for it before the governor's."""
    if any(warned.code in {"throttled", "undervoltage"} for warned in case.result.warnings):
        return "the board throttled"
    governors = sorted(set((case.result.environment.after.get("governor") or {}).values()))
    return f"governor {', '.join(governors)}" if governors else ""


def _value(case: Case, name: str) -> float | None:
    metric = case.result.metrics.get(name)
    return metric.value if metric is not None else None
