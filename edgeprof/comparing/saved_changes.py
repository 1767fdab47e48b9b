"""What changed between two saved results, metric by metric: pure. Exact figures exactly, times coarsely.

Latencies of two saved results come from two processes, and identical ones differ by a log ratio of 11 to 18 % (standard
deviation) from launch to launch; medians of five launches still do, where something else comes and goes on the machine.
The least figure hardly does. So a change is told where least figures are further apart than `COARSE_RATIO`, or
`LAUNCHES_RATIO` with five launches a side; within it nothing can be told, and two saved latencies are never called the
same. A simulated machine does not change between two runs: there Welch's t-interval over the launches counts. A result
is the same as itself.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof import stats
from edgeprof.comparing.intervals import FLOOR_RATIO, Estimate, verdict
from edgeprof.metrics import REGISTRY
from edgeprof.records.comparison import Change
from edgeprof.units import format_bytes
from edgeprof.wire import WARMUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.records.comparison import ChangeVerdict
    from edgeprof.records.result import Basis, Metric, Result

COARSE_RATIO = 1.35
"""Least samples of two launches: sd of the log ratio 11 to 14 %; 1.35 is 2.1 to 2.7 of them, and 2 is 2.8 beyond it."""
LAUNCHES_RATIO = 1.25
"""Of the least of five launches a side: all 711 pairs among 30 runs of a model of 50 µs and among 24 of one of 1.6 ms,
on two busy CPUs (load 2 to 3), were within 1.06 times, where Welch's interval over launch medians, and 25 %, told a
change in one of eight."""
EXACT_BASES = frozenset({"computed", "declared"})
DRAWN_UP = frozenset({"emulated", "simulated"})
"""Where counts and sizes follow from the model alone, and are the same in every run."""
COUNTED = ("instructions_count", "cycles_count")
EXACT = frozenset({"model_bytes", "arena_bytes", "flash_bytes", "static_ram_bytes"})
"""Laid out by a compiler or a planner, whoever reads them off."""
MEMORY_FLOOR_BYTES, MEMORY_FLOOR_RATIO = 256 * 1024, 0.05
"""Kernel accounting of a process moves by pages of libraries and arenas: less than this is no change."""
COARSE = "two runs of the same model differ by up to a third in latency and energy"


def changes(base: Result, new: Result, advice: str = "") -> tuple[Change, ...]:
    """Return each metric that at least one side has, in the registry's order.

    Errors of outputs are left out: each side's is against an oracle of its own. `advice` is added to the reason where
    two runs cannot tell a latency or an energy.
    """
    both = base.metrics.keys() | new.metrics.keys()
    names = [name for name in REGISTRY if name in both and not name.startswith("output_")]
    found = (_change(name, base, new) for name in names)
    return tuple(_advised(change, advice) for change in found if change is not None)


def _advised(change: Change, advice: str) -> Change:
    coarse = change.verdict == "cannot tell" and change.reason.endswith(COARSE)
    return replace(change, reason=f"{change.reason}; {advice}") if coarse and advice else change


def _change(name: str, base: Result, new: Result) -> Change | None:
    one, other = base.metrics.get(name), new.metrics.get(name)
    if one is None or other is None or one.value is None or other.value is None:
        return _half(name, one, other)
    ratio = _ratio(one.value, other.value)
    shown = Change(metric=name, base=one.value, new=other.value, basis=other.basis, way="saved", change_ratio=ratio)
    if one.basis != other.basis:
        return replace(shown, change_ratio=None, reason=f"{one.basis} against {other.basis}")
    if base.id == new.id and one.value == other.value:
        return _exact(replace(shown, change_ratio=0.0), "both sides are the same result")
    if _is_exact(name, one.basis):
        return _exact(shown)
    return _measured(shown, base, new)


def _measured(shown: Change, base: Result, new: Result) -> Change:
    """Return a change of what each run gives otherwise."""
    name = shown.metric
    if shown.change_ratio is None:
        return replace(shown, reason="the base is 0")
    if name == "latency_p50_s":
        return _latency(shown, base, new)
    return _noisy(shown, base.metrics[name], new.metrics[name])


def _ratio(base: float, new: float) -> float | None:
    """Return the relative change; nothing to nothing is none, something from nothing has none."""
    if base:
        return new / base - 1
    return 0.0 if not new else None


def _half(name: str, one: Metric | None, other: Metric | None) -> Change | None:
    have = [metric for metric in (one, other) if metric is not None and metric.value is not None]
    if not have:
        return None
    missing = other if have[0] is one else one
    why = missing.reason if missing is not None and missing.reason else "the other side does not have it"
    return Change(
        metric=name, base=one.value if one else None, new=other.value if other else None, basis=have[0].basis,
        way="saved", reason=why,
    )  # fmt: skip


def _is_exact(name: str, basis: Basis) -> bool:
    return basis in EXACT_BASES or name in EXACT or (basis in DRAWN_UP and name.endswith(("_count", "_bytes")))


def _exact(shown: Change, method: str = "both are exact") -> Change:
    ratio = shown.change_ratio
    apart = (shown.new or 0.0) - (shown.base or 0.0)
    return replace(
        shown, way="exact", low=ratio, high=ratio, confidence=1.0, verdict=_direction(shown.metric, apart),
        method=method,
    )  # fmt: skip


def _direction(name: str, apart: float) -> ChangeVerdict:
    if apart == 0:
        return "same"
    return "worse" if (apart > 0) == (REGISTRY[name].better == "less") else "better"


def _latency(shown: Change, base: Result, new: Result) -> Change:
    """Compare the least samples, coarsely; of a simulated board, with five launches a side, the launches."""
    ours, theirs = _launch_medians(base), _launch_medians(new)
    launches = min(len(ours), len(theirs))
    found = welch(ours, theirs) if shown.basis == "simulated" else None
    if found is None:
        return _coarse(shown, _least(base), _least(new), launches)
    shown = replace(
        shown, change_ratio=found.change_ratio, low=found.low, high=found.high, confidence=found.confidence,
        method=f"Welch's t-interval over {len(ours)} and {len(theirs)} launches of two runs",
    )  # fmt: skip
    return _steady(shown, found)


def _steady(shown: Change, found: Estimate) -> Change:
    """Judge launches of a machine that does not change between two runs."""
    said = verdict(found, shown.base or 0.0, FLOOR_RATIO)
    return replace(
        shown, verdict=said, reason="" if said != "cannot tell" else "the launches differ too much among themselves"
    )


def _coarse(shown: Change, base: float | None, new: float | None, launches: int = 1) -> Change:
    if not base or not new:
        return replace(shown, verdict="cannot tell", reason="a side has no samples")
    several = launches >= stats.FEWEST_LAUNCHES
    ratio, bound = new / base, LAUNCHES_RATIO if several else COARSE_RATIO
    each = f"{launches} launches or more" if several else "one launch"
    method = f"least figure of {each} each ({ratio:.2f} times); beyond {bound} times it is a change"
    if ratio > bound or ratio < 1 / bound:
        return replace(shown, verdict=_direction(shown.metric, ratio - 1), method=method)
    return replace(shown, verdict="cannot tell", method=method, reason=COARSE)


def _noisy(shown: Change, one: Metric, other: Metric) -> Change:
    """Return a figure that has noise of its own: shown, and judged only where a rule says how."""
    name, ratio = shown.metric, shown.change_ratio or 0.0
    if name.startswith("memory_"):
        return _kernel_memory(shown)
    if _apart(one, other):
        method = "the intervals across launches do not touch"
        return replace(shown, verdict=_direction(name, ratio), method=method)
    if name.startswith("energy_"):
        return _coarse(shown, one.value, other.value)
    reason = "only latency_p50_s is compared between two runs"
    if not name.startswith(("latency_", "throughput_", "deadline_", "stage_")):
        reason = "no interval across launches on both sides"
    return replace(shown, verdict="cannot tell", reason=reason)


def _kernel_memory(shown: Change) -> Change:
    apart = (shown.new or 0.0) - (shown.base or 0.0)
    if abs(apart) >= MEMORY_FLOOR_BYTES and abs(shown.change_ratio or 0.0) >= MEMORY_FLOOR_RATIO:
        return replace(shown, verdict=_direction(shown.metric, apart), method="more than the kernel's accounting moves")
    what = f"less than {format_bytes(MEMORY_FLOOR_BYTES)} or {MEMORY_FLOOR_RATIO * 100:g} % of a process is no change"
    return replace(shown, verdict="same", method=what)


def _apart(one: Metric, other: Metric) -> bool:
    if one.scope != "across-launches" or one.scope != other.scope:
        return False
    if None in {one.low, one.high, other.low, other.high}:
        return False
    return (one.high or 0.0) < (other.low or 0.0) or (other.high or 0.0) < (one.low or 0.0)


def _launch_medians(result: Result) -> list[float]:
    of_launches: dict[int, list[float]] = {}
    columns = result.samples
    for launch, duration, batch, flags in zip(
        columns.launch, columns.duration_s, columns.batch, columns.flags, strict=True
    ):
        if not flags & WARMUP:
            of_launches.setdefault(launch, []).append(duration / batch)
    return [statistics.median(durations) for durations in of_launches.values()]


def _least(result: Result) -> float | None:
    metric = result.metrics.get("latency_min_s")
    return metric.value if metric else None


def welch(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95) -> Estimate | None:
    """Return Welch's interval of the log ratio of geometric means; None below five launches a side."""
    if min(len(ours), len(theirs)) < stats.FEWEST_LAUNCHES or min(*ours, *theirs) <= 0:
        return None
    logs = [[math.log(value) for value in side] for side in (ours, theirs)]
    variances = [statistics.variance(side) / len(side) for side in logs]
    total = sum(variances)
    center = statistics.fmean(logs[1]) - statistics.fmean(logs[0])
    if total == 0:
        return Estimate(math.expm1(center), math.expm1(center), math.expm1(center), confidence, len(ours))
    freedom = total**2 / sum(v**2 / (len(side) - 1) for v, side in zip(variances, logs, strict=True))
    half = stats.student_t(max(1, math.floor(freedom)), confidence) * math.sqrt(total)
    return Estimate(math.expm1(center), math.expm1(center - half), math.expm1(center + half), confidence, len(ours))
