"""Does a model fit a board? Flash, memory and operators against the board's facts, and what to shrink first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeprof.boards import flash_bytes, largest_contiguous_sram_bytes
from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.engines import board_engine
from edgeprof.fitting.costs import NOTHING, board_costs, model_features
from edgeprof.fitting.engines import ENGINES, TFLM
from edgeprof.fitting.operators import judge_operators
from edgeprof.fitting.wishes import Wishes, cheapest, granted, ordered, wishes_in_words
from edgeprof.model.arena import greedy_arena_plan
from edgeprof.model.data_files import fault_text, needed_bytes, warnings
from edgeprof.model.graph import tensor_bytes
from edgeprof.model.memory import liveness
from edgeprof.records.board import Board, BoardKind, Core
from edgeprof.records.inspection import BoardFit, Fit, FitVerdict
from edgeprof.records.result import Basis, Finding, Metric, Verdict
from edgeprof.summary.static import model_facts
from edgeprof.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeprof.battery.options import BatteryOptions
    from edgeprof.estimate.features import Features
    from edgeprof.fitting.costs import Evidence
    from edgeprof.fitting.engines import Engine
    from edgeprof.fitting.wishes import SortKey
    from edgeprof.model.graph import Graph

ARENA_CONFIDENCE = 0.9
"""All eight arenas of those ports lie between the plan and the most that is added to it: (8 + 1) / (8 + 2)."""

SCRATCH_FACTOR = 2.0
"""Tuned ports of TFLM give the MLPerf Tiny models 1.1 to 2 times their live tensors (scratch buffers, structures)."""

LINUX_SHARE = 0.5
"""A model that needs more than half of a Linux board's memory leaves little for the application."""


class Need(NamedTuple):
    """One resource: what the model needs at least and what it may need, against what the board has."""

    metric: str
    least: int | None
    likely: int | None
    has: int | None
    where: str
    method: str
    missing: str = ""


class Question(NamedTuple):
    """What is asked besides whether it fits. `engine` None: TFLM, with CMSIS-NN on a Cortex-M."""

    engine: str | None = None
    battery: BatteryOptions | None = None
    wishes: Wishes = Wishes()
    evidence: Evidence = NOTHING


def fit_boards(
    graph: Graph, boards: Sequence[Board], engine: Engine | None = None, question: Question | None = None
) -> Fit:
    """Return one verdict a board; those that a wish rules out, or may, are in `left_out`."""
    asked = question or Question()
    if engine is not None:
        asked = asked._replace(engine=engine.name)
    read = model_features(graph, asked.evidence.model)
    fits = [granted(fit_board(graph, board, engine, asked, read), asked.wishes) for board in boards]
    wishes = wishes_in_words(asked.wishes)
    best, answer = cheapest(fits) if wishes else (None, "")
    kept = [board for board in fits if not wishes or board.does_it]
    sort = asked.wishes.sort or _sort(asked)
    return Fit(
        model=model_facts(graph),
        engine=asked.engine or "tflm, with CMSIS-NN on a Cortex-M",
        assumptions=(
            TFLM.source,
            f"up to {SCRATCH_FACTOR:g} times the planned arena for kernels' scratch buffers",
            *_not_listed(asked.engine),
            *(f"{text}: its weights are counted as the model declares them" for text in warnings(graph)),
        ),
        boards=ordered(kept, sort) if sort else tuple(kept),
        wishes=wishes,
        left_out=ordered([board for board in fits if board not in kept], sort or "name"),
        cheapest=best,
        answer=answer,
    )


def _not_listed(engine: str | None) -> tuple[str, ...]:
    """Say what is not known of an engine that is not TFLM."""
    if engine is None or ENGINES[engine].listed:
        return ()
    return (f"what {engine} needs of memory, and which operators it has, is not known: TFLM's figures are taken",)


def _sort(asked: Question) -> SortKey | None:
    """Return the order that goes with what was asked; none keeps that of the boards."""
    if asked.battery is not None or asked.wishes.min_life_s is not None:
        return "life"
    if asked.wishes.max_energy_j is not None:
        return "energy"
    return "latency" if asked.wishes.max_latency_s is not None else None


def fit_board(
    graph: Graph,
    board: Board,
    engine: Engine | None = None,
    asked: Question | None = None,
    read: Features | None = None,
) -> BoardFit:
    """Judge flash, memory and operators of one board, and estimate what an inference costs there."""
    asked = asked or Question(engine=engine.name if engine else None)
    runs = engine or ENGINES[board_engine(board, asked.engine)]
    needs = linux_needs(graph, board) if board.kind == "linux" else mcu_needs(graph, board, runs)
    costs = board_costs(graph, read or model_features(graph, None), board, asked.engine, asked.battery, asked.evidence)
    findings = [*_not_whole(graph, board), *(_finding(need, board) for need in needs)]
    findings += [judge_operators(graph, board, runs), *costs.findings]
    verdict = _verdict(findings)
    worst = next((w for w in ("FAIL", "INCONCLUSIVE", "WARN") if any(f.verdict == w for f in findings)), "PASS")
    metrics = {need.metric: _metric(need) for need in needs} | costs.metrics
    return BoardFit(
        board=board.id,
        name=board.name,
        verdict=verdict,
        reason=_joined(
            [each.reason for each in findings if each.verdict in (("PASS", "SKIP") if worst == "PASS" else (worst,))]
        ),
        metrics=metrics,
        findings=tuple(findings),
        shrink=_largest(graph, findings) if verdict == "NOT READY" else "",
        engine=costs.engine,
        confidence=costs.latency.confidence_class,
        price_usd=board.price_usd,
    )


def mcu_needs(graph: Graph, board: Board, engine: Engine) -> tuple[Need, Need]:
    """Return flash (model and code) against flash, and arena and stack against the largest contiguous SRAM."""
    flash = needed_bytes(graph) + engine.code_bytes
    sram = largest_contiguous_sram_bytes(board)
    planned = greedy_arena_plan(graph)
    arena = planned.planner_bytes if planned.planner_bytes is not None else liveness(graph).lower_bound_bytes
    arena_is = "planned arena" if planned.planner_bytes is not None else "activations alive at once"
    least = None if arena is None else arena + planned.variables_bytes + engine.stack_bytes
    tail = engine.tail_bytes_per_operator * len(graph.operators)
    likely = None if least is None or arena is None else least + round(arena * (SCRATCH_FACTOR - 1)) + tail
    return (
        Need(
            "flash_bytes", flash, flash, flash_bytes(board), "flash",
            f"{_files(graph)} + {format_bytes(engine.code_bytes)} of TFLM code{engine.borrowed} (declared)",
        ),
        Need(
            "sram_peak_bytes", least, likely, sram[0] if sram else None, f"SRAM block {sram[1]}" if sram else "SRAM",
            f"{arena_is} + variables + {format_bytes(engine.stack_bytes)} of TFLM's stack{engine.borrowed} (declared)",
            missing=planned.reason or liveness(graph).reason,
        ),
    )  # fmt: skip


def linux_needs(graph: Graph, board: Board) -> tuple[Need]:
    """Return weights and activations against the board's memory; a runtime that repacks weights needs them twice."""
    alive, size = liveness(graph), needed_bytes(graph)
    least = None if alive.lower_bound_bytes is None else size + alive.lower_bound_bytes
    sizes = board.ram_options_bytes or tuple(region.bytes for region in board.memory if region.kind == "ram")
    smallest = min(sizes, default=None)
    where = "RAM" if len(sizes) <= 1 else "RAM of its smallest version"
    likely = None if least is None or smallest is None else round((least + size) / LINUX_SHARE)
    files = _files(graph)
    twice = "twice the file" if files == "model file" else "twice that of the files"
    method = f"{files} + activations alive at once; {twice} where the runtime repacks weights"
    return (Need("memory_peak_bytes", least, likely, smallest, where, method, missing=alive.reason),)


def _files(graph: Graph) -> str:
    """Return what the model's size is of."""
    if fault_text(graph):
        return "model file + the weights that it declares in others"
    count = sum(not file.same_as for file in graph.data_files)
    return f"model file and {count} with its weights" if count else "model file"


def _not_whole(graph: Graph, board: Board) -> list[Finding]:
    """Return that weights are not where the model says, where they are not: nothing can run it as it is."""
    if not fault_text(graph):
        return []
    return [
        Finding(
            limit="model_bytes", metric="model_bytes", verdict="INCONCLUSIVE", tier="hard", value=None, threshold=None,
            unit="bytes", basis="computed", source=f"{board.id}.toml",
            reason=f"not known: {fault_text(graph)}",
        )
    ]  # fmt: skip


def _metric(need: Need) -> Metric:
    if need.least is None:
        return Metric(value=None, basis="computed", count=None, method=need.method, reason=need.missing)
    basis: Basis = "declared" if need.metric != "memory_peak_bytes" else "computed"
    if need.metric != "sram_peak_bytes" or need.likely is None:
        return Metric(value=need.least, basis=basis, count=None, method=need.method)
    return Metric(
        value=need.least, basis=basis, count=None, method=need.method, low=need.least, high=need.likely,
        confidence=ARENA_CONFIDENCE,
    )  # fmt: skip


def _finding(need: Need, board: Board) -> Finding:
    verdict, reason = _compare(need, board)
    return Finding(
        limit=f"{need.metric} <= {need.where}",
        metric=need.metric,
        verdict=verdict,
        tier="hard",
        value=need.least,
        threshold=need.has,
        unit="bytes",
        basis=_metric(need).basis,
        source=f"{board.id}.toml",
        reason=reason,
    )


def _compare(need: Need, board: Board) -> tuple[Verdict, str]:
    if need.has is None:
        return "INCONCLUSIVE", f"no source says how much {need.where} {board.name} has"
    if need.least is None:
        return "INCONCLUSIVE", f"what the model needs is not known: {need.missing}"
    needs, has = format_bytes(need.least), format_bytes(need.has)
    if need.least > need.has:
        return "FAIL", f"{need.where}: needs at least {needs} of {has}, {format_bytes(need.least - need.has)} too much"
    left = format_bytes(need.has - need.least)
    if need.likely is not None and need.likely > need.has:
        return "WARN", f"{need.where}: needs {needs} to {format_bytes(need.likely)} of {has}: tight"
    return "PASS", f"{need.where}: needs {needs} of {has}, {left} left"


def _joined(reasons: Sequence[str]) -> str:
    """Return reasons in one line; what several speak of, such as the cell, is named once."""
    told = []
    subject = ""
    for reason in reasons:
        told.append(reason.removeprefix(subject) if subject else reason)
        subject = f"{reason.partition(': ')[0]}: " if ": " in reason else ""
    return "; ".join(told)


def _verdict(findings: Sequence[Finding]) -> FitVerdict:
    verdicts = {finding.verdict for finding in findings}
    if "FAIL" in verdicts:
        return "NOT READY"
    if "INCONCLUSIVE" in verdicts:
        return "UNKNOWN"
    return "READY WITH WARNINGS" if "WARN" in verdicts else "READY"


def _largest(graph: Graph, findings: Sequence[Finding]) -> str:
    """Name the largest thing to shrink: the operator at the memory peak, the largest constant, or both."""
    failed = {finding.metric for finding in findings if finding.verdict == "FAIL"}
    named = []
    peak = liveness(graph).peak_operator if failed & {"sram_peak_bytes", "memory_peak_bytes"} else None
    if peak is not None:
        operator = graph.operators[peak]
        shapes = [graph.tensors[index].shape for index in operator.outputs if index >= 0]
        named.append(f"the activations around operator {peak} {operator.type}, output {_shape(shapes)}")
    stored = failed & {"flash_bytes", "memory_peak_bytes"}
    constants = [tensor for tensor in graph.tensors if tensor.constant_bytes] if stored else []
    largest = max(constants, key=lambda tensor: tensor.constant_bytes or 0, default=None)
    if largest is not None:
        size = largest.constant_bytes or tensor_bytes(largest) or 0
        named.append(f"the constant {largest.name!r}, {largest.dtype}, {format_bytes(size)}")
    return "; ".join(named)


def _shape(shapes: Sequence[Sequence[int | None] | None]) -> str:
    known = shapes[0] if shapes else None
    return "x".join("?" if size is None else str(size) for size in known) if known else "?"


def made_up_board(core: str, clock_hz: float | None) -> Board:
    """Return a board without a file: a core and a clock, nothing else known."""
    core = core_class(core)
    clock = round(clock_hz) if clock_hz else None
    kind: BoardKind = "linux" if core.startswith("cortex-a") else "mcu"
    name = f"{core} at {clock / 1e6:g} MHz" if clock else core
    cores = (Core(name="cpu", model=core, count=1, max_clock_hz=clock),)
    return Board(id=core, name=name, vendor="", kind=kind, cores=cores)
