"""Two results to a verdict per metric: pure. What may be compared, what changed, and how much of that is noise.

Latencies of two saved results come from two processes, and identical ones differ by a log ratio of 11 to 18 % (standard
deviation) from launch to launch. So single launches support coarse verdicts only: beyond `COARSE_RATIO` something has
changed, within it nothing can be told. From five launches a side on, Welch's t-interval over the launches counts.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from edgeprof import stats
from edgeprof.compare_stats import Estimate, gate, verdict
from edgeprof.metrics import REGISTRY
from edgeprof.records.comparison import Change, ComparedSide, Comparison, Difference
from edgeprof.records.result import Finding
from edgeprof.units import format_value
from edgeprof.wire import WARMUP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.compare_stats import Gate
    from edgeprof.records.comparison import ChangeVerdict, LaunchRatio
    from edgeprof.records.result import Basis, Metric, Result, Tier

MAX_REGRESSION = 0.03
COARSE_RATIO = 1.35
"""Least samples of two launches: sd of the log ratio 11 to 14 %; 1.35 is 2.1 to 2.7 of them, and 2 is 2.8 beyond it."""
EXACT_BASES = frozenset({"computed", "declared"})
COUNTED = ("instructions_count", "cycles_count")
GATED = (
    "latency_p50_s", "deadline_p99_s", "instructions_count", "cycles_count", "energy_per_inference_j",
    "memory_peak_bytes", "sram_peak_bytes", "arena_bytes", "flash_bytes", "model_bytes",
)  # fmt: skip
"""What a regression gate looks at; the other metrics are shown."""
MEMORY_FLOOR_BYTES, MEMORY_FLOOR_RATIO = 256 * 1024, 0.05
"""Kernel accounting of a process moves by pages of libraries and arenas: less than this is no change."""
TIMED = ("latency_", "throughput_", "deadline_", "stage_")


def side_of(result: Result) -> ComparedSide:
    """Return what a comparison shows of a result."""
    runtime = result.runtime
    return ComparedSide(
        id=result.id,
        created=result.created,
        name=result.variant or result.model.name,
        model=result.model,
        target=result.target.name,
        board=result.board.name,
        runtime=f"{runtime.name} {runtime.version}".strip() if runtime else "",
        threads=runtime.threads if runtime else 1,
        metrics=result.metrics,
    )


def differences(base: Result, new: Result) -> tuple[Difference, ...]:
    """Return what besides the model differs; most of it makes latencies incomparable."""
    pairs = (
        ("inputs", _inputs(base), _inputs(new), True),
        ("board", base.board.id or base.board.name, new.board.id or new.board.name, True),
        ("basis", _basis(base), _basis(new), True),
        ("runtime", _runtime(base), _runtime(new), True),
        ("threads", _threads(base), _threads(new), True),
        ("power mode", base.board.power_mode or "", new.board.power_mode or "", True),
        ("governor", _governor(base), _governor(new), True),
        ("runtime version", _version(base), _version(new), False),
        ("target", base.target.name, new.target.name, False),
        ("edgeprof", base.tool.version, new.tool.version, False),
    )
    return tuple(
        Difference(what=what, base=one or "not known", new=other or "not known", forbids=forbids)
        for what, one, other, forbids in pairs
        if one != other
    )


def _inputs(result: Result) -> str:
    return "; ".join(str(list(x.shape or ())) for x in result.model.inputs)


def _basis(result: Result) -> str:
    names = ("latency_p50_s", *COUNTED)
    return next((m.basis for name in names if (m := result.metrics.get(name)) and m.value is not None), "")


def _runtime(result: Result) -> str:
    runtime = result.runtime
    if runtime is None:
        return ""
    chosen = {name: value for name, value in runtime.detail.items() if name in {"delegate", "providers"}}
    return f"{runtime.name} {chosen}" if chosen else runtime.name


def _version(result: Result) -> str:
    return result.runtime.version if result.runtime else ""


def _threads(result: Result) -> str:
    return str(result.runtime.threads) if result.runtime else ""


def _governor(result: Result) -> str:
    return ", ".join(sorted(set(result.environment.before.get("governor", {}).values())))


# ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def changes(base: Result, new: Result, max_regression: float = MAX_REGRESSION) -> tuple[Change, ...]:
    """Return each metric that at least one side has, in the registry's order."""
    names = [name for name in REGISTRY if name in base.metrics or name in new.metrics]
    found = (_change(name, base, new, max_regression) for name in names)
    return tuple(change for change in found if change is not None)


def _change(name: str, base: Result, new: Result, max_regression: float) -> Change | None:
    one, other = base.metrics.get(name), new.metrics.get(name)
    if one is None or other is None or one.value is None or other.value is None:
        return _half(name, one, other)
    ratio = other.value / one.value - 1 if one.value else None
    if ratio is None or one.basis != other.basis:
        reason = "the base is 0" if ratio is None else f"{one.basis} against {other.basis}"
        return Change(metric=name, base=one.value, new=other.value, basis=other.basis, way="saved", reason=reason)
    if _is_exact(name, one.basis):
        return _exact(name, one, other, ratio)
    if name == "latency_p50_s":
        return _latency(base, new, one, other, ratio, max_regression)
    return _noisy(name, one, other, ratio)


def _half(name: str, one: Metric | None, other: Metric | None) -> Change | None:
    have = [metric for metric in (one, other) if metric is not None and metric.value is not None]
    if not have:
        return None
    missing = other if have[0] is one else one
    why = missing.reason if missing is not None and missing.reason else "the other side does not have it"
    return Change(
        metric=name,
        base=one.value if one else None,
        new=other.value if other else None,
        basis=have[0].basis,
        way="saved",
        reason=why,
    )


def _is_exact(name: str, basis: Basis) -> bool:
    return basis in EXACT_BASES or (basis == "emulated" and name in COUNTED) or name == "model_bytes"


def _exact(name: str, one: Metric, other: Metric, ratio: float) -> Change:
    return Change(
        metric=name, base=one.value, new=other.value, basis=other.basis, way="exact", change_ratio=ratio, low=ratio,
        high=ratio, confidence=1.0, verdict=_direction(name, ratio), method="both are exact",
    )  # fmt: skip


def _direction(name: str, ratio: float) -> ChangeVerdict:
    if ratio == 0:
        return "same"
    return "worse" if (ratio > 0) == (REGISTRY[name].better == "less") else "better"


def _latency(base: Result, new: Result, one: Metric, other: Metric, ratio: float, max_regression: float) -> Change:
    """Compare launches where each side has five, else the least samples, coarsely."""
    ours, theirs = _launch_medians(base), _launch_medians(new)
    found = _welch(ours, theirs)
    shown = Change(
        metric="latency_p50_s", base=one.value, new=other.value, basis=other.basis, way="saved", change_ratio=ratio
    )
    if found is not None:
        said = verdict(found, one.value or 0.0, max_regression)
        method = f"Welch's t-interval over {len(ours)} and {len(theirs)} launches of two runs"
        return _replaced(shown, found, said, method, "" if said != "cannot tell" else WIDE)
    return _coarse(shown, _least(base), _least(new))


WIDE = "the launches differ too much among themselves; compare both models in one command, with --target"
COARSE = "two single launches differ by up to a third without any change; compare both models in one command, --target"


def _coarse(shown: Change, base_s: float | None, new_s: float | None) -> Change:
    if not base_s or not new_s:
        return _replaced(shown, None, "cannot tell", "", "a side has no samples")
    ratio = new_s / base_s
    method = f"least sample of one launch each ({ratio:.2f} times); beyond {COARSE_RATIO} times it is a change"
    if ratio > COARSE_RATIO:
        return _replaced(shown, None, "worse", method, "")
    if ratio < 1 / COARSE_RATIO:
        return _replaced(shown, None, "better", method, "")
    return _replaced(shown, None, "cannot tell", method, COARSE)


def _replaced(shown: Change, found: Estimate | None, said: ChangeVerdict, method: str, reason: str) -> Change:
    from msgspec.structs import replace  # noqa: PLC0415  only here

    if found is None:
        return replace(shown, verdict=said, method=method, reason=reason)
    return replace(
        shown, change_ratio=found.change_ratio, low=found.low, high=found.high, confidence=found.confidence,
        verdict=said, method=method, reason=reason,
    )  # fmt: skip


def _noisy(name: str, one: Metric, other: Metric, ratio: float) -> Change:
    """Return a figure that has noise of its own: shown, and judged only where a rule says how."""
    shown = Change(metric=name, base=one.value, new=other.value, basis=other.basis, way="saved", change_ratio=ratio)
    size = abs((other.value or 0.0) - (one.value or 0.0))
    if name.endswith("_bytes"):
        small = size < MEMORY_FLOOR_BYTES or abs(ratio) < MEMORY_FLOOR_RATIO
        said = "same" if small else _direction(name, ratio)
        return _replaced(shown, None, said, "less than 256 KiB or 5 % of kernel accounting is no change", "")
    if _apart(one, other):
        return _replaced(shown, None, _direction(name, ratio), "the intervals across launches do not touch", "")
    if name.startswith(TIMED):
        return _replaced(shown, None, "cannot tell", "", "only latency_p50_s is compared between saved results")
    return _replaced(shown, None, "cannot tell", "", "no interval across launches on both sides")


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


def _welch(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95) -> Estimate | None:
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


# ── interleaved ──────────────────────────────────────────────────────────────────────────────────────────────────────


def interleaved_change(found: Estimate, launches: Sequence[LaunchRatio], basis: Basis, max_regression: float) -> Change:
    """Return the change of latency_p50_s that both models run in turns gave."""
    base_s = statistics.median(launch.base_p50_s for launch in launches)
    said = verdict(found, base_s, max_regression)
    pairs = sum(launch.pairs for launch in launches)
    return Change(
        metric="latency_p50_s",
        base=base_s,
        new=base_s * (1 + found.change_ratio),
        basis=basis,
        way="interleaved",
        change_ratio=found.change_ratio,
        low=found.low,
        high=found.high,
        confidence=0.95,
        verdict=said,
        method=f"{pairs} pairs of inferences in turns over {len(launches)} launches; t-interval over launches",
        reason="" if said != "cannot tell" else "the launches differ too much among themselves",
    )


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def gate_findings(found: Sequence[Change], max_regression: float, tier: Tier = "hard") -> tuple[Finding, ...]:
    """Return a finding for each change that the gate looks at."""
    gated = (change for change in found if change.metric in GATED and change.change_ratio is not None)
    return tuple(_finding(change, max_regression, tier) for change in gated)


def _finding(change: Change, max_regression: float, tier: Tier) -> Finding:
    said, reason = _judged(change, max_regression)
    return Finding(
        limit=f"regression/{change.metric}", metric=change.metric, verdict=said, tier=tier, value=change.change_ratio,
        threshold=max_regression, unit="ratio", basis=change.basis, source="--max-regression", reason=reason,
    )  # fmt: skip


def _judged(change: Change, max_regression: float) -> tuple[Gate, str]:
    ratio = change.change_ratio or 0.0
    shown = f"{_shown(change)}, {ratio * 100:+.2f} %{_bounds(change)}; {max_regression * 100:g} % is allowed"
    if change.low is not None and change.high is not None:
        found = Estimate(ratio, change.low, change.high, change.confidence or 0.95, 0)
        if change.way == "exact":
            return ("FAIL" if ratio > max_regression else "PASS"), shown
        said = gate(found, change.base or 0.0, max_regression)
        return said, shown if said != "INCONCLUSIVE" else f"{shown}: the interval holds both"
    match change.verdict:
        case "worse":
            return ("FAIL" if ratio > max_regression else "INCONCLUSIVE"), f"{shown}; {change.method}"
        case "better" | "same":
            return "PASS", shown
        case _:
            return "INCONCLUSIVE", f"{shown}: {change.reason}"


def _shown(change: Change) -> str:
    values = [format_value(change.metric, value) for value in (change.base, change.new) if value is not None]
    return " → ".join(values)


def _bounds(change: Change) -> str:
    if change.way == "exact" or change.low is None or change.high is None:
        return ""
    return f" ({change.low * 100:+.2f} … {change.high * 100:+.2f} %)"


def compared(
    base: Result,
    new: Result,
    created: str,
    *,
    max_regression: float = MAX_REGRESSION,
    interleaved: Change | None = None,
    launches: Sequence[LaunchRatio] = (),
) -> Comparison:
    """Return the comparison of two results; what was run in turns takes the place of the saved latency."""
    found = changes(base, new, max_regression)
    if interleaved is not None:
        found = tuple(change for change in found if not change.metric.startswith("latency_p50"))
        found = (interleaved, *found)
    return Comparison(
        created=created,
        base=side_of(base),
        new=side_of(new),
        differences=differences(base, new),
        changes=found,
        launches=tuple(launches),
        findings=gate_findings(found, max_regression),
        warnings=(),
    )
