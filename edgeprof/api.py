"""The program, readable from top to bottom: what the command line can do, these functions can."""

from __future__ import annotations

import re
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from edgeprof import __version__
from edgeprof.advice import warnings_of
from edgeprof.errors import (
    EdgeprofError,
    Interrupted,
    LinkError,
    ModelDoesNotFit,
    ModelUnsupported,
    OutputUnwritable,
)
from edgeprof.fold import fold
from edgeprof.identify import board_used, mismatch
from edgeprof.inputs import file_inputs, random_inputs
from edgeprof.limits import judge, parse_limit
from edgeprof.links import open_session
from edgeprof.model import read_model
from edgeprof.plan import Options, make_plan
from edgeprof.records.result import (
    Environment,
    InputTensor,
    ModelFacts,
    Result,
    RuntimeUsed,
    TargetUsed,
    Tool,
    Warned,
)
from edgeprof.static_metrics import model_metrics
from edgeprof.store import Journal, check_writable, keep_result, last_result, read_result, write_result
from edgeprof.summarise import LATENCY_KINDS, absent, all_samples, measured_metrics, operator_times, spread
from edgeprof.targets import Sim, board_folders, link_name, resolve_target, ssh_place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.limits import Limit
    from edgeprof.links.ssh_keys import OfferedKey
    from edgeprof.model.graph import Graph, Tensor
    from edgeprof.reachable import Reachable
    from edgeprof.records.board import Board
    from edgeprof.records.checks import Diagnosis
    from edgeprof.records.events import Event
    from edgeprof.records.result import Basis, Measurement, Plan
    from edgeprof.targets import Target


DEFAULTS = Options()


def profile(  # noqa: PLR0913  one keyword an option of the command line
    model: str | Path,
    target: str = "local",
    *,
    board: str | None = None,
    options: Options = DEFAULTS,
    shapes: dict[str, tuple[int, ...]] | None = None,
    inputs: str | Path | None = None,
    outputs: str | Path | None = None,
    limits: Sequence[str | Limit] = (),
    accept_basis: Sequence[Basis] = (),
    output: str | Path | None = None,
    group: str | None = None,
    on_event: Callable[[Plan, Event], None] | None = None,
) -> Result:
    """Measure a model on a target and judge it.

    Everything is decided before the board is touched. A run that breaks off after its first sample gives a result of
    status `partial`; before it, the error is raised. Raises EdgeprofError and nothing else.
    """
    rules = tuple(parse_limit(limit) if isinstance(limit, str) else limit for limit in limits)
    place = resolve_target(target)
    facts = _board_of(place, board)
    graph = read_model(Path(model), shapes)
    given = file_inputs(graph, Path(inputs)) if inputs else random_inputs(graph, options.seed)
    plan = make_plan(graph, given, options._replace(outputs=bool(outputs) or options.outputs), facts)
    for path in (output, outputs):
        if path is not None:
            check_writable(Path(path))

    run = Run(graph=graph, plan=plan, target=place, board=facts, id=_new_id(), group=group)
    blobs = {"model": Path(model).read_bytes(), "inputs": given.blob}
    measurement, failure = measure(run, blobs, on_event)
    _raise_fatal(run, measurement, failure)

    result = _result_of(run, measurement, failure)
    guessed = [w for w in warnings_of(measurement, given) if w not in result.warnings]
    result = replace(result, warnings=(*result.warnings, *guessed))
    result = replace(result, findings=judge(result.metrics, rules, accept_basis))
    if outputs is not None:
        _write_outputs(Path(outputs), measurement)
    return _keep(result, Path(output) if output is not None else None)


def profile_all(
    model: str | Path,
    targets: Sequence[str],
    *,
    output: str | Path | None = None,
    on_event: Callable[[str, Plan, Event], None] | None = None,
    **rest: Any,  # noqa: ANN401  what `profile` takes
) -> tuple[list[Result], list[EdgeprofError]]:
    """Measure a model on several targets at once, a thread each; one board's failure leaves the others' results.

    With several targets `output` is a folder, and the results share a `group`.
    """
    several = len(targets) > 1
    group = _new_id() if several else None
    paths = _output_paths(targets, Path(output) if output is not None else None)

    def one(target: str) -> Result:
        heard = None if on_event is None else partial(on_event, target)
        return profile(model, target, output=paths.get(target), group=group, on_event=heard, **rest)

    if not several:
        try:
            return [one(targets[0])], []
        except EdgeprofError as error:
            return [], [error]
    return _in_threads(one, targets)


def _in_threads(one: Callable[[str], Result], targets: Sequence[str]) -> tuple[list[Result], list[EdgeprofError]]:
    results: list[Result] = []
    failures: list[EdgeprofError] = []
    with ThreadPoolExecutor(len(targets)) as pool:
        waiting = [pool.submit(one, target) for target in targets]
        for future in waiting:
            try:
                results.append(future.result())
            except EdgeprofError as error:
                failures.append(error)
    return results, failures


def _output_paths(targets: Sequence[str], output: Path | None) -> dict[str, Path]:
    if output is None:
        return {}
    if len(targets) == 1:
        return {targets[0]: output}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(f"cannot write results into {output}: {error.strerror}") from error
    return {target: output / f"{re.sub('[^A-Za-z0-9.-]+', '-', target)}.json" for target in targets}


class Run(NamedTuple):
    """What one run stands on."""

    graph: Graph
    plan: Plan
    target: Target
    board: Board | None
    id: str
    group: str | None = None


def measure(
    run: Run, blobs: dict[str, bytes], on_event: Callable[[Plan, Event], None] | None = None
) -> tuple[Measurement, EdgeprofError | None]:
    """Ask the board; return what it said, and why it ended early if it did. Events are on disk before this returns."""
    events: list[Event] = []
    failure: EdgeprofError | None = None
    try:
        with Journal(run.id) as journal, open_session(run.target, run.board) as session:
            for event in session.run(run.plan, blobs):
                events.append(event)
                journal.append(event)
                if on_event is not None:
                    on_event(run.plan, event)
    except KeyboardInterrupt:
        failure = Interrupted("stopped by Ctrl-C")
    except EdgeprofError as error:
        failure = error
    return fold(events, run.plan), failure


def _raise_fatal(run: Run, measurement: Measurement, failure: EdgeprofError | None) -> None:
    """Raise what left no sample behind: a lost link, a model that the runtime refuses, a crash."""
    asked = [measured for measured in measurement.passes if measured.kind in LATENCY_KINDS]
    if any(measured.samples.duration for measured in asked):
        return
    if failure is not None:
        raise failure
    for measured in asked:
        text = measured.failure_text or measured.failure
        match measured.failure:
            case "model-rejected":
                who = f"{measured.runtime or 'the runtime'} on {run.target.name}"
                raise ModelUnsupported(
                    f"{who} refuses {run.graph.name}: {_one_line(text)}",
                    hint=f"edgeprof inspect {run.graph.name} lists its operators",
                )
            case "out-of-memory":
                raise ModelDoesNotFit(f"{run.graph.name} does not fit {run.target.name}: {text}")
            case "" | "lost":
                continue
            case _:
                raise LinkError(f"the {measured.kind} pass failed on {run.target.name}: {_one_line(text)}")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


# ── the result ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _result_of(run: Run, measurement: Measurement, failure: EdgeprofError | None) -> Result:
    measurement = _tainted(measurement, run.target)
    partial = failure is not None or any(
        not measured.complete and measured.failure != "unsupported" for measured in measurement.passes
    )
    metrics = {**model_metrics(run.graph), **measured_metrics(measurement)}
    metrics["energy_per_inference_j"] = absent(measurement.basis, "no power was measured in this run")
    return Result(
        schema="edgeprof.result/1",
        id=run.id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        status="partial" if partial else "complete",
        group=run.group,
        variant=None,
        tool=Tool(name="edgeprof", version=__version__, command=tuple(sys.argv)),
        model=model_facts(run.graph),
        target=TargetUsed(
            name=run.target.name,
            link=link_name(run.target.place),
            agent=measurement.agent,
            protocol=measurement.protocol,
        ),
        board=board_used(run.board, measurement, run.target.name, board_folders()),
        runtime=_runtime_used(run.plan, measurement),
        environment=_environment(measurement),
        plan=run.plan,
        metrics=metrics,
        breakdowns={"noise": spread(measurement)},
        samples=all_samples(measurement),
        operators=operator_times(measurement),
        sensors=(),
        findings=(),
        warnings=(
            *_broken_off(failure),
            *mismatch(run.board, measurement, board_folders()),
            *warnings_of(measurement),
        ),
    )


def _tainted(measurement: Measurement, target: Target) -> Measurement:
    """Let a target's declared basis weaken what the agent believes to have measured."""
    if target.basis is None or measurement.basis != "measured":
        return measurement
    return replace(measurement, basis=target.basis)


def _broken_off(failure: EdgeprofError | None) -> tuple[Warned, ...]:
    if failure is None:
        return ()
    return (Warned(code="broken-off", text=failure.message, advice=failure.hint),)


def model_facts(graph: Graph) -> ModelFacts:
    """Return what a result says of the model file."""
    return ModelFacts(
        name=graph.name,
        format=graph.format,
        bytes=graph.bytes,
        sha256=graph.sha256 or None,
        inputs=tuple(_tensor_facts(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(_tensor_facts(graph.tensors[index]) for index in graph.outputs),
    )


def _tensor_facts(tensor: Tensor) -> InputTensor:
    quantization = tensor.quantization
    whole = quantization is not None and len(quantization.scales) == 1
    return InputTensor(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=quantization.scales[0] if quantization is not None and whole else None,
        zero_point=quantization.zero_points[0] if quantization is not None and whole else None,
    )


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


def _write_outputs(path: Path, measurement: Measurement) -> None:
    """Write the outputs as NPZ keyed by tensor name, first axis: inferences."""
    import numpy as np  # noqa: PLC0415  only when outputs were asked for

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


# ── boards and names ─────────────────────────────────────────────────────────────────────────────────────────────────


def _board_of(target: Target, named: str | None) -> Board | None:
    from edgeprof.boards import load_board  # noqa: PLC0415  only where a board is named

    name = named or target.board or (target.place.board if isinstance(target.place, Sim) else None)
    return load_board(name, board_folders()) if name else None


def _new_id() -> str:
    """Return an id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"


def doctor(target: str = "local") -> Diagnosis:
    """Look at a target: what is missing or noisy, what mends it, what ignoring it costs."""
    from edgeprof.doctor import diagnose  # noqa: PLC0415  only here

    place = resolve_target(target)
    return diagnose(place, _board_of(place, None))


def list_targets() -> tuple[Reachable, ...]:
    """Return what can be reached from here."""
    from edgeprof.reachable import list_reachable  # noqa: PLC0415  only here

    return list_reachable()


def offered_key(host: str) -> OfferedKey:
    """Ask an SSH host for its key, trusting nothing; `.trust()` adds it to known_hosts."""
    from edgeprof.links.ssh_keys import offer  # noqa: PLC0415  only here

    return offer(ssh_place(host))


def load_result(path: str | Path) -> Result:
    """Read a result file, or the newest kept one for `last`."""
    return read_result(last_result() if str(path) == "last" else Path(path))


def exit_code(results: Sequence[Result], failures: Sequence[EdgeprofError] = (), *, strict: bool = False) -> int:
    """Return the exit code of a run: the first of 70, 2, 3, 4, 5, 1, 6 that applies, else 0."""
    codes = {failure.exit_code for failure in failures}
    verdicts = {finding.verdict for result in results for finding in result.findings}
    if any(result.status == "partial" for result in results):
        codes.add(5)
    if "FAIL" in verdicts or (strict and "WARN" in verdicts):
        codes.add(1)
    if strict and "INCONCLUSIVE" in verdicts:
        codes.add(6)
    return next((code for code in (70, 2, 3, 4, 5, 1, 6) if code in codes), 0)
