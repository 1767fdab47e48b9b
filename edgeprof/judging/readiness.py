"""Is a measured model ready for a deployment? Limits, the board's memory, the outputs, and a checklist with evidence.

Deployments and boxes are data (`data/readiness.toml`), each with its source. A verdict is about what edgeprof can
prove; the boxes that stay open are the reader's.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edgeprof.boards import flash_bytes, largest_contiguous_sram_bytes
from edgeprof.errors import UnknownName, did_you_mean
from edgeprof.judging.checking import never_in
from edgeprof.judging.fallback import FALLBACK, fallback_findings
from edgeprof.judging.limits import HARDWARE, Limit
from edgeprof.judging.marks import judge_result
from edgeprof.judging.profiles import load_limits
from edgeprof.oracle.agreement import LIMIT as OUTPUTS
from edgeprof.records.board import BoardKind
from edgeprof.records.readiness import Box, Readiness, ReadinessReport
from edgeprof.units import format_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgeprof.records.board import Board
    from edgeprof.records.inspection import FitVerdict
    from edgeprof.records.result import Basis, Finding, Metric, Result

Proof = Literal["metrics", "operators", "warm-up", "repeated", "calm", "load", "outputs", "ran", "none"]
DISTURBED = frozenset({"loaded-host", "governor", "hot", "throttled", "throttled-before", "preempted", "drift"})
"""Warnings that say that the board was not at rest while it was measured."""
LEAST_SAMPLES = 20


class Deployment(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a model is to run: the limits that judge it there."""

    title: str
    limits: tuple[str, ...]
    kinds: tuple[BoardKind, ...] = ("linux",)
    source: str = ""
    quote: str = ""


class BoxEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One box as the file states it."""

    name: str
    text: str
    proof: Proof
    source: str
    metrics: tuple[str, ...] = ()
    bounded: bool = False
    how: str = ""
    why: str = ""
    missing: Literal["warn", "unknown", ""] = ""
    failed: Literal["warn", "not-ready", ""] = ""
    only: tuple[str, ...] = ()


class Checklists(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    schema: Literal["edgeprof.readiness/1"]
    deployments: dict[str, Deployment]
    boxes: tuple[BoxEntry, ...]


class _Proven(NamedTuple):
    """Whether a box holds, None where the figure is missing, and the evidence."""

    holds: bool | None
    evidence: str


@cache
def checklists() -> Checklists:
    """Return the deployments and boxes that ship with edgeprof."""
    content = resources.files("edgeprof").joinpath("data/readiness.toml").read_bytes()
    return msgspec.toml.decode(content, type=Checklists)


def assess(
    result: Result, deployments: Iterable[str] = (), *, board: Board | None = None, accept_basis: Sequence[Basis] = ()
) -> ReadinessReport:
    """Return one verdict a deployment; without names those that are about this kind of board.

    `board` adds its memory to the limits. Raises UnknownName for a deployment that is not there.
    """
    known = checklists().deployments
    names = tuple(deployments) or tuple(name for name, one in known.items() if result.board.kind in one.kinds)
    for name in names:
        if name not in known:
            raise UnknownName(
                f"unknown deployment {name!r}", hint=did_you_mean(name, known) or f"known: {', '.join(known)}"
            )
    return ReadinessReport(
        schema="edgeprof.readiness/1",
        result=result.id,
        model=result.model.name,
        target=result.target.name,
        board=result.board.name,
        status=result.status,
        deployments=tuple(_assessed(result, name, board, accept_basis) for name in dict.fromkeys(names)),
    )


def exit_code(report: ReadinessReport, *, strict: bool = False) -> int:
    """Return 5 for a partial result, 1 where one is NOT READY, under --strict 1 for warnings and 6 for UNKNOWN."""
    verdicts = {one.verdict for one in report.deployments}
    if report.status == "partial":
        return 5
    if "NOT READY" in verdicts or (strict and "READY WITH WARNINGS" in verdicts):
        return 1
    return 6 if strict and "UNKNOWN" in verdicts else 0


def _assessed(result: Result, name: str, board: Board | None, accepted: Sequence[Basis]) -> Readiness:
    deployment = checklists().deployments[name]
    limits = (*load_limits(deployment.limits), *(fit_limits(board) if board is not None else ()))
    judged = judge_result(result, limits, accepted, never=never_in(result))
    findings = (*fallback_findings(result), *_eased(judged))
    entries = [entry for entry in checklists().boxes if not entry.only or name in entry.only]
    boxes = [(entry, _box(entry, result)) for entry in entries]
    verdict, reasons = _verdict(result, findings, boxes)
    return Readiness(
        deployment=name,
        title=deployment.title,
        verdict=verdict,
        reasons=reasons,
        findings=findings,
        boxes=tuple(box for _, box in boxes),
        source=deployment.source,
        quote=deployment.quote,
    )


def fit_limits(board: Board) -> Iterator[Limit]:
    """Yield the memory that the board has as hard limits on what was measured, or counted by an emulator."""
    flash, sram = flash_bytes(board), largest_contiguous_sram_bytes(board)
    fitted = sum(region.bytes for region in board.memory if region.kind == "ram")
    ram = min(board.ram_options_bytes, default=fitted or None)
    sizes = (
        [("ram", "memory_peak_bytes", ram)]
        if board.kind == "linux"
        else [("flash", "flash_bytes", flash), ("sram", "sram_peak_bytes", sram[0] if sram else None)]
    )
    for name, metric, size in sizes:
        if size is not None:
            yield Limit(
                name=f"{board.id}/{name}", metric=metric, comparison="<=", threshold=size, tier="hard",
                bases=(*HARDWARE, "emulated"), source=f"{board.id}.toml",
            )  # fmt: skip


def _eased(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Let a missed target warn where the hard limit on the same figure holds: it lies between the two."""
    held = {finding.metric for finding in findings if finding.tier == "hard" and finding.verdict == "PASS"}
    for finding in findings:
        eased = finding.verdict == "FAIL" and finding.tier == "target" and finding.metric in held
        yield replace(finding, verdict="WARN") if eased else finding


def _verdict(
    result: Result, findings: Sequence[Finding], boxes: Sequence[tuple[BoxEntry, Box]]
) -> tuple[FitVerdict, tuple[str, ...]]:
    """Return the worst of limits and boxes, and what it rests on, the worst first."""
    told: dict[str, list[str]] = {"not-ready": [], "unknown": [], "warn": []}
    means = {"FAIL": "not-ready", "INCONCLUSIVE": "unknown", "WARN": "warn"}
    for finding in findings:
        if finding.verdict in means:
            told[means[finding.verdict]].append(f"{finding.limit}: {finding.reason}")
    if all(finding.verdict == "SKIP" or finding.limit == FALLBACK for finding in findings):
        told["unknown"].append("none of its limits applies to this run")
    if result.status == "partial":
        told["unknown"].append("the run broke off")
    for entry, box in boxes:
        kind = entry.failed if box.state == "failed" else entry.missing if box.state == "not measured" else ""
        if kind:
            told[kind].append(f"{entry.name}: {box.evidence}")
    verdicts: tuple[tuple[str, FitVerdict], ...] = (
        ("not-ready", "NOT READY"), ("unknown", "UNKNOWN"), ("warn", "READY WITH WARNINGS"),
    )  # fmt: skip
    verdict: FitVerdict = next((said for kind, said in verdicts if told[kind]), "READY")
    return verdict, tuple(reason for kind, _ in verdicts for reason in told[kind])


# ── evidence ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _box(entry: BoxEntry, result: Result) -> Box:
    if entry.proof == "none":
        return _stated(entry, "open", f"not something edgeprof can prove: {entry.why}")
    proven = _proven(entry, result)
    match proven.holds:
        case True:
            return _stated(entry, "ticked", proven.evidence)
        case False:
            return _stated(entry, "failed", proven.evidence)
        case None:
            return _stated(entry, "not measured", f"{proven.evidence}: {entry.how}")


def _stated(entry: BoxEntry, state: Literal["ticked", "failed", "not measured", "open"], evidence: str) -> Box:
    return Box(name=entry.name, text=entry.text, state=state, evidence=evidence, source=entry.source)


def _proven(entry: BoxEntry, result: Result) -> _Proven:  # noqa: PLR0911  one a kind of proof
    match entry.proof:
        case "metrics":
            return _metrics(entry, result)
        case "operators":
            return _operators(result)
        case "warm-up":
            return _warm_up(result)
        case "repeated":
            return _repeated(result)
        case "calm":
            return _calm(result)
        case "load":
            return _load(result)
        case "outputs":
            return _outputs(result)
        case "ran":
            return _ran(result)
        case "none":
            return _Proven(None, entry.why)


def _metrics(entry: BoxEntry, result: Result) -> _Proven:
    said = []
    for names in entry.metrics:
        known = [(name, result.metrics[name]) for name in names.split("|") if name in result.metrics]
        found = next(((name, one) for name, one in known if one.value is not None), None)
        if found is None:
            reason = next((f" ({one.reason})" for _, one in known if one.reason), "")
            return _Proven(None, f"{names.replace('|', ' or ')} was not measured{reason}")
        if entry.bounded and found[1].high is None:
            return _Proven(None, f"{found[0]} has too few samples for an upper bound")
        said.append(_figure(*found))
    return _Proven(holds=True, evidence="; ".join(said))


def _figure(name: str, metric: Metric) -> str:
    bound = f", at most {format_value(name, metric.high)}" if metric.high is not None else ""
    return f"{name} {format_value(name, metric.value or 0.0)}{bound} ({metric.basis})"


def _operators(result: Result) -> _Proven:
    if not result.operators:
        return _Proven(None, "single operators were not timed")
    most = max(result.operators, key=lambda row: row.share_ratio)
    told = f"{len(result.operators)} operators timed; {most.type} {most.name} takes {most.share_ratio:.0%}"
    return _Proven(holds=True, evidence=told)


def _warm_up(result: Result) -> _Proven:
    first, steady = (result.metrics.get(name) for name in ("latency_first_s", "latency_p50_s"))
    if first is None or steady is None or first.value is None or steady.value is None:
        return _Proven(None, "no steady latency was measured")
    return _Proven(
        holds=True, evidence=f"{_figure('latency_first_s', first)}, apart from {steady.count} steady samples"
    )


def _repeated(result: Result) -> _Proven:
    steady = result.metrics.get("latency_p50_s")
    if steady is None or steady.count is None or steady.count < LEAST_SAMPLES or steady.low is None:
        return _Proven(None, "too few samples for an interval")
    low, high = (format_value("latency_p50_s", bound or 0.0) for bound in (steady.low, steady.high))
    return _Proven(holds=True, evidence=f"latency_p50_s {low} to {high}, {steady.count} samples, {steady.scope}")


def _calm(result: Result) -> _Proven:
    if not result.samples.duration_s:
        return _Proven(None, "nothing was timed")
    seen = [warned.text for warned in result.warnings if warned.code in DISTURBED]
    return _Proven(holds=not seen, evidence="; ".join(seen) or "no warning: load, clock, temperature, drift")


def _load(result: Result) -> _Proven:
    passes = [one for one in result.plan.passes if one.kind in {"sustained", "deadline"}]
    if not passes or result.status == "partial":
        return _Proven(None, "no sustained and no deadline pass was run")
    kinds = ", ".join(sorted({one.kind for one in passes}))
    return _Proven(holds=True, evidence=f"{kinds} pass of this run")


def _outputs(result: Result) -> _Proven:
    told = next((finding for finding in result.findings if finding.limit == OUTPUTS), None)
    if told is None or told.verdict in {"SKIP", "INCONCLUSIVE"}:
        return _Proven(None, told.reason if told is not None else "outputs were not compared")
    return _Proven(holds=told.verdict != "FAIL", evidence=f"{told.limit}: {told.reason}")


def _ran(result: Result) -> _Proven:
    ran = [one for name in ("latency_p50_s", "instructions_count") if (one := result.metrics.get(name)) is not None]
    basis = next((one.basis for one in ran if one.value is not None), None)
    if result.target.link == "local" and result.board.id is None and basis == "measured":
        return _Proven(None, f"it ran on this machine ({result.board.name}), which may not be the board that is meant")
    if basis in {"measured", "emulated"}:
        where = "an emulator of " if basis == "emulated" else ""
        return _Proven(holds=True, evidence=f"it ran on {where}{result.board.name} ({basis})")
    return _Proven(None, f"it did not run on {result.board.name}: its figures are {basis or 'absent'}")
