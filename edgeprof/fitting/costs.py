"""Latency, energy and battery life of a model on boards that were never touched, each with its interval or the reason.

Microcontrollers are estimated by core class and engine, calibrated Linux boards by what was measured on them, Ethos-U
boards by Arm's compiler. Energy is a board's measured power while inferring times that; life is the cell's room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.errors import EdgeprofError
from edgeprof.estimate.coefficients import shipped_coefficients
from edgeprof.estimate.confidence import core_class
from edgeprof.estimate.energy import estimate_energy
from edgeprof.estimate.engines import board_engine
from edgeprof.estimate.features import features
from edgeprof.estimate.model import Estimate, estimate_latency, unknown
from edgeprof.estimate.rescale import own_factor
from edgeprof.records.inspection import ENERGY, LATENCY, LIFE
from edgeprof.records.result import Metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgeprof.battery.options import BatteryOptions
    from edgeprof.estimate.energy import EnergyEstimate
    from edgeprof.estimate.features import Features
    from edgeprof.estimate.rescale import Scale
    from edgeprof.model.graph import Graph
    from edgeprof.records.battery import BatteryReport
    from edgeprof.records.board import Board
    from edgeprof.records.calibration import Calibration
    from edgeprof.records.result import Finding

LINEAR = "a linear regulator between cell and board, as none was named: --regulator"


class Evidence(NamedTuple):
    """What estimates stand on beside the shipped coefficients.

    `scales` are of boards on which a model was measured, `measured` the latencies measured there, by board and the
    model's SHA-256; `calibrations` are of Linux boards by their id; `npu` is an accelerator configuration for boards
    whose own is not known, `model` the file that its compiler reads.
    """

    scales: Mapping[str, Scale] = {}
    measured: Mapping[tuple[str, str], Metric] = {}
    calibrations: Mapping[str, Sequence[Calibration]] = {}
    npu: str = ""
    model: Path | None = None


class Costs(NamedTuple):
    """What one inference costs on a board, and where a battery was asked for, its life and whether it can do it."""

    engine: str
    latency: Estimate
    metrics: dict[str, Metric]
    findings: tuple[Finding, ...] = ()


class Life(NamedTuple):
    """The life of a battery, and what its cell says to the currents that are asked of it."""

    metric: Metric
    findings: tuple[Finding, ...] = ()


NOTHING = Evidence()


def model_features(graph: Graph, model: Path | None) -> Features:
    """Return what the estimator reads of a model, its dead channels too where the file is at hand."""
    content = model.read_bytes() if model is not None and graph.format == "tflite" else None
    return features(graph, content)


def board_costs(
    graph: Graph,
    asked: Features,
    board: Board,
    engine: str | None,
    battery: BatteryOptions | None = None,
    evidence: Evidence = NOTHING,
) -> Costs:
    """Return latency, energy and, where `battery` says how the device lives, battery life of one board.

    `engine` None: TFLM, with CMSIS-NN on a Cortex-M.
    """
    used = board_engine(board, engine)
    clock_hz = board.cores[0].max_clock_hz if board.cores else None
    latency = _latency(graph, asked, board, used, clock_hz, evidence)
    energy = estimate_energy(latency, board, clock_hz)
    measured = evidence.measured.get((board.id, graph.sha256))
    metrics = {
        LATENCY: measured or _metric(latency.latency_s, latency.low_s, latency.high_s, latency),
        ENERGY: _metric(energy.energy_j, energy.low_j, energy.high_j, energy),
    }
    metrics |= _npu_cycles(board, evidence)
    findings: tuple[Finding, ...] = ()
    if battery is not None:
        metrics[LIFE], findings = life(latency, energy, board, battery)
    name = used if board.kind != "linux" else latency.stands_on.partition(" ")[0]
    return Costs(name, latency, metrics, findings)


def _latency(
    graph: Graph, asked: Features, board: Board, engine: str, clock_hz: float | None, evidence: Evidence
) -> Estimate:
    if board.kind == "emulated":
        return unknown("an emulated machine has no latency of its own")
    if board.id in evidence.calibrations:
        return _calibrated(graph, evidence.calibrations[board.id])
    if board.kind == "linux":
        return unknown("a Linux board is estimated once edgeprof calibrate has run on it")
    measured = evidence.measured.get((board.id, graph.sha256))
    if measured is not None and measured.value is not None:
        return _as_measured(measured, measured.value)
    core = board.cores[0].model if board.cores else ""
    found = estimate_latency(asked, core, clock_hz, engine, scale=evidence.scales.get(board.id))
    timed = _timed_by_others(graph, core, clock_hz, engine) if found.latency_s is not None else ""
    return found._replace(stands_on=found.stands_on + timed)


def _as_measured(metric: Metric, value: float) -> Estimate:
    """Return the measurement of this very model, with its own interval where it has one."""
    low = value if metric.low is None else metric.low
    high = value if metric.high is None else metric.high
    return Estimate(value, low, high, None, "known", metric.method, basis="measured")


def _timed_by_others(graph: Graph, core: str, clock_hz: float | None, engine: str) -> str:
    """Say that this very file was timed so in the published results, and where to look it up: none is shipped."""
    fitted = shipped_coefficients()
    own = own_factor(fitted, core_class(core), clock_hz, engine)
    name = next((name for name, sha256 in fitted.model_sha256.items() if sha256 == graph.sha256), None)
    if own is None or name not in own.models:
        return ""
    rounds = dict.fromkeys(text.split()[0] for text in own.published)
    where = ", ".join(f"github.com/mlcommons/tiny_results_{each}" for each in rounds)
    return f"; this very model ({name}) was timed so: its own figure is in {where}"


def _calibrated(graph: Graph, calibrations: Sequence[Calibration]) -> Estimate:
    from edgeprof.calibration.predicting import predict

    found = predict(graph, calibrations)
    if found.latency_s is None or found.low_s is None or found.high_s is None:
        return unknown(found.reason)
    borrowed = f"; cost of {', '.join(found.unseen)} taken from other operators" if found.unseen else ""
    return Estimate(
        found.latency_s, found.low_s, found.high_s, None, "extrapolated" if found.unseen else "known",
        f"{found.runtime} calibrated: {found.stands_on}{borrowed}",
    )  # fmt: skip


def _npu_cycles(board: Board, evidence: Evidence) -> dict[str, Metric]:
    """Return what vela estimates of a board's Ethos-U, or why it cannot; nothing for boards without one."""
    from edgeprof.estimate.npu import ethos_u, vela_config, vela_estimate

    if ethos_u(board) is None:
        return {}
    config, reason = vela_config(board)
    config = config or evidence.npu
    if not config:
        absent = Metric(value=None, basis="estimated", count=None, method="ethos-u-vela",
                        reason=f"{reason}: --npu ethos-u55-128 says it")  # fmt: skip
        return {"cycles_count": absent}
    if evidence.model is None:
        return {}
    try:
        found = vela_estimate(evidence.model, config)
    except EdgeprofError as error:
        reason = error.message + (f" ({error.hint})" if error.hint else "")
        return {"cycles_count": Metric(value=None, basis="estimated", count=None, method="ethos-u-vela", reason=reason)}
    return {
        "cycles_count": Metric(value=found.cycles, basis="estimated", count=None, method=found.method,
                               reason=found.reason or None),
    }  # fmt: skip


def _metric(value: float | None, low: float | None, high: float | None, said: Estimate | EnergyEstimate) -> Metric:
    if value is None:
        return Metric(value=None, basis="estimated", count=None, method="not known", reason=said.reason)
    return Metric(
        value=value, basis="estimated", count=None, method=f"{said.confidence_class}: {said.stands_on}", low=low,
        high=high, confidence=said.confidence,
    )  # fmt: skip


# ── battery life ─────────────────────────────────────────────────────────────────────────────────────────────────────


def life(latency: Estimate, energy: EnergyEstimate, board: Board, battery: BatteryOptions) -> Life:
    """Return the life of a battery, from the estimate and from both ends of its interval, and what its cell can do.

    Energy and latency err together here: the worst life has the most of both. Where cell and board differ in voltage
    and no regulator is named, a linear one is taken. A rating of the cell that the estimate breaks is a FAIL and leaves
    no life; one that only the worse end of the interval breaks is a WARN.
    """
    from edgeprof.battery import battery_of

    if (
        energy.energy_j is None or energy.low_j is None or energy.high_j is None
        or latency.latency_s is None or latency.low_s is None or latency.high_s is None
    ):  # fmt: skip
        return _no_life(f"energy is not known: {energy.reason or latency.reason}")
    ends = ((energy.energy_j, latency.latency_s), (energy.high_j, latency.high_s), (energy.low_j, latency.low_s))
    options = battery._replace(supply_v=battery.supply_v or energy.power.supply_v or board.power.supply_v)
    try:
        options = _regulated(options)
        reports = [
            battery_of(None, options._replace(energy_j=energy_j, latency_s=latency_s), board)
            for energy_j, latency_s in ends
        ]
    except EdgeprofError as error:
        return _no_life(error.message)
    middle, worst, best = (report.metrics[LIFE] for report in reports)
    findings = _of_cell(reports[0], reports[1])
    if middle.value is None:
        return _no_life(middle.reason or "the cell does not give it", findings)
    assumed = (LINEAR,) if options.regulator != battery.regulator else ()
    metric = Metric(
        value=middle.value,
        basis="estimated",
        count=None,
        method=middle.method,
        low=worst.low or 0.0,
        high=best.high if best.high is not None else best.value,
        confidence=energy.confidence,
        assumptions=(*assumed, *middle.assumptions),
    )
    return Life(metric, findings)


def _of_cell(middle: BatteryReport, worst: BatteryReport) -> tuple[Finding, ...]:
    """Return what the cell's ratings say to the estimate, and of the worse end what only that breaks."""
    broken = {finding.limit: finding for finding in worst.findings if finding.verdict == "FAIL"}
    found = []
    for finding in middle.findings:
        told = finding
        if finding.verdict != "FAIL" and finding.limit in broken:
            told = replace(broken[finding.limit], verdict="WARN")
            told = replace(told, reason=f"{told.reason}, at the worse end of the estimate")
        found.append(replace(told, basis="estimated", reason=f"{middle.cell.name}: {told.reason}"))
    return tuple(found)


def _regulated(options: BatteryOptions) -> BatteryOptions:
    """Return the options with a linear regulator where one is needed and none is named."""
    from edgeprof.battery.cells import load_cell

    if options.regulator is not None or options.supply_v is None or options.cell is None:
        return options
    cell_v = options.cell_v or load_cell(options.cell).voltage_v
    needed = cell_v is not None and cell_v * options.series > options.supply_v * 1.02
    return options._replace(regulator="ldo") if needed else options


def _no_life(reason: str, findings: tuple[Finding, ...] = ()) -> Life:
    return Life(Metric(value=None, basis="estimated", count=None, method="not known", reason=reason), findings)
