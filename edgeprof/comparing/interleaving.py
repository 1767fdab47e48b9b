"""Two models run in turns on one target: launches until the answer is clear, at most 15."""

from __future__ import annotations

import hashlib
import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.agent.pair import SETTLE_NS
from edgeprof.comparing.intervals import LAST_LOOK, enough
from edgeprof.inputs import read_beside
from edgeprof.links.framed import BESIDE, SECOND_BESIDE, SECOND_INPUTS, SECOND_MODEL
from edgeprof.model import read_model
from edgeprof.profiling.running import measure, raise_fatal
from edgeprof.records.comparison import LaunchRatio
from edgeprof.records.result import Pass, Plan, SecondModel
from edgeprof.store import forget_run
from edgeprof.wire import AFTER_SEND, SECOND, WARMUP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeprof.errors import EdgeprofError
    from edgeprof.inputs import Inputs
    from edgeprof.model.graph import Graph
    from edgeprof.profiling.plan import Options
    from edgeprof.profiling.running import Stop
    from edgeprof.records.events import Event
    from edgeprof.records.result import Measurement, Result, SampleColumns
    from edgeprof.targets import Target

MOST_PAIRS, FEWEST_PAIRS, LAUNCH_S = 300, 30, 0.45
MIDDLING_PAIRS, SHORT_S = 150, 5e-4


class Interleaved(NamedTuple):
    """The launches that there were, why they ended early if they did, and how the turns were taken."""

    launches: tuple[LaunchRatio, ...]
    failure: EdgeprofError | None
    way: str


def pairs_for(latency_s: float, threads: int = 1) -> int:
    """Return how many pairs a launch takes: 300 of a short model, fewer of a long one, so that it stays near a second.

    300 pairs of a 50 µs model and 150 of a 1.4 ms one find a true 5 % in every comparison of 5 and 7 launches. With
    several threads each turn settles first, which makes every model a long one.
    """
    turn_s = latency_s + (SETTLE_NS * 1e-9 if threads > 1 else 0.0)
    if turn_s < SHORT_S:
        return MOST_PAIRS
    return max(FEWEST_PAIRS, min(MIDDLING_PAIRS, round(LAUNCH_S / (2 * turn_s))))


def pair_plan(
    graphs: tuple[Graph, Graph],
    inputs: tuple[Inputs, Inputs],
    options: tuple[Options, Options],
    runtimes: tuple[str, ...],
    latency_s: float,
) -> tuple[Plan, dict[str, bytes]]:
    """Return the passes of a comparison and the blobs that they need but the models themselves.

    `runtimes` are those that each model was profiled with, so that both are run by the same again.
    """
    (base, new), (of_base, of_new), (for_base, for_new) = graphs, inputs, options
    threads = for_base.threads
    one = Pass(kind="pair", runs=pairs_for(latency_s, threads), warmup=for_base.warmup, threads=threads)
    plan = Plan(
        passes=tuple(replace(one, launch=launch) for launch in range(LAST_LOOK)),
        format=base.format,
        runtime=for_base.runtime or runtimes[0],
        delegate=for_base.delegate,
        providers=for_base.providers,
        runtime_options=for_base.runtime_options,
        cpus=for_base.cpus,
        seed=for_base.seed,
        inputs=of_base.source,
        inputs_sha256=hashlib.sha256(of_base.blob).hexdigest(),
        shapes=of_base.shapes,
        timeout_s=for_base.timeout_s,
        second=SecondModel(
            name=new.name,
            format=new.format,
            runtime=for_new.runtime or runtimes[1],
            delegate=for_new.delegate,
            providers=for_new.providers,
            runtime_options=for_new.runtime_options,
            shapes=of_new.shapes,
        ),
    )
    return plan, {"inputs": of_base.blob, SECOND_INPUTS: of_new.blob}


def interleave(
    begun: Result,
    base: Path,
    new: Path,
    target: Target,
    blobs: dict[str, bytes],
    *,
    max_regression: float,
    on_event: Callable[[Plan, Event], None] | None = None,
    stop: Stop | None = None,
) -> Interleaved:
    """Run `begun.plan`, made by `pair_plan`, until the launches decide; raise what left no launch behind."""
    of_base, of_new = (read_beside(path, read_model(path, digest=False)) for path in (base, new))
    second = {f"{SECOND_BESIDE}{name.removeprefix(BESIDE)}": content for name, content in of_new.items()}
    whole = {**blobs, "model": base.read_bytes(), **of_base, SECOND_MODEL: new.read_bytes(), **second}

    def decided(measurement: Measurement) -> bool:
        found = launches_of(measurement)
        return bool(found) and enough(
            [launch.log_ratio for launch in found], statistics.median(x.base_p50_s for x in found), max_regression
        )

    try:
        outcome = measure(begun, target, None, whole, on_event=on_event, stop=stop, enough=decided)
    finally:
        forget_run(begun.id)  # turns are no result of either model, and never the last one
    raise_fatal(begun, outcome)
    launches = launches_of(outcome.measurement)
    if not launches and outcome.failure is not None:
        raise outcome.failure
    return Interleaved(launches, outcome.failure, _way(outcome.measurement))


def _way(measurement: Measurement) -> str:
    """Return how the turns were taken, as far as it is not one runtime and one thread."""
    detail = next((measured.detail for measured in measurement.passes if measured.detail), {})
    parts = []
    runtimes = [str(detail.get(name, "")) for name in ("base_runtime", "new_runtime")]
    if len(set(runtimes)) > 1:
        parts.append(f"{' and '.join(runtimes)} in one process")
    settle_ns = detail.get("settle_ns")
    if isinstance(settle_ns, int) and settle_ns:
        parts.append(f"each turn after {settle_ns * 1e-6:g} ms of untimed ones, for threads that spin")
    return "; ".join(parts)


def launches_of(measurement: Measurement) -> tuple[LaunchRatio, ...]:
    """Return one ratio a complete launch."""
    passes = (measured for measured in measurement.passes if measured.kind == "pair" and measured.complete)
    return tuple(launch_of(measured.samples) for measured in passes)


def launch_of(columns: SampleColumns) -> LaunchRatio:
    """Return the median of log(new / base) over the pairs of one launch; what was sent just before is left out."""
    rows = [
        (duration / batch, flags)
        for duration, batch, flags in zip(columns.duration, columns.batch, columns.flags, strict=True)
        if not flags & WARMUP
    ]
    pairs = []
    for (one_s, one), (other_s, other) in zip(rows[::2], rows[1::2], strict=True):
        if not (one | other) & AFTER_SEND:
            pairs.append((other_s, one_s) if one & SECOND else (one_s, other_s))
    return LaunchRatio(
        log_ratio=statistics.median(math.log(new_s / base_s) for base_s, new_s in pairs),
        base_p50_s=statistics.median(base_s for base_s, _ in pairs),
        new_p50_s=statistics.median(new_s for _, new_s in pairs),
        pairs=len(pairs),
    )
