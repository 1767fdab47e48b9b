"""The program, readable from top to bottom: what the command line can do, these functions can."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, get_args

from msgspec.structs import replace

from edgeprof.errors import EdgeprofError, OutputUnwritable, UsageError, did_you_mean
from edgeprof.estimate.coefficients import Coefficients
from edgeprof.fitting.operator_lists import OperatorLists
from edgeprof.installing.matrix import Matrix
from edgeprof.installing.offering import make_offer
from edgeprof.judging.checking import check
from edgeprof.judging.fallback import is_unproven, required
from edgeprof.judging.profiles import LimitFile, read_limits
from edgeprof.meters import is_meter
from edgeprof.meters.addresses import MeterAddress
from edgeprof.model import read_model
from edgeprof.oracle.reference import Answer
from edgeprof.profiling.finishing import finish, judged, kept, write_outputs
from edgeprof.profiling.plan import Asked, Options
from edgeprof.profiling.powered import PowerSource, is_recording
from edgeprof.profiling.preparing import IN_FIRMWARE, board_of, prepare
from edgeprof.profiling.running import Stop, measure, raise_fatal
from edgeprof.profiling.runtime_choice import choice_warnings
from edgeprof.profiling.sweeping import Variant, parse_sweep, run_variants, variants
from edgeprof.records.known import make_known
from edgeprof.store import check_writable, kept_result, new_id, now
from edgeprof.summary.results import begun_result, guessed_shapes
from edgeprof.targets import Configuration, Emu, Place, Qemu, Sim, resolve_target, ssh_place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.battery.options import BatteryOptions
    from edgeprof.examining.reachable import Reachable
    from edgeprof.fitting.question import Life
    from edgeprof.fitting.wishes import Wishes
    from edgeprof.judging.limits import Limit
    from edgeprof.links.ssh_keys import OfferedKey
    from edgeprof.records.checks import Diagnosis
    from edgeprof.records.comparison import Comparison, Price
    from edgeprof.records.events import Event
    from edgeprof.records.inspection import Fit, Inspection
    from edgeprof.records.result import Basis, Plan, Result


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
DECODED = (
    Answer, Coefficients, Configuration, LimitFile, Matrix, OperatorLists, *get_args(MeterAddress), *get_args(Place),
)  # fmt: skip
"""What a run decodes beside boards and results: runs of several boards are threads."""


def profile(  # noqa: PLR0913  one keyword an option of the command line
    model: str | Path,
    target: str = "local",
    *,
    board: str | None = None,
    options: Options = DEFAULTS,
    shapes: dict[str, tuple[int, ...]] | None = None,
    inputs: str | Path | None = None,
    outputs: str | Path | None = None,
    limits: str | Limit | Sequence[str | Limit] = (),
    accept_basis: Sequence[Basis] = (),
    gate: Literal["target", "hard"] = "target",
    output: str | Path | None = None,
    group: str | None = None,
    variant: str | None = None,
    battery: BatteryOptions | None = None,
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
    without it `ask` is asked whether to. `ask` also lets a person export the recording that `power` names when the run
    is over; without it the recorder has to write the file while the run goes on.
    """
    options = _with_asked(options, asked)
    make_known(*DECODED)
    ready = prepare(
        model, target, board=board, options=options, shapes=shapes, inputs=inputs,
        outputs=outputs is not None, battery=battery,
    )  # fmt: skip
    for path in (output, outputs):
        if path is not None:
            check_writable(Path(path))
    rules = (*read_limits(limits), *required(options.require_delegated_ratio))
    offer = make_offer(install=options.install_runtime, wheels=wheels, ask=ask, runtime=options.runtime)
    begun = begun_result(new_id(), now(), sys.argv, graph=ready.graph, plan=ready.plan, target=ready.target,
                         board=ready.board)  # fmt: skip
    told = (*guessed_shapes(ready.inputs), *choice_warnings(ready.plan))
    begun = replace(begun, group=group, variant=variant, warnings=told)
    simulated = isinstance(ready.target.place, Sim | Emu | Qemu)
    with PowerSource(ready.options.power, ready.plan, ask, simulated=simulated) as power:
        heard = power.heard(on_event) if ready.options.power else on_event
        outcome = measure(begun, ready.target, ready.board, ready.blobs, on_event=heard, stop=stop, offer=offer)
    raise_fatal(begun, outcome)

    result = finish(begun, ready, outcome, power)
    result = judged(result, rules, accept_basis, gate)
    if outputs is not None:
        write_outputs(Path(outputs), outcome.measurement)
    return kept(result, Path(output) if output is not None else None, tag=tag, history=history)


def _with_asked(options: Options, asked: Asked) -> Options:
    unknown = next((name for name in asked if name not in Options._fields), None)
    if unknown is not None:
        hint = did_you_mean(unknown, Options._fields)
        raise TypeError(f"profile() has no option {unknown!r}{f'; {hint}' if hint else ''}")
    return options._replace(**asked)


def profile_all(
    model: str | Path,
    targets: str | Sequence[str],
    *,
    output: str | Path | None = None,
    sweep: str | Sequence[str] = (),
    on_event: Callable[[str, Plan, Event], None] | None = None,
    **rest: Any,  # noqa: ANN401  what `profile` takes
) -> tuple[list[Result], list[EdgeprofError]]:
    """Measure a model on several targets at once, a thread each; one board's failure leaves the others' results.

    `sweep`, such as `("threads=1,2,4", "batch=1,8")`, measures every combination, one after the other on a board, a
    result each with its `variant`. With several results `output` is a folder, and the results share a `group`.
    """
    targets = [targets] if isinstance(targets, str) else targets
    if not targets:
        raise UsageError("no target is named", hint="local, or ssh://user@board")
    sweep = (sweep,) if isinstance(sweep, str) else sweep
    options, shapes = rest.pop("options", DEFAULTS), rest.pop("shapes", None) or {}
    chosen = _variants(Path(model), sweep, shapes)
    if options.threads != DEFAULTS.threads and chosen[0].threads is not None:
        raise UsageError("--threads and --sweep threads exclude each other", hint="leave --threads out")
    if len(targets) > 1 and is_meter(options.power):
        raise UsageError("one instrument cannot measure several boards at once", hint="one --target with --power")
    several = len(targets) * len(chosen) > 1
    if several and is_recording(options.power):
        raise UsageError(
            f"one recording holds one run, and here are {len(targets) * len(chosen)}: --power {options.power}",
            hint="one --target and no --sweep with a recording; an instrument's URL is recorded anew for each variant",
        )
    group = new_id() if several or sweep else None
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


# ── boards and names ─────────────────────────────────────────────────────────────────────────────────────────────────


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
    from edgeprof.inspecting import inspect_model

    return inspect_model(model, shapes=shapes, board=board, exact=exact)


def fit(  # noqa: PLR0913  one keyword an option of the command line
    model: str | Path,
    *,
    boards: str | Sequence[str] = (),
    core: str | None = None,
    clock: str | None = None,
    engine: str | None = None,
    shapes: dict[str, tuple[int, ...]] | None = None,
    target: str | None = None,
    threads: int = 1,
    calibrate_with: Sequence[str | Path] = (),
    use_history: bool = False,
    npu: str | None = None,
    wishes: Wishes | None = None,
    **battery: Unpack[Life],
) -> Fit:
    """Return a verdict for each named board, for a board made up of `core` and `clock`, or for every known one.

    Latency and energy come with their intervals; with `every="1s"`, `cell="cr2032"`, `sleep_current="5uA"` and the like
    battery life too. `target` is a Linux board that was calibrated. `wishes` filter and sort. Raises EdgeprofError.
    """
    from edgeprof.fitting.question import Life, ask_fit

    unknown = next((name for name in battery if name not in Life.__annotations__), None)
    if unknown is not None:
        hint = did_you_mean(unknown, (*Life.__annotations__, "boards", "core", "clock", "engine", "target", "wishes"))
        raise TypeError(f"fit() has no option {unknown!r}{f'; {hint}' if hint else ''}")
    named = [boards] if isinstance(boards, str) else boards
    return ask_fit(
        Path(model), boards=named, core=core, clock=clock, engine=engine, shapes=shapes, target=target, threads=threads,
        calibrate_with=calibrate_with, use_history=use_history, npu=npu, wishes=wishes,
        battery=battery,
    )  # fmt: skip


def compare(  # noqa: PLR0913  one keyword an option of the command line
    base: str | Path,
    *new: str | Path,
    target: str | Sequence[str] = "local",
    max_regression: float = 0.03,
    min_agreement: float | None = None,
    allow: Sequence[str] = (),
    options: Options = DEFAULTS,
    new_options: Options | None = None,
    quality: bool | None = None,
    inputs: str | Path | None = None,
    labels: str | Path | None = None,
    guard: Literal["conservative", "balanced", "aggressive"] | None = None,
    price: Price | None = None,
    on_event: Callable[[Plan, Event], None] | None = None,
) -> tuple[Comparison, ...]:
    """Compare each of `new` with `base`: models, run in turns on the target, or results (files or folders of them).

    With several targets each model is run on its own, in their order, or `base` alone on all of them; the first is
    what the others are compared with. `max_regression` is a ratio: 0.03 are 3 %. Outputs of which fewer than
    `min_agreement` agree fail; None: 0.99 with `inputs`, 0.5 on random ones.
    What is not comparable is refused unless `allow` names what differs. `quality` None compares the outputs of models
    where that can be done; `labels` are classes for `inputs`. Raises EdgeprofError and nothing else.
    """
    from edgeprof.comparing.latency import Ears
    from edgeprof.comparing.request import Wanted, are_models, sides_of
    from edgeprof.comparing.saved_results import compare_saved
    from edgeprof.comparing.side_by_side import compare_models

    sides = sides_of([Path(base), *map(Path, new)], [target] if isinstance(target, str) else target)
    wanted = Wanted(
        max_regression=max_regression, min_agreement=min_agreement, allow=tuple(allow), quality=quality,
        inputs=Path(inputs) if inputs else None, labels=Path(labels) if labels else None, guard=guard,
        new_options=new_options, price=price,
    )  # fmt: skip
    if not are_models(sides.paths, wanted):
        return tuple(
            found
            for path in sides.paths[1:]
            for found in compare_saved(sides.paths[0], path, max_regression=max_regression, allow=allow, price=price)
        )
    ears = Ears(on_event, Stop())

    def run(
        path: Path, place: str, chosen: Options, given: Path | None, heard: Callable[[Plan, Event], None]
    ) -> Result:
        return profile(path, place, options=chosen, inputs=given, on_event=heard, stop=ears.stop, history=False)

    return compare_models(sides, run, options, wanted, ears)


def doctor(target: str = "local") -> Diagnosis:
    """Look at a target: what is missing or noisy, what mends it, what ignoring it costs."""
    from edgeprof.examining.doctor import diagnose

    place = resolve_target(target)
    return diagnose(place, board_of(place, None))


def list_targets() -> tuple[Reachable, ...]:
    """Return what can be reached from here."""
    from edgeprof.examining.reachable import list_reachable

    return list_reachable()


def offered_key(host: str) -> OfferedKey:
    """Ask an SSH host for its key, trusting nothing; `.trust()` adds it to known_hosts."""
    from edgeprof.links.ssh_keys import offer

    return offer(ssh_place(host))


def load_result(path: str | Path) -> Result:
    """Read a result file, the newest kept one for `last`, or what the journal of a killed run holds."""
    return kept_result(Path(path))


def exit_code(results: Sequence[Result], failures: Sequence[EdgeprofError] = (), *, strict: bool = False) -> int:
    """Return the exit code of a run: the first of 70, 2, 3, 4, 5, 1, 6 that applies, else 0."""
    codes = {failure.exit_code for failure in failures}
    verdicts = {finding.verdict for result in results for finding in result.findings}
    if any(result.status == "partial" for result in results):
        codes.add(5)
    if "FAIL" in verdicts or (strict and "WARN" in verdicts):
        codes.add(1)
    if any(is_unproven(result.findings) for result in results) or (strict and "INCONCLUSIVE" in verdicts):
        codes.add(6)
    return next((code for code in (70, 2, 3, 4, 5, 1, 6) if code in codes), 0)
