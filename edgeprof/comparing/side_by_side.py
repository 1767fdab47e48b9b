"""Models that are compared: each is profiled with the same inputs, on one target or each on its own.

Where one target can load both they are then run in turns.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from edgeprof.comparing.latency import NOBODY, with_latency
from edgeprof.comparing.output_agreement import untold_finding
from edgeprof.comparing.output_quality import Heard, Judged, judge_quality, quality_metrics
from edgeprof.comparing.quality_inputs import FEWEST_INFERENCES, MOST_INFERENCES, matched_inputs
from edgeprof.comparing.request import DEFAULT_GUARD
from edgeprof.comparing.saved_results import names_apart, refuse
from edgeprof.comparing.sides import Side, basis_of, meant, options_of, refuse_unlike
from edgeprof.comparing.techniques import techniques
from edgeprof.errors import Interrupted, UsageError
from edgeprof.model import read_model
from edgeprof.model.data_files import refuse_faulty
from edgeprof.records.quality import Quality
from edgeprof.targets import resolve_target, runs_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeprof.comparing.latency import Ears
    from edgeprof.comparing.quality_inputs import Matched
    from edgeprof.comparing.request import Sides, Wanted
    from edgeprof.model.graph import Graph
    from edgeprof.profiling.plan import Options
    from edgeprof.records.comparison import Comparison
    from edgeprof.records.events import Event
    from edgeprof.records.result import Basis, Plan, Result


STRENGTHS: tuple[Basis, ...] = ("measured", "computed", "emulated", "simulated", "estimated", "declared")
"""From the strongest to the weakest."""


class Profile(Protocol):
    """Measures one model on a target; the given inputs are a file, and events are heard."""

    def __call__(
        self, path: Path, target: str, options: Options, inputs: Path | None, on_event: Callable[[Plan, Event], None], /
    ) -> Result:
        """Return its result."""


def compare_models(
    asked: Sides,
    profile: Profile,
    options: Options,
    wanted: Wanted,
    ears: Ears = NOBODY,
) -> tuple[Comparison, ...]:
    """Compare each model with the first: profile all, then, where one target can load two, run them in turns.

    What cannot work is refused before a board is touched. Raises EdgeprofError.
    """
    paths, targets = asked
    graphs = [read_model(path) for path in paths]
    for graph in graphs:
        refuse_faulty(graph)
    chosen = options_of(graphs, targets, options, wanted)
    slow = any(runs_programs(resolve_target(target).place) for target in targets)
    matched = _matched_all(graphs, options.seed, wanted, FEWEST_INFERENCES if slow else MOST_INFERENCES)
    refuse_unlike(graphs, targets, chosen, wanted)
    names = names_apart(paths)
    with tempfile.TemporaryDirectory(prefix="edgeprof-") as folder:
        files = _written(matched, paths, Path(folder), options.seed)
        sides: list[Side] = []
        for at, path in enumerate(paths):
            heard = Heard({})
            sent_back = chosen[at]._replace(outputs=files[at] is not None)
            result = profile(path, targets[at], sent_back, files[at], _both_hear(heard, ears))
            _raise_broken_off(result)
            sides.append(Side(path, targets[at], names[at], graphs[at], chosen[at], result, heard, files[at]))
        found = [_compare(sides[0], side, wanted, matched=matched[at], ears=ears) for at, side in enumerate(sides[1:])]
    return tuple(found)


def _matched_all(graphs: Sequence[Graph], seed: int, wanted: Wanted, most: int) -> list[Matched | str]:
    """Return for each NEW the inputs that it shares with BASE, or why it has none."""
    if wanted.quality is False:
        return ["not asked for"] * (len(graphs) - 1)
    found = matched_inputs(graphs[0], graphs[1:], seed, wanted.inputs, most)
    reason = next((one for one in found if isinstance(one, str)), None)
    if reason is not None and (wanted.quality or wanted.labels or wanted.inputs or wanted.min_agreement is not None):
        raise UsageError(
            f"the models cannot be given the same inputs: {reason}", hint="--no-quality leaves their outputs out"
        )
    return found


def _written(matched: Sequence[Matched | str], paths: Sequence[Path], folder: Path, seed: int) -> list[Path | None]:
    """Write the inputs of each model; the name is what the results call them."""
    import numpy as np

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


def _compare(base: Side, new: Side, wanted: Wanted, *, matched: Matched | str, ears: Ears) -> Comparison:
    refuse(base.result, new.result, (*wanted.allow, *meant(base, new, wanted)))
    whole = with_latency(base, new, wanted, ears)
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


def _quality(base: Side, new: Side, matched: Matched | str, wanted: Wanted) -> Judged:
    basis = weaker(basis_of(base.result), basis_of(new.result))
    if isinstance(matched, str):
        found = () if wanted.quality is False else (untold_finding(matched, basis),)
        return Judged(Quality(inputs="", basis=basis, reason=matched), found)
    return judge_quality(
        (base.graph, new.graph), (base.heard, new.heard), matched, basis, labels=wanted.labels,
        guard=wanted.guard or (DEFAULT_GUARD if wanted.labels is not None else None),
        min_agreement=wanted.min_agreement,
    )  # fmt: skip


def weaker(one: Basis, other: Basis) -> Basis:
    """Return the weaker of the bases that two targets run models on."""
    return max(one, other, key=STRENGTHS.index)
