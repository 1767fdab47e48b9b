"""Measurement to result: pure. A result is begun before the board is touched and filled with what the board said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgeprof.file_names import written
from edgeprof.identify import board_used, mismatch, other_file
from edgeprof.records.result import (
    BoardUsed,
    Environment,
    ModelFacts,
    Result,
    RuntimeUsed,
    Samples,
    TargetUsed,
    Tool,
    Warned,
)
from edgeprof.summary.advice import warnings_of
from edgeprof.summary.deadline import deadline_breakdown, deadline_metrics
from edgeprof.summary.delegation import delegation_metrics
from edgeprof.summary.sensors import sensor_cost, sensor_metrics, sensor_series, sensor_warnings
from edgeprof.summary.stages import stage_metrics, stage_shares
from edgeprof.summary.static import model_facts, model_metrics
from edgeprof.summary.summarise import absent, all_samples, measured_metrics, operator_times, spread
from edgeprof.summary.sustained import sustained_breakdown
from edgeprof.targets import link_name
from edgeprof.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.errors import EdgeprofError
    from edgeprof.inputs import Inputs
    from edgeprof.model.graph import Graph
    from edgeprof.records.board import Board
    from edgeprof.records.events import Json
    from edgeprof.records.result import Measurement, Metric, Plan
    from edgeprof.targets import Target


def begun_result(
    run_id: str,
    created: str,
    command: Sequence[str],
    *,
    graph: Graph | None,
    plan: Plan,
    target: Target,
    board: Board | None,
) -> Result:
    """Return the result of a run that has measured nothing yet: the plan, and what a model file alone says."""
    return Result(
        schema="edgeprof.result/1",
        id=run_id,
        created=created,
        status="partial",
        group=None,
        variant=None,
        tool=Tool(name="edgeprof", version=__version__, command=tuple(map(written, command))),
        model=model_facts(graph) if graph else FIRMWARE_MODEL,
        target=TargetUsed(name=target.name, link=link_name(target.place), basis=target.basis, file=target.file),
        board=BoardUsed(
            id=board.id if board else None,
            name=board.name if board else target.name,
            kind=board.kind if board else "linux",
        ),
        runtime=None,
        environment=Environment(),
        plan=plan,
        metrics=model_metrics(graph) if graph else {},
        breakdowns={},
        samples=Samples(launch=(), start_s=(), duration_s=(), batch=(), flags=()),
        operators=(),
        sensors=(),
        findings=(),
        warnings=(),
    )


def filled_result(
    begun: Result,
    measurement: Measurement,
    *,
    failure: EdgeprofError | None = None,
    board: Board | None = None,
    folders: Sequence[Path] = (),
) -> Result:
    """Return the result with what the board said; `failure` is why it ended early."""
    measurement = tainted(measurement, begun)
    partial = failure is not None or any(
        not measured.complete and measured.failure != "unsupported" for measured in measurement.passes
    )
    metrics = {**begun.metrics, **_metrics(measurement, begun.plan)}
    used = board_used(board, measurement, begun.target.name, folders)
    filled = replace(
        begun,
        status="partial" if partial else "complete",
        model=_named_by_the_board(begun.model, measurement),
        target=replace(begun.target, agent=measurement.agent, protocol=measurement.protocol),
        board=used,
        runtime=_runtime_used(begun.plan, measurement),
        environment=_environment(measurement),
        metrics=metrics,
        breakdowns=_breakdowns(measurement, begun.plan),
        samples=all_samples(measurement),
        operators=operator_times(measurement),
        sensors=sensor_series(measurement),
        warnings=(
            *_broken_off(failure),
            *mismatch(board, measurement, folders),
            *other_file(used, folders),
            *begun.warnings,
            *warnings_of(measurement),
            *sensor_warnings(measurement),
        ),
    )
    return with_assumptions(filled)


CLOCKED = (
    "latency_", "deadline_", "stage_", "throughput_", "energy_", "power_", "inferences_", "battery_", "cost_",
    "carbon_",
)  # fmt: skip
"""The metrics that follow from the time that an inference takes."""


def with_assumptions(result: Result) -> Result:
    """Return the result with what a simulated board was declared to be listed at every figure that rests on it."""
    assumed = result.runtime.detail.get("assumptions", ()) if result.runtime is not None else ()
    if not assumed:
        return result
    metrics = {
        name: replace(metric, assumptions=tuple(dict.fromkeys((*metric.assumptions, *assumed))))
        if name.startswith(CLOCKED) and metric.value is not None
        else metric
        for name, metric in result.metrics.items()
    }
    return replace(result, metrics=metrics)


def _metrics(measurement: Measurement, plan: Plan) -> dict[str, Metric]:
    """Return the metrics of every kind of pass that there was."""
    return {
        "energy_per_inference_j": absent(measurement.basis, "no power was measured in this run"),
        **measured_metrics(measurement),
        **delegation_metrics(measurement, plan),
        **sensor_metrics(measurement),
        **deadline_metrics(measurement, plan),
        **stage_metrics(measurement),
    }


def _breakdowns(measurement: Measurement, plan: Plan) -> dict[str, Json]:
    """Return what varies inside the run."""
    parts = {"sensors": sensor_cost(measurement), "stages": stage_shares(measurement)}
    return {
        "noise": spread(measurement),
        **{name: part for name, part in parts.items() if part},
        **sustained_breakdown(measurement),
        **deadline_breakdown(measurement, plan),
    }


def tainted(measurement: Measurement, begun: Result) -> Measurement:
    """Let a target's declared basis weaken what the agent believes to have measured."""
    if begun.target.basis is None or measurement.basis != "measured":
        return measurement
    return replace(measurement, basis=begun.target.basis)


def _broken_off(failure: EdgeprofError | None) -> tuple[Warned, ...]:
    if failure is None:
        return ()
    return (Warned(code="broken-off", text=failure.message, advice=failure.hint),)


def guessed_shapes(inputs: Inputs) -> tuple[Warned, ...]:
    """Warn where the model leaves sizes open and 1 was taken."""
    if not inputs.guessed:
        return ()
    shapes = ", ".join(f"{name}={'x'.join(str(s) for s in inputs.shapes[name]) or 'scalar'}" for name in inputs.guessed)
    return (
        Warned(
            code="dynamic-shape",
            text=f"the model leaves sizes open; 1 was used for each: {shapes}",
            advice="--shape NAME=1x3x224x224 sets the size that you will use",
        ),
    )


FIRMWARE_MODEL = ModelFacts(name="firmware", format="firmware", bytes=None, sha256=None, inputs=(), outputs=())


def _named_by_the_board(model: ModelFacts, measurement: Measurement) -> ModelFacts:
    """Return the model under the name that the firmware gives it, where it lives there."""
    name = str(measurement.identity.get("model", ""))
    return replace(model, name=name) if model.format == "firmware" and name else model


def _runtime_used(plan: Plan, measurement: Measurement) -> RuntimeUsed | None:
    started = [measured for measured in measurement.passes if measured.runtime]
    if not started:
        return None
    name = started[0].runtime
    found = next((runtime for runtime in measurement.runtimes if runtime.name == name), None)
    return RuntimeUsed(
        name=name,
        version=found.version if found else "",
        numpy=found.numpy if found else "",
        threads=plan.passes[0].threads,
        detail=started[0].detail,
        found=measurement.runtimes,
    )


def _environment(measurement: Measurement) -> Environment:
    before = next((m.state_before for m in measurement.passes if m.state_before), {})
    after = next((m.state_after for m in reversed(measurement.passes) if m.state_after), {})
    return Environment(before=before, after=after)
