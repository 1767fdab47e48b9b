"""The program, readable from top to bottom: what the command line can do, these functions can."""

from __future__ import annotations

import re
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from msgspec.structs import replace

from edgeprof.checking import check, never_in
from edgeprof.errors import EdgeprofError, OutputUnwritable, UnknownName, UsageError
from edgeprof.inputs import file_inputs, random_inputs, read_beside
from edgeprof.installing.offering import make_offer
from edgeprof.limit_profiles import read_limits
from edgeprof.limits import judge
from edgeprof.meters import is_meter
from edgeprof.model import read_model
from edgeprof.oracle import can_be_checked, check_outputs, seeded_inferences
from edgeprof.plan import Asked, Options, check_program, make_firmware_plan, make_plan
from edgeprof.powered import PowerSource, check_power, with_energy
from edgeprof.records.result import Result, Warned
from edgeprof.results import begun_result, filled_result, guessed_shapes, tainted
from edgeprof.running import Stop, measure, raise_fatal
from edgeprof.runtime_choice import choice_warnings, read_hook, settled_choice
from edgeprof.store import check_writable, keep_result, last_result, read_result, recover_result, write_result
from edgeprof.sweeping import Variant, parse_sweep, run_variants, variants
from edgeprof.targets import Emu, MlperfTiny, Qemu, Sim, board_folders, resolve_target, runs_programs, ssh_place
from edgeprof.throttling import marked_findings
from edgeprof.units import parse_frequency

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.inputs import Inputs
    from edgeprof.limits import Limit
    from edgeprof.links.ssh_keys import OfferedKey
    from edgeprof.model.graph import Graph
    from edgeprof.reachable import Reachable
    from edgeprof.records.board import Board
    from edgeprof.records.checks import Diagnosis
    from edgeprof.records.comparison import Comparison
    from edgeprof.records.events import Event
    from edgeprof.records.inspection import Fit, Inspection
    from edgeprof.records.result import Basis, Finding, Measurement, Plan
    from edgeprof.targets import Place, Target


__all__ = [
    "check",
    "compare",
    "doctor",
    "exit_code",
    "fit",
    "inspect",
    "list_targets",
    "load_result",
    "profile",
    "profile_all",
]

DEFAULTS = Options()
EMULATED_AS = {"cortex-m3": "mps2-an385", "cortex-m4": "cortex-m4", "cortex-m7": "mps2-an500"}
"""The board whose memories the emulated core has."""
IN_FIRMWARE = "firmware"
"""The MODEL that is on the board already."""


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
    gate: Literal["target", "hard"] = "target",
    output: str | Path | None = None,
    group: str | None = None,
    variant: str | None = None,
    tag: str | None = None,
    history: bool = True,
    on_event: Callable[[Plan, Event], None] | None = None,
    stop: Stop | None = None,
    wheels: str | Path | None = None,
    ask: Callable[[str], bool] | None = None,
    **asked: Unpack[Asked],
) -> Result:
    """Measure a model on a target and judge it; `runs=`, `launches=`, `threads=` and the like change `options`.

    Everything is decided before the board is touched. A run that breaks off after its first sample gives a result of
    status `partial`; before it, the error is raised. Raises EdgeprofError and nothing else.

    `install_runtime=True` puts a runtime on a board that has none, from the package index or from the folder `wheels`;
    without it `ask` is asked whether to.
    """
    options = options._replace(**asked)
    offer = make_offer(install=options.install_runtime, wheels=wheels, ask=ask, runtime=options.runtime)
    rules = read_limits(limits)
    place = resolve_target(target)
    facts = _board_of(place, board)
    graph = _model_for(place, model, shapes)
    options = settled_choice(options, graph.format if graph else IN_FIRMWARE, place)
    options = options._replace(power=check_power(options.power))
    checks = options.check_outputs if options.check_outputs is not None else runs_programs(place.place)
    options = options._replace(outputs=bool(outputs) or options.outputs or (checks and can_be_checked(graph)))
    count = seeded_inferences(graph, emulated=isinstance(place.place, Qemu | Emu)) if graph and checks else 1
    given = _inputs_for(graph, Path(inputs) if inputs else None, options.seed, count)
    graph = _settled(graph, Path(model), given)
    blobs = {"inputs": given.blob} | ({"hook": read_hook(options.hook)} if options.hook else {})
    if graph is None:
        plan = make_firmware_plan(given, options)
    else:
        content, options = _executable(Path(model), graph, place, options, facts)
        blobs |= {"model": content, **read_beside(Path(model), graph)}
        plan = make_plan(graph, given, options, facts)
    for path in (output, outputs):
        if path is not None:
            check_writable(Path(path))

    begun = begun_result(_new_id(), _now(), sys.argv, graph=graph, plan=plan, target=place, board=facts)
    begun = replace(begun, group=group, variant=variant, warnings=(*guessed_shapes(given), *choice_warnings(plan)))
    with PowerSource(options.power, plan) as power:
        heard = power.heard(on_event) if options.power else on_event
        outcome = measure(begun, place, facts, blobs, on_event=heard, stop=stop, offer=offer)
    raise_fatal(begun, outcome)

    measurement = tainted(outcome.measurement, begun)
    result = filled_result(begun, measurement, failure=outcome.failure, board=facts, folders=board_folders())
    if options.power:
        result = with_energy(result, measurement, power.recorded(), options.priced)
    told: tuple[Finding, ...] = ()
    if checks:
        result, told = _with_outputs_checked(result, Path(model), graph, given, measurement, place)
    findings = judge(result.metrics, rules, accept_basis, gate=gate, never=never_in(result))
    findings = marked_findings(findings, result.warnings)
    result = replace(result, findings=(*told, *findings))
    if outputs is not None:
        _write_outputs(Path(outputs), outcome.measurement)
    result = _keep(result, Path(output) if output is not None else None)
    return _remembered(result, tag) if history else result


def _model_for(target: Target, model: str | Path, shapes: dict[str, tuple[int, ...]] | None) -> Graph | None:
    """Read the model; None for `firmware`, the one that is on the board already."""
    on_board = isinstance(target.place, MlperfTiny)
    if on_board == (str(model) == IN_FIRMWARE):
        return None if on_board else read_model(Path(model), shapes)
    raise UsageError(
        f"{model} cannot be put on {target.name}: its model is part of its firmware"
        if on_board
        else f"{IN_FIRMWARE!r} is what is on an MLPerf Tiny board; {target.name} is none",
        hint=f"edgeprof profile {IN_FIRMWARE} --target mlperf-tiny:///dev/ttyACM0",
    )


def _inputs_for(graph: Graph | None, path: Path | None, seed: int, inferences: int) -> Inputs:
    if graph is None:
        from edgeprof.links.mlperf_inputs import firmware_inputs  # noqa: PLC0415  only for such firmware

        return firmware_inputs(path, seed)
    return file_inputs(graph, path) if path else random_inputs(graph, seed, inferences)


def _settled(graph: Graph | None, path: Path, given: Inputs) -> Graph | None:
    """Return the graph with the sizes that it is run with, where the model leaves some open."""
    return read_model(path, given.shapes) if graph is not None and given.guessed else graph


def _with_outputs_checked(
    result: Result, path: Path, graph: Graph | None, given: Inputs, measurement: Measurement, target: Target
) -> tuple[Result, tuple[Finding, ...]]:
    checked = check_outputs(path, graph, given.blob, measurement, program=runs_programs(target.place))
    return replace(result, metrics={**result.metrics, **checked.metrics}), checked.findings


def _executable(
    path: Path, graph: Graph, target: Target, options: Options, board: Board | None
) -> tuple[bytes, Options]:
    """Return what the target executes, the file or the program packed from it; emulated, it needs no warm-up."""
    if not runs_programs(target.place):
        return path.read_bytes(), options
    from edgeprof.program import pack_program  # noqa: PLC0415  only for microcontrollers

    options = options._replace(format="program")
    if isinstance(target.place, Qemu | Emu):  # deterministic: one counted run says it all
        runs = options.runs or (None if options.duration_s else 1)
        options = options._replace(runs=runs, warmup=options.warmup or 0)
    program = pack_program(graph, path)
    if board is not None:
        check_program(program, board)
    return program.content, options


def profile_all(
    model: str | Path,
    targets: Sequence[str],
    *,
    output: str | Path | None = None,
    sweep: Sequence[str] = (),
    on_event: Callable[[str, Plan, Event], None] | None = None,
    **rest: Any,  # noqa: ANN401  what `profile` takes
) -> tuple[list[Result], list[EdgeprofError]]:
    """Measure a model on several targets at once, a thread each; one board's failure leaves the others' results.

    `sweep`, such as `("threads=1,2,4", "batch=1,8")`, measures every combination, one after the other on a board, a
    result each with its `variant`. With several results `output` is a folder, and the results share a `group`.
    """
    options, shapes = rest.pop("options", DEFAULTS), rest.pop("shapes", None) or {}
    chosen = _variants(Path(model), sweep, shapes)
    if len(targets) > 1 and is_meter(options.power):
        raise UsageError("one instrument cannot measure several boards at once", hint="one --target with --power")
    several = len(targets) * len(chosen) > 1
    group = _new_id() if several or sweep else None
    paths = _output_paths(targets, chosen, Path(output) if output is not None else None)

    stop = Stop()

    def one(target: str) -> tuple[list[Result], list[EdgeprofError]]:
        heard = None if on_event is None else partial(on_event, target)

        def run(variant: Variant) -> Result:
            return profile(
                model, target, output=paths.get((target, variant.name)), group=group, variant=variant.name or None,
                options=variant.applied(options), shapes={**shapes, **variant.shapes}, on_event=heard, stop=stop,
                **rest,
            )  # fmt: skip

        return run_variants(chosen, run)

    return one(targets[0]) if len(targets) == 1 else _in_threads(one, targets, stop)


def _variants(model: Path, sweep: Sequence[str], shapes: dict[str, tuple[int, ...]]) -> tuple[Variant, ...]:
    if not sweep:
        return (Variant("", None, {}),)
    asked = parse_sweep(sweep)
    if str(model) == IN_FIRMWARE:
        raise UsageError(f"--sweep cannot be done with {IN_FIRMWARE!r}: that model is part of its firmware")
    return variants(asked, read_model(model), shapes)


def _in_threads(
    one: Callable[[str], tuple[list[Result], list[EdgeprofError]]], targets: Sequence[str], stop: Stop
) -> tuple[list[Result], list[EdgeprofError]]:
    results: list[Result] = []
    failures: list[EdgeprofError] = []
    with ThreadPoolExecutor(len(targets)) as pool:
        waiting = [pool.submit(one, target) for target in targets]
        try:
            wait(waiting)
        except KeyboardInterrupt:
            stop.now()
        for future in waiting:
            measured, failed = future.result()
            results += measured
            failures += failed
    return results, failures


def _output_paths(
    targets: Sequence[str], chosen: Sequence[Variant], output: Path | None
) -> dict[tuple[str, str], Path]:
    if output is None:
        return {}
    if len(targets) == len(chosen) == 1 and not chosen[0].name:
        return {(targets[0], ""): output}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(f"cannot write results into {output}: {error.strerror}") from error
    if len(set(targets)) < len(targets):
        raise UsageError(f"a target is named twice: {', '.join(targets)}")
    return {
        (target, variant.name): output / f"{re.sub('[^A-Za-z0-9.-]+', '-', f'{target} {variant.name}'.strip())}.json"
        for target in targets
        for variant in chosen
    }


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    from edgeprof.history.keeping import remember  # noqa: PLC0415  only when there is something to keep

    try:
        remember(result, tag)
    except EdgeprofError as error:
        warned = Warned(code="history-unwritten", text=error.message, advice=error.hint)
        return replace(result, warnings=(*result.warnings, warned))
    return result


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

    name = named or target.board or _board_told(target.place)
    return load_board(name, board_folders()) if name else None


def _board_told(place: Place) -> str | None:
    match place:
        case Sim(board=board) | Qemu(board=board):
            return board
        case Emu(core=core):
            return EMULATED_AS.get(core)
        case _:
            return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _new_id() -> str:
    """Return an id that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"


def inspect(
    model: str | Path,
    *,
    shapes: dict[str, tuple[int, ...]] | None = None,
    board: str | None = None,
    exact: bool = False,
) -> Inspection:
    """Return what a model needs, from its file alone; with `board` also the roofline bound there.

    `exact` also asks the tflite-micro wheel, where it is installed, for the arena that it allocates.
    """
    from edgeprof.inspecting import inspect_model  # noqa: PLC0415  only here

    return inspect_model(model, shapes=shapes, board=board, exact=exact)


def fit(
    model: str | Path,
    *,
    boards: Sequence[str] = (),
    core: str | None = None,
    clock: str | None = None,
    engine: str = "tflm",
    shapes: dict[str, tuple[int, ...]] | None = None,
) -> Fit:
    """Return a verdict for each named board, for a board made up of `core` and `clock`, or for every known one."""
    from edgeprof.boards import list_boards, load_board  # noqa: PLC0415  only here
    from edgeprof.fitting import ENGINES, fit_boards, made_up_board  # noqa: PLC0415  only here

    if engine not in ENGINES:
        raise UnknownName(f"unknown engine {engine!r}", hint=f"known: {', '.join(ENGINES)}")
    if clock and not core:
        raise UsageError("--clock without --core", hint="--core cortex-m4 --clock 150MHz")
    folders = board_folders()
    chosen = [load_board(name, folders) for name in boards]
    if core:
        chosen.append(made_up_board(core, parse_frequency(clock) if clock else None))
    if not chosen:
        chosen = [load_board(name, folders) for name in list_boards(folders)]
    return fit_boards(read_model(Path(model), shapes, batch=1), chosen, ENGINES[engine])


def compare(
    base: str | Path,
    *new: str | Path,
    target: str = "local",
    max_regression: float = 0.03,
    allow: Sequence[str] = (),
    options: Options = DEFAULTS,
    on_event: Callable[[Plan, Event], None] | None = None,
) -> tuple[Comparison, ...]:
    """Compare each of `new` with `base`: models, run in turns on the target, or results (files or folders of them).

    What is not comparable is refused unless `allow` names what differs. Raises EdgeprofError and nothing else.
    """
    from edgeprof.side_by_side import Ears, compare_models, compare_saved, is_model  # noqa: PLC0415  only here

    paths = [Path(base), *map(Path, new)]
    if len(paths) < 2:  # noqa: PLR2004  two are compared
        raise UsageError("one thing cannot be compared", hint="edgeprof compare BASE NEW")
    models = [is_model(path) for path in paths]
    if not any(models):
        return tuple(
            found
            for path in paths[1:]
            for found in compare_saved(paths[0], path, max_regression=max_regression, allow=allow)
        )
    if not all(models):
        raise UsageError("a model and a result cannot be compared", hint="profile the model with -o first")
    ears = Ears(on_event, Stop())

    def run(path: Path) -> Result:
        return profile(path, target, options=options, on_event=on_event, stop=ears.stop)

    return tuple(
        compare_models(paths[0], path, target, run, options, max_regression=max_regression, allow=allow, ears=ears)
        for path in paths[1:]
    )


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
    """Read a result file, the newest kept one for `last`, or what the journal of a killed run holds."""
    found = last_result() if str(path) == "last" else Path(path)
    return recover_result(found) if found.suffix == ".jsonl" else read_result(found)


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
