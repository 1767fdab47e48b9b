"""Models that are compared: each is profiled on the target with the same inputs, then both are run in turns."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec.structs import replace

from edgeprof.comparing.interleaving import interleave, pair_plan
from edgeprof.comparing.intervals import FEWEST_LAUNCHES, estimate
from edgeprof.comparing.output_quality import Heard, Judged, judge_quality, quality_metrics
from edgeprof.comparing.quality_inputs import FEWEST_INFERENCES, MOST_INFERENCES, matched_inputs
from edgeprof.comparing.request import DEFAULT_GUARD
from edgeprof.comparing.results import compared, interleaved_change
from edgeprof.comparing.saved_results import names_apart, refuse
from edgeprof.comparing.techniques import techniques
from edgeprof.errors import EdgeprofError, Interrupted, UsageError
from edgeprof.inputs import file_inputs, random_inputs
from edgeprof.model import read_model
from edgeprof.profiling.runtime_choice import settled_choice
from edgeprof.records.quality import Quality
from edgeprof.records.result import Warned
from edgeprof.store import new_id, now
from edgeprof.summary.results import begun_result
from edgeprof.targets import Emu, Local, Qemu, Ssh, resolve_target, runs_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.comparing.interleaving import Interleaved
    from edgeprof.comparing.quality_inputs import Matched
    from edgeprof.comparing.request import Wanted
    from edgeprof.inputs import Inputs
    from edgeprof.model.graph import Graph
    from edgeprof.profiling.plan import Options
    from edgeprof.profiling.running import Stop
    from edgeprof.records.comparison import Comparison
    from edgeprof.records.events import Event
    from edgeprof.records.result import Basis, Plan, Result


class Ears(NamedTuple):
    """Who hears what the board says, and who may stop it."""

    on_event: Callable[[Plan, Event], None] | None = None
    stop: Stop | None = None


NOBODY = Ears()


class Profile(Protocol):
    """Measures one model; the given inputs are a file, and events are heard."""

    def __call__(
        self, path: Path, options: Options, inputs: Path | None, on_event: Callable[[Plan, Event], None], /
    ) -> Result:
        """Return its result."""


class _Side(NamedTuple):
    """One model that was profiled."""

    path: Path
    name: str
    graph: Graph
    options: Options
    result: Result
    heard: Heard
    inputs: Path | None


def compare_models(
    paths: Sequence[Path],
    target: str,
    profile: Profile,
    options: Options,
    wanted: Wanted,
    ears: Ears = NOBODY,
) -> tuple[Comparison, ...]:
    """Compare each model with the first: profile all on the target, then, where two can be loaded, run them in turns.

    What cannot work is refused before the board is touched. Raises EdgeprofError.
    """
    graphs = [read_model(path) for path in paths]
    options_of = _options_of(graphs, target, options, wanted)
    names = names_apart(paths)
    with tempfile.TemporaryDirectory(prefix="edgeprof-") as folder:
        slow = runs_programs(resolve_target(target).place)
        matched = _matched_all(graphs, options.seed, wanted, FEWEST_INFERENCES if slow else MOST_INFERENCES)
        files = _written(matched, paths, Path(folder), options.seed)
        sides: list[_Side] = []
        for at, path in enumerate(paths):
            heard = Heard({})
            asked = options_of[at]._replace(outputs=files[at] is not None)
            result = profile(path, asked, files[at], _both_hear(heard, ears))
            _raise_broken_off(result)
            sides.append(_Side(path, names[at], graphs[at], options_of[at], result, heard, files[at]))
        found = [
            _compare(sides[0], side, target, wanted, matched=matched[at], ears=ears)
            for at, side in enumerate(sides[1:])
        ]
    return tuple(found)


def _options_of(graphs: Sequence[Graph], target: str, options: Options, wanted: Wanted) -> list[Options]:
    """Return the options of each model; a wish for a runtime goes to NEW too unless that is of another format."""
    place = resolve_target(target)
    if isinstance(place.place, Qemu | Emu):  # deterministic: one counted run says it all
        options = options._replace(runs=None)
    plain = options._replace(runtime="", delegate="", providers=())
    found = [settled_choice(options, graphs[0].format, place)]
    for graph in graphs[1:]:
        given = wanted.new_options or (options if graph.format == graphs[0].format else plain)
        found.append(settled_choice(given, graph.format, place))
    return found


def _matched_all(graphs: Sequence[Graph], seed: int, wanted: Wanted, most: int) -> list[Matched | str]:
    """Return for each NEW the inputs that it shares with BASE, or why it has none."""
    if wanted.quality is False:
        return ["not asked for"] * (len(graphs) - 1)
    found = matched_inputs(graphs[0], graphs[1:], seed, wanted.inputs, most)
    reason = next((one for one in found if isinstance(one, str)), None)
    if reason is not None and (wanted.quality or wanted.labels or wanted.inputs):
        raise UsageError(
            f"the models cannot be given the same inputs: {reason}", hint="--no-quality leaves their outputs out"
        )
    return found


def _written(matched: Sequence[Matched | str], paths: Sequence[Path], folder: Path, seed: int) -> list[Path | None]:
    """Write the inputs of each model; the name is what the results call them."""
    import numpy as np  # noqa: PLC0415  only where outputs are compared

    files: list[Path | None] = [None] * len(paths)
    shared = [(at, one) for at, one in enumerate(matched, start=1) if not isinstance(one, str)]
    for at, one in shared:
        for place, arrays in ((0, one.arrays[0]), (at, one.arrays[1])):
            path = folder / str(place) / f"inputs-seed-{seed}.npz"
            path.parent.mkdir(exist_ok=True)
            np.savez(path, allow_pickle=False, **arrays)
            files[place] = path
    return files


def _both_hear(heard: Heard, ears: Ears) -> Callable[[Plan, Event], None]:
    def on_event(plan: Plan, event: Event) -> None:
        heard.listen(event)
        if ears.on_event is not None:
            ears.on_event(plan, event)

    return on_event


def _raise_broken_off(result: Result) -> None:
    """Stop where a person stopped the run, or the board was lost: half a profile is no side of a comparison."""
    for warned in result.warnings:
        if warned.code == "broken-off":
            raise Interrupted(
                f"{result.model.name} was not measured to its end, nothing was compared: {warned.text}",
                hint=warned.advice,
            )


# ── one pair ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _compare(base: _Side, new: _Side, target: str, wanted: Wanted, *, matched: Matched | str, ears: Ears) -> Comparison:
    refuse(base.result, new.result, (*wanted.allow, *_meant(base, new)))
    whole = _with_latency(base, new, target, wanted, ears)
    judged = _quality(base, new, matched, wanted)
    side = replace(whole.new, metrics={**whole.new.metrics, **quality_metrics(judged.quality)})
    return replace(
        whole,
        new=side,
        findings=(*whole.findings, *judged.findings),
        quality=judged.quality,
        techniques=techniques(base.graph, new.graph),
        price=wanted.price,
    )


def _meant(base: _Side, new: _Side) -> set[str]:
    """Return what differs because it was asked for."""
    meant = {"inputs"}
    if base.graph.format != new.graph.format or base.options != new.options:
        meant |= {"runtime"}
    if base.options.threads != new.options.threads:
        meant |= {"threads"}
    return meant


def _quality(base: _Side, new: _Side, matched: Matched | str, wanted: Wanted) -> Judged:
    basis = _basis(base.result)
    if isinstance(matched, str):
        return Judged(Quality(inputs="", basis=basis, reason=matched), ())
    return judge_quality(
        (base.graph, new.graph), (base.heard, new.heard), matched, basis, labels=wanted.labels,
        guard=wanted.guard or (DEFAULT_GUARD if wanted.labels is not None else None),
    )  # fmt: skip


def _basis(result: Result) -> Basis:
    names = ("latency_p50_s", "instructions_count")
    return next((result.metrics[name].basis for name in names if name in result.metrics), "measured")


def _with_latency(base: _Side, new: _Side, target: str, wanted: Wanted, ears: Ears) -> Comparison:
    """Return the comparison, its latency from turns where both models can be loaded at once."""
    names = (base.name, new.name)
    apart = compared(base.result, new.result, now(), max_regression=wanted.max_regression, names=names)
    if not isinstance(resolve_target(target).place, Local | Ssh):
        return apart
    try:
        found = _in_turns(base, new, target, wanted, ears)
    except Interrupted as error:
        return replace(apart, warnings=(Warned(code="broken-off", text=error.message, advice=error.hint),))
    except EdgeprofError as error:
        return replace(apart, warnings=(_not_in_turns(error.message, error.hint),))
    stopped = _stopped(found)
    if len(found.launches) < FEWEST_LAUNCHES:
        return replace(apart, warnings=stopped or (_not_in_turns("too few launches were complete", ""),))
    change = interleaved_change(
        estimate([launch.log_ratio for launch in found.launches]), found.launches, _basis(base.result),
        wanted.max_regression, found.way,
    )  # fmt: skip
    whole = compared(
        base.result, new.result, now(), max_regression=wanted.max_regression, interleaved=change,
        launches=found.launches, names=names,
    )  # fmt: skip
    return replace(whole, warnings=stopped)


def _not_in_turns(text: str, advice: str) -> Warned:
    return Warned(code="not-in-turns", text=f"the two could not be run in turns: {text}", advice=advice)


def _stopped(found: Interleaved) -> tuple[Warned, ...]:
    if found.failure is None:
        return ()
    return (Warned(code="broken-off", text=found.failure.message, advice=found.failure.hint),)


def _in_turns(base: _Side, new: _Side, target: str, wanted: Wanted, ears: Ears) -> Interleaved:
    place = resolve_target(target)
    latency = base.result.metrics.get("latency_p50_s")
    runtimes = tuple(side.result.runtime.name if side.result.runtime else "" for side in (base, new))
    plan, blobs = pair_plan(
        (base.graph, new.graph), (_inputs_of(base), _inputs_of(new)), (base.options, new.options), runtimes,
        latency.value if latency and latency.value else 1e-3,
    )  # fmt: skip
    begun = begun_result(new_id(), now(), ("compare",), graph=base.graph, plan=plan, target=place, board=None)
    return interleave(
        begun, base.path, new.path, place, blobs, max_regression=wanted.max_regression, on_event=ears.on_event,
        stop=ears.stop,
    )  # fmt: skip


def _inputs_of(side: _Side) -> Inputs:
    return file_inputs(side.graph, side.inputs) if side.inputs else random_inputs(side.graph, side.options.seed)
