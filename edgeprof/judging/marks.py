"""What throttling and under-voltage do to verdicts: a limit on time or energy is not kept by a run that is marked.

A run is marked by new throttle bits: "new sticky bits or any low bit" make it no measurement of a healthy board
(raspberrypi/documentation, vcgencmd get_throttled). Three rules follow.

* What would PASS is INCONCLUSIVE, in whichever direction throttling may have moved it: it lengthens times, which then
  hold in spite of it, but it lowers power and may move energy either way, and what starved or overheated once will not
  be twice the same.
* What FAILs or WARNs stays so. Throttling may have caused it, and still the limit was missed on this board as it
  stands; easing it would let the board that throttles through a gate that the cool one is held up at.
* In a run of a given duration, back to back or by deadlines, that throttled by its heat, the throttled part is no
  accident: it is what the board does under lasting load, and what such a run is there to show. A limit is kept there
  when both all samples and those of the throttled part alone keep it: all of them alone say as much about the length of
  the run as about the board. A supply that is too weak is a fault in any run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from edgeprof.judging.fallback import fallback_findings, fell_back, of_another
from edgeprof.judging.limits import judge
from edgeprof.records.result import Finding, Metric
from edgeprof.summary.sustained import PART_PERCENTILES
from edgeprof.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edgeprof.judging.limits import Gate, Limit
    from edgeprof.records.result import Basis, Result

NEW_MARKS = {
    "throttled": "this run is marked: the board throttled during it",
    "undervoltage": "this run is marked: the supply voltage fell too low during it",
}
MARKS = {**NEW_MARKS, "throttled-before": "the board had been marked as throttled or under-voltage before the run"}
TIMED = (
    "latency_", "deadline_", "stage_", "throughput_", "energy_", "power_", "inferences_", "battery_",
    "cost_", "carbon_",
)  # fmt: skip
START_UP = ("latency_load_s", "latency_first_s")
SOURCE = "vcgencmd get_throttled (raspberrypi/documentation): bits 0 to 3 now, 16 to 19 since boot"


def judge_result(
    result: Result,
    limits: Iterable[Limit],
    accepted: Sequence[Basis] = (),
    *,
    gate: Gate = "target",
    never: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """Return one finding a limit, as `judge` does, with what the marks of the run and a fallback leave of it.

    Bits that stood before the run leave open what was measured: PASS, WARN and FAIL become INCONCLUSIVE. A finding of
    the tier `info` keeps its verdict, since it never gates.
    """
    rules = tuple(limits)
    findings = judge(result.metrics, rules, accepted, gate=gate, never=never)
    if fell_back(result):
        findings = tuple(map(of_another, findings))
    marks = _marks(result)
    if not marks:
        return findings
    parts = [judge(part, rules, accepted, gate=gate) for part in _throttled_parts(result)] if _by_heat(result) else []
    apart = list(zip(*parts, strict=True)) if parts else [()] * len(findings)
    return tuple(_marked(result, finding, marks, of_parts) for finding, of_parts in zip(findings, apart, strict=True))


def run_findings(result: Result) -> tuple[Finding, ...]:
    """Return what a fallback and new bits say of the run itself, whether it has limits or not.

    Where new bits came up it cannot be judged as it is. Where a lasting run throttled by its heat it can, and the
    finding is for information.
    """
    return fallback_findings(result) + tuple(_run_finding(result, mark) for mark in _marks(result) if mark in NEW_MARKS)


def _marks(result: Result) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warned.code for warned in result.warnings if warned.code in MARKS))


def _by_heat(result: Result) -> bool:
    """Tell whether this is a lasting run that nothing but heat marked."""
    return _marks(result) == ("throttled",) and any(launch["throttled"]["count"] for launch in _launches(result))


def _marked(result: Result, finding: Finding, marks: Sequence[str], parts: Sequence[Finding]) -> Finding:
    if finding.verdict == "SKIP" or not finding.metric.startswith(TIMED):
        return finding
    said = replace(finding, reason="; ".join((finding.reason, *(MARKS[mark] for mark in marks))))
    if finding.tier == "info":
        return said
    if not any(mark in NEW_MARKS for mark in marks):
        return replace(said, verdict="INCONCLUSIVE")
    if finding.verdict != "PASS":
        return said
    if parts:
        return _apart(result, finding, parts)
    return replace(said, verdict="INCONCLUSIVE")


def _apart(result: Result, finding: Finding, parts: Sequence[Finding]) -> Finding:
    """Return what the throttled part leaves of a PASS; what was over before the board throttled keeps it."""
    if finding.metric in START_UP and all(launch.get("time_to_throttle_s") != 0 for launch in _launches(result)):
        return replace(finding, reason=f"{finding.reason}; taken before the board throttled")
    worst = next((part for part in parts if part.verdict != "PASS"), parts[0])
    told = f"while it throttled: {worst.reason}"
    if worst.verdict == "PASS":
        return replace(finding, reason=f"{finding.reason}; {told}")
    return replace(finding, verdict="INCONCLUSIVE", reason=f"all samples: {finding.reason}; {told}")


def _launches(result: Result) -> Iterator[dict[str, Any]]:
    """Yield the launches of a lasting run: sustained ones, or of deadlines where nothing else was timed."""
    short = any(one.kind == "latency" for one in result.plan.passes)
    for kind in ("sustained", *(() if short else ("deadline",))):
        yield from (launch for launch in (result.breakdowns.get(kind) or {}).values() if "throttled" in launch)


def _throttled_parts(result: Result) -> Iterator[dict[str, Metric]]:
    """Yield the figures of each launch's throttled part, as metrics that limits judge."""
    untold = {
        name: Metric(
            value=None, basis=metric.basis, count=None, method="", reason=f"{name} is not told of that part alone"
        )
        for name, metric in result.metrics.items()
        if name.startswith(TIMED)
    }
    for launch in _launches(result):
        if launch["throttled"]["count"]:
            own = "deadline" if "period_s" in launch else "latency"
            metric = result.metrics.get(f"{own}_max_s")
            yield {**untold, **dict(_figures(launch["throttled"], own, metric.basis if metric else "measured"))}


def _figures(part: dict[str, Any], own: str, basis: Basis) -> Iterator[tuple[str, Metric]]:
    """Yield what a part tells by the metric's name; `own` is how the metrics of its pass begin."""
    mean_s, of_all = part.get("mean_s"), part["count"]
    figures = {
        **{f"{own}_{name}_s": (part.get(f"{name}_s"), part.get(f"{name}_high_s")) for name in PART_PERCENTILES},
        f"{own}_mean_s": (mean_s, None),
        f"{own}_max_s": (part.get("max_s"), None),
        "throughput_hz": (1 / mean_s if mean_s else None, None),
        "deadline_miss_ratio": (part["missed_count"] / of_all if "missed_count" in part else None, None),
    }
    for name, (value, high) in figures.items():
        few = None if value is not None else f"{part['count']:,} samples are too few"
        yield (
            name,
            Metric(
                value=value, basis=basis, count=part["count"], method="of the throttled samples", reason=few, high=high
            ),
        )


# ── findings on the run ──────────────────────────────────────────────────────────────────────────────────────────────


def _run_finding(result: Result, mark: str) -> Finding:
    ratio = result.metrics.get("throttled_ratio") if mark == "throttled" else None
    heat = _by_heat(result)
    return Finding(
        limit=f"run/{mark}",
        metric="throttled_ratio",
        verdict="SKIP" if heat else "INCONCLUSIVE",
        tier="info" if heat else "hard",
        value=ratio.value if ratio is not None else None,
        threshold=None,
        unit="ratio",
        basis=ratio.basis if ratio is not None else None,
        source=SOURCE,
        reason=f"{_said(result, mark)}{_until(result) if heat else ''}",
    )


def _said(result: Result, mark: str) -> str:
    return next(warned.text for warned in result.warnings if warned.code == mark)


def _until(result: Result) -> str:
    onsets = [launch.get("time_to_throttle_s") for launch in _launches(result)]
    known = [onset for onset in onsets if onset is not None]
    after = f", the first after {format_duration(min(known))}" if known else ""
    return f"{after}; limits on its latency judge the throttled part too"
