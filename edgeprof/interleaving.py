"""Two models run in turns on one target: launches until the answer is clear, at most 15."""

from __future__ import annotations

import hashlib
import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from edgeprof.compare_stats import LAST_LOOK, enough
from edgeprof.errors import UsageError
from edgeprof.inputs import random_inputs, read_beside
from edgeprof.links.framed import SECOND_INPUTS, SECOND_MODEL
from edgeprof.model import read_model
from edgeprof.records.comparison import LaunchRatio
from edgeprof.records.result import Pass, Plan, SecondModel
from edgeprof.running import measure, raise_fatal
from edgeprof.wire import AFTER_SEND, SECOND, WARMUP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgeprof.errors import EdgeprofError
    from edgeprof.model.graph import Graph
    from edgeprof.plan import Options
    from edgeprof.records.events import Event
    from edgeprof.records.result import Measurement, PassMeasurement, Result
    from edgeprof.running import Stop
    from edgeprof.targets import Target

MOST_PAIRS, FEWEST_PAIRS, LAUNCH_S = 300, 30, 0.45
MIDDLING_PAIRS, SHORT_S = 150, 5e-4


class Interleaved(NamedTuple):
    """The launches that there were, and what the runtimes said of themselves."""

    launches: tuple[LaunchRatio, ...]
    measurement: Measurement
    failure: EdgeprofError | None


def pairs_for(latency_s: float) -> int:
    """Return how many pairs a launch takes: 300 of a short model, fewer of a long one, so that it stays near a second.

    300 pairs of a 50 µs model and 150 of a 1.4 ms one find a true 5 % in every comparison of 5 and 7 launches.
    """
    if latency_s < SHORT_S:
        return MOST_PAIRS
    return max(FEWEST_PAIRS, min(MIDDLING_PAIRS, round(LAUNCH_S / (2 * latency_s))))


def pair_plan(base: Graph, new: Graph, options: Options, latency_s: float) -> tuple[Plan, dict[str, bytes]]:
    """Return the passes of a comparison and the blobs that they need but the models themselves."""
    of_base, of_new = random_inputs(base, options.seed, 1), random_inputs(new, options.seed, 1)
    one = Pass(kind="pair", runs=pairs_for(latency_s), warmup=options.warmup, threads=options.threads)
    plan = Plan(
        passes=tuple(replace(one, launch=launch) for launch in range(LAST_LOOK)),
        format=base.format,
        runtime=options.runtime,
        delegate=options.delegate,
        providers=options.providers,
        cpus=options.cpus,
        seed=options.seed,
        inputs=of_base.source,
        inputs_sha256=hashlib.sha256(of_base.blob).hexdigest(),
        shapes=of_base.shapes,
        timeout_s=options.timeout_s,
        second=SecondModel(name=new.name, format=new.format, runtime="", shapes=of_new.shapes),
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
    for path in (base, new):
        if read_beside(path, read_model(path)):
            raise UsageError(
                f"{path} keeps its weights in files beside it; two such models cannot be run in turns yet",
                hint="profile each with -o and compare the two results",
            )
    whole = {**blobs, "model": base.read_bytes(), SECOND_MODEL: new.read_bytes()}

    def decided(measurement: Measurement) -> bool:
        found = launches_of(measurement)
        return bool(found) and enough(
            [launch.log_ratio for launch in found], statistics.median(x.base_p50_s for x in found), max_regression
        )

    outcome = measure(begun, target, None, whole, on_event=on_event, stop=stop, enough=decided)
    raise_fatal(begun, outcome)
    return Interleaved(launches_of(outcome.measurement), outcome.measurement, outcome.failure)


def launches_of(measurement: Measurement) -> tuple[LaunchRatio, ...]:
    """Return one ratio a complete launch."""
    passes = (measured for measured in measurement.passes if measured.kind == "pair" and measured.complete)
    return tuple(_launch(measured) for measured in passes)


def _launch(measured: PassMeasurement) -> LaunchRatio:
    columns = measured.samples
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
