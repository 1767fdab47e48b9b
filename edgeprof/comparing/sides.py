"""One side of a comparison of models: what is run where, and how. What cannot be compared is refused before that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, assert_never

from edgeprof.comparing.results import difference, input_differences, input_shapes
from edgeprof.comparing.saved_results import refuse_differences
from edgeprof.inputs import file_inputs, random_inputs
from edgeprof.profiling.runtime_choice import settled_choice
from edgeprof.summary.static import model_facts
from edgeprof.targets import Emu, Local, MlperfTiny, Qemu, Serial, Sim, Ssh, resolve_target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeprof.comparing.output_quality import Heard
    from edgeprof.comparing.request import Wanted
    from edgeprof.inputs import Inputs
    from edgeprof.model.graph import Graph
    from edgeprof.profiling.plan import Options
    from edgeprof.records.comparison import Difference
    from edgeprof.records.result import Basis, Result
    from edgeprof.targets import Target

SIMULATED_LAUNCHES = 7
OF_ANOTHER_TARGET = frozenset({"board", "basis", "runtime", "threads", "CPUs", "power mode", "governor"})
"""What differs because two targets were named."""
USUAL_RUNTIMES = {"tflite": "ai_edge_litert", "onnx": "onnxruntime"}


class Side(NamedTuple):
    """One model that was profiled."""

    path: Path
    target: str
    name: str
    graph: Graph
    options: Options
    result: Result
    heard: Heard
    inputs: Path | None


def options_of(graphs: Sequence[Graph], targets: Sequence[str], options: Options, wanted: Wanted) -> list[Options]:
    """Return the options of each model; a wish for a runtime goes to NEW too unless that is of another format.

    Nor does it go to NEW on another target that has one engine and no choice.
    """
    plain = options._replace(runtime="", delegate="", providers=(), runtime_options=())
    found = []
    for at, (graph, name) in enumerate(zip(graphs, targets, strict=True)):
        place, given = resolve_target(name), options
        if at:
            given = wanted.new_options or (options if graph.format == graphs[0].format else plain)
        if name != targets[0] and not isinstance(place.place, Local | Ssh):
            given = plain._replace(cpus=())
        found.append(settled_choice(_for(place, given), graph.format, place))
    return found


def _for(target: Target, options: Options) -> Options:
    """Return the options with as many runs as the target needs."""
    match target.place:
        case Qemu() | Emu():  # deterministic: one counted run says it all
            return options._replace(runs=None)
        case Sim():  # its launches are drawn apart, and stand for those that a real board is given in turns
            return options._replace(launches=max(options.launches, SIMULATED_LAUNCHES))
        case Local() | Ssh() | Serial() | MlperfTiny():
            return options
        case place:
            assert_never(place)


def refuse_unlike(graphs: Sequence[Graph], targets: Sequence[str], options: Sequence[Options], wanted: Wanted) -> None:
    """Raise UsageError for models that are not comparable with the first, as far as that is known before they run."""
    base = graphs[0]
    for at, graph in enumerate(graphs[1:], start=1):
        shapes = (input_shapes(model_facts(one).inputs) for one in (base, graph))
        found = list(input_differences(*shapes))
        place = resolve_target(targets[at]).place
        if targets[at] == targets[0] and wanted.new_options is None and isinstance(place, Local | Ssh):
            found += _runtimes(base, graph, options[0], options[at])
        refuse_differences(found, wanted.allow)


def _runtimes(base: Graph, new: Graph, for_base: Options, for_new: Options) -> list[Difference]:
    sides = ((base, for_base), (new, for_new))
    one, other = (options.runtime or USUAL_RUNTIMES[graph.format] for graph, options in sides)
    return [difference("runtime", one, other)] if base.format != new.format else []


def meant(base: Side, new: Side, wanted: Wanted) -> set[str]:
    """Return what differs because it was asked for: NEW's runtime by an option of its own, another target by name."""
    found = set(OF_ANOTHER_TARGET) if base.target != new.target else set[str]()
    return found | ({"runtime", "threads", "CPUs"} if wanted.new_options is not None else set())


def basis_of(result: Result) -> Basis:
    """Return the basis of a result's latency or counts."""
    names = ("latency_p50_s", "instructions_count")
    return next((result.metrics[name].basis for name in names if name in result.metrics), "measured")


def inputs_of(side: Side) -> Inputs:
    """Return what a side is given."""
    return file_inputs(side.graph, side.inputs) if side.inputs else random_inputs(side.graph, side.options.seed)
