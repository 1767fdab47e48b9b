"""Everything after the board has spoken: the measurement to a result, its verdicts, and where it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from edgeprof.battery import with_battery
from edgeprof.diagnosis import advise
from edgeprof.diagnosis.int8_kernels import saturation_warnings
from edgeprof.errors import EdgeprofError, OutputUnwritable
from edgeprof.judging.checking import never_in
from edgeprof.judging.fallback import fell_back, of_another
from edgeprof.judging.marks import judge_result, run_findings
from edgeprof.oracle.reference import check_outputs
from edgeprof.profiling.powered import with_energy
from edgeprof.records.result import Result, Warned
from edgeprof.store import keep_result, write_result
from edgeprof.summary.results import filled_result, tainted, with_assumptions
from edgeprof.targets import board_folders, runs_programs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.judging.limits import Limit
    from edgeprof.model.graph import Graph
    from edgeprof.profiling.powered import PowerSource
    from edgeprof.profiling.preparing import Ready
    from edgeprof.profiling.running import Outcome
    from edgeprof.records.board import Board
    from edgeprof.records.diagnosis import Advice, Ceilings
    from edgeprof.records.result import Basis, Measurement


def finish(begun: Result, ready: Ready, outcome: Outcome, power: PowerSource) -> Result:
    """Return the result with its energy, battery life, outputs and advice; limits have not judged it yet."""
    measurement = tainted(outcome.measurement, begun)
    result = filled_result(begun, measurement, failure=outcome.failure, board=ready.board, folders=board_folders())
    if ready.options.power:
        result = with_energy(result, measurement, power.recorded(), ready.options.priced)
        result = replace(result, warnings=(*result.warnings, *power.warnings))
    if ready.checks:
        result = _with_outputs_checked(result, ready, measurement)
    if ready.battery is not None:
        result = with_battery(result, ready.battery, ready.board)
    result = with_assumptions(result)
    if ready.graph is not None:
        result = _with_operator_facts(result, ready.path, ready.graph, ready.board)
        saturated = saturation_warnings(result, ready.graph, ready.path)
        result = replace(result, warnings=(*saturated, *result.warnings))
    return replace(result, advice=_advice(result, ready.graph, ready.board))


def judged(
    result: Result, rules: Sequence[Limit], accept_basis: Sequence[Basis], gate: Literal["target", "hard"]
) -> Result:
    """Return the result with the findings on the run and on its limits after those that it has."""
    findings = judge_result(result, rules, accept_basis, gate=gate, never=never_in(result))
    had = tuple(map(of_another, result.findings)) if fell_back(result) else result.findings
    return replace(result, findings=(*had, *run_findings(result), *findings))


def _with_outputs_checked(result: Result, ready: Ready, measurement: Measurement) -> Result:
    program = runs_programs(ready.target.place)
    checked = check_outputs(ready.path, ready.graph, ready.inputs.blob, measurement, program=program)
    findings = (*checked.findings, *result.findings)
    return replace(result, metrics={**result.metrics, **checked.metrics}, findings=findings)


def _with_operator_facts(result: Result, path: Path, graph: Graph, board: Board | None) -> Result:
    """Return the result with memory over the operators and their roofline, which a report without the model draws."""
    from edgeprof.inspecting import inspect_graph
    from edgeprof.summary.delegation import delegated_macs
    from edgeprof.summary.operators import operator_facts

    inspected = inspect_graph(graph, path, board)
    found = {
        **operator_facts(inspected, result.operators, board),
        **delegated_macs(inspected.operators, result.runtime.detail if result.runtime else {}),
    }
    return replace(result, breakdowns={**result.breakdowns, **found})


def _advice(result: Result, graph: Graph | None, board: Board | None) -> tuple[Advice, ...]:
    """Return what would help; the board is the one that was named, or the one that it turned out to be."""
    if graph is None:
        return ()
    if board is None and result.board.id is not None:
        from edgeprof.boards import load_board

        board = load_board(result.board.id, board_folders())
    return advise(result, graph, board, ceilings=_ceilings(result))


def _ceilings(result: Result) -> Ceilings | None:
    """Return what a calibration of this target with as many threads measured; None where there is none."""
    from edgeprof.calibration.ceilings import measured_ceilings
    from edgeprof.calibration.keeping import kept_calibrations

    try:
        kept = kept_calibrations(result.target.name, result.runtime.threads if result.runtime else 1)
    except EdgeprofError:
        return None  # advice is an extra: a damaged file of calibration is no reason to lose a result
    return measured_ceilings(result, kept)


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def kept(result: Result, output: Path | None, *, tag: str | None, history: bool) -> Result:
    """Write the result where it was asked for, into the folder of past results, and into the history."""
    result = _keep(result, output)
    return _remembered(result, tag) if history else result


def _keep(result: Result, output: Path | None) -> Result:
    """Write the result where it was asked for and into the folder of past results."""
    problems = []
    try:
        keep_result(result)
    except OSError as error:
        problems.append(error)
    try:
        if output is not None:
            write_result(output, result)
    except OSError as error:
        problems.append(error)
    if not problems:
        return result
    text = f"the result could not be written: {problems[0].strerror}"
    advice = "free some space; what is printed here is all there is, --format json prints it whole"
    return replace(
        result, status="partial", warnings=(*result.warnings, Warned(code="unwritten", text=text, advice=advice))
    )


def _remembered(result: Result, tag: str | None) -> Result:
    """Keep the result in the history too; where that fails the result says so."""
    from edgeprof.history.keeping import remember

    try:
        remember(result, tag)
    except EdgeprofError as error:
        warned = Warned(code="history-unwritten", text=error.message, advice=error.hint)
        return replace(result, warnings=(*result.warnings, warned))
    return result


def write_outputs(path: Path, measurement: Measurement) -> None:
    """Write the outputs as NPZ keyed by tensor name, first axis: inferences."""
    import numpy as np

    rows: dict[str, list[Any]] = {}
    for measured in measurement.passes:
        for output in measured.outputs:
            array = np.frombuffer(output.content, dtype=output.dtype).reshape(output.shape)
            rows.setdefault(output.name, []).append(array)
    try:
        with path.open("wb") as file:
            arrays: dict[str, Any] = {name: np.stack(values) for name, values in rows.items()}
            np.savez(file, **arrays)
    except OSError as error:
        raise OutputUnwritable(f"cannot write the outputs to {path}: {error.strerror}") from error
